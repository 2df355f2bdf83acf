/* Holds habits, novelty, daily buckets, entity keys and facts (RULES 5, 6, 14 and 19) against a slow, sequential model of
 * tests/data/habits/habits.rules, on random streams over a year, cut into batches of 1 to 500 and
 * worked by 1 to 4 threads. Usage: habit_model [STREAMS [SEED]]. */
#include "engine/model/fact.h"
#include "engine/stream/crew.h"
#include "engine/stream/fact.h"
#include "engine/stream/step.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"
#include "tests/simulation/random_world.h"

#define DAY ((int64_t)86400000)
#define LATENESS (3 * DAY)
#define ZONE_MS ((int64_t)3 * 3600000) /* Nairobi keeps one offset all year */

enum { CREWS = 4, WEEKS = 26, PARTITIONS = 2 };

struct item {
    bool fact, withdrawn, late;
    int64_t t, amount; /* of a fact: valid from, monthly (0: not said) */
    int sender, receiver, device[2]; /* -1: none; of a fact: receiver is the subject, sender the boss */
    uint32_t partition;
};

/* --- the model --- */

static int64_t day_of(int64_t t)
{
    return (t + ZONE_MS) / DAY;
}

static int64_t week_of(int64_t t)
{
    return (day_of(t) + 3) / 7;
}

static int64_t week_end(int64_t week)
{
    return ((week + 1) * 7 - 3) * DAY - ZONE_MS - 1;
}

static bool is_in(const struct item *p, int account)
{
    return !p->fact && !p->late && p->receiver == account;
}

struct habit {
    int64_t first, next, sample[200];
    bool begun;
};

static int64_t paid_within(const struct item *p, int upto, int account, int64_t after, int64_t until)
{
    int64_t sum = 0;
    for (int j = 0; j < upto; j++)
        if (is_in(&p[j], account) && p[j].t > after && p[j].t <= until)
            sum += p[j].amount;
    return sum;
}

/* Weeks are counted from the first of the stream's year, so that samples fit an array. */
static void habit_event(struct habit *habit, const struct item *p, int i, int account, int64_t week0)
{
    int64_t week = week_of(p[i].t) - week0;
    if (!habit->begun || week - habit->next >= WEEKS) {
        habit->begun = true;
        habit->first = week;
        habit->next = week + 1;
        return;
    }
    for (; habit->next < week; habit->next++) {
        int64_t end = week_end(habit->next + week0);
        habit->sample[habit->next] = paid_within(p, i, account, end - 7 * DAY, end);
    }
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool habit_median_of(const struct habit *habit, int64_t week, int64_t *median)
{
    int64_t sample[WEEKS];
    int count = 0;
    for (int64_t w = week - WEEKS; w < week; w++)
        if (w > habit->first && w < habit->next && w >= habit->next - WEEKS)
            sample[count++] = habit->sample[w];
    if (count < 8)
        return false;
    qsort(sample, (size_t)count, sizeof *sample, by_number);
    int64_t twice = count % 2 ? 2 * sample[count / 2] : sample[count / 2 - 1] + sample[count / 2];
    *median = twice / 2 + (twice % 2 && twice / 2 % 2);
    return true;
}

static int64_t clock_in(const struct item *p, int i, int account)
{
    int64_t clock = INT64_MIN;
    for (int j = 0; j <= i; j++)
        if (is_in(&p[j], account) && p[j].t > clock)
            clock = p[j].t;
    return clock;
}

static void account_name(int account, char out[16])
{
    (void)snprintf(out, 16, account < 0 ? "unknown" : "a%d", account);
}

static void model_usual(const struct item *p, int i, const struct habit *habit, int64_t week0, struct lines *out)
{
    char text[LINE], w_text[MONEY_TEXT_MAX], u_text[MONEY_TEXT_MAX];
    int account = p[i].receiver;
    int64_t clock = clock_in(p, i, account), w = paid_within(p, i + 1, account, clock - 7 * DAY, clock), u;
    if (!habit_median_of(habit, week_of(clock) - week0, &u) || w < u)
        return;
    (void)snprintf(text, LINE, "%d U-USUAL a%d w=%s u=%s", i + 1, account, money(w, w_text), money(u, u_text));
    lines_add(out, text);
}

static int64_t mean_of(int64_t sum, int64_t count)
{
    int64_t low = sum / count, rest = sum % count * 2;
    return low + (rest > count || (rest == count && low % 2));
}

static void model_many(const struct item *p, int i, struct lines *out)
{
    char text[LINE], least_text[MONEY_TEXT_MAX], most_text[MONEY_TEXT_MAX], mean_text[MONEY_TEXT_MAX], first_text[16], last_text[16];
    int account = p[i].receiver, first = -1, last = -1;
    int64_t clock = clock_in(p, i, account), n = 0, least = INT64_MAX, most = 0, sum = 0, count = 0, distinct = 0;
    bool seen[16] = {false};
    for (int j = 0; j <= i; j++) {
        if (!is_in(&p[j], account))
            continue;
        bool near = p[j].t > clock - 5 * DAY, far = day_of(p[j].t) > day_of(clock) - 40;
        bool known = p[j].sender >= 0;
        n += near;
        most = near && p[j].amount > most ? p[j].amount : most;
        if (near && known && (first < 0 || p[j].t < p[first].t))
            first = j;
        if (!far)
            continue;
        count++;
        sum += p[j].amount;
        least = p[j].amount < least ? p[j].amount : least;
        if (known && (last < 0 || p[j].t >= p[last].t))
            last = j;
        distinct += known && !seen[p[j].sender];
        if (known)
            seen[p[j].sender] = true;
    }
    if (n < 2)
        return;
    account_name(first < 0 ? -1 : p[first].sender, first_text);
    account_name(last < 0 ? -1 : p[last].sender, last_text);
    (void)snprintf(text, LINE, "%d M-MANY a%d n=%d a=%s b=%s c=%s f=%s l=%s d=%d", i + 1, account, (int)n, money(least, least_text),
                   money(most, most_text), money(mean_of(sum, count), mean_text), first_text, last_text, (int)distinct);
    lines_add(out, text);
}

static bool is_new(const struct item *p, int i)
{
    for (int j = 0; j < i; j++) {
        if (p[j].fact || p[j].late || p[j].t <= p[i].t - 20 * DAY)
            continue;
        bool paid = p[j].sender == p[i].sender && p[j].receiver == p[i].receiver;
        bool was_paid = p[j].receiver == p[i].sender && p[j].sender == p[i].receiver;
        if (paid || was_paid)
            return false;
    }
    return true;
}

static bool is_fresh(const struct item *p, int i)
{
    return !p[i].fact && !p[i].late && p[i].sender >= 0 && p[i].receiver >= 0 && is_new(p, i);
}

static void model_new(const struct item *p, int i, struct lines *out)
{
    char text[LINE];
    int64_t clock = INT64_MIN, n = 0;
    if (!is_fresh(p, i))
        return;
    for (int j = 0; j <= i; j++)
        if (p[j].sender == p[i].sender && is_fresh(p, j) && p[j].t > clock)
            clock = p[j].t;
    for (int j = 0; j <= i; j++)
        n += p[j].sender == p[i].sender && is_fresh(p, j) && p[j].t > clock - 30 * DAY;
    if (n < 2)
        return;
    (void)snprintf(text, LINE, "%d N-NEW a%d n=%d", i + 1, p[i].sender, (int)n);
    lines_add(out, text);
}

static void model_device(const struct item *p, int i, int device, struct lines *out)
{
    char text[LINE];
    int64_t clock = INT64_MIN, who = 0;
    bool seen[16] = {false};
    for (int j = 0; j <= i; j++)
        if (!p[j].fact && !p[j].late && (p[j].device[0] == device || p[j].device[1] == device) && p[j].t > clock)
            clock = p[j].t;
    for (int j = 0; j <= i; j++) {
        if (p[j].fact || p[j].late || (p[j].device[0] != device && p[j].device[1] != device) || p[j].t <= clock - 10 * DAY)
            continue;
        int account = p[j].device[0] == device ? p[j].sender : p[j].receiver;
        who += account >= 0 && !seen[account];
        if (account >= 0)
            seen[account] = true;
    }
    if (who < 3)
        return;
    (void)snprintf(text, LINE, "%d D-DEV d%d who=%d", i + 1, device, (int)who);
    lines_add(out, text);
}

/* The newest row not after the event, the last word on each day. */
static void model_fact(const struct item *p, int i, struct lines *out)
{
    char text[LINE], monthly[MONEY_TEXT_MAX];
    int best = -1;
    for (int j = 0; j < i; j++) {
        bool last = p[j].fact && p[j].receiver == p[i].receiver && p[j].t <= p[i].t;
        for (int k = j + 1; last && k < i; k++)
            last = !(p[k].fact && p[k].receiver == p[j].receiver && p[k].t == p[j].t);
        if (last && !p[j].withdrawn && (best < 0 || p[j].t > p[best].t))
            best = j;
    }
    if (p[i].receiver < 0 || p[i].sender < 0 || best < 0 || !p[best].amount || p[best].sender < 0)
        return;
    if (p[i].amount < p[best].amount || p[i].sender == p[best].sender)
        return;
    (void)snprintf(text, LINE, "%d F-FACT monthly=%s", i + 1, money(p[best].amount, monthly));
    lines_add(out, text);
}

static void model_run(struct item *p, int count, struct lines *out)
{
    int64_t newest[PARTITIONS] = {INT64_MIN, INT64_MIN}, week0 = week_of(p[0].t) - 60;
    struct habit habit[16] = {0};
    for (int i = 0; i < count; i++) {
        int64_t *top = &newest[p[i].partition];
        if (p[i].fact)
            continue;
        p[i].late = *top != INT64_MIN && p[i].t < *top - LATENESS;
        *top = p[i].t > *top ? p[i].t : *top;
        if (!p[i].late) {
            for (int side = 0; side < 2; side++)
                if (p[i].device[side] >= 0 && (side == 0 || p[i].device[1] != p[i].device[0]))
                    model_device(p, i, p[i].device[side], out);
        }
        model_fact(p, i, out);
        if (p[i].late)
            continue;
        if (p[i].receiver >= 0) {
            model_many(p, i, out);
            habit_event(&habit[p[i].receiver], p, i, p[i].receiver, week0);
        }
        model_new(p, i, out);
        if (p[i].receiver >= 0)
            model_usual(p, i, &habit[p[i].receiver], week0, out);
    }
}

/* --- the engine --- */

static struct hash128 entity_hash(const struct decoder *decoder, enum entity_kind kind, struct slice text)
{
    char room[32] = {0};
    (void)decoder;
    memcpy(room, text.data, text.size < 31 ? text.size : 31);
    return hash_text(kind, room);
}

static void name_ref(struct event *event, struct arena *arena, enum event_ref ref, char letter, int number)
{
    if (number < 0)
        return;
    struct slice text = arena_format(arena, "%c%d", letter, number);
    event_name(event, ref, text, entity_hash(NULL, ref_kind(ref), text));
}

static void fact_make(const struct program *program, struct event *event, struct arena *arena, const struct item *p)
{
    char amount[MONEY_TEXT_MAX];
    struct fact *fact = ARENA_NEW(arena, struct fact);
    *fact = (struct fact){.name = SLICE("band"), .subject = arena_format(arena, "a%d", p->receiver), .withdrawn = p->withdrawn, .memory = UINT16_MAX};
    if (p->amount) {
        (void)snprintf(amount, sizeof amount, "%lld.%02lld USD", (long long)(p->amount / 100), (long long)(p->amount % 100));
        fact->field[fact->field_count++] = (struct fact_field){.name = SLICE("monthly"), .text = arena_copy(arena, slice_of(amount))};
    }
    if (p->sender >= 0)
        fact->field[fact->field_count++] = (struct fact_field){.name = SLICE("boss"), .text = arena_format(arena, "a%d", p->sender)};
    event->fact = fact;
    event->flow = FLOW_FACT;
    fact_bind(program, entity_hash, NULL, event);
    invariant(fact->memory != UINT16_MAX && !(event->flags & EVENT_FACT_ODD));
}

static void event_make(const struct program *program, struct event *event, struct arena *arena, const struct item *p, int i)
{
    memset(event, 0, sizeof *event);
    event->time_ms = p->t;
    event->broker_ms = MISSING_I64;
    event->amount_minor = event->amount_base = p->amount;
    event->position = (struct position){.partition = p->partition, .offset = i};
    event->source = SLICE("bank");
    event->id = arena_format(arena, "e%d", i);
    event->id_hash = hash_text(99, event->id.data);
    event->body_hash = event->id_hash.lo;
    event->seq = (uint64_t)i + 1;
    event->named = ARENA_ARRAY(arena, struct named, REF_COUNT);
    if (p->fact) {
        fact_make(program, event, arena, p);
        return;
    }
    event->currency = currency_parse(SLICE("USD"));
    event->kind = KIND_TRANSFER;
    event->status = STATUS_SETTLED;
    event->flow = FLOW_SETTLED;
    name_ref(event, arena, REF_SENDER, 'a', p->sender);
    name_ref(event, arena, REF_RECEIVER, 'a', p->receiver);
    name_ref(event, arena, REF_SENDER_DEVICE, 'd', p->device[0]);
    name_ref(event, arena, REF_RECEIVER_DEVICE, 'd', p->device[1]);
}

static void engine_run(const struct program *program, struct crew *crew, const struct item *p, int count, uint64_t *chance, int64_t batch,
                       struct lines *out)
{
    struct error err = {0};
    struct arena in, results;
    struct step_settings settings = {
        .lateness_ms = LATENESS, .dedup_ms = 3 * DAY, .shard_bytes_max = 8 << 20, .partition_max = PARTITIONS, .inline_below = 2,
        .epoch_seq = 1 + (uint32_t)below(chance, 40), .sweep_work = below(chance, 2) ? UINT32_MAX : 400};
    unsigned char key[16];
    for (int i = 0; i < 16; i++)
        key[i] = (unsigned char)next_random(chance);
    struct step *step = step_new(program, &settings, crew, key, &err);
    invariant(step != NULL);
    arena_init(&in);
    arena_init(&results);
    for (int from = 0; from < count;) {
        int64_t size = 1 + below(chance, batch);
        size = size > count - from ? count - from : size;
        arena_reset(&in);
        arena_reset(&results);
        struct event *events = ARENA_ARRAY(&in, struct event, size);
        for (int64_t i = 0; i < size; i++)
            event_make(program, &events[i], &in, &p[from + i], from + (int)i);
        struct output output;
        step_run(step, events, (uint32_t)size, &results, &output);
        for (uint32_t h = 0; h < output.hit_count; h++)
            hit_line(&output.hit[h], out);
        from += (int)size;
    }
    arena_fini(&in);
    arena_fini(&results);
    step_free(step);
}

/* --- random streams --- */

static struct item item_random(uint64_t *chance, int64_t *t, int64_t pace, int accounts)
{
    *t += below(chance, pace) + (below(chance, 60) ? 0 : below(chance, 220 * DAY)); /* now and then a long silence */
    struct item item = {.t = *t,
                        .amount = 100 + below(chance, 900),
                        .sender = (int)below(chance, accounts + 1) - 1,
                        .receiver = (int)below(chance, accounts + 1) - 1,
                        .device = {(int)below(chance, 5) - 1, (int)below(chance, 8) - 4},
                        .partition = (uint32_t)below(chance, PARTITIONS)};
    item.device[1] = item.device[1] < 0 ? -1 : item.device[1];
    if (below(chance, 10) == 0) {
        item.fact = true;
        item.t = (*t / DAY + below(chance, 60) - 50) * DAY;
        item.withdrawn = below(chance, 8) == 0;
        item.amount = below(chance, 6) ? item.amount : 0;
        item.receiver = (int)below(chance, accounts);
        return item;
    }
    if (below(chance, 6) == 0)
        item.t -= below(chance, below(chance, 4) ? 2 * DAY : 9 * DAY);
    if (item.sender < 0 && item.receiver < 0)
        item.receiver = 0;
    return item;
}

int main(int argc, char **argv)
{
    uint64_t streams = argc > 1 ? strtoull(argv[1], NULL, 10) : 3000, seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t passed = 0, failed = 0, hits = 0;
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_load("tests/data/habits", &(struct load_options){0}, diagnostics, &err);
    invariant(program != NULL);
    struct crew *crews[CREWS];
    for (uint32_t c = 0; c < CREWS; c++)
        crews[c] = crew_new(c + 1, &err);
    for (uint64_t s = 0; s < streams; s++) {
        uint64_t chance = seed + s;
        int count = 40 + (int)below(&chance, 160), accounts = 2 + (int)below(&chance, 5);
        int64_t t = 1767225600000 + below(&chance, 7 * DAY), pace = (1 + below(&chance, 5)) * DAY;
        struct item *items = calloc((size_t)count, sizeof *items);
        invariant(items != NULL);
        for (int i = 0; i < count && t < 1767225600000 + 900 * DAY; i++)
            items[i] = item_random(&chance, &t, pace, accounts);
        while (count > 0 && items[count - 1].t == 0)
            count--;
        struct lines model = {0}, engine = {0};
        model_run(items, count, &model);
        engine_run(program, crews[below(&chance, CREWS)], items, count, &chance, below(&chance, 2) ? 1 : 500, &engine);
        bool same = lines_equal(&model, &engine);
        if (!same)
            printf("FAILED seed %llu\n", (unsigned long long)(seed + s));
        passed += same;
        failed += !same;
        hits += model.count;
        free(items);
        free(model.line);
        free(engine.line);
    }
    for (uint32_t c = 0; c < CREWS; c++)
        crew_free(crews[c]);
    program_free(program);
    diagnostics_free(diagnostics);
    printf("%llu hits\n%llu passed, %llu failed\n", (unsigned long long)hits, (unsigned long long)passed, (unsigned long long)failed);
    return failed ? 1 : 0;
}
