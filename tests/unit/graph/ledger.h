/* A handful of accounts named by letters, and the view of their legs, for the tests of the graph searches. */
#ifndef TESTS_UNIT_GRAPH_LEDGER_H
#define TESTS_UNIT_GRAPH_LEDGER_H

#include "engine/graph/graph.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { LETTERS = 128, LEDGER_LEGS = 64, UNBOUNDED = 1000000 };

union held {
    struct leg leg;
    int64_t room[5]; /* with one extra */
};
struct page {
    union held held[LEDGER_LEGS];
    uint32_t count;
};
struct ledger {
    struct page in[3][LETTERS], out[3][LETTERS]; /* by role */
    struct page carried[LETTERS], carriers[LETTERS], stops[LETTERS];
    bool listed[LETTERS];
    uint64_t seq;
    struct leg last; /* the leg entered last: mostly e */
};

/* Enters a leg where (time, seq) wants it. */
static inline void page_put(struct page *page, const struct leg *leg, int64_t extra)
{
    uint32_t i = page->count++;
    cr_assert(page->count <= LEDGER_LEGS);
    for (; i && page->held[i - 1].leg.time_ms > leg->time_ms; i--)
        page->held[i] = page->held[i - 1];
    memcpy(&page->held[i], leg, sizeof *leg);
    page->held[i].room[4] = extra;
}

static inline const struct leg *ledger_leg(struct ledger *ledger, int64_t time_ms, char sender, char receiver, int64_t amount)
{
    ledger->last = (struct leg){time_ms, ++ledger->seq, amount, (entity_id)sender, (entity_id)receiver};
    return &ledger->last;
}

/* A movement that passes the filters of the roles given: bits of LEG_ANY, LEG_FIRST, LEG_SECOND. */
static inline void enter_as(struct ledger *ledger, unsigned roles, int64_t time_ms, char sender, char receiver, int64_t amount)
{
    const struct leg *leg = ledger_leg(ledger, time_ms, sender, receiver, amount);
    for (unsigned role = LEG_ANY; role <= LEG_SECOND; role++)
        if (roles & 1u << role) {
            page_put(&ledger->out[role][(int)sender], leg, 0);
            page_put(&ledger->in[role][(int)receiver], leg, 0);
        }
}
static inline void enter(struct ledger *ledger, int64_t time_ms, char sender, char receiver, int64_t amount)
{
    enter_as(ledger, 7, time_ms, sender, receiver, amount);
}
/* The sender carried a value. */
static inline void enter_carried(struct ledger *ledger, int64_t time_ms, char sender, char receiver, char value)
{
    const struct leg *leg = ledger_leg(ledger, time_ms, sender, receiver, 1);
    page_put(&ledger->carried[(int)sender], leg, value);
    page_put(&ledger->carriers[(int)value], leg, 0);
}
/* An account's leg whose other end is in a country. */
static inline void enter_stop(struct ledger *ledger, int64_t time_ms, char account, char other, int64_t country)
{
    const struct leg *leg = ledger_leg(ledger, time_ms, account, other, 1);
    page_put(&ledger->stops[(int)account], leg, country);
}

static inline struct legs page_legs(const struct page *page)
{
    return (struct legs){{.first = (const char *)page->held, .count = page->count, .stride = sizeof(union held)}};
}
static inline struct legs ledger_ins(const void *context, entity_id account, enum leg_role role)
{
    return page_legs(&((const struct ledger *)context)->in[role][account]);
}
static inline struct legs ledger_outs(const void *context, entity_id account, enum leg_role role)
{
    return page_legs(&((const struct ledger *)context)->out[role][account]);
}
static inline struct legs ledger_carried(const void *context, entity_id account)
{
    return page_legs(&((const struct ledger *)context)->carried[account]);
}
static inline struct legs ledger_carriers(const void *context, entity_id value)
{
    return page_legs(&((const struct ledger *)context)->carriers[value]);
}
static inline bool ledger_listed(const void *context, entity_id account)
{
    return ((const struct ledger *)context)->listed[account];
}
static inline struct legs ledger_stops(const void *context, entity_id account)
{
    return page_legs(&((const struct ledger *)context)->stops[account]);
}

/* What is asked of the leg entered last: everything since 0, 1 to 12 hops, no keep, no bounds. */
static inline struct graph_query ask(const struct ledger *ledger, char account)
{
    return (struct graph_query){.account = (entity_id)account, .floor_ms = -1, .ceiling_ms = ledger->last.time_ms, .hops_low = 1,
                                .hops_high = GRAPH_HOPS_MAX, .hub_max = UNBOUNDED, .legs_max = UNBOUNDED, .event = ledger->last};
}

typedef void search_fn(const struct graph_query *, const struct graph_view *, struct graph_scratch *, struct graph_result *);
static inline struct graph_result answer(search_fn *search, const struct ledger *ledger, const struct graph_query *query)
{
    struct graph_view view = {ledger, ledger_ins, ledger_outs, ledger_carried, ledger_carriers, ledger_listed, ledger_stops};
    struct graph_scratch *scratch = graph_scratch_new();
    struct graph_result result;
    search(query, &view, scratch, &result);
    graph_scratch_free(scratch);
    return result;
}

/* The proof as the seqs of its legs, the members as letters. */
static inline void expect_proof(const struct graph_result *result, const char *seqs, const char *members)
{
    char legs[256] = "", names[GRAPH_MEMBER_MAX + 1] = "";
    for (uint32_t i = 0; i < result->leg_count; i++)
        (void)snprintf(legs + strlen(legs), sizeof legs - strlen(legs), i ? " %d" : "%d", (int)result->leg[i].seq);
    for (uint32_t i = 0; i < result->member_count; i++)
        names[i] = (char)result->member[i];
    cr_expect_str_eq(legs, seqs);
    cr_expect_str_eq(names, members);
}

#endif
