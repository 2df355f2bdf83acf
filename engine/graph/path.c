/* Cycles and chains: backward from e, level by level, the legs from which e can be reached; then forward the best path among them.
 *
 * Level r holds the legs that r more legs can follow, e the last of them; e itself is level 0. A leg is taken into level r
 * only when a leg of its receiver at level r - 1 stands after it, keeps its amount and does not lead straight back; so the way
 * forward mostly succeeds at once, and fails only where an account would come twice. */
#include "engine/graph/private.h"

#include "engine/base/invariant.h"

enum { REACH_FROM = 32 }; /* legs looked at on the way back */

/* A leg taken into a level, with what follows it. */
struct hop {
    struct place at;
    int64_t amount;
    entity_id sender, receiver;
    uint32_t next; /* of its list, newest first once sorted */
    uint32_t rest; /* the note of its receiver one level down */
};

/* The legs of one account at one level. */
struct note {
    uint32_t node, head, tail;
    bool sorted;
};

/* An account met, with its ins once they were asked for. */
struct node {
    entity_id account;
    uint32_t level, note; /* its newest note */
    bool asked;
    struct span ins;
};

struct path {
    struct search *search;
    struct place after; /* where legs begin */
    entity_id start, end, last; /* who must begin the path (0: anybody), K, who sends e */
    bool reach_tried, reach_known;
    uint32_t level_max, level;
    uint32_t hop_count, note_count;
    uint32_t first_hop[GRAPH_HOPS_MAX + 1]; /* by level, and where the last one ends */
    uint32_t length, step[GRAPH_HOPS_MAX];  /* the way forward so far: hops */
};

static inline struct hop *hop_at(const struct path *path, uint32_t i)
{
    return (struct hop *)path->search->scratch->hop.items + i;
}
static inline struct note *note_at(const struct path *path, uint32_t i)
{
    return (struct note *)path->search->scratch->note.items + i;
}
static inline struct node *node_at(const struct path *path, uint32_t i)
{
    return (struct node *)path->search->scratch->node.items + i;
}

/* --- lists of hops, newest first --- */

static uint32_t list_merge(const struct path *path, uint32_t a, uint32_t b)
{
    uint32_t head = GRAPH_NONE, *tail = &head;
    while (a != GRAPH_NONE && b != GRAPH_NONE) {
        uint32_t *newer = place_before(hop_at(path, a)->at, hop_at(path, b)->at) ? &b : &a;
        *tail = *newer;
        tail = &hop_at(path, *newer)->next;
        *newer = *tail;
    }
    *tail = a != GRAPH_NONE ? a : b;
    return head;
}

static uint32_t list_sort(const struct path *path, uint32_t head)
{
    uint32_t run[32], runs = 0; /* run[i]: GRAPH_NONE or 2^i hops, sorted */
    while (head != GRAPH_NONE) {
        uint32_t one = head, i = 0;
        head = hop_at(path, one)->next;
        hop_at(path, one)->next = GRAPH_NONE;
        for (; i < runs && run[i] != GRAPH_NONE; i++) {
            one = list_merge(path, run[i], one);
            run[i] = GRAPH_NONE;
        }
        run[i] = one;
        runs = i < runs ? runs : i + 1;
    }
    for (uint32_t i = 0; i < runs; i++)
        head = list_merge(path, run[i], head);
    return head;
}

/* --- backward --- */

static uint32_t note_of(struct path *path, entity_id account)
{
    struct graph_scratch *scratch = path->search->scratch;
    bool fresh;
    uint32_t n = account_add(&scratch->nodes, account, &fresh);
    struct node *node = heap_array_at(&scratch->node, n, sizeof *node);
    if (fresh)
        *node = (struct node){.account = account, .note = GRAPH_NONE};
    if (node->note == GRAPH_NONE || node->level != path->level) {
        node->level = path->level;
        node->note = path->note_count++;
        *(struct note *)heap_array_at(&scratch->note, node->note, sizeof(struct note)) = (struct note){n, GRAPH_NONE, GRAPH_NONE, true};
    }
    return node->note;
}

/* Takes a leg into the level; those that nothing goes before stand in no list. */
static void hop_take(struct path *path, struct place at, const struct leg *leg, uint32_t rest)
{
    uint32_t i = path->hop_count++;
    struct hop *hop = heap_array_at(&path->search->scratch->hop, i, sizeof *hop);
    *hop = (struct hop){at, leg->amount, leg->sender, leg->receiver, GRAPH_NONE, rest};
    if (leg->sender == path->start || path->level == path->level_max)
        return;
    struct note *note = note_at(path, note_of(path, leg->sender));
    if (note->tail == GRAPH_NONE) {
        note->head = i;
    } else {
        struct hop *tail = hop_at(path, note->tail);
        tail->next = i;
        note->sorted &= place_before(at, tail->at);
    }
    note->tail = i;
}

/* Whether a leg can go on by one of the note's, which lie newest first. */
static bool hop_goes_on(struct path *path, struct place at, const struct leg *leg, const struct note *note)
{
    for (uint32_t i = note->head; i != GRAPH_NONE;) {
        const struct hop *next = hop_at(path, i);
        if (!place_before(at, next->at) || !search_look(path->search))
            return false;
        if ((next->receiver != leg->sender || i == 0) && amount_kept(path->search->query, leg->amount, next->amount))
            return true;
        i = next->next;
    }
    return false;
}

/* The legs into one account of the level below; false when the budget is spent. */
static bool note_expand(struct path *path, uint32_t n)
{
    struct search *search = path->search;
    struct note *note = note_at(path, n);
    if (!note->sorted) {
        note->head = list_sort(path, note->head);
        note->sorted = true;
    }
    struct node *node = node_at(path, note->node);
    if (!node->asked) {
        struct legs ins = search->view->ins(search->view->context, node->account, LEG_ANY);
        node->ins = span_newest(search, &ins, path->after, leg_place(&search->query->event));
        node->asked = true;
    }
    struct span ins = node->ins;
    const struct note rest = *note; /* taking legs moves notes and nodes */
    uint32_t end = ins.low < ins.high ? span_lower(&ins, hop_at(path, rest.head)->at) : ins.low;
    for (uint32_t i = end; i-- > ins.low;) {
        const struct leg leg = leg_at(&ins.legs, i);
        if (!search_sees(search, &leg))
            continue;
        if (!search_look(search))
            return false;
        bool begins = leg.sender == path->start;
        if (leg.sender == path->last || (leg.sender == path->end && !begins) ||
            (path->start && !begins && path->level == path->level_max))
            continue;
        struct place at = leg_place(&leg);
        if (path->reach_known && !reach_allows(search, leg.sender, at))
            continue;
        if (hop_goes_on(path, at, &leg, &rest))
            hop_take(path, at, &leg, n);
        if (search->out->legs_spent)
            return false;
    }
    return true;
}

/* A cycle whose way back gets long is first sought from the other end; false when no money of K's came to e's sender. */
static bool path_reaches(struct path *path)
{
    struct search *search = path->search;
    if (!path->start || path->reach_tried || search->out->looked <= REACH_FROM)
        return true;
    path->reach_tried = true;
    path->reach_known = reach_find(search, path->after);
    return !path->reach_known || reach_allows(search, path->last, leg_place(&search->query->event));
}

/* All levels, until nothing goes before or the budget is spent. */
static void path_spread(struct path *path)
{
    uint32_t first = 0;
    bool going = true;
    path->level = 0;
    hop_take(path, leg_place(&path->search->query->event), &path->search->query->event, GRAPH_NONE);
    path->first_hop[0] = 0;
    while (going && path->level < path->level_max && first < path->note_count) {
        uint32_t end = path->note_count;
        path->first_hop[++path->level] = path->hop_count;
        for (; going && first < end; first++)
            going = path_reaches(path) && note_expand(path, first);
    }
    path->first_hop[path->level + 1] = path->hop_count;
}

/* --- forward --- */

static bool path_visits(const struct path *path, entity_id account)
{
    for (uint32_t i = 0; i < path->length; i++)
        if (hop_at(path, path->step[i])->sender == account)
            return true;
    return false;
}

/* Tries the hops of a list, newest first, each with what may follow it. */
static bool path_follow(struct path *path, uint32_t head)
{
    const struct hop *before = path->length ? hop_at(path, path->step[path->length - 1]) : NULL;
    for (uint32_t i = head; i != GRAPH_NONE;) {
        const struct hop *hop = hop_at(path, i);
        if (before && !place_before(before->at, hop->at))
            return false;
        if (!search_look(path->search))
            return false;
        bool fits = !before || amount_kept(path->search->query, before->amount, hop->amount);
        if (fits && (i == 0 || !path_visits(path, hop->receiver))) {
            path->step[path->length++] = i;
            if (i == 0 || path_follow(path, note_at(path, hop->rest)->head))
                return true;
            path->length--;
        }
        i = hop->next;
    }
    return false;
}

/* The legs of a level that may begin a path, newest first. */
static uint32_t path_beginnings(const struct path *path, uint32_t level)
{
    uint32_t head = GRAPH_NONE;
    for (uint32_t i = path->first_hop[level]; i < path->first_hop[level + 1]; i++) {
        struct hop *hop = hop_at(path, i);
        if (path->start && hop->sender != path->start)
            continue;
        hop->next = head;
        head = i;
    }
    return list_sort(path, head);
}

void path_search(struct search *search, struct place after, entity_id start)
{
    const struct graph_query *query = search->query;
    invariant(query->hops_high >= 1 && query->hops_high <= GRAPH_HOPS_MAX);
    struct path path = {.search = search, .after = after, .start = start, .end = query->account, .last = query->event.sender,
                        .level_max = query->hops_high - 1u};
    account_set_clear(&search->scratch->nodes);
    search->looks = query->legs_max - query->legs_max / 4;
    path_spread(&path);
    search->looks = query->legs_max;
    for (uint32_t level = path.level + 1; level-- > 0 && level + 1 >= query->hops_low;) {
        if (!path_follow(&path, path_beginnings(&path, level)))
            continue;
        search->out->value = path.length;
        for (uint32_t i = 0; i < path.length; i++) {
            const struct hop *hop = hop_at(&path, path.step[i]);
            proof_leg(search, hop->at, hop->amount, hop->sender, hop->receiver);
            proof_member(search, hop->sender);
            proof_member(search, hop->receiver);
        }
        return;
    }
}
