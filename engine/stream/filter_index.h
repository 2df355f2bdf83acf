/* A filter index says which of many filters one event can match, without evaluating those that it cannot.
 *
 * Of each filter's conjuncts (`a and b and c`) those are taken that read one discrete field of the event
 * and nothing else: kind, channel, purpose, currency, mcc, a country, a corridor, the weekday, whether it
 * crosses a border, whether an account, device or place is named, whether a text matched, whether both ends have
 * the same account, device and so on, and between which of the filters' constants the amount lies. One OR over
 * several fields (`purpose = SALA or kind = PAYROLL`) is taken apart into alternatives. All values of a
 * field that no filter tells apart form a class; per class stands a bitmap of the filters that it does not
 * rule out. The bitmaps of an event's values, ANDed, leave the candidates. They are made by the evaluator
 * itself (rules/lang/eval.h), one value of each class put into the conjunct, so that index and evaluator
 * cannot disagree about lists, ranges or what is missing.
 *
 * A filter whose conjuncts were all taken is `exact`: as a candidate it is true. Immutable once made, any
 * thread; memory is the arena's, at most FILTER_CLASSES_MAX bitmaps per field. */
#ifndef ENGINE_STREAM_FILTER_INDEX_H
#define ENGINE_STREAM_FILTER_INDEX_H

#include "engine/base/arena.h"
#include "rules/lang/eval.h"

/* A conjunct that would make more classes of one field is not taken; alternatives beyond so many are not told apart. */
enum { FILTER_CLASSES_MAX = 8192, FILTER_LANES_MAX = 512 };

struct filter_item {
    enum stream_flow flow;
    const struct expr *filter; /* its expression outlives the index */
};

struct filter_index;

const struct filter_index *filter_index_new(struct arena *arena, const struct program *program, const struct filter_item *item,
                                            uint32_t count);
/* Whether an event of a flow, seen from a side, belongs to a source. */
bool stream_flow_fits(enum stream_flow want, const struct event *event, int side);
uint32_t filter_index_words(const struct filter_index *index);
/* Writes filter_index_words words for either side: bit i: item i may be true for the event seen from it; its flow fits. Both
 * at once, for most fields are the same from both; received: NULL where only the sender's is asked for. */
void filter_index_find(const struct filter_index *index, const struct event *event, uint64_t *sent, uint64_t *received);
/* Bit i: as a candidate, item i is true. */
const uint64_t *filter_index_exact(const struct filter_index *index);

#endif
