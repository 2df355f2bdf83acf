/* Judges a rule of several steps for one key: arms its attempt, refreshes, advances and ends it (RULES 16-18). */
#include "engine/stream/step_private.h"

/* An attempt as words: step (and from BOUNDED_BIT on, which slots hold bounds), time of its last truth, four per step that
 * may be in hand, then what lets kept. */
enum { WORD_STEP, WORD_LAST = ATTEMPT_TIME_WORD, WORD_STEPS, BOUNDED_BIT = 8, STEP_BITS = (1 << BOUNDED_BIT) - 1 };

static void attempt_load(struct look *look)
{
    const struct rule *rule = look->rule;
    struct attempt *attempt = &look->attempt;
    int64_t word[ATTEMPT_WORDS_MAX];
    attempt->step = 0;
    attempt->bounded = 0;
    if (!attempt_get(look->shard, look->cell, look->visit->keyspace, look->plan->attempt, word))
        return;
    attempt->step = (uint8_t)(word[WORD_STEP] & STEP_BITS);
    attempt->bounded = (uint32_t)(word[WORD_STEP] >> BOUNDED_BIT);
    attempt->last_ms = word[WORD_LAST];
    const int64_t *at = word + WORD_STEPS;
    for (uint8_t s = 0; s + 1 < rule->step_count; s++, at += 4)
        attempt->at[s] = (struct attempt_step){at[0], (uint64_t)at[1], at[2], (uint64_t)at[3]};
    for (uint8_t k = 0; k < rule->kept_count; k++)
        attempt->kept[k] = (struct value){at[k] == MISSING_I64 ? 0 : at[k], at[k] != MISSING_I64};
}

static void attempt_store(struct look *look)
{
    const struct rule *rule = look->rule;
    const struct attempt *attempt = &look->attempt;
    int64_t word[ATTEMPT_WORDS_MAX] = {0};
    word[WORD_LAST] = attempt->last_ms;
    int64_t *at = word + WORD_STEPS;
    for (uint8_t s = 0; s + 1 < rule->step_count; s++, at += 4) {
        if (s >= attempt->step)
            continue;
        at[0] = attempt->at[s].first_ms;
        at[1] = (int64_t)attempt->at[s].first_seq;
        at[2] = attempt->at[s].clock_ms;
        at[3] = (int64_t)attempt->at[s].last_seq;
    }
    uint8_t kept = 0;
    for (uint8_t s = 0; s < attempt->step; s++)
        kept = (uint8_t)(kept + rule->step[s].kept_count);
    word[WORD_STEP] = attempt->step | (int64_t)(attempt->bounded & ((1u << kept) - 1)) << BOUNDED_BIT;
    for (uint8_t k = 0; k < rule->kept_count; k++)
        at[k] = k < kept && attempt->kept[k].known ? attempt->kept[k].number : MISSING_I64;
    (void)attempt_put(look->shard, look->cell, look->visit->keyspace, look->plan->attempt, word);
}

static void attempt_close(struct look *look)
{
    if (look->attempt.step)
        attempt_end(look->shard, look->cell, look->visit->keyspace, look->plan->attempt);
}

/* Step number s + 1 is true at this event: what its lets came to is the attempt's from now on. */
static void attempt_note(struct look *look, const struct step_worker *worker, uint8_t s)
{
    const struct rule_step *def = &look->rule->step[s];
    const struct evaluation *ev = &worker->evaluation;
    for (uint8_t k = 0; k < def->kept_count; k++) {
        const struct node *node = &look->rule->body.node[def->kept[k].node];
        uint32_t bit = 1u << def->kept[k].slot;
        bool bounded = node->op == OP_GRAPH && (look->searched >> node->imm & 1) && worker->graph[node->imm].bounded;
        look->attempt.kept[def->kept[k].slot] = ev->node[def->kept[k].node];
        look->attempt.bounded = bounded ? look->attempt.bounded | bit : look->attempt.bounded & ~bit;
    }
    if (s + 1 == look->rule->step_count)
        return;
    look->attempt.at[s].clock_ms = look->clock_ms;
    look->attempt.at[s].last_seq = ev->event->seq;
}

/* Whether a step is touched by the event, and then true. */
static bool step_true(struct step *step, struct step_worker *worker, struct look *look, uint8_t s)
{
    const struct plan_part *part = &look->plan->step[s];
    if (!look_touched(look, part))
        return false;
    bool truth = look_true(step, worker, look, part, (uint8_t)(s + 1));
    if (look->rule->watched == s + 1) {
        struct attempt before = look->attempt;
        attempt_note(look, worker, s);
        judge_hit(step, worker, look);
        look->attempt = before;
    }
    return truth;
}

/* `unless` is asked when its own inputs are touched or a step comes true (RULES 17). */
static bool stopped(struct step *step, struct step_worker *worker, struct look *look, bool step_came)
{
    uint8_t in_hand = look->attempt.step;
    if (!look->rule->unless)
        return false;
    const struct plan_part *part = &look->plan->unless[in_hand];
    bool touched = in_hand > 0 && look_touched(look, part);
    return (step_came || touched) && look_true(step, worker, look, part, 0);
}

static void advance(struct step *step, struct step_worker *worker, struct look *look)
{
    struct attempt *attempt = &look->attempt;
    const struct event *event = worker->evaluation.event;
    uint8_t s = attempt->step;
    attempt_note(look, worker, s);
    if (s + 1 == look->rule->step_count) {
        attempt_close(look);
        if (!look->rule->watched)
            judge_hit(step, worker, look);
        return;
    }
    attempt->at[s].first_ms = event->time_ms;
    attempt->at[s].first_seq = event->seq;
    attempt->last_ms = event->time_ms;
    attempt->step = (uint8_t)(s + 1);
    attempt_store(look);
}

void judge_steps(struct step *step, struct step_worker *worker, struct look *look)
{
    struct attempt *attempt = &look->attempt;
    int64_t time_ms = worker->evaluation.event->time_ms;
    if (look->rule->watched)
        *attempt = (struct attempt){0}; /* looks at early steps name later ones too: as unknown */
    attempt_load(look);
    worker->evaluation.kept = attempt->kept;
    if (attempt->step && time_ms < attempt->last_ms)
        return; /* older than the last true step */
    if (attempt->step && time_ms - attempt->last_ms >= look->rule->step[attempt->step].within_ms) {
        attempt_close(look);
        attempt->step = 0;
    }
    bool next = step_true(step, worker, look, attempt->step);
    bool again = !next && attempt->step && step_true(step, worker, look, (uint8_t)(attempt->step - 1));
    if (stopped(step, worker, look, next || again)) {
        attempt_close(look);
    } else if (next) {
        advance(step, worker, look);
    } else if (again) {
        attempt_note(look, worker, (uint8_t)(attempt->step - 1));
        attempt->last_ms = time_ms;
        attempt_store(look);
    }
}
