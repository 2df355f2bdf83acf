/* What was looked at, at chosen events: each rule and key, each condition with its values, in words.
 *
 * An inquiry listens to a step (struct step_watch) while it works the events, and keeps the looks at those
 * that are wanted; it evaluates nothing itself. Filters of sources are kept too: they say why a rule did not
 * look. Then it can follow the same rules and keys through the same events once more, to learn which condition
 * was the last to turn true. What is kept is bounded by INQUIRY_LOOKS_MAX. One thread; all texts live until
 * inquiry_free. */
#ifndef ENGINE_STREAM_INQUIRY_H
#define ENGINE_STREAM_INQUIRY_H

#include "engine/stream/step.h"
#include "rules/lang/comparison.h"

enum { INQUIRY_LOOKS_MAX = 100000 };

enum inquiry_truth { INQUIRY_FALSE, INQUIRY_TRUE, INQUIRY_UNKNOWN };

struct inquiry_condition {
    uint16_t node;
    uint8_t truth;             /* enum inquiry_truth */
    bool reached;              /* false: what stands before it settled the answer */
    bool culprit;              /* the first that kept the whole from being true; of an `or`, one in each part */
    struct slice values;       /* "2, 3"; empty where there is none to show */
    uint64_t turned_seq;       /* followed: the event at which it last turned true; 0: it is not true */
    int64_t turned_ms;
};

struct inquiry_look {
    uint64_t seq;              /* of the event */
    enum witness_part part;
    uint8_t number, in_hand;   /* as in struct witness */
    uint16_t index;            /* rule, or stream */
    int side;
    uint8_t width;
    uint32_t key[KEY_WIDTH_MAX];
    struct slice key_text[KEY_WIDTH_MAX];
    struct slice lets;         /* "workers = 2, taken = 400.00 USD": those that this part knows */
    bool truth;
    uint16_t condition_count;
    struct inquiry_condition *condition;
};

struct inquiry;
/* wanted: asked of every event that is looked at. */
struct inquiry *inquiry_new(const struct program *program, bool (*wanted)(void *context, const struct event *event), void *context);
void inquiry_free(struct inquiry *inquiry);

/* The watch of a step that works the events; the state gives accounts their texts. */
struct step_watch inquiry_watch(struct inquiry *inquiry, const struct state *state);
/* The watch of another step, over the same events from their beginning: fills in turned_seq and turned_ms. */
struct step_watch inquiry_follow(struct inquiry *inquiry, const struct state *state);

/* In the order in which they were made. *more: looks that there was no room for. */
const struct inquiry_look *inquiry_looks(const struct inquiry *inquiry, uint32_t *count, uint64_t *more);

/* Where the rule wrote a condition of the look (its own, or the filter of one of its sources). */
bool inquiry_place(const struct program *program, uint16_t rule, const struct inquiry_look *look, uint16_t node, struct span *span);
/* The condition that kept the look from being true, of several the last; NULL where it was true or has none. */
const struct inquiry_condition *inquiry_culprit(const struct inquiry_look *look);

#endif
