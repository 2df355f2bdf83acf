/* What a comparison came to in one evaluation: reached or cut short, true or false, at its edge.
 *
 * Reads an expression and the values of its nodes, as rules/lang/eval.h left them; it evaluates nothing
 * itself. A condition is read from the left: behind `and` only where what stands before is true, behind
 * `or` only where it is not. A comparison that is not reached decides nothing, so it counts as unseen.
 * Pure; any thread. */
#ifndef RULES_LANG_COMPARISON_H
#define RULES_LANG_COMPARISON_H

#include "rules/lang/program.h"

/* What was seen of a comparison. An edge is met by the value that is equal to the limit and by the one
 * beside it at which the answer turns: one cent, one event, one second, one percent point or less. */
enum comparison_seen {
    SEEN_TRUE = 1,
    SEEN_FALSE = 2,
    SEEN_EQUAL = 4,        /* ordered: equal to the limit; of `in A..B`: to A */
    SEEN_BESIDE = 8,       /* at most a unit beside it, where the answer is the other one */
    SEEN_EQUAL_HIGH = 16,  /* `in A..B`: equal to B */
    SEEN_BESIDE_HIGH = 32, /* at most a unit above B */
    SEEN_UNKNOWN = 64,     /* a value was missing: neither true nor false */
    SEEN_REACHED = 128,
};

/* Earlier nodes that a node works on; returns how many. */
uint8_t node_operands(const struct node *node, uint16_t operand[3]);

/* The bits that tests must show for the comparison to be covered. */
uint8_t comparison_wants(const struct expr *expr, uint16_t node);

/* The bits that this evaluation shows. */
uint8_t comparison_sees(const struct expr *expr, uint16_t node, const struct value *value);

/* Marks the nodes under root; value NULL: all of them, else those that reading from the left reaches. */
void expr_reach(const struct expr *expr, uint16_t root, const struct value *value, bool reached[EXPR_NODE_MAX]);

/* What must be true (behind `and`) or must not be (behind `or`) before reading gets to the node: the nearest
 * such node under root; false where nothing stands before it. */
bool expr_before(const struct expr *expr, uint16_t root, uint16_t node, uint16_t *before);

/* Marks the nodes that kept the condition from being true: of an `and` in its first part that is not, of an `or` in
 * every part; none where it is true. */
void expr_culprits(const struct expr *expr, uint16_t root, const struct value *value, bool culprit[EXPR_NODE_MAX]);

#endif
