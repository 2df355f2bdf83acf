/* A labelled stream from a seed: background by the minute, schemes planted as small scripts. */
#include "bench/gen.h"

#include "engine/base/invariant.h"
#include "engine/model/event.h"
#include "engine/model/zone.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    MINUTE_MS = 60000,
    HOUR_MS = 3600000,
    LINE_MAX = 1024,
    EVENTS_PER_SCHEME = 3000, /* of background, for each planted script */
    PLANNED_MAX = 64,         /* payments of one script */
};

/* A payment that a script will make. */
struct planned {
    int64_t time_ms;
    int64_t amount_minor;
    char sender[32], receiver[32]; /* "" is cash */
    const char *kind, *channel, *purpose, *narrative, *place, *mcc;
    char terminal[24];             /* "" none */
    char device[40];               /* of the sender; "" none */
};

struct gen {
    const struct gen_settings *settings;
    struct gen_summary *summary;
    FILE *events, *labels;
    uint64_t chance;
    uint64_t next_id;
    struct crowd crowd;
    const char *currency;
    bool cents;
    uint32_t fresh;                /* accounts that scripts made */
    struct planned *planned;       /* all scripts' payments, by time */
    size_t planned_count, planned_room;
    char last[LINE_MAX];           /* for repeats */
};

static uint64_t below(struct gen *gen, uint64_t bound)
{
    return crowd_draw(&gen->chance) % bound;
}

static int64_t between(struct gen *gen, int64_t least, int64_t most)
{
    return least + (int64_t)below(gen, (uint64_t)(most - least + 1));
}

static uint32_t account_draw(struct gen *gen)
{
    return crowd_account(&gen->crowd, &gen->chance);
}

static uint32_t bank_of(const struct gen *gen, const char *account)
{
    uint32_t hash = 2166136261u;
    for (const char *c = account; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    return hash % gen->settings->sources + 1;
}

/* --- writing lines --- */

static size_t append(char *line, size_t at, const char *format, ...) __attribute__((format(printf, 3, 4)));

static size_t append(char *line, size_t at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = at < LINE_MAX ? vsnprintf(line + at, LINE_MAX - at, format, args) : 0;
    va_end(args);
    invariant(size >= 0 && at + (size_t)size < LINE_MAX);
    return at + (size_t)size;
}

static void write_payment(struct gen *gen, const struct planned *p)
{
    char *line = gen->last, time[TIME_TEXT_MAX];
    const char *feeder = p->sender[0] ? p->sender : p->receiver;
    time_format(p->time_ms, time);
    size_t at = append(line, 0, "{\"id\":\"e%llu\",\"source\":\"bank-%u\",\"time\":\"%s\"", (unsigned long long)gen->next_id++,
                       bank_of(gen, feeder), time);
    if (p->kind)
        at = append(line, at, ",\"kind\":\"%s\"", p->kind);
    at = append(line, at, ",\"channel\":\"%s\",\"amount\":\"%lld", p->channel, (long long)(p->amount_minor / 100));
    if (gen->cents)
        at = append(line, at, ".%02lld", (long long)(p->amount_minor % 100));
    at = append(line, at, "\",\"currency\":\"%s\"", gen->currency);
    if (p->sender[0])
        at = append(line, at, ",\"sender\":{\"account\":\"%s\",\"country\":\"KE\"", p->sender);
    else
        at = append(line, at, ",\"sender\":{\"cash\":true");
    at = p->device[0] ? append(line, at, ",\"device\":\"%s\"}", p->device) : append(line, at, "}");
    if (p->receiver[0])
        at = append(line, at, ",\"receiver\":{\"account\":\"%s\",\"country\":\"KE\"}", p->receiver);
    else
        at = append(line, at, ",\"receiver\":{\"cash\":true}");
    if (p->place)
        at = append(line, at, ",\"place\":{\"name\":\"%s\",\"country\":\"KE\"}", p->place);
    if (p->terminal[0])
        at = append(line, at, ",\"terminal\":\"%s\"", p->terminal);
    if (p->mcc)
        at = append(line, at, ",\"mcc\":\"%s\"", p->mcc);
    if (p->purpose)
        at = append(line, at, ",\"purpose\":\"%s\"", p->purpose);
    if (p->narrative)
        at = append(line, at, ",\"narrative\":\"%s\"", p->narrative);
    at = append(line, at, "}\n");
    (void)fwrite(line, 1, at, gen->events);
    gen->summary->lines++;
}

static void write_broken(struct gen *gen)
{
    static const char *const broken[] = {
        "{\"id\":\"x1\",\"source\":\"bank-1\",\"time\":\"2026-01-05T10:00:00Z\",\"amount\":12.5,\"currency\":\"USD\",\"sender\":{\"account\":\"A\"}}",
        "{\"id\":\"x2\",\"source\":\"bank-1\",\"time\":\"yesterday\",\"amount\":\"5.00\",\"currency\":\"USD\",\"sender\":{\"account\":\"A\"}}",
        "{\"id\":\"x3\",\"source\":\"bank-1\",\"id\":\"x4\",\"time\":\"2026-01-05T10:00:00Z\",\"amount\":\"5.00\",\"currency\":\"USD\"}",
        "{\"id\":\"x5\",\"source\":\"bank-1\",\"time\":\"2026-01-05T10:00:00Z\",\"amount\":\"5.00\",\"currency\":\"UDS\",\"sender\":{\"account\":\"A\"}}",
        "this is not JSON",
        "{\"id\":\"x6\"",
    };
    fprintf(gen->events, "%s\n", broken[below(gen, sizeof broken / sizeof broken[0])]);
    gen->summary->lines++;
    gen->summary->broken++;
}

static void label(struct gen *gen, const char *account, const char *role, const char *scheme, const char *typology)
{
    fprintf(gen->labels, "%s,%s,%s,%s\n", account, role, scheme, typology);
}

/* --- planning scripts --- */

static struct planned *plan(struct gen *gen)
{
    if (gen->planned_count == gen->planned_room) {
        gen->planned_room = gen->planned_room ? gen->planned_room * 2 : 1024;
        gen->planned = realloc(gen->planned, gen->planned_room * sizeof *gen->planned);
        invariant(gen->planned != NULL);
    }
    struct planned *p = &gen->planned[gen->planned_count++];
    *p = (struct planned){.channel = "MOBILE"};
    return p;
}

static void fresh_account(struct gen *gen, char out[32])
{
    (void)snprintf(out, 32, "KE-P%06u", ++gen->fresh);
}

static struct planned *plan_pay(struct gen *gen, int64_t time_ms, const char *sender, const char *receiver, int64_t amount_minor)
{
    struct planned *p = plan(gen);
    p->time_ms = time_ms;
    p->amount_minor = amount_minor;
    (void)snprintf(p->sender, sizeof p->sender, "%s", sender);
    (void)snprintf(p->receiver, sizeof p->receiver, "%s", receiver);
    return p;
}

/* An employer pays several workers; each hands a like share on to one person within days, and pays
 * that person the same sum every week, all from one device that is not theirs. */
static void script_kickback(struct gen *gen, int64_t t)
{
    char employer[32], boss[32], worker[8][32];
    int workers = (int)between(gen, 5, 8);
    fresh_account(gen, employer);
    fresh_account(gen, boss);
    label(gen, employer, "facilitator", "kickback", "forced_labour");
    label(gen, boss, "controller", "kickback", "forced_labour");
    for (int w = 0; w < workers; w++) {
        fresh_account(gen, worker[w]);
        label(gen, worker[w], "possible_victim", "kickback", "forced_labour");
    }
    for (int month = 0; month < 2; month++) {
        for (int w = 0; w < workers; w++) {
            int64_t payday = t + month * 30 * (int64_t)MS_PER_DAY + w * 7 * (int64_t)MINUTE_MS;
            int64_t wage = between(gen, 280, 340) * 100;
            struct planned *p = plan_pay(gen, payday, employer, worker[w], wage);
            p->purpose = "SALA";
            p->narrative = "salary";
            p->channel = "API";
            p = plan_pay(gen, payday + between(gen, 6, 60) * HOUR_MS, worker[w], boss, wage * between(gen, 42, 55) / 100);
            (void)snprintf(p->device, sizeof p->device, "dev-%s", boss + 4);
            for (int week = 0; week < 4; week++) {
                p = plan_pay(gen, payday + (week * 7 + 4) * (int64_t)MS_PER_DAY, worker[w], boss, 9000);
                p->narrative = "deni";
                (void)snprintf(p->device, sizeof p->device, "dev-%s", boss + 4);
            }
        }
    }
}

/* One night of it: strangers pay each collecting account, which passes it on from one shared device;
 * the person behind it takes cash, pays for advertisements and for rooms in changing towns. */
static void script_night_once(struct gen *gen, int64_t begin, const char *boss, char collector[3][32], int night)
{
    static const char *const towns[] = {"Mombasa", "Nakuru", "Kisumu", "Eldoret"};
    char payer[32];
    int64_t all = 0;
    for (int c = 0; c < 3; c++) {
        int64_t pooled = 0;
        for (int i = 0; i < 5; i++) {
            int64_t amount = between(gen, 10, 25) * 1000;
            (void)snprintf(payer, sizeof payer, "KE-A%07u", account_draw(gen));
            plan_pay(gen, begin + (i * 20 + c * 5) * (int64_t)MINUTE_MS, payer, collector[c], amount)->channel = "WALLET";
            pooled += amount;
        }
        struct planned *p = plan_pay(gen, begin + 2 * (int64_t)HOUR_MS + c * (int64_t)MINUTE_MS, collector[c], boss, pooled * 9 / 10);
        (void)snprintf(p->device, sizeof p->device, "dev-%s", boss + 4);
        all += pooled;
    }
    struct planned *p = plan_pay(gen, begin + 3 * (int64_t)HOUR_MS, boss, "", all * 7 / 10);
    p->channel = "ATM";
    p->place = towns[night / 3 % 4];
    p = plan_pay(gen, begin + 12 * (int64_t)HOUR_MS, boss, "KE-ADS-BOARD", 2400);
    p->kind = "CARD";
    p->mcc = "7311";
    p->channel = "ONLINE";
    p = plan_pay(gen, begin + 14 * (int64_t)HOUR_MS, boss, "KE-LODGE", 4500);
    p->kind = "CARD";
    p->mcc = "7011";
    p->channel = "POS";
    p->place = towns[night / 3 % 4];
}

static void script_night(struct gen *gen, int64_t t)
{
    char boss[32], collector[3][32];
    fresh_account(gen, boss);
    label(gen, boss, "controller", "night_collection", "sexual_exploitation");
    for (int c = 0; c < 3; c++) {
        fresh_account(gen, collector[c]);
        label(gen, collector[c], "possible_victim", "night_collection", "sexual_exploitation");
    }
    for (int night = 0; night < 12; night++) /* from 23:00 in Nairobi */
        script_night_once(gen, t - t % MS_PER_DAY + night * (int64_t)MS_PER_DAY + 20 * (int64_t)HOUR_MS, boss, collector, night);
}

/* Relatives in several towns pay one collector through agents: a deposit, then the balance some days
 * later. The payers are no suspects. */
static void script_smuggling(struct gen *gen, int64_t t)
{
    static const char *const towns[] = {"Garissa", "Mandera", "Wajir", "Moyale", "Isiolo", "Lodwar"};
    char collector[32], payer[32];
    fresh_account(gen, collector);
    label(gen, collector, "collector", "split_fee", "migrant_smuggling");
    for (int i = 0; i < 9; i++) {
        fresh_account(gen, payer);
        label(gen, payer, "payer", "split_fee", "migrant_smuggling");
        for (int part = 0; part < 2; part++) {
            struct planned *p = plan_pay(gen, t + (i * 3 + part * 24 * 9) * (int64_t)HOUR_MS, payer, collector,
                                         between(gen, 400, 520) * 100);
            p->kind = "REMITTANCE";
            p->channel = "AGENT";
            p->place = towns[i % 6];
            (void)snprintf(p->terminal, sizeof p->terminal, "AG-%d", i % 6);
        }
    }
}

/* Innocent: a landlord is paid by many, a savings circle rotates, a worker sends part of a wage home. */
static void script_innocent(struct gen *gen, int64_t t)
{
    char landlord[32], member[8][32], employer[32], family[32];
    fresh_account(gen, landlord);
    fresh_account(gen, employer);
    label(gen, landlord, "none", "landlord", "innocent");
    for (int i = 0; i < 8; i++) {
        fresh_account(gen, member[i]);
        label(gen, member[i], "none", "savings_circle", "innocent");
    }
    for (int month = 0; month < 2; month++) {
        int64_t first = t + month * 30 * (int64_t)MS_PER_DAY;
        for (int i = 0; i < 8; i++) {
            struct planned *p = plan_pay(gen, first + i * (int64_t)HOUR_MS, member[i], landlord, between(gen, 150, 190) * 100);
            p->purpose = "RENT";
            p->narrative = "rent";
            if (i != month)
                plan_pay(gen, first + (60 + i) * (int64_t)HOUR_MS, member[i], member[month], 2000)->narrative = "chama";
        }
        fresh_account(gen, family);
        struct planned *p = plan_pay(gen, first + 2 * (int64_t)HOUR_MS, employer, member[0], 31000);
        p->purpose = "SALA";
        p->narrative = "salary";
        plan_pay(gen, first + 20 * (int64_t)HOUR_MS, member[0], family, 9000)->narrative = "school fees";
    }
}

/* --- ransom, on request --- */

/* An account with a past: it sends somebody at home a small sum now and then, some pay rent without saying so as well, some
 * never sent anything. What would lie before the stream begins is not reported. */
static void plan_kin(struct gen *gen, int64_t until, char account[32])
{
    char home[32], landlord[32];
    int64_t begin = gen->settings->start_ms, rhythm = between(gen, 5, 45) * (int64_t)MS_PER_DAY, usual = between(gen, 5, 80) * 100;
    uint64_t sort = below(gen, 10);
    fresh_account(gen, account);
    fresh_account(gen, home);
    if (sort == 0)
        return;
    for (int64_t t = until - between(gen, 1, rhythm / HOUR_MS) * HOUR_MS; t >= begin; t -= rhythm * between(gen, 80, 120) / 100) {
        struct planned *p = plan_pay(gen, t, account, home, usual * between(gen, 70, 130) / 100);
        p->kind = below(gen, 2) ? "REMITTANCE" : NULL;
    }
    if (sort > 2)
        return;
    fresh_account(gen, landlord);
    int64_t rent = between(gen, 40, 150) * 100;
    for (int64_t t = until - between(gen, 1, 29) * (int64_t)MS_PER_DAY; t >= begin; t -= 30 * (int64_t)MS_PER_DAY)
        plan_pay(gen, t, account, landlord, rent);
}

/* What one relative is made to pay: a part at once, mostly the balance within days, and, where the demand is raised, more again. */
static void plan_ransom_kin(struct gen *gen, int64_t t, const char *collector, int64_t share, bool raised)
{
    char kin[32];
    int64_t first = share * between(gen, 30, 130) / 100;
    bool abroad = below(gen, 2);
    plan_kin(gen, t, kin);
    label(gen, kin, "possible_victim", "ransom", "ransom");
    for (int part = 0; part < 3; part++) {
        int64_t amount = part == 0 ? first : part == 1 ? share - first : share * between(gen, 50, 200) / 100;
        bool paid = part == 0 || (part == 1 ? amount > 0 && below(gen, 5) : raised);
        if (part)
            t += between(gen, 12, 120) * HOUR_MS;
        if (!paid)
            continue;
        struct planned *p = plan_pay(gen, t, kin, collector, amount);
        p->kind = abroad ? "REMITTANCE" : NULL;
        p->channel = abroad ? "AGENT" : "MOBILE";
    }
}

/* Several people are held. Press reports on camps tell of a price of some 1,500 USD for each, of families who send each
 * other 50 USD in better times, of a first part and a balance, and of captors who ask again. Spreads and shares are assumptions. All
 * is paid to one account, within days or, where kin find the money late, weeks; some captors go on with others whom they hold. */
static void script_ransom(struct gen *gen, int64_t t)
{
    char collector[32];
    int held = (int)between(gen, 1, 5), groups = below(gen, 4) ? 1 : 2;
    int64_t price = between(gen, 1000, 2500) * 100, spread = between(gen, 1, 14) * (int64_t)MS_PER_DAY, taken_from = t;
    uint64_t raised_percent = below(gen, 101);
    fresh_account(gen, collector);
    label(gen, collector, "collector", "ransom", "ransom");
    for (int i = 0; i < held * groups; i++) {
        int kin = (int)between(gen, 1, 4);
        bool raised = below(gen, 100) < raised_percent;
        if (i == held)
            taken_from += between(gen, 7, 21) * (int64_t)MS_PER_DAY;
        int64_t call = taken_from + between(gen, 0, spread / HOUR_MS) * HOUR_MS;
        for (int k = 0; k < kin; k++)
            plan_ransom_kin(gen, call + between(gen, 1, 72) * HOUR_MS, collector, price / kin * between(gen, 60, 140) / 100, raised);
        struct planned *p = plan_pay(gen, call + 4 * (int64_t)MS_PER_DAY, collector, "", price * 7 / 10);
        p->channel = "ATM";
        p->place = "Moyale";
    }
}

/* Innocent: strangers give for one person; where `again`, the odd one gives a second time. */
static void plan_gifts(struct gen *gen, int64_t t, const char *scheme, bool again)
{
    char receiver[32], giver[32];
    int64_t givers = between(gen, 6, 25), days = between(gen, 1, 10);
    fresh_account(gen, receiver);
    label(gen, receiver, "none", scheme, "innocent");
    for (int64_t i = 0; i < givers; i++) {
        int64_t gift = between(gen, 50, 500) * 100, when = t + between(gen, 1, days * 24) * HOUR_MS;
        plan_kin(gen, when, giver);
        plan_pay(gen, when, giver, receiver, gift);
        if (again && below(gen, 15) == 0)
            plan_pay(gen, when + between(gen, 12, 96) * HOUR_MS, giver, receiver, gift * between(gen, 50, 150) / 100);
    }
}

static void script_hospital(struct gen *gen, int64_t t)
{
    plan_gifts(gen, t, "hospital_bill", false);
}

static void script_appeal(struct gen *gen, int64_t t)
{
    plan_gifts(gen, t, "appeal", true);
}

/* Innocent: a funeral, for which kin send one of them a lot, some twice; they had dealt with each other before. */
static void script_funeral(struct gen *gen, int64_t t)
{
    char elder[32], kin[32];
    int64_t count = between(gen, 4, 12);
    fresh_account(gen, elder);
    label(gen, elder, "none", "funeral", "innocent");
    for (int64_t i = 0; i < count; i++) {
        int64_t gift = between(gen, 100, 400) * 100, when = t + between(gen, 1, 96) * HOUR_MS;
        bool sent = below(gen, 2);
        plan_kin(gen, when, kin);
        plan_pay(gen, t - between(gen, 3, 11) * (int64_t)MS_PER_DAY, sent ? kin : elder, sent ? elder : kin, between(gen, 5, 30) * 100);
        plan_pay(gen, when, kin, elder, gift);
        if (below(gen, 3) == 0)
            plan_pay(gen, when + between(gen, 12, 72) * HOUR_MS, kin, elder, gift * between(gen, 80, 150) / 100);
    }
}

/* Innocent: a savings circle of people who are new to each other; whose turn it is gets equal parts, week after week. */
static void script_circle(struct gen *gen, int64_t t)
{
    char member[10][32];
    int members = (int)between(gen, 5, 10);
    int64_t part = between(gen, 30, 350) * 100;
    for (int i = 0; i < members; i++) {
        plan_kin(gen, t, member[i]);
        label(gen, member[i], "none", "savings_circle", "innocent");
    }
    for (int turn = 0; turn < members; turn++)
        for (int i = 0; i < members; i++)
            if (i != turn)
                plan_pay(gen, t + (turn * 7 * 24 + between(gen, 1, 48)) * (int64_t)HOUR_MS, member[i], member[turn], part);
}

/* Innocent: week after week strangers pay a deposit and, days later, the rest; with a purpose or without. */
static void plan_deposits(struct gen *gen, int64_t t, const char *scheme, const char *purpose)
{
    char taker[32], payer[32];
    int64_t weeks = between(gen, 4, 12);
    fresh_account(gen, taker);
    label(gen, taker, "none", scheme, "innocent");
    for (int64_t week = 0; week < weeks; week++) {
        for (int64_t i = between(gen, 1, 6); i > 0; i--) {
            int64_t deposit = between(gen, 100, 350) * 100, when = t + (week * 7 * 24 + between(gen, 1, 120)) * HOUR_MS;
            plan_kin(gen, when, payer);
            plan_pay(gen, when, payer, taker, deposit)->purpose = purpose;
            plan_pay(gen, when + between(gen, 1, 12) * (int64_t)MS_PER_DAY, payer, taker, deposit * between(gen, 50, 250) / 100)->purpose = purpose;
        }
    }
}

static void script_school(struct gen *gen, int64_t t)
{
    plan_deposits(gen, t, "school", "EDUC");
}

static void script_landlord(struct gen *gen, int64_t t)
{
    plan_deposits(gen, t, "new_lets", "RENT");
}

static void script_seller(struct gen *gen, int64_t t)
{
    plan_deposits(gen, t, "seller", NULL);
}

/* As many schemes as asked for, each followed by a look-alike. They have a chance of their own, so that the rest of the stream
 * is the same with them and without; and they begin late enough for their payers to have a past. */
static void plan_ransoms(struct gen *gen)
{
    static void (*const alike[])(struct gen *gen, int64_t t) = {script_hospital, script_circle, script_school,  script_seller,
                                                          script_funeral,  script_appeal, script_landlord};
    const struct gen_settings *s = gen->settings;
    uint64_t chance = gen->chance;
    int64_t span_ms = (int64_t)s->days * MS_PER_DAY;
    gen->chance = s->seed ^ 0x72616E736F6Du;
    for (uint32_t i = 0; i < s->ransoms; i++) {
        script_ransom(gen, s->start_ms + between(gen, span_ms * 4 / 10, span_ms * 8 / 10));
        alike[i % (sizeof alike / sizeof *alike)](gen, s->start_ms + between(gen, span_ms * 4 / 10, span_ms * 7 / 10));
    }
    gen->summary->schemes += s->ransoms;
    gen->summary->innocents += s->ransoms;
    gen->chance = chance;
}

static int planned_compare(const void *a, const void *b)
{
    const struct planned *x = a, *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    int order = strcmp(x->sender, y->sender);
    if (order == 0)
        order = strcmp(x->receiver, y->receiver);
    return order ? order : (x->amount_minor > y->amount_minor) - (x->amount_minor < y->amount_minor);
}

static void plan_all(struct gen *gen)
{
    static void (*const scripts[])(struct gen *gen, int64_t t) = {script_kickback, script_night, script_smuggling, script_innocent};
    const struct gen_settings *s = gen->settings;
    uint64_t count = s->events / EVENTS_PER_SCHEME + 1;
    int64_t span_ms = (int64_t)s->days * MS_PER_DAY;
    for (uint64_t i = 0; i < count; i++) {
        size_t which = i % (sizeof scripts / sizeof scripts[0]);
        scripts[which](gen, s->start_ms + (int64_t)below(gen, (uint64_t)(span_ms / 2)));
        if (scripts[which] == script_innocent)
            gen->summary->innocents++;
        else
            gen->summary->schemes++;
    }
    plan_ransoms(gen);
    qsort(gen->planned, gen->planned_count, sizeof *gen->planned, planned_compare);
}

/* --- background --- */

/* Payment number i between two persons of a shape. */
static void write_shaped(struct gen *gen, uint64_t i, int64_t t)
{
    struct planned p = {.time_ms = t, .channel = "MOBILE", .amount_minor = between(gen, 100, 400000)};
    uint32_t sender, receiver;
    crowd_pair(&gen->crowd, &gen->chance, i, &sender, &receiver);
    (void)snprintf(p.sender, sizeof p.sender, "KE-A%07u", sender);
    (void)snprintf(p.receiver, sizeof p.receiver, "KE-A%07u", receiver);
    write_payment(gen, &p);
}

static void write_background(struct gen *gen, int64_t t)
{
    static const char *const shops[] = {"KE-SHOP-GROCER", "KE-SHOP-FUEL", "KE-SHOP-PHONE", "KE-SHOP-PHARMA"};
    struct planned p = {.time_ms = t, .channel = "MOBILE"};
    uint64_t sort = below(gen, 100);
    (void)snprintf(p.sender, sizeof p.sender, "KE-A%07u", account_draw(gen));
    if (sort < 35) { /* to a person */
        (void)snprintf(p.receiver, sizeof p.receiver, "KE-A%07u", account_draw(gen));
        p.amount_minor = between(gen, 100, 12000);
        p.channel = below(gen, 2) ? "MOBILE" : "WALLET";
    } else if (sort < 70) {
        (void)snprintf(p.receiver, sizeof p.receiver, "%s-%u", shops[below(gen, 4)], (unsigned)below(gen, 400));
        p.amount_minor = between(gen, 150, 6000);
        p.kind = "CARD";
        p.channel = "POS";
    } else if (sort < 80) {
        p.receiver[0] = '\0';
        p.amount_minor = between(gen, 10, 300) * 100;
        p.channel = "ATM";
        p.place = "Nairobi";
    } else if (sort < 86) {
        (void)snprintf(p.receiver, sizeof p.receiver, "%s", p.sender);
        p.sender[0] = '\0';
        p.amount_minor = between(gen, 10, 400) * 100;
        p.channel = "AGENT";
        p.place = "Kisumu";
    } else if (sort < 94) {
        (void)snprintf(p.receiver, sizeof p.receiver, "%s", p.sender);
        (void)snprintf(p.sender, sizeof p.sender, "KE-EMP%05u", (unsigned)below(gen, gen->crowd.accounts / 50 + 1));
        p.amount_minor = between(gen, 180, 900) * 100;
        p.purpose = "SALA";
        p.narrative = "salary";
        p.channel = "API";
    } else {
        (void)snprintf(p.receiver, sizeof p.receiver, "KE-UTIL-%u", (unsigned)below(gen, 20));
        p.amount_minor = between(gen, 500, 9000);
        p.narrative = below(gen, 2) ? "electricity" : "school fees";
    }
    write_payment(gen, &p);
}

bool gen_write(const struct gen_settings *settings, FILE *events, FILE *labels, struct gen_summary *summary, struct error *err)
{
    *summary = (struct gen_summary){0};
    struct gen gen = {.settings = settings, .summary = summary, .events = events, .labels = labels, .chance = settings->seed};
    gen.crowd = (struct crowd){settings->skew, settings->shape, settings->accounts ? settings->accounts : (uint32_t)(settings->events / 20 + 200)};
    gen.currency = settings->currency ? settings->currency : "USD";
    gen.cents = currency_decimals(currency_parse(slice_of(gen.currency))) >= 2;
    fprintf(labels, "account,role,scheme,typology\n");
    plan_all(&gen);
    int64_t span_ms = (int64_t)settings->days * MS_PER_DAY;
    size_t next = 0;
    for (uint64_t i = 0; i < settings->events; i++) {
        int64_t t = settings->start_ms + (int64_t)((unsigned __int128)span_ms * i / settings->events);
        while (next < gen.planned_count && gen.planned[next].time_ms <= t)
            write_payment(&gen, &gen.planned[next++]);
        /* one in fifty comes some minutes late, as feeds do */
        if (settings->shape == SHAPE_NONE)
            write_background(&gen, below(&gen, 50) ? t : t - (int64_t)below(&gen, 30 * MINUTE_MS));
        else
            write_shaped(&gen, i, t);
        if (below(&gen, 1000000) < settings->repeat_ppm) {
            fputs(gen.last, events);
            summary->lines++;
            summary->repeats++;
        }
        if (below(&gen, 1000000) < settings->broken_ppm)
            write_broken(&gen);
    }
    free(gen.planned);
    if (ferror(events) || ferror(labels))
        return error_errno(err, ERROR_FATAL, "the stream could not be written");
    return true;
}
