/* The step function: own, strata, decide, in that order, with a barrier behind each. */
#include "engine/stream/step_private.h"

#include "engine/base/invariant.h"
#include "engine/model/seam.h"
#include "rules/lang/load.h"
#include "rules/lang/text.h"

#include <stdlib.h>
#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now); /* statistics only: no decision reads it */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

struct step *step_new(const struct program *program, const struct step_settings *settings, struct crew *crew,
                      const unsigned char hash_key[16], struct error *err)
{
    struct step *step = calloc(1, sizeof *step);
    invariant(step != NULL);
    step->program = program;
    step->settings = *settings;
    step->settings.epoch_seq = settings->epoch_seq ? settings->epoch_seq : EPOCH_SEQ;
    step->settings.sweep_work = settings->sweep_work ? settings->sweep_work : 2 * step->settings.epoch_seq;
    step->crew = crew;
    step->worker_count = crew_count(crew);
    step->plan = plan_new(program, &(struct plan_settings){.lateness_ms = settings->lateness_ms,
                                                           .shard_bytes_max = settings->shard_bytes_max});
    step->decide = decide_new(program);
    step->sweep = (struct step_sweep){.dedup_horizon_ms = INT64_MIN, .horizon_ms = INT64_MIN, .pace = 4};
    step->partition_newest = calloc(settings->partition_max, sizeof *step->partition_newest);
    step->worker = calloc(step->worker_count, sizeof *step->worker);
    invariant(step->partition_newest && step->worker);
    for (uint32_t w = 0; w < step->worker_count; w++) {
        step->worker[w].bucket = calloc(step->worker_count, sizeof *step->worker[w].bucket);
        invariant(step->worker[w].bucket != NULL);
        step->worker[w].graph = calloc(RULE_GRAPH_MAX, sizeof *step->worker[w].graph);
        step->worker[w].graph_scratch = graph_scratch_new();
        invariant(step->worker[w].graph && step->worker[w].graph_scratch);
        arena_init(&step->worker[w].arena);
        arena_init(&step->worker[w].results);
    }
    step->state = state_new(&step->plan->layout, hash_key, err);
    if (!step->state) {
        step_free(step);
        return NULL;
    }
    return step;
}

void step_free(struct step *step)
{
    if (!step)
        return;
    for (uint32_t w = 0; step->worker && w < step->worker_count; w++) {
        struct step_worker *worker = &step->worker[w];
        for (uint32_t b = 0; b < step->worker_count; b++)
            free(worker->bucket[b].visit);
        free(worker->bucket);
        for (int kind = 0; kind < OWN_KINDS; kind++)
            free(worker->own[kind].item);
        free(worker->own_sorted.item);
        free(worker->sorted.visit);
        free(worker->graph);
        graph_scratch_free(worker->graph_scratch);
        free(worker->hit);
        free(worker->decide_visit);
        free(worker->decided.revision);
        free(worker->decided.alert_hit);
        arena_fini(&worker->arena);
        arena_fini(&worker->results);
    }
    free(step->worker);
    free(step->partition_newest);
    free(step->slot);
    free(step->mask);
    decide_free(step->decide);
    plan_free(step->plan);
    if (step->state)
        state_free(step->state);
    free(step);
}

/* --- the batch's arrays --- */

static void *grow(void *old, size_t size)
{
    void *at = realloc(old, size ? size : 1);
    invariant(at != NULL);
    return at;
}

static void step_reserve(struct step *step, uint32_t count)
{
    if (count <= step->room)
        return;
    uint32_t room = step->room ? step->room : 256;
    while (room < count)
        room *= 2;
    step->slot = grow(step->slot, (size_t)room * step->program->slot_count * sizeof *step->slot);
    step->mask = grow(step->mask, (size_t)room * 2 * step->plan->mask_words * sizeof *step->mask);
    step->room = room;
}

static void step_begin(struct step *step, struct event *events, uint32_t count)
{
    step_reserve(step, count);
    step->event = events;
    step->count = count;
    step->begun = true;
    step->alone = count < step->settings.inline_below;
    for (uint32_t w = 0; w < step->worker_count; w++) {
        arena_reset(&step->worker[w].arena);
        step->worker[w].hit_count = 0;
    }
}

/* --- decide --- */

/* Lists one owner's subjects: hits stand in order, so each shard's visits do too. */
static uint32_t decide_collect(struct step *step, struct step_worker *worker, uint32_t index, uint32_t workers)
{
    uint32_t count = 0;
    for (uint32_t h = 0; h < step->hits_count; h++) {
        struct hit *hit = &step->hits[h];
        if (hit->shadow)
            continue;
        for (uint32_t s = 0; s < hit->subject_count; s++) {
            if (shard_owner(entity_shard(hit->subject[s].entity), workers) != index)
                continue;
            if (count == worker->decide_room) {
                worker->decide_room = worker->decide_room ? worker->decide_room * 2 : 256;
                worker->decide_visit = grow(worker->decide_visit, worker->decide_room * sizeof *worker->decide_visit);
            }
            worker->decide_visit[count++] = (struct decide_visit){.hit = hit, .subject = s};
        }
    }
    return count;
}

static uint32_t visit_shard(const struct decide_visit *visit)
{
    return entity_shard(visit->hit->subject[visit->subject].entity);
}

/* By shard, keeping the order inside each: a merge sort, for qsort is not stable. */
static void decide_sort(struct decide_visit *visit, uint32_t count, struct decide_visit *room)
{
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t from = 0; from < count; from += 2 * width) {
            uint32_t middle = from + width < count ? from + width : count;
            uint32_t to = from + 2 * width < count ? from + 2 * width : count;
            uint32_t a = from, b = middle;
            for (uint32_t at = from; at < to; at++)
                room[at] = a < middle && (b == to || visit_shard(&visit[a]) <= visit_shard(&visit[b])) ? visit[a++] : visit[b++];
        }
        memcpy(visit, room, count * sizeof *visit);
    }
}

static void decide_work(void *context, uint32_t index, uint32_t workers)
{
    struct step *step = context;
    struct step_worker *worker = &step->worker[index];
    uint32_t count = decide_collect(step, worker, index, workers);
    struct decide_visit *room = arena_bytes(&worker->arena, (count + 1) * sizeof *room);
    decide_sort(worker->decide_visit, count, room);
    worker->decided.revision_count = 0;
    worker->decided.alert_hit_count = 0;
    worker->decided.arena = &worker->results;
    for (uint32_t from = 0; from < count;) {
        uint32_t shard = visit_shard(&worker->decide_visit[from]);
        uint32_t to = from + 1;
        while (to < count && visit_shard(&worker->decide_visit[to]) == shard)
            to++;
        decide_shard(step->decide, state_shard(step->state, shard), step->state, worker->decide_visit + from, to - from,
                     step->sweep.horizon_ms, &worker->decided);
        from = to;
    }
}

static int revision_compare(const void *a, const void *b)
{
    const struct alert_revision *x = a, *y = b;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    int order = slice_compare(x->typology, y->typology);
    if (order)
        return order;
    order = slice_compare(x->subject, y->subject);
    return order ? order : (int)x->subject_kind - (int)y->subject_kind;
}

static int alert_hit_compare(const void *a, const void *b)
{
    const struct alert_hit *x = a, *y = b;
    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    return memcmp(x->alert_id, y->alert_id, sizeof x->alert_id);
}

/* Gathers what the owners decided, in the world's order, into the caller's arena. */
static void decide_gather(struct step *step, uint32_t workers, struct arena *arena, struct output *out)
{
    uint32_t revisions = 0, alert_hits = 0;
    for (uint32_t w = 0; w < workers; w++) {
        revisions += step->worker[w].decided.revision_count;
        alert_hits += step->worker[w].decided.alert_hit_count;
    }
    struct alert_revision *revision = ARENA_ARRAY(arena, struct alert_revision, revisions + 1);
    struct alert_hit *alert_hit = ARENA_ARRAY(arena, struct alert_hit, alert_hits + 1);
    out->revision = revision;
    out->alert_hit = alert_hit;
    for (uint32_t w = 0; w < workers; w++) {
        const struct decide_out *from = &step->worker[w].decided;
        if (from->revision_count)
            memcpy(revision + out->revision_count, from->revision, from->revision_count * sizeof *revision);
        if (from->alert_hit_count)
            memcpy(alert_hit + out->alert_hit_count, from->alert_hit, from->alert_hit_count * sizeof *alert_hit);
        out->revision_count += from->revision_count;
        out->alert_hit_count += from->alert_hit_count;
    }
    qsort(revision, revisions, sizeof *revision, revision_compare);
    qsort(alert_hit, alert_hits, sizeof *alert_hit, alert_hit_compare);
}

/* --- after the batch --- */

static void step_outcomes(struct step *step, struct arena *arena, struct output *out)
{
    struct rejection *rejection = NULL;
    for (uint32_t i = 0; i < step->count; i++) {
        const struct event *event = &step->event[i];
        out->outcome[event->outcome]++;
        if (event_active(event))
            out->accepted_seq = event->seq;
        if (event->flags & EVENT_LATE)
            out->late++;
        out->facts += event->fact != NULL;
        out->facts_odd += (event->flags & EVENT_FACT_ODD) != 0;
        if (event->outcome != OUTCOME_REJECTED)
            continue;
        if (!rejection)
            rejection = ARENA_ARRAY(arena, struct rejection, step->count - i);
        rejection[out->rejection_count++] = (struct rejection){.position = event->position,
                                                               .reason = (enum reject_reason)event->reject_reason,
                                                               .field = SLICE("id"),
                                                               .body = arena_copy(arena, event->body),
                                                               .source = arena_copy(arena, event->source),
                                                               .id = arena_copy(arena, event->id),
                                                               .arrived_ms = event->broker_ms};
    }
    out->rejection = rejection;
    out->first_seq = step->event[0].seq;
    out->last_seq = step->event[step->count - 1].seq;
}

void step_lap(struct step *step, enum step_phase phase, uint64_t *since)
{
    uint64_t now = now_ns();
    step->phase_ns[phase] += now - *since;
    *since = now;
}

static uint64_t used_bytes(const struct step *step)
{
    uint64_t bytes = 0;
    for (uint32_t s = 0; s < SHARD_COUNT; s++)
        bytes += slab_used(shard_slab(state_shard(step->state, s)));
    return bytes;
}

/* Runs events of one epoch. */
static void step_piece(struct step *step, struct event *events, uint32_t count, struct arena *arena, struct output *out)
{
    uint64_t since = now_ns();
    *out = (struct output){0};
    step_begin(step, events, count);
    own_run(step);
    step_lap(step, PHASE_OWN, &since);
    strata_run(step, &since);
    step->hits_count = 0;
    if (!step->settings.mute)
        report_hits(step, arena, out);
    for (uint32_t w = 0; w < step->worker_count; w++) {
        step->silenced += step->worker[w].silenced;
        step->worker[w].silenced = 0;
    }
    if (step->hits_count) {
        uint64_t before = step->watch ? used_bytes(step) : 0;
        crew_run(step->crew, step->alone, decide_work, step);
        step->decide_bytes += step->watch ? used_bytes(step) - before : 0;
        decide_gather(step, step->alone ? 1 : step->worker_count, arena, out);
        for (uint32_t w = 0; w < step->worker_count; w++)
            arena_adopt(arena, &step->worker[w].results);
    }
    step_outcomes(step, arena, out);
    step_lap(step, PHASE_DECIDE, &since);
}

/* --- results of several pieces become one --- */

static const void *gathered(struct arena *arena, uint32_t count, size_t size, char **at)
{
    return *at = arena_bytes(arena, ((size_t)count + 1) * size);
}

static void gather(char **at, const void *from, uint32_t count, size_t size)
{
    if (count)
        memcpy(*at, from, count * size);
    *at += count * size;
}

static void output_totals(const struct output *piece, uint32_t pieces, struct output *all)
{
    *all = (struct output){0};
    for (uint32_t p = 0; p < pieces; p++) {
        all->hit_count += piece[p].hit_count;
        all->revision_count += piece[p].revision_count;
        all->alert_hit_count += piece[p].alert_hit_count;
        all->rejection_count += piece[p].rejection_count;
        for (int o = 0; o < OUTCOME_COUNT; o++)
            all->outcome[o] += piece[p].outcome[o];
        all->late += piece[p].late;
        all->facts += piece[p].facts;
        all->facts_odd += piece[p].facts_odd;
        all->first_seq = all->first_seq ? all->first_seq : piece[p].first_seq;
        all->accepted_seq = piece[p].accepted_seq ? piece[p].accepted_seq : all->accepted_seq;
        all->last_seq = piece[p].last_seq;
    }
}

static void output_join(struct arena *arena, const struct output *piece, uint32_t pieces, struct output *all)
{
    char *hit, *revision, *alert_hit, *rejection;
    output_totals(piece, pieces, all);
    all->hit = gathered(arena, all->hit_count, sizeof *all->hit, &hit);
    all->revision = gathered(arena, all->revision_count, sizeof *all->revision, &revision);
    all->alert_hit = gathered(arena, all->alert_hit_count, sizeof *all->alert_hit, &alert_hit);
    all->rejection = gathered(arena, all->rejection_count, sizeof *all->rejection, &rejection);
    for (uint32_t p = 0; p < pieces; p++) {
        gather(&hit, piece[p].hit, piece[p].hit_count, sizeof *all->hit);
        gather(&revision, piece[p].revision, piece[p].revision_count, sizeof *all->revision);
        gather(&alert_hit, piece[p].alert_hit, piece[p].alert_hit_count, sizeof *all->alert_hit);
        gather(&rejection, piece[p].rejection, piece[p].rejection_count, sizeof *all->rejection);
    }
}

static uint32_t piece_end(const struct step *step, const struct event *events, uint32_t from, uint32_t count)
{
    uint64_t epoch = events[from].seq / step->settings.epoch_seq;
    uint32_t to = from + 1;
    while (to < count && events[to].seq / step->settings.epoch_seq == epoch)
        to++;
    return to;
}

/* The sequence enters an epoch: what is due at one is done before its first event. */
static void piece_begin(struct step *step, const struct event *first)
{
    uint64_t epoch = first->seq / step->settings.epoch_seq;
    if (epoch == step->sweep.epoch)
        return;
    uint64_t since = now_ns();
    sweep_enter(step, epoch);
    step_lap(step, PHASE_DECIDE, &since);
}

static void step_pieces(struct step *step, struct event *events, uint32_t count, const struct record_watch *watch,
                        struct arena *arena, struct output *out)
{
    *out = (struct output){0};
    if (count == 0)
        return;
    uint64_t epochs = events[count - 1].seq / step->settings.epoch_seq - events[0].seq / step->settings.epoch_seq + 1;
    struct output *piece = epochs == 1 && !watch ? out : ARENA_ARRAY(arena, struct output, watch ? count : epochs);
    uint32_t pieces = 0;
    for (uint32_t from = 0; from < count;) {
        uint32_t to = watch ? from + 1 : piece_end(step, events, from, count);
        if (watch)
            watch->at(watch->self, &events[from].position);
        piece_begin(step, &events[from]);
        step_piece(step, events + from, to - from, arena, &piece[pieces++]);
        from = to;
    }
    if (piece != out)
        output_join(arena, piece, pieces, out);
}

void step_run(struct step *step, struct event *events, uint32_t count, struct arena *arena, struct output *out)
{
    step_pieces(step, events, count, NULL, arena, out);
}

void step_run_singly(struct step *step, struct event *events, uint32_t count, const struct record_watch *watch, struct arena *arena,
                     struct output *out)
{
    step_pieces(step, events, count, watch, arena, out);
    watch->at(watch->self, NULL);
}

/* --- around it --- */

void step_watch(struct step *step, const struct step_watch *watch)
{
    invariant(step->worker_count == 1);
    step->watch = watch;
}

void step_measure(struct step *step, struct meter *meter)
{
    invariant(step->worker_count == 1);
    step->meter = meter;
}

uint64_t step_decide_bytes(const struct step *step)
{
    return step->decide_bytes;
}

uint64_t step_scratch_bytes(const struct step *step)
{
    uint64_t bytes = 0;
    for (uint32_t w = 0; w < step->worker_count; w++) {
        bytes += step->worker[w].arena.total + step->worker[w].sorted.room * sizeof(struct visit) +
                 step->worker[w].own_sorted.room * sizeof(struct own_item);
        for (int kind = 0; kind < OWN_KINDS; kind++)
            bytes += step->worker[w].own[kind].room * sizeof(struct own_item);
        for (uint32_t b = 0; b < step->worker_count; b++)
            bytes += step->worker[w].bucket[b].room * sizeof(struct visit);
    }
    return bytes + (uint64_t)step->room * (step->program->slot_count * sizeof *step->slot + 2 * step->plan->mask_words * sizeof *step->mask);
}

void step_match_texts(const struct program *program, struct text_scratch *scratch, struct event *event)
{
    event->text_true = 0;
    event->text_unknown = 0;
    for (uint16_t i = 0; i < program->text_count; i++) {
        uint64_t bit = (uint64_t)1 << i;
        if (event->narrative.size == 0) {
            event->text_unknown |= bit;
            continue;
        }
        switch (text_match(program->text[i], scratch, event->narrative)) {
        case TEXT_YES:
            event->text_true |= bit;
            break;
        case TEXT_UNKNOWN:
            event->text_unknown |= bit;
            break;
        case TEXT_NO:
            break;
        }
    }
}

int64_t step_newest_ms(const struct step *step)
{
    int64_t newest_ms = INT64_MIN;
    for (uint32_t p = 0; p < step->partition_count; p++)
        if (step->partition_newest[p] > newest_ms)
            newest_ms = step->partition_newest[p];
    return newest_ms;
}

struct state *step_state(struct step *step)
{
    return step->state;
}

const struct state_layout *step_layout(const struct step *step)
{
    return &step->plan->layout;
}

void step_totals(const struct step *step, struct state_totals *out)
{
    state_totals(step->state, out);
    for (uint32_t w = 0; w < step->worker_count; w++)
        for (int b = 0; b < BOUND_COUNT; b++)
            out->bound[b] += step->worker[w].bound[b];
}

void step_graphs(const struct step *step, struct graph_tally *out)
{
    *out = (struct graph_tally){0};
    for (uint32_t w = 0; w < step->worker_count; w++) {
        const struct graph_tally *of = &step->worker[w].graphs;
        out->searches += of->searches;
        out->skipped += of->skipped;
        out->legs += of->legs;
    }
}

uint64_t step_silenced(const struct step *step)
{
    return step->silenced;
}

void step_phase_ns(struct step *step, uint64_t ns[PHASE_COUNT])
{
    memcpy(ns, step->phase_ns, sizeof step->phase_ns);
    memset(step->phase_ns, 0, sizeof step->phase_ns);
}

/* The step's own words: what besides the shards decides about later events. */
struct step_words {
    uint32_t partition_count;
    uint32_t pad;
    struct step_sweep sweep;
    int64_t newest[];
};

void step_save_extra(const struct step *step, struct arena *arena, struct slice *extra)
{
    size_t size = sizeof(struct step_words) + step->partition_count * sizeof(int64_t);
    struct step_words *words = arena_alloc(arena, size);
    words->partition_count = step->partition_count;
    words->pad = 0;
    words->sweep = step->sweep;
    memcpy(words->newest, step->partition_newest, step->partition_count * sizeof(int64_t));
    *extra = (struct slice){(const char *)words, size};
}

bool step_restore(struct step *step, struct state *state, struct slice extra, const uint32_t *partition, uint32_t partitions,
                  struct error *err)
{
    struct step_words words;
    if (extra.size < sizeof words)
        return error_set(err, ERROR_FATAL, "the checkpoint's partition times are cut short");
    memcpy(&words, extra.data, sizeof words);
    if (words.partition_count > partitions || partitions > step->settings.partition_max ||
        extra.size != sizeof words + words.partition_count * sizeof(int64_t) || words.sweep.next >= SHARD_COUNT)
        return error_set(err, ERROR_FATAL, "the checkpoint's partition times do not fit this engine's settings");
    for (uint32_t i = 0; i < words.partition_count; i++) {
        while (step->partition_count <= partition[i])
            step->partition_newest[step->partition_count++] = INT64_MIN;
        memcpy(&step->partition_newest[partition[i]], extra.data + sizeof words + i * sizeof(int64_t), sizeof(int64_t));
    }
    step->sweep = words.sweep;
    state_free(step->state);
    step->state = state;
    step->begun = true;
    state_cycle_set(state, step->sweep.cycle);
    for (uint32_t s = 0; s < SHARD_COUNT; s++) {
        /* bit i of an identity means list i of the program that was loaded then: ask again */
        ident_relist(state_shard(state, s), program_list_lookup, step->program);
    }
    return true;
}

static struct plan *plan_of(const struct step *step, const struct program *program)
{
    return plan_new(program, &(struct plan_settings){.lateness_ms = step->settings.lateness_ms, .shard_bytes_max = step->settings.shard_bytes_max});
}

void step_swap_look(const struct step *step, const struct program *program, struct state_mapping *mapping)
{
    struct plan *plan = plan_of(step, program);
    state_mapping_look(step->state, &plan->layout, mapping);
    plan_free(plan);
}

static void relist(void *context, uint32_t worker, uint32_t workers)
{
    struct step *step = context;
    for (uint32_t s = worker; s < SHARD_COUNT; s += workers)
        ident_relist(state_shard(step->state, s), program_list_lookup, step->program); /* bit i means another list now */
}

static void map_work(void *context, uint32_t worker, uint32_t workers)
{
    struct step *step = context;
    state_map_work(step->state, worker, workers);
}

static void names_work(void *context, uint32_t worker, uint32_t workers)
{
    graft_names(context, worker, workers);
}

static void cells_work(void *context, uint32_t worker, uint32_t workers)
{
    graft_cells(context, worker, workers);
}

void step_warm(struct step *step, struct step *warm, struct state_grafting *done)
{
    struct grafting *grafting = graft_begin(step->state, warm->state);
    *done = (struct state_grafting){0};
    if (!grafting)
        return;
    crew_run(step->crew, false, names_work, grafting);
    crew_run(step->crew, false, cells_work, grafting);
    graft_end(grafting, done);
    crew_run(step->crew, false, relist, step); /* names that came along ask for the first time */
}

bool step_swap(struct step *step, const struct program *program, struct step *warm, struct state_mapping *mapping,
               struct state_grafting *grafting, struct error *err)
{
    struct plan *plan = plan_of(step, program);
    bool good = plan->layout.basis == step->plan->layout.basis ||
                error_set(err, ERROR_FATAL, "the new rules have another base currency or timezone: what is remembered means nothing to them");
    if (good) {
        state_map_begin(step->state, &plan->layout, mapping);
        crew_run(step->crew, false, map_work, step);
        good = state_map_end(step->state, err);
    }
    if (!good) {
        plan_free(plan);
        return false;
    }
    plan_free(step->plan);
    decide_free(step->decide);
    step->program = program;
    step->plan = plan;
    step->decide = decide_new(program);
    step->room = 0; /* slots and masks have other sizes now */
    *grafting = (struct state_grafting){0};
    if (!step->begun)
        state_whole(step->state); /* nothing has happened: nothing can lack */
    if (warm && state_lacks(step->state))
        step_warm(step, warm, grafting);
    else
        crew_run(step->crew, false, relist, step);
    return true;
}
