/* Points, decay, caps, episodes and revisions: RULES 20 to 26 for one subject at a time. */
#include "engine/stream/decide_private.h"

#include "engine/base/invariant.h"

#include <sodium.h>
#include <stdlib.h>

enum { STORED_MAX = 4096, TOUCHED_MAX = 1024, FAMILY_MAX = 64 };

/* One subject touched by the event at hand. */
struct touched {
    struct score *score;
    uint16_t typology;
    bool gave;                 /* points were given */
};

struct deciding {
    const struct decide *decide;
    struct shard *shard;
    struct slab *slab;
    const struct state *state;
    struct decide_out *out;
    int64_t horizon_ms;
    struct touched touched[TOUCHED_MAX];
    uint32_t touched_count;
    uint32_t place;            /* of the hit at hand among the event's hits that this shard sees */
};

static uint64_t name_hash(struct slice name)
{
    uint64_t hash[2];
    crypto_generichash((unsigned char *)hash, sizeof hash, (const unsigned char *)name.data, name.size, NULL, 0);
    return hash[0];
}

struct decide *decide_new(const struct program *program)
{
    struct decide *decide = calloc(1, sizeof *decide);
    invariant(decide != NULL);
    decide->program = program;
    invariant(program->family_count <= FAMILY_MAX);
    decide->rule_hash = calloc(program->rule_count + 1u, sizeof *decide->rule_hash);
    decide->typology_hash = calloc(program->typology_count + 1u, sizeof *decide->typology_hash);
    invariant(decide->rule_hash && decide->typology_hash);
    for (uint16_t i = 0; i < program->rule_count; i++)
        decide->rule_hash[i] = name_hash(program->rule[i].id);
    for (uint16_t i = 0; i < program->typology_count; i++)
        decide->typology_hash[i] = name_hash(program->typology[i].name);
    return decide;
}

void decide_free(struct decide *decide)
{
    if (!decide)
        return;
    free(decide->rule_hash);
    free(decide->typology_hash);
    free(decide);
}

/* --- tables --- */

static struct table *table_root(struct slab *slab, int root)
{
    if (!slab_root(slab, root)) {
        slab_ref made = slab_alloc(slab, sizeof(struct table));
        if (!made)
            return NULL;
        slab_root_set(slab, root, made);
    }
    return slab_edit(slab, slab_root(slab, root), sizeof(struct table));
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    a = (a ^ b) * 0x9E3779B97F4A7C15u;
    return a ^ a >> 29;
}

struct score_want {
    const struct slab *slab;
    uint64_t typology_hash;
    uint32_t entity;
};

static bool score_same(const void *context, const void *entry)
{
    const struct score_want *want = context;
    const struct score *score = slab_at(want->slab, ((const struct score_entry *)entry)->score);
    return score->entity == want->entity && score->typology_hash == want->typology_hash;
}

/* The subject's score, made where there is none; NULL when the shard is full. */
static struct score *score_get(struct deciding *d, uint16_t typology, const struct hit_subject *subject)
{
    struct score_want want = {d->slab, d->decide->typology_hash[typology], subject->entity};
    uint64_t hash = mix(want.typology_hash, subject->entity);
    struct table *table = table_root(d->slab, DECIDE_ROOT_SCORES);
    if (!table)
        return NULL;
    const struct score_entry *found = table_find(d->slab, table, sizeof *found, hash, score_same, &want);
    if (found) {
        struct score *have = slab_edit(d->slab, found->score, sizeof *have);
        if (score_idle(d->slab, have, &d->decide->program->typology[typology], d->horizon_ms))
            score_empty(d->slab, have); /* whether or not a sweep has been here */
        return have;
    }
    slab_ref ref = slab_alloc(d->slab, sizeof(struct score));
    struct score_entry *entry = ref ? table_add(d->slab, table, sizeof *entry, hash) : NULL;
    if (!entry) {
        slab_free(d->slab, ref, sizeof(struct score));
        return NULL;
    }
    entry->score = ref;
    struct score *score = slab_edit(d->slab, ref, sizeof *score);
    ident_mark(d->state, subject->entity);
    score->typology_hash = want.typology_hash;
    score->entity = subject->entity;
    score->kind = (uint8_t)subject->kind;
    score->newest_ms = INT64_MIN;
    return score;
}

static bool once_same(const void *context, const void *entry)
{
    const struct once_entry *a = context, *b = entry;
    return a->rule_hash == b->rule_hash && a->entity == b->entity && a->role == b->role;
}

/* RULES 21: whether points may be given now; notes it when they are. */
static bool once_allows(struct deciding *d, const struct hit *hit, const struct hit_subject *subject)
{
    int64_t once_ms = d->decide->program->rule[hit->rule].once_ms;
    if (once_ms == 0)
        return true;
    struct once_entry want = {.rule_hash = d->decide->rule_hash[hit->rule], .entity = subject->entity, .role = subject->role};
    uint64_t hash = mix(mix(want.rule_hash, want.entity), want.role);
    struct table *table = table_root(d->slab, DECIDE_ROOT_ONCE);
    if (!table)
        return true;
    const struct once_entry *found = table_find(d->slab, table, sizeof *found, hash, once_same, &want);
    bool idle = found && once_idle(found, once_ms, d->horizon_ms);
    bool same_hit = found && found->last_seq == hit->seq && found->last_place == d->place;
    if (found && !idle && !same_hit && hit->time_ms - found->last_ms < once_ms)
        return false; /* a hit older than the last one that gave points gives none, too */
    struct once_entry *entry;
    if (found) {
        size_t offset = (size_t)((const char *)found - d->slab->base);
        (void)slab_edit(d->slab, (slab_ref)(offset / 16), sizeof *entry + offset % 16);
        entry = (struct once_entry *)(void *)(d->slab->base + offset);
    } else {
        entry = table_add(d->slab, table, sizeof *entry, hash);
        if (!entry)
            return true;
        ident_mark(d->state, want.entity);
        entry->rule_hash = want.rule_hash;
        entry->entity = want.entity;
        entry->role = want.role;
    }
    entry->last_ms = hit->time_ms;
    entry->last_seq = hit->seq;
    entry->last_place = d->place;
    return true;
}

/* --- decay --- */

int64_t decayed_milli(int32_t points, int64_t elapsed_ms, int64_t half_life_ms)
{
    if (half_life_ms == 0 || elapsed_ms <= 0)
        return (int64_t)points * MILLI;
    int64_t halvings = elapsed_ms / half_life_ms, rest = elapsed_ms % half_life_ms;
    if (halvings > 62)
        return 0;
    __int128 top = (__int128)points * MILLI * (2 * half_life_ms - rest);
    __int128 bottom = (__int128)2 * half_life_ms * ((int64_t)1 << halvings);
    return (int64_t)(top / bottom);
}

/* The rule a hash means; -1 when the rule is gone. */
static int32_t rule_of(const struct decide *decide, uint64_t hash)
{
    for (uint16_t i = 0; i < decide->program->rule_count; i++)
        if (decide->rule_hash[i] == hash)
            return i;
    return -1;
}

/* --- what a subject's hits come to --- */

struct standing {
    int64_t score_milli;
    uint32_t indicator_count;      /* rules with points now, counter-indicators too */
    struct alert_indicator *indicator; /* by rule id */
    uint64_t *counting;            /* hashes of the rules that count (RULES 24) */
    uint32_t counting_count;
    uint32_t family_count;         /* of those that count */
    bool including;                /* one of them is of the family asked for */
};

/* What the stored hits come to, rule by rule, and the score: caps on positive points per family, then
 * all negative points, never below 0 (RULES 23). A rule may give positive and negative points: they
 * are told apart hit by hit. */
static int64_t standing_score(const struct deciding *d, const struct score *score, const struct typology *typology,
                              int64_t *rule_milli, uint64_t *rule_seq, uint32_t *rule_bounds)
{
    const struct stored_hit *stored = slab_at(d->slab, score->stored);
    int64_t family[FAMILY_MAX] = {0};
    int64_t against = 0, sum = 0;
    for (uint32_t i = 0; i < score->stored_count; i++) {
        int32_t rule = rule_of(d->decide, stored[i].rule_hash);
        int64_t milli = decayed_milli(stored[i].points, score->newest_ms - stored[i].time_ms, typology->half_life_ms);
        if (rule < 0 || milli == 0) /* nothing is left of it: stored or not, it must not show */
            continue;
        rule_milli[rule] += milli;
        rule_seq[rule] = stored[i].seq;
        rule_bounds[rule] |= stored[i].bounds;
        if (milli < 0)
            against -= milli;
        else
            family[d->decide->program->rule[rule].family] += milli;
    }
    for (uint16_t f = 0; f < d->decide->program->family_count; f++) {
        int64_t cap = (int64_t)typology->family_cap * MILLI;
        sum += cap && family[f] > cap ? cap : family[f];
    }
    return sum > against ? sum - against : 0;
}

static void standing_take(const struct deciding *d, const struct score *score, const struct typology *typology,
                          struct standing *standing)
{
    const struct program *program = d->decide->program;
    struct arena *arena = d->out->arena;
    int64_t *rule_milli = ARENA_ARRAY(arena, int64_t, program->rule_count + 1u);
    uint64_t *rule_seq = ARENA_ARRAY(arena, uint64_t, program->rule_count + 1u);
    uint32_t *rule_bounds = ARENA_ARRAY(arena, uint32_t, program->rule_count + 1u);
    bool family[FAMILY_MAX] = {false};
    *standing = (struct standing){.score_milli = standing_score(d, score, typology, rule_milli, rule_seq, rule_bounds)};
    standing->indicator = ARENA_ARRAY(arena, struct alert_indicator, program->rule_count + 1u);
    standing->counting = ARENA_ARRAY(arena, uint64_t, program->rule_count + 1u);
    for (uint16_t r = 0; r < program->rule_count; r++) {
        const struct rule *rule = &program->rule[r];
        if (rule_milli[r] == 0)
            continue;
        standing->indicator[standing->indicator_count++] = (struct alert_indicator){.rule_id = rule->id,
                                                                                     .rule_version = rule->version,
                                                                                     .family = program->family[rule->family].name,
                                                                                     .points_milli = rule_milli[r],
                                                                                     .last_seq = rule_seq[r],
                                                                                     .lower_bound = (rule_bounds[r] & STORED_LOWER) != 0,
                                                                                     .upper_bound = (rule_bounds[r] & STORED_UPPER) != 0};
        if (rule_milli[r] < MILLI)
            continue;
        standing->counting[standing->counting_count++] = d->decide->rule_hash[r];
        standing->including |= rule->family == (uint16_t)typology->including_family;
        if (!family[rule->family])
            standing->family_count++;
        family[rule->family] = true;
    }
    if (typology->including_family < 0)
        standing->including = true;
}

static bool standing_alerts(const struct standing *standing, const struct typology *typology)
{
    if (standing->score_milli < (int64_t)typology->alert_points * MILLI)
        return false;
    return typology->urgent || (standing->counting_count >= typology->indicators_least &&
                                standing->family_count >= typology->families_least && standing->including);
}

/* --- storing hits --- */

/* What has decayed to nothing can go; when that frees nothing, the oldest does. */
static void stored_trim(struct deciding *d, struct score *score, const struct typology *typology)
{
    struct stored_hit *stored = slab_edit(d->slab, score->stored, score->stored_room * sizeof *stored);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < score->stored_count; i++)
        if (decayed_milli(stored[i].points, score->newest_ms - stored[i].time_ms, typology->half_life_ms) != 0)
            stored[kept++] = stored[i];
    score->stored_count = kept;
    if (kept < STORED_MAX)
        return;
    shard_bound_hit(d->shard, BOUND_STORED_HITS);
    memmove(stored, stored + 1, (kept - 1) * sizeof *stored);
    score->stored_count--;
}

static void stored_add(struct deciding *d, struct score *score, const struct typology *typology, const struct stored_hit *hit)
{
    if (score->stored_count == score->stored_room || score->stored_count == STORED_MAX) {
        if (score->stored_count)
            stored_trim(d, score, typology);
    }
    if (score->stored_count == score->stored_room) {
        uint32_t room = score->stored_room ? score->stored_room * 2 : 4;
        slab_ref fresh = slab_alloc(d->slab, room * sizeof *hit);
        if (!fresh) {
            shard_bound_hit(d->shard, BOUND_SCORE);
            return;
        }
        if (score->stored_count)
            memcpy(slab_edit(d->slab, fresh, room * sizeof *hit), slab_at(d->slab, score->stored),
                   score->stored_count * sizeof *hit);
        slab_free(d->slab, score->stored, score->stored_room * sizeof *hit);
        score->stored = fresh;
        score->stored_room = room;
    }
    struct stored_hit *stored = slab_edit(d->slab, score->stored, score->stored_room * sizeof *stored);
    stored[score->stored_count++] = *hit;
}

/* --- writing out --- */

static void *out_room(void *items, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room ? *room * 2 : 16;
    items = realloc(items, *room * size);
    invariant(items != NULL);
    return items;
}

void score_forget_episode(struct slab *slab, struct score *score)
{
    slab_free(slab, score->told, score->told_room * sizeof(uint64_t));
    slab_free(slab, score->first_text, (size_t)score->first_source_size + score->first_id_size);
    score->told = 0;
    score->told_room = score->told_count = 0;
    score->first_text = 0;
    score->first_source_size = score->first_id_size = 0;
    score->open = 0;
    score->revision = score->hit_total = 0;
    score->told_roles = 0;
    score->told_milli = 0;
}

static void id_part(crypto_generichash_state *state, struct slice part)
{
    uint64_t size = part.size;
    crypto_generichash_update(state, (const unsigned char *)&size, sizeof size);
    crypto_generichash_update(state, (const unsigned char *)part.data, part.size);
}

static void episode_begin(struct deciding *d, struct score *score, const struct typology *typology, const struct hit *hit)
{
    crypto_generichash_state state;
    unsigned char kind = score->kind;
    score->open = 1;
    score->first_ms = hit->time_ms;
    crypto_generichash_init(&state, NULL, 0, sizeof score->alert_id);
    crypto_generichash_update(&state, &kind, 1);
    id_part(&state, ident_text(d->state, score->entity));
    id_part(&state, typology->name);
    id_part(&state, hit->source);
    id_part(&state, hit->id);
    crypto_generichash_final(&state, score->alert_id, sizeof score->alert_id);
    score->first_text = slab_alloc(d->slab, hit->source.size + hit->id.size);
    if (!score->first_text)
        return;
    score->first_source_size = (uint32_t)hit->source.size;
    score->first_id_size = (uint32_t)hit->id.size;
    char *text = slab_edit(d->slab, score->first_text, hit->source.size + hit->id.size);
    memcpy(text, hit->source.data, hit->source.size);
    memcpy(text + hit->source.size, hit->id.data, hit->id.size);
}

static bool told_has(const struct deciding *d, const struct score *score, uint64_t rule_hash)
{
    const uint64_t *told = slab_at(d->slab, score->told);
    for (uint32_t i = 0; i < score->told_count; i++)
        if (told[i] == rule_hash)
            return true;
    return false;
}

/* Adds what counts now to what the alert has told: an indicator is new once per episode. */
static void told_add(struct deciding *d, struct score *score, const struct standing *standing)
{
    for (uint32_t i = 0; i < standing->counting_count; i++) {
        if (told_has(d, score, standing->counting[i]))
            continue;
        if (score->told_count == score->told_room) {
            uint32_t room = score->told_room ? score->told_room * 2 : 4;
            slab_ref fresh = slab_alloc(d->slab, room * sizeof(uint64_t));
            if (!fresh)
                return;
            if (score->told_count)
                memcpy(slab_edit(d->slab, fresh, room * sizeof(uint64_t)), slab_at(d->slab, score->told),
                       score->told_count * sizeof(uint64_t));
            slab_free(d->slab, score->told, score->told_room * sizeof(uint64_t));
            score->told = fresh;
            score->told_room = room;
        }
        uint64_t *told = slab_edit(d->slab, score->told, score->told_room * sizeof *told);
        told[score->told_count++] = standing->counting[i];
    }
}

/* The hits that formed the alert, each once: two points clauses of one hit are stored apart. */
static void revision_hits(struct deciding *d, const struct score *score, const struct typology *typology,
                          struct alert_revision *revision)
{
    struct arena *arena = d->out->arena;
    const struct stored_hit *stored = slab_at(d->slab, score->stored);
    uint64_t *seq = ARENA_ARRAY(arena, uint64_t, score->stored_count + 1);
    uint16_t *rule = ARENA_ARRAY(arena, uint16_t, score->stored_count + 1);
    struct slice *rule_id = ARENA_ARRAY(arena, struct slice, score->stored_count + 1);
    for (uint32_t i = 0; i < score->stored_count; i++) {
        int32_t index = rule_of(d->decide, stored[i].rule_hash);
        if (index < 0 || decayed_milli(stored[i].points, score->newest_ms - stored[i].time_ms, typology->half_life_ms) == 0)
            continue;
        uint32_t count = revision->hit_count;
        if (count && seq[count - 1] == stored[i].seq && rule[count - 1] == index)
            continue;
        seq[count] = stored[i].seq;
        rule_id[count] = d->decide->program->rule[index].id;
        rule[count] = (uint16_t)index;
        revision->hit_count++;
    }
    revision->hit_seq = seq;
    revision->hit_rule = rule;
    revision->hit_rule_id = rule_id;
}

static void revision_write(struct deciding *d, struct score *score, uint16_t typology_index, const struct standing *standing,
                           const struct hit *hit, enum revision_reason reason)
{
    const struct typology *typology = &d->decide->program->typology[typology_index];
    struct decide_out *out = d->out;
    const char *first = slab_at(d->slab, score->first_text);
    out->revision = out_room(out->revision, out->revision_count, &out->revision_room, sizeof *out->revision);
    struct alert_revision *revision = &out->revision[out->revision_count++];
    *revision = (struct alert_revision){.revision = ++score->revision,
                                        .seq = hit->seq,
                                        .time_ms = hit->time_ms,
                                        .typology = typology->name,
                                        .typology_title = typology->title,
                                        .offence = typology->offence,
                                        .subject_kind = (enum entity_kind)score->kind,
                                        .subject = arena_copy(out->arena, ident_text(d->state, score->entity)),
                                        .first_source = arena_copy(out->arena, (struct slice){first, score->first_source_size}),
                                        .first_id = arena_copy(out->arena, (struct slice){first + score->first_source_size,
                                                                                          score->first_id_size}),
                                        .first_time_ms = score->first_ms,
                                        .score_milli = standing->score_milli,
                                        .roles = score->roles,
                                        .urgent = typology->urgent,
                                        .victim = score->roles >> ROLE_POSSIBLE_VICTIM & 1,
                                        .reason = (uint8_t)reason,
                                        .indicator_count = standing->indicator_count,
                                        .indicator = standing->indicator};
    memcpy(revision->id, score->alert_id, sizeof revision->id);
    if (reason == REVISION_FIRST) {
        revision_hits(d, score, typology, revision);
        score->hit_total = revision->hit_count;
    }
    revision->hit_total = score->hit_total;
    score->told_milli = standing->score_milli;
    score->told_roles = score->roles;
    told_add(d, score, standing);
}

/* --- one event --- */

static struct touched *touch(struct deciding *d, struct score *score, uint16_t typology)
{
    for (uint32_t i = 0; i < d->touched_count; i++)
        if (d->touched[i].score == score)
            return &d->touched[i];
    if (d->touched_count == TOUCHED_MAX) {
        shard_bound_hit(d->shard, BOUND_TOUCHED);
        return NULL;
    }
    d->touched[d->touched_count] = (struct touched){.score = score, .typology = typology};
    return &d->touched[d->touched_count++];
}

/* RULES 25: a hit that comes half_life (else 90d) or more after the last one ends the episode. */
static void episode_check(struct deciding *d, struct score *score, const struct typology *typology, const struct hit *hit)
{
    if (score->newest_ms != INT64_MIN && hit->time_ms - score->newest_ms >= episode_gap_ms(typology)) {
        score_forget_episode(d->slab, score);
        score->roles = 0;
    }
    if (hit->time_ms > score->newest_ms)
        score->newest_ms = hit->time_ms;
}

/* A hit that gives points inside an episode is named once, however many clauses of it give. */
static void later_hit(struct deciding *d, struct score *score, const struct hit *hit)
{
    struct decide_out *out = d->out;
    for (uint32_t i = out->alert_hit_count; i > 0 && out->alert_hit[i - 1].seq == hit->seq; i--)
        if (out->alert_hit[i - 1].rule == hit->rule && memcmp(out->alert_hit[i - 1].alert_id, score->alert_id, sizeof score->alert_id) == 0)
            return;
    score->hit_total++;
    out->alert_hit = out_room(out->alert_hit, out->alert_hit_count, &out->alert_hit_room, sizeof *out->alert_hit);
    struct alert_hit *alert_hit = &out->alert_hit[out->alert_hit_count++];
    *alert_hit = (struct alert_hit){.seq = hit->seq, .rule_id = hit->rule_id, .rule = hit->rule};
    memcpy(alert_hit->alert_id, score->alert_id, sizeof alert_hit->alert_id);
}

static void apply_visit(struct deciding *d, const struct decide_visit *visit)
{
    const struct hit *hit = visit->hit;
    struct hit_subject *subject = &visit->hit->subject[visit->subject];
    const struct typology *typology = &d->decide->program->typology[hit->typology];
    struct score *score = score_get(d, hit->typology, subject);
    if (!score)
        shard_bound_hit(d->shard, BOUND_SCORE);
    struct touched *touched = score ? touch(d, score, hit->typology) : NULL;
    if (!touched)
        return;
    episode_check(d, score, typology, hit);
    score->roles |= 1u << subject->role;
    if (subject->points == 0 || !once_allows(d, hit, subject))
        return;
    subject->given = 1;
    touched->gave = true;
    struct stored_hit stored = {.time_ms = hit->time_ms,
                                .seq = hit->seq,
                                .rule_hash = d->decide->rule_hash[hit->rule],
                                .points = subject->points,
                                .bounds = (hit->lower_bound ? STORED_LOWER : 0u) | (hit->upper_bound ? STORED_UPPER : 0u)};
    stored_add(d, score, typology, &stored);
    if (score->open)
        later_hit(d, score, hit);
}

static void judge_open(struct deciding *d, const struct touched *touched, const struct standing *standing, const struct hit *hit)
{
    struct score *score = touched->score;
    bool indicator = false;
    for (uint32_t i = 0; i < standing->counting_count; i++)
        indicator |= !told_has(d, score, standing->counting[i]);
    if (touched->gave && indicator)
        revision_write(d, score, touched->typology, standing, hit, REVISION_INDICATOR);
    else if (score->roles & ~score->told_roles)
        revision_write(d, score, touched->typology, standing, hit, REVISION_ROLE);
    else if (touched->gave && (__int128)standing->score_milli * 5 >= (__int128)score->told_milli * 6 &&
             standing->score_milli > score->told_milli)
        revision_write(d, score, touched->typology, standing, hit, REVISION_SCORE);
}

/* Judged once per event, after all its points (RULES 20, 24). */
static void judge_subject(struct deciding *d, const struct touched *touched, const struct hit *hit)
{
    const struct typology *typology = &d->decide->program->typology[touched->typology];
    struct standing standing;
    if (!touched->gave && (!touched->score->open || !(touched->score->roles & ~touched->score->told_roles)))
        return;
    standing_take(d, touched->score, typology, &standing);
    if (touched->score->open) {
        judge_open(d, touched, &standing, hit);
        return;
    }
    if (!standing_alerts(&standing, typology))
        return;
    episode_begin(d, touched->score, typology, hit);
    revision_write(d, touched->score, touched->typology, &standing, hit, REVISION_FIRST);
}

void decide_shard(const struct decide *decide, struct shard *shard, const struct state *state, const struct decide_visit *visit,
                  uint32_t count, int64_t horizon_ms, struct decide_out *out)
{
    struct deciding *d = arena_alloc(out->arena, sizeof *d);
    d->decide = decide;
    d->shard = shard;
    d->horizon_ms = horizon_ms;
    d->slab = shard_slab(shard);
    d->state = state;
    d->out = out;
    for (uint32_t from = 0; from < count;) {
        uint32_t to = from;
        d->touched_count = 0;
        d->place = 0;
        while (to < count && visit[to].hit->seq == visit[from].hit->seq) {
            d->place += to > from && visit[to].hit != visit[to - 1].hit;
            apply_visit(d, &visit[to++]);
        }
        for (uint32_t i = 0; i < d->touched_count; i++)
            judge_subject(d, &d->touched[i], visit[from].hit);
        from = to;
    }
}

/* --- the state hash --- */

/* Every hit that a sum may still count, in the order they came; half_life of a typology that is gone: none. */
static void stored_hash(const struct slab *slab, const struct score *score, int64_t half_life_ms, struct hash_item *item)
{
    const struct stored_hit *stored = slab_at(slab, score->stored);
    for (uint32_t i = 0; i < score->stored_count; i++) {
        if (decayed_milli(stored[i].points, score->newest_ms - stored[i].time_ms, half_life_ms) == 0)
            continue; /* trimmed when room is needed, at no certain moment */
        hash_item_number(item, stored[i].time_ms);
        hash_item_number(item, (int64_t)stored[i].seq);
        hash_item_number(item, (int64_t)stored[i].rule_hash);
        hash_item_number(item, stored[i].points ^ (int64_t)stored[i].bounds << 32);
    }
}

static void episode_hash(const struct slab *slab, const struct score *score, struct hash_item *item)
{
    const char *first = slab_at(slab, score->first_text);
    const uint64_t *told = slab_at(slab, score->told);
    hash_item_text(item, (struct slice){(const char *)score->alert_id, sizeof score->alert_id});
    hash_item_text(item, (struct slice){first, score->first_source_size});
    hash_item_text(item, (struct slice){first + score->first_source_size, score->first_id_size});
    hash_item_number(item, score->revision);
    hash_item_number(item, score->hit_total);
    hash_item_number(item, score->first_ms);
    hash_item_number(item, score->told_milli);
    hash_item_number(item, score->told_roles);
    for (uint32_t i = 0; i < score->told_count; i++)
        hash_item_number(item, (int64_t)told[i]);
}

static void score_hash(const struct decide *decide, const struct slab *slab, const struct state *state, const struct score *score,
                       int64_t horizon_ms, struct hash_item *item, struct state_sum *sum)
{
    const struct typology *typology = NULL;
    for (uint16_t t = 0; t < decide->program->typology_count; t++)
        if (decide->typology_hash[t] == score->typology_hash)
            typology = &decide->program->typology[t];
    if (typology && score_idle(slab, score, typology, horizon_ms))
        return; /* the sweep may have been here already */
    hash_item_text(item, SLICE("score"));
    hash_item_number(item, (int64_t)score->typology_hash);
    hash_item_number(item, score->kind);
    hash_item_entity(item, state, score->entity);
    hash_item_number(item, score->newest_ms);
    hash_item_number(item, score->roles);
    stored_hash(slab, score, typology ? typology->half_life_ms : 0, item);
    hash_item_number(item, score->open);
    if (score->open)
        episode_hash(slab, score, item);
    hash_item_add(item, sum);
}

static void once_hash(const struct decide *decide, const struct state *state, const struct once_entry *once, int64_t horizon_ms,
                      struct hash_item *item, struct state_sum *sum)
{
    int32_t rule = rule_of(decide, once->rule_hash);
    int64_t once_ms = rule < 0 ? INT64_MAX / 2 : decide->program->rule[rule].once_ms;
    if (once_idle(once, once_ms, horizon_ms))
        return;
    hash_item_text(item, SLICE("once"));
    hash_item_number(item, (int64_t)once->rule_hash);
    hash_item_entity(item, state, once->entity);
    hash_item_number(item, once->role);
    hash_item_number(item, once->last_ms);
    hash_item_number(item, (int64_t)once->last_seq);
    hash_item_add(item, sum);
}

void decide_hash(const struct decide *decide, struct shard *shard, const struct state *state, int64_t horizon_ms, struct state_sum *sum)
{
    static const struct table none;
    struct slab *slab = shard_slab(shard);
    struct hash_item item = {0};
    const struct table *scores = slab_root(slab, DECIDE_ROOT_SCORES) ? slab_at(slab, slab_root(slab, DECIDE_ROOT_SCORES)) : &none;
    const struct table *onces = slab_root(slab, DECIDE_ROOT_ONCE) ? slab_at(slab, slab_root(slab, DECIDE_ROOT_ONCE)) : &none;
    const struct score_entry *score = slab_at(slab, scores->entries);
    const struct once_entry *once = slab_at(slab, onces->entries);
    for (uint32_t i = 0; i < scores->room; i++)
        if (score[i].tag > TAG_REMOVED)
            score_hash(decide, slab, state, slab_at(slab, score[i].score), horizon_ms, &item, sum);
    for (uint32_t i = 0; i < onces->room; i++)
        if (once[i].tag > TAG_REMOVED)
            once_hash(decide, state, &once[i], horizon_ms, &item, sum);
    hash_item_fini(&item);
}
