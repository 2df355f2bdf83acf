/* A model of step and decoder for simulations: small enough to be obviously right, strict about order.
 *
 * Its whole state is a running hash over the accepted events and which ids were seen. It defines the
 * functions of engine/stream/step.h and engine/model/decode.h, so include it in one file of a program. */
#ifndef TESTS_SIMULATION_MODEL_STEP_H
#define TESTS_SIMULATION_MODEL_STEP_H

#include "engine/model/seam.h"
#include "engine/stream/step.h"
#include "rules/lang/text.h"

#include <stdio.h>
#include <stdlib.h>

enum { MODEL_IDS = 6000 };

struct chance {
    uint64_t state;
};

static uint32_t chance_below(struct chance *chance, uint32_t bound)
{
    chance->state = chance->state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(chance->state >> 33) % bound;
}

/* --- the step --- */

struct state {
    unsigned char key[16];
    uint64_t hash, last_seq;
    unsigned char seen[MODEL_IDS];
};

struct step {
    struct state *state;
};

struct step *step_new(const struct program *program, const struct step_settings *settings, struct crew *crew,
                      const unsigned char hash_key[16], struct error *err)
{
    (void)program, (void)settings, (void)crew, (void)err;
    struct step *step = calloc(1, sizeof *step);
    step->state = calloc(1, sizeof *step->state);
    memcpy(step->state->key, hash_key, 16);
    return step;
}

void state_free(struct state *state)
{
    free(state);
}

void state_stats(struct state *state, struct state_stats *out)
{
    *out = (struct state_stats){.identities = state->last_seq};
}

void step_free(struct step *step)
{
    if (step)
        free(step->state);
    free(step);
}

const unsigned char *state_hash_key(const struct state *state)
{
    return state->key;
}

struct state *step_state(struct step *step)
{
    return step->state;
}

void step_graphs(const struct step *step, struct graph_tally *out)
{
    (void)step;
    *out = (struct graph_tally){0};
}

const struct state_layout *step_layout(const struct step *step)
{
    (void)step;
    return NULL;
}

void step_save_extra(const struct step *step, struct arena *arena, struct slice *extra)
{
    (void)step;
    *extra = arena_copy(arena, SLICE("words"));
}

bool step_restore(struct step *step, struct state *state, struct slice extra, const uint32_t *partition, uint32_t partitions, struct error *err)
{
    (void)partition, (void)partitions;
    if (!slice_equal(extra, SLICE("words")))
        return error_set(err, ERROR_FATAL, "the extra words were mixed up");
    free(step->state);
    step->state = state;
    return true;
}

/* This model knows one program. */
bool step_swap(struct step *step, const struct program *program, struct step *warm, struct state_mapping *mapping,
               struct state_grafting *grafting, struct error *err)
{
    (void)step, (void)program, (void)warm, (void)mapping, (void)grafting;
    return error_set(err, ERROR_FATAL, "nobody offered other rules");
}

void step_swap_look(const struct step *step, const struct program *program, struct state_mapping *mapping)
{
    (void)step, (void)program;
    *mapping = (struct state_mapping){0};
}

void step_warm(struct step *step, struct step *warm, struct state_grafting *grafting)
{
    (void)step, (void)warm, (void)grafting;
}

int64_t step_newest_ms(const struct step *step)
{
    (void)step;
    return INT64_MIN;
}

bool state_lacks(const struct state *state)
{
    (void)state;
    return false;
}

void step_totals(const struct step *step, struct state_totals *out)
{
    (void)step;
    *out = (struct state_totals){0};
}

void step_phase_ns(struct step *step, uint64_t ns[PHASE_COUNT])
{
    (void)step;
    memset(ns, 0, PHASE_COUNT * sizeof *ns);
}

void step_match_texts(const struct program *program, struct text_scratch *scratch, struct event *event)
{
    (void)program, (void)scratch, (void)event;
}

static bool hash_event(struct state *state, uint64_t id, uint64_t seq)
{
    state->hash = (state->hash ^ id ^ seq << 32) * 0x9E3779B97F4A7C15u;
    state->hash ^= state->hash >> 29;
    return state->hash % 11 == 0;
}

void step_run(struct step *step, struct event *events, uint32_t count, struct arena *arena, struct output *out)
{
    *out = (struct output){0};
    struct hit *hit = ARENA_ARRAY(arena, struct hit, count + 1);
    out->hit = hit;
    for (uint32_t i = 0; i < count; i++) {
        struct event *event = &events[i];
        uint64_t id = event->id_hash.lo;
        if (event->seq <= step->state->last_seq)
            abort(); /* worked twice */
        step->state->last_seq = event->seq;
        event->outcome = step->state->seen[id] ? OUTCOME_REPEATED : OUTCOME_SCORED;
        step->state->seen[id] = 1;
        out->outcome[event->outcome]++;
        if (event->outcome == OUTCOME_SCORED)
            out->accepted_seq = event->seq;
        if (event->outcome == OUTCOME_SCORED && hash_event(step->state, id, event->seq))
            hit[out->hit_count++] = (struct hit){.seq = event->seq, .time_ms = (int64_t)step->state->hash};
    }
}

void step_run_singly(struct step *step, struct event *events, uint32_t count, const struct record_watch *watch, struct arena *arena,
                     struct output *out)
{
    for (uint32_t i = 0; i < count; i++)
        watch->at(watch->self, &events[i].position);
    step_run(step, events, count, arena, out);
    watch->at(watch->self, NULL);
}

/* --- the decoder: "ID TIME", or anything else --- */

struct decoder {
    int unused;
};

struct decoder *decoder_new(const struct decode_settings *settings)
{
    (void)settings;
    return calloc(1, sizeof(struct decoder));
}

void decoder_free(struct decoder *decoder)
{
    free(decoder);
}

/* Only facts ask, and these streams hold none. */
struct hash128 decoder_entity_hash(const struct decoder *decoder, enum entity_kind kind, struct slice text)
{
    (void)decoder;
    (void)kind;
    (void)text;
    abort();
}

enum reject_reason decoder_decode(struct decoder *decoder, const struct message *message, struct arena *arena,
                                  struct event *event, struct slice *field)
{
    (void)decoder;
    char text[64] = {0};
    unsigned long long id;
    long long time_ms;
    *event = (struct event){.position = message->position, .broker_ms = message->broker_ms, .source = message->source};
    *field = (struct slice){0};
    memcpy(text, message->body.data, message->body.size < 63 ? message->body.size : 63);
    if (sscanf(text, "%llu %lld", &id, &time_ms) != 2)
        return REJECT_NOT_JSON;
    event->id_hash.lo = id;
    event->time_ms = time_ms;
    event->body = arena_copy(arena, message->body);
    return REJECT_NONE;
}

struct text_scratch *text_scratch_new(void)
{
    return calloc(1, 1);
}

void text_scratch_free(struct text_scratch *scratch)
{
    free(scratch);
}

uint64_t step_silenced(const struct step *step)
{
    (void)step;
    return 0;
}

/* Nobody watches the model. */
void step_watch(struct step *step, const struct step_watch *watch)
{
    (void)step, (void)watch;
}

#endif
