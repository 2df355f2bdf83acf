/* Binding a fact to the rule set: which fact it is, and what its values are by declared type.
 *
 * Called where events are decoded, once per message; any thread. Values of another type than declared
 * are missing, and the event is marked EVENT_FACT_ODD. A fact that no rule reads stays unbound: it is
 * logged, so that a later rule set can warm up with it. */
#ifndef ENGINE_STREAM_FACT_H
#define ENGINE_STREAM_FACT_H

#include "engine/base/arena.h"
#include "engine/model/fact.h"
#include "rules/lang/program.h"

struct decoder;
typedef struct hash128 (*entity_hash_fn)(const struct decoder *decoder, enum entity_kind kind, struct slice text);

/* Fills event.fact's lower part and the refs of its subject and entities. */
void fact_bind(const struct program *program, entity_hash_fn hash, const struct decoder *decoder, struct event *event);

#endif
