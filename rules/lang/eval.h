/* Evaluates compiled expressions: sees values only, never state, so rules test without an engine.
 *
 * Pure and thread-safe: everything changeable is in the caller's struct evaluation. */
#ifndef RULES_LANG_EVAL_H
#define RULES_LANG_EVAL_H

#include "rules/lang/program.h"

enum { SIDE_SENDER, SIDE_RECEIVER };

/* Lists that hold entities are asked through the owner of the entity: bit i = on list i. */
typedef uint64_t (*entity_lists_fn)(const void *context, entity_id id);

struct evaluation {
    const struct program *program;
    const struct event *event;
    const int64_t *slot;         /* the event's row of program.slot_count numbers, MISSING_I64 where a read found none */
    int side;                    /* SIDE_…: which end the key is; SIDE_SENDER when it is neither */
    const struct value *input;   /* aggregates, for OP_INPUT; NULL in filters */
    const struct value *graph;   /* graph operators, for OP_GRAPH; NULL: not searched, unknown */
    const struct value *kept;    /* values of the attempt, for OP_KEPT */
    entity_lists_fn entity_lists;
    const void *lists_context;
    struct value node[EXPR_NODE_MAX]; /* scratch: results of the nodes evaluated last */
};

/* Evaluates nodes [from, to) of expr into ev->node. */
void eval_nodes(struct evaluation *ev, const struct expr *expr, uint16_t from, uint16_t to);

/* True only if expr is known and true; an empty expression is true. May stop early. */
bool eval_true(struct evaluation *ev, const struct expr *expr);

/* The value of expr's root. */
struct value eval_value(struct evaluation *ev, const struct expr *expr);

/* One field of an event as a value, from the given side. */
struct value eval_field(const struct program *program, const struct event *event, int side, enum field field);

#endif
