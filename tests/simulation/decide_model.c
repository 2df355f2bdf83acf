/* Holds decide against a slow, obvious model: RULES 20, 21, 23-26 and 35, each score recomputed from
 * the full list of all hits by the words of the definition, on random streams of hits cut into
 * batches at random, with reloads of the program in between, and with sweeps as strict as the rest of the stream allows
 * between batches. Usage: decide_model [STREAMS [SEED]]. */
#include "engine/base/invariant.h"
#include "engine/stream/decide.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    HOUR = 3600000, DAY = 24 * HOUR, GAP_DAYS = 90,
    RULES = 6, TYPOLOGIES = 3, FAMILIES = 3, ROLES = 4, SUBJECTS = 4,
    EVENTS = 60, HITS = 3, VISITS = EVENTS * HITS * 4, STREAMS_PER_STATE = 500
};

/* One line of the list of all that was said about somebody. */
struct said {
    uint64_t seq;
    int64_t time_ms;
    int hit;               /* number of the hit, from 0 over the whole stream */
    int rule, typology, subject, role, points;
    bool given;
};

struct told_revision {
    uint64_t seq;
    int typology, subject;
    uint8_t id[16];
    uint32_t revision, roles, hit_total, hit_count, reason;
    int64_t score, first_ms;
    uint64_t first_seq;
    int64_t milli[RULES];  /* indicators by rule; 0: not shown */
    uint64_t last[RULES];
    bool bound[RULES];     /* some hit that counts was a bound: RULES 35 */
    uint64_t hit_seq[VISITS];
    int hit_rule[VISITS];
};

struct told_hit {
    uint64_t seq;
    int rule;
    uint8_t id[16];
};

struct world {
    uint64_t random;
    struct program program[2];   /* the second lacks the rule that comes first */
    struct rule rule[2][RULES];
    struct typology typology[TYPOLOGIES];
    struct family family[FAMILIES];
    struct slice subject_text[SUBJECTS];
    entity_id subject[SUBJECTS];
    uint64_t first_seq;
    int event_count;
    int64_t event_ms[EVENTS];
    struct said said[VISITS];
    int said_count;
    bool gone[EVENTS];           /* the first rule was not in the program at this event */
    struct told_revision revision[VISITS];
    int revision_count;
    struct told_hit hit[VISITS];
    int hit_count;
};

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static int64_t below(struct world *world, int64_t bound)
{
    return (int64_t)(next_random(&world->random) % (uint64_t)bound);
}

static int64_t pick(struct world *world, const int64_t *choice, int count)
{
    return choice[below(world, count)];
}

/* --- a random rule set and a random stream --- */

static void make_program(struct world *world)
{
    static const char *const rule_id[RULES] = {"A-01", "B-01", "B-02", "C-01", "C-02", "C-03"};
    static const char *const name[TYPOLOGIES] = {"debt", "debt_bondage", "laundering"};
    static const char *const family[FAMILIES] = {"collection", "control", "network"};
    static const int64_t half_life[] = {0, HOUR, 2 * HOUR + 1, DAY, 45 * (int64_t)DAY};
    static const int64_t once[] = {0, 0, 1, HOUR, DAY, 100 * (int64_t)DAY};
    for (int f = 0; f < FAMILIES; f++)
        world->family[f] = (struct family){.name = slice_of(family[f])};
    for (int t = 0; t < TYPOLOGIES; t++)
        world->typology[t] = (struct typology){.name = slice_of(name[t]),
                                               .title = slice_of(name[t]),
                                               .offence = SLICE("trafficking"),
                                               .alert_points = (int32_t)(1 + below(world, 90)),
                                               .indicators_least = (uint16_t)below(world, 4),
                                               .families_least = (uint16_t)below(world, 3),
                                               .including_family = (int16_t)(below(world, FAMILIES + 1) - 1),
                                               .urgent = below(world, 5) == 0,
                                               .half_life_ms = pick(world, half_life, 5),
                                               .family_cap = (int32_t)(below(world, 2) * 40)};
    for (int r = 0; r < RULES; r++)
        world->rule[0][r] = (struct rule){.id = slice_of(rule_id[r]),
                                          .version = (uint32_t)r + 1,
                                          .status = RULE_LIVE,
                                          .typology = (uint16_t)below(world, TYPOLOGIES),
                                          .family = (uint16_t)below(world, FAMILIES),
                                          .once_ms = pick(world, once, 6)};
    memcpy(world->rule[1], world->rule[0] + 1, sizeof world->rule[0] - sizeof world->rule[0][0]);
    for (int p = 0; p < 2; p++)
        world->program[p] = (struct program){.rule_count = (uint16_t)(RULES - p),
                                             .rule = world->rule[p],
                                             .typology_count = TYPOLOGIES,
                                             .typology = world->typology,
                                             .family_count = FAMILIES,
                                             .family = world->family};
}

static int64_t random_step(struct world *world)
{
    int64_t half = world->typology[below(world, TYPOLOGIES)].half_life_ms;
    int64_t once = world->rule[0][below(world, RULES)].once_ms;
    int64_t gap = half ? half : GAP_DAYS * (int64_t)DAY;
    const int64_t step[] = {0, 0, 1, half / 2, half / 3, HOUR / 7, once, once - 1, gap, gap - 1, gap + 1,
                            -1, -(half / 2), -once, -HOUR, 70 * half};
    return pick(world, step, below(world, 8) == 0 ? 16 : 15);
}

static void say_subject(struct world *world, const struct said *base, int from)
{
    static const int64_t points[] = {-20, -5, 0, 0, 1, 10, 25, 40, 60};
    struct said said = *base;
    said.subject = (int)below(world, SUBJECTS);
    said.role = (int)below(world, ROLES);
    said.points = (int)pick(world, points, 9);
    for (int i = from; i < world->said_count; i++) /* RULES 21: once per hit; judged where hits are made */
        if (world->said[i].subject == said.subject && world->said[i].role == said.role && world->said[i].points == said.points)
            return;
    world->said[world->said_count++] = said;
}

static void make_stream(struct world *world)
{
    int64_t now = 1700000000000;
    int hits = 0;
    world->said_count = world->revision_count = world->hit_count = 0;
    world->event_count = (int)(1 + below(world, EVENTS));
    int gone_from = (int)below(world, 2 * EVENTS), gone_to = gone_from + (int)below(world, EVENTS);
    for (int e = 0; e < world->event_count; e++) {
        now += random_step(world);
        world->event_ms[e] = now;
        world->gone[e] = e >= gone_from && e < gone_to;
        int rule = world->gone[e];
        for (int64_t h = 1 + below(world, HITS); h > 0 && rule < RULES; h--) {
            rule += (int)below(world, RULES - rule);
            struct said base = {.seq = world->first_seq + (uint64_t)e, .time_ms = now, .hit = hits++, .rule = rule,
                                .typology = world->rule[0][rule].typology};
            int from = world->said_count;
            for (int64_t s = 1 + below(world, 4); s > 0; s--)
                say_subject(world, &base, from);
            rule += (int)below(world, 2); /* the same rule may hit for both ends of one payment */
        }
    }
}

/* --- the model --- */

/* Thousandths of points after `elapsed`, by halving again and again. */
static int64_t model_decay(int points, int64_t elapsed, int64_t half)
{
    if (half == 0 || elapsed <= 0)
        return points * (int64_t)1000;
    int64_t size = points < 0 ? -points : points;
    int64_t left = (int64_t)((__int128)size * 1000 * (2 * half - elapsed % half) / (2 * half));
    for (int64_t n = elapsed / half; n > 0 && left > 0; n--)
        left /= 2;
    return points < 0 ? -left : left;
}

/* Whether the hit came of a search that met a bound. */
static bool model_bound(const struct said *said)
{
    return said->hit % 5 == 0;
}

static bool about(const struct said *said, int typology, int subject)
{
    return said->typology == typology && said->subject == subject;
}

static bool model_once(const struct world *world, int at)
{
    const struct said *now = &world->said[at];
    int64_t once = world->rule[0][now->rule].once_ms;
    for (int i = at - 1; once && i >= 0; i--) {
        const struct said *last = &world->said[i];
        if (last->given && last->rule == now->rule && last->subject == now->subject && last->role == now->role && last->hit != now->hit)
            return now->time_ms - last->time_ms >= once;
    }
    return true;
}

/* What a subject's points come to after the event of said[end - 1]. */
struct model_standing {
    int64_t newest, score, milli[RULES];
    uint64_t last[RULES];
    bool bound[RULES];
    int start;        /* where the hits since the last gap begin */
    uint32_t roles;
};

static void model_gap(const struct world *world, int end, int typology, int subject, struct model_standing *standing)
{
    int64_t half = world->typology[typology].half_life_ms;
    int64_t gap = half ? half : GAP_DAYS * (int64_t)DAY;
    bool first = true;
    for (int i = 0; i < end; i++) {
        const struct said *said = &world->said[i];
        if (!about(said, typology, subject))
            continue;
        if (first || said->time_ms - standing->newest >= gap) {
            standing->start = i;
            standing->roles = 0;
        }
        if (first || said->time_ms > standing->newest)
            standing->newest = said->time_ms;
        standing->roles |= 1u << said->role;
        first = false;
    }
}

static struct model_standing model_stand(const struct world *world, int end, bool gone, int typology, int subject)
{
    struct model_standing standing = {0};
    int64_t family[FAMILIES] = {0}, against = 0;
    model_gap(world, end, typology, subject, &standing);
    for (int i = 0; i < end; i++) {
        const struct said *said = &world->said[i];
        if (!about(said, typology, subject) || !said->given || (gone && said->rule == 0))
            continue;
        int64_t milli = model_decay(said->points, standing.newest - said->time_ms, world->typology[typology].half_life_ms);
        standing.milli[said->rule] += milli;
        standing.bound[said->rule] |= milli && model_bound(said);
        standing.last[said->rule] = milli ? said->seq : standing.last[said->rule];
        if (milli < 0)
            against -= milli;
        else
            family[world->rule[0][said->rule].family] += milli;
    }
    for (int f = 0; f < FAMILIES; f++) {
        int64_t cap = world->typology[typology].family_cap * (int64_t)1000;
        standing.score += cap && family[f] > cap ? cap : family[f];
    }
    standing.score = standing.score > against ? standing.score - against : 0;
    return standing;
}

static bool model_alerts(const struct world *world, const struct model_standing *standing, int typology)
{
    const struct typology *def = &world->typology[typology];
    int indicators = 0, families = 0;
    bool family[FAMILIES] = {false};
    for (int r = 0; r < RULES; r++) {
        if (standing->milli[r] < 1000)
            continue;
        indicators++;
        family[world->rule[0][r].family] = true;
    }
    for (int f = 0; f < FAMILIES; f++)
        families += family[f];
    if (standing->score < def->alert_points * (int64_t)1000)
        return false;
    return def->urgent || (indicators >= def->indicators_least && families >= def->families_least &&
                           (def->including_family < 0 || family[def->including_family]));
}

static void hash_text(crypto_generichash_state *state, struct slice text)
{
    uint64_t size = text.size;
    crypto_generichash_update(state, (const unsigned char *)&size, sizeof size);
    crypto_generichash_update(state, (const unsigned char *)text.data, text.size);
}

static int id_text(char text[32], uint64_t seq)
{
    return snprintf(text, 32, "id-%llu", (unsigned long long)seq);
}

static void model_id(const struct world *world, struct told_revision *revision)
{
    char id[32];
    int size = id_text(id, revision->seq);
    unsigned char kind = ENTITY_ACCOUNT;
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 16);
    crypto_generichash_update(&state, &kind, 1);
    hash_text(&state, world->subject_text[revision->subject]);
    hash_text(&state, world->typology[revision->typology].name);
    hash_text(&state, SLICE("bank"));
    hash_text(&state, (struct slice){id, (size_t)size});
    crypto_generichash_final(&state, revision->id, 16);
}

/* The hits behind revision 1: those whose points are not nothing yet, each named once. */
static void model_formed(const struct world *world, int end, bool gone, const struct model_standing *standing,
                         struct told_revision *revision)
{
    for (int i = 0; i < end; i++) {
        const struct said *said = &world->said[i];
        if (!about(said, revision->typology, revision->subject) || !said->given || (gone && said->rule == 0) ||
            model_decay(said->points, standing->newest - said->time_ms, world->typology[said->typology].half_life_ms) == 0)
            continue;
        uint32_t last = revision->hit_count;
        if (last && revision->hit_seq[last - 1] == said->seq && revision->hit_rule[last - 1] == said->rule)
            continue;
        revision->hit_seq[last] = said->seq;
        revision->hit_rule[last] = said->rule;
        revision->hit_count++;
    }
    revision->hit_total = revision->hit_count;
}

/* The newest revision of the episode that runs, or NULL. */
static struct told_revision *model_open(struct world *world, const struct model_standing *standing, int typology, int subject)
{
    for (int i = world->revision_count - 1; i >= 0; i--) {
        struct told_revision *revision = &world->revision[i];
        if (revision->typology == typology && revision->subject == subject)
            return revision->seq >= world->said[standing->start].seq ? revision : NULL;
    }
    return NULL;
}

static bool model_new_indicator(const struct world *world, const struct told_revision *open, const struct model_standing *standing)
{
    for (int r = 0; r < RULES; r++) {
        bool told = false;
        for (int i = 0; i < world->revision_count; i++)
            told |= memcmp(world->revision[i].id, open->id, 16) == 0 && world->revision[i].milli[r] >= 1000;
        if (!told && standing->milli[r] >= 1000)
            return true;
    }
    return false;
}

static void model_revise(struct world *world, int end, bool gone, const struct model_standing *standing,
                         const struct told_revision *open, const struct said *now, enum revision_reason reason)
{
    struct told_revision *revision = &world->revision[world->revision_count];
    memset(revision, 0, sizeof *revision);
    revision->seq = now->seq;
    revision->typology = now->typology;
    revision->subject = now->subject;
    revision->reason = reason;
    revision->roles = standing->roles;
    revision->score = standing->score;
    revision->revision = open ? open->revision + 1 : 1;
    revision->first_seq = open ? open->first_seq : now->seq;
    revision->first_ms = open ? open->first_ms : now->time_ms;
    memcpy(revision->milli, standing->milli, sizeof revision->milli);
    memcpy(revision->last, standing->last, sizeof revision->last);
    memcpy(revision->bound, standing->bound, sizeof revision->bound);
    if (open) {
        memcpy(revision->id, open->id, sizeof revision->id);
        for (int i = 0; i < world->revision_count; i++)
            if (world->revision[i].revision == 1 && memcmp(world->revision[i].id, open->id, 16) == 0)
                revision->hit_total = world->revision[i].hit_count;
        for (int i = 0; i < world->hit_count; i++)
            revision->hit_total += memcmp(world->hit[i].id, open->id, 16) == 0;
    } else {
        model_id(world, revision);
        model_formed(world, end, gone, standing, revision);
    }
    world->revision_count++;
}

static void model_later_hits(struct world *world, int from, int end, const struct told_revision *open, const struct said *now)
{
    int last_rule = -1;
    for (int i = from; i < end; i++) {
        const struct said *said = &world->said[i];
        if (!about(said, now->typology, now->subject) || !said->given || said->rule == last_rule)
            continue;
        last_rule = said->rule;
        struct told_hit *hit = &world->hit[world->hit_count++];
        *hit = (struct told_hit){.seq = said->seq, .rule = said->rule};
        memcpy(hit->id, open->id, sizeof hit->id);
    }
}

static void model_judge(struct world *world, int from, int end, int at)
{
    const struct said *now = &world->said[at];
    bool gone = world->gone[now->seq - world->first_seq];
    bool gave = false;
    for (int i = from; i < end; i++) {
        if (about(&world->said[i], now->typology, now->subject)) {
            if (i < at)
                return; /* judged once */
            gave |= world->said[i].given;
        }
    }
    struct model_standing standing = model_stand(world, end, gone, now->typology, now->subject);
    const struct told_revision *open = model_open(world, &standing, now->typology, now->subject);
    if (!open) {
        if (gave && model_alerts(world, &standing, now->typology))
            model_revise(world, end, gone, &standing, NULL, now, REVISION_FIRST);
        return;
    }
    model_later_hits(world, from, end, open, now);
    if (gave && model_new_indicator(world, open, &standing))
        model_revise(world, end, gone, &standing, open, now, REVISION_INDICATOR);
    else if (standing.roles & ~open->roles)
        model_revise(world, end, gone, &standing, open, now, REVISION_ROLE);
    else if (gave && standing.score > open->score && standing.score * 10 >= open->score * 12)
        model_revise(world, end, gone, &standing, open, now, REVISION_SCORE);
}

static void run_model(struct world *world)
{
    for (int from = 0; from < world->said_count;) {
        int end = from;
        while (end < world->said_count && world->said[end].seq == world->said[from].seq) {
            world->said[end].given = world->said[end].points != 0 && model_once(world, end);
            end++;
        }
        for (int i = from; i < end; i++)
            model_judge(world, from, end, i);
        from = end;
    }
}

/* --- decide --- */

static struct hit *make_hits(const struct world *world, struct arena *arena, int from, int end, bool gone, uint32_t *count)
{
    struct hit *hits = ARENA_ARRAY(arena, struct hit, end - from + 1);
    *count = 0;
    for (int i = from; i < end; i++) {
        const struct said *said = &world->said[i];
        struct hit *hit = *count ? &hits[*count - 1] : NULL;
        if (!hit || said->hit != world->said[i - 1].hit) {
            char text[32];
            int size = id_text(text, said->seq);
            hit = &hits[(*count)++];
            *hit = (struct hit){.seq = said->seq, .time_ms = said->time_ms, .source = SLICE("bank"),
                                .id = arena_copy(arena, (struct slice){text, (size_t)size}),
                                .rule = (uint16_t)(said->rule - gone), .typology = (uint16_t)said->typology,
                                .lower_bound = model_bound(said), .rule_id = world->rule[0][said->rule].id, .rule_version = world->rule[0][said->rule].version};
            hit->subject = ARENA_ARRAY(arena, struct hit_subject, HIT_SUBJECT_MAX);
        }
        hit->subject[hit->subject_count++] = (struct hit_subject){.entity = world->subject[said->subject], .kind = ENTITY_ACCOUNT,
                                                                  .text = world->subject_text[said->subject],
                                                                  .role = (enum role)said->role, .points = said->points};
    }
    return hits;
}

/* Runs said[from, end) as one batch, shard by shard, as the step does. */
static void decide_batch(const struct world *world, struct state *state, int from, int end, int64_t horizon_ms,
                         struct decide_out *out, bool *given)
{
    bool gone = world->gone[world->said[from].seq - world->first_seq];
    struct decide *decide = decide_new(&world->program[gone]);
    uint32_t hits;
    struct hit *hit = make_hits(world, out->arena, from, end, gone, &hits);
    struct decide_visit *visit = ARENA_ARRAY(out->arena, struct decide_visit, end - from + 1);
    bool done[SHARD_COUNT] = {false};
    for (int s = 0; s < SUBJECTS; s++) {
        uint32_t shard = entity_shard(world->subject[s]), count = 0;
        for (uint32_t h = 0; h < hits && !done[shard]; h++)
            for (uint32_t i = 0; i < hit[h].subject_count; i++)
                if (entity_shard(hit[h].subject[i].entity) == shard)
                    visit[count++] = (struct decide_visit){&hit[h], i};
        if (count)
            decide_shard(decide, state_shard(state, shard), state, visit, count, horizon_ms, out);
        done[shard] = true;
    }
    int at = from;
    for (uint32_t h = 0; h < hits; h++)
        for (uint32_t i = 0; i < hit[h].subject_count; i++)
            given[at++] = hit[h].subject[i].given;
    decide_free(decide);
}

/* The highest horizon at which no hit is still to come that is older. */
static int64_t horizon_after(const struct world *world, int from)
{
    int64_t least = INT64_MAX;
    for (int i = from; i < world->said_count; i++)
        least = world->said[i].time_ms < least ? world->said[i].time_ms : least;
    return least;
}

static void sweep_all(struct world *world, struct state *state, int from, int64_t *horizon_ms)
{
    if (from == world->said_count || below(world, 3) == 0)
        return;
    int64_t next_ms = horizon_after(world, from) - (below(world, 2) ? 0 : below(world, 20) * DAY);
    *horizon_ms = next_ms > *horizon_ms ? next_ms : *horizon_ms;
    struct decide *decide = decide_new(&world->program[world->gone[world->said[from].seq - world->first_seq]]);
    for (int s = 0; s < SUBJECTS; s++)
        if (below(world, 4))
            decide_sweep(decide, state_shard(state, entity_shard(world->subject[s])), state, *horizon_ms);
    decide_free(decide);
}

static void run_decide(struct world *world, struct state *state, struct decide_out *out, bool *given)
{
    int64_t horizon_ms = INT64_MIN;
    for (int from = 0; from < world->said_count;) {
        int end = from;
        for (int64_t events = 1 + below(world, 20); events > 0 && end < world->said_count; events--) {
            uint64_t seq = world->said[end].seq;
            if (world->gone[seq - world->first_seq] != world->gone[world->said[from].seq - world->first_seq])
                break;
            while (end < world->said_count && world->said[end].seq == seq)
                end++;
        }
        decide_batch(world, state, from, end, horizon_ms, out, given);
        from = end;
        sweep_all(world, state, from, &horizon_ms);
    }
}

/* --- comparing --- */

static bool same_indicators(const struct world *world, const struct told_revision *want, const struct alert_revision *got)
{
    uint32_t shown = 0;
    for (int r = 0; r < RULES; r++) {
        if (want->milli[r] == 0)
            continue;
        if (shown >= got->indicator_count)
            return false;
        const struct alert_indicator *indicator = &got->indicator[shown++];
        const struct rule *rule = &world->rule[0][r];
        if (!slice_equal(indicator->rule_id, rule->id) || indicator->points_milli != want->milli[r] ||
            indicator->rule_version != rule->version || indicator->last_seq != want->last[r] || indicator->lower_bound != want->bound[r] ||
            !slice_equal(indicator->family, world->family[rule->family].name))
            return false;
    }
    return shown == got->indicator_count;
}

static bool same_revision(const struct world *world, const struct told_revision *want, const struct alert_revision *got)
{
    const struct typology *typology = &world->typology[want->typology];
    char first_id[32];
    int size = id_text(first_id, want->first_seq);
    if (got->seq != want->seq || memcmp(got->id, want->id, 16) != 0 || got->revision != want->revision || got->roles != want->roles ||
        got->reason != want->reason || got->score_milli != want->score || got->first_time_ms != want->first_ms ||
        got->urgent != typology->urgent || got->victim != (want->roles >> ROLE_POSSIBLE_VICTIM & 1) ||
        got->time_ms != world->event_ms[want->seq - world->first_seq] || got->hit_total != want->hit_total ||
        got->hit_count != want->hit_count)
        return false;
    for (uint32_t i = 0; i < want->hit_count; i++)
        if (got->hit_seq[i] != want->hit_seq[i] || !slice_equal(got->hit_rule_id[i], world->rule[0][want->hit_rule[i]].id))
            return false;
    return slice_equal(got->typology, typology->name) && slice_equal(got->subject, world->subject_text[want->subject]) &&
           slice_equal(got->first_source, SLICE("bank")) && slice_equal(got->first_id, (struct slice){first_id, (size_t)size}) &&
           same_indicators(world, want, got);
}

/* Each expected line must stand among those given, and there must be as many. */
static const char *compare(const struct world *world, const struct decide_out *out, const bool *given)
{
    for (int i = 0; i < world->said_count; i++)
        if (given[i] != world->said[i].given)
            return "points given";
    if ((int)out->revision_count != world->revision_count)
        return "number of revisions";
    if ((int)out->alert_hit_count != world->hit_count)
        return "number of later hits";
    for (int w = 0; w < world->revision_count; w++) {
        bool found = false;
        for (uint32_t i = 0; i < out->revision_count && !found; i++)
            found = same_revision(world, &world->revision[w], &out->revision[i]);
        if (!found)
            return "a revision";
    }
    for (int w = 0; w < world->hit_count; w++) {
        const struct told_hit *want = &world->hit[w];
        bool found = false;
        for (uint32_t i = 0; i < out->alert_hit_count && !found; i++)
            found = out->alert_hit[i].seq == want->seq && memcmp(out->alert_hit[i].alert_id, want->id, 16) == 0 &&
                    slice_equal(out->alert_hit[i].rule_id, world->rule[0][want->rule].id);
        if (!found)
            return "a later hit";
    }
    return NULL;
}

/* --- main --- */

static uint64_t no_lists(const void *context, enum entity_kind kind, struct slice text)
{
    (void)context, (void)kind, (void)text;
    return 0;
}

/* Subjects of this stream alone; some share a shard. */
static void make_subjects(struct world *world, struct state *state, struct arena *arena, unsigned long stream)
{
    for (uint32_t s = 0; s < SUBJECTS; s++) {
        struct hash128 hash = {.lo = (stream * 64 + s) << 8 | (s == 1 ? 0 : s) * 40, .hi = stream * SUBJECTS + s + 1};
        world->subject_text[s] = arena_format(arena, "account-%lu-%u", stream, s);
        world->subject[s] = ident_intern(state_shard(state, (uint32_t)hash.lo & 255), ENTITY_ACCOUNT, world->subject_text[s], hash,
                                         no_lists, NULL);
        invariant(world->subject[s] != ENTITY_MISSING);
    }
}

static struct state *make_state(void)
{
    static const unsigned char key[16] = {1};
    struct error err = {0};
    struct state *state = state_new(&(struct state_layout){.shard_bytes_max = 64 << 20}, key, &err);
    invariant(state != NULL);
    return state;
}

int main(int argc, char **argv)
{
    unsigned long streams = argc > 1 ? strtoul(argv[1], NULL, 10) : 40000;
    unsigned long failed = 0, revisions = 0, later = 0;
    struct world *world = calloc(1, sizeof *world);
    bool *given = calloc(VISITS, sizeof *given);
    struct state *state = NULL;
    struct arena arena;
    invariant(world && given && sodium_init() >= 0);
    world->random = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    world->first_seq = 1;
    arena_init(&arena);
    for (unsigned long stream = 0; stream < streams; stream++) {
        if (stream % STREAMS_PER_STATE == 0) {
            if (state)
                state_free(state);
            state = make_state();
        }
        struct decide_out out = {.arena = &arena};
        make_program(world);
        make_stream(world);
        make_subjects(world, state, &arena, stream);
        run_model(world);
        run_decide(world, state, &out, given);
        const char *wrong = compare(world, &out, given);
        if (wrong && failed++ < 10)
            printf("stream %lu: %s differs\n", stream, wrong);
        revisions += (unsigned long)world->revision_count;
        later += (unsigned long)world->hit_count;
        world->first_seq += (uint64_t)world->event_count;
        free(out.revision);
        free(out.alert_hit);
        arena_reset(&arena);
    }
    if (state)
        state_free(state);
    arena_fini(&arena);
    free(given);
    free(world);
    printf("%lu revisions, %lu later hits\n", revisions, later);
    printf("%lu passed, %lu failed\n", streams - failed, failed);
    return failed || revisions < streams / 2 ? 1 : 0;
}
