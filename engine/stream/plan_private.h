/* What the files that make a plan share. Included by engine/stream/plan{,_graph}.c only. */
#ifndef ENGINE_STREAM_PLAN_PRIVATE_H
#define ENGINE_STREAM_PLAN_PRIVATE_H

#include "engine/stream/plan.h"

/* plan_graph.c. Once all keyspaces have their places in the row: which legs are missed; it takes the row's last word. `at`: the plan's own. */
void plan_lacks(struct plan *plan, struct plan_keyspace *at);
/* Once all streams have their places: the legs that a rule's graph operators end with. */
void plan_legs(struct plan *plan, const struct rule *def, struct plan_rule *rule);
/* Once all rules have their parts: those that nearly always need no judging. `at`: the plan's own. */
void plan_idle(struct plan *plan, struct plan_keyspace *at);
/* The corridors that routes are looked for along. */
void plan_routes(struct plan *plan);

#endif
