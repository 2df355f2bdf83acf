/* Lines of waiting events and a heap of their heads. */
#include "engine/stream/order.h"

#include "engine/base/invariant.h"

#include <stdlib.h>

struct waiting {
    int64_t time_ms;
    uint32_t tag;
};

/* A ring: room is a power of two, positions only rise. */
struct order_line {
    struct waiting *event;
    uint32_t room;
    uint32_t first, next;
    uint32_t rank;
    bool open;
};

struct head {
    int64_t time_ms;
    uint32_t rank;
    uint32_t partition;
};

struct order {
    struct order_line *line;
    struct head *heap;      /* one per line that is not empty, the earliest at 0 */
    uint32_t heap_count;
    uint32_t starved_count; /* open lines that are empty */
    uint32_t partition_count;
};

struct order *order_new(uint32_t partition_count)
{
    struct order *order = calloc(1, sizeof *order);
    invariant(order);
    order->partition_count = partition_count;
    order->line = calloc(partition_count + 1, sizeof *order->line);
    order->heap = calloc(partition_count + 1, sizeof *order->heap);
    invariant(order->line && order->heap);
    for (uint32_t i = 0; i < partition_count; i++)
        order->line[i].rank = i;
    return order;
}

void order_rank(struct order *order, const uint32_t *rank, uint32_t count)
{
    invariant(order->heap_count == 0 && count <= order->partition_count);
    for (uint32_t i = 0; i < count; i++)
        order->line[i].rank = rank[i];
}

void order_free(struct order *order)
{
    if (!order)
        return;
    for (uint32_t i = 0; i < order->partition_count; i++)
        free(order->line[i].event);
    free(order->line);
    free(order->heap);
    free(order);
}

/* --- the heap of heads --- */

static bool goes_before(struct head a, struct head b)
{
    return a.time_ms != b.time_ms ? a.time_ms < b.time_ms : a.rank < b.rank;
}

static void sift_up(struct order *order, uint32_t at)
{
    struct head head = order->heap[at];
    while (at > 0 && goes_before(head, order->heap[(at - 1) / 2])) {
        order->heap[at] = order->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    order->heap[at] = head;
}

static void sift_down(struct order *order, struct head head)
{
    uint32_t at = 0, count = order->heap_count;
    for (uint32_t child = 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && goes_before(order->heap[child + 1], order->heap[child]))
            child++;
        if (!goes_before(order->heap[child], head))
            break;
        order->heap[at] = order->heap[child];
        at = child;
    }
    order->heap[at] = head;
}

/* --- the lines --- */

static bool line_empty(const struct order_line *line)
{
    return line->first == line->next;
}

static struct waiting *line_at(const struct order_line *line, uint32_t position)
{
    return &line->event[position & (line->room - 1)];
}

static void line_grow(struct order_line *line)
{
    struct order_line grown = {.room = line->room ? line->room * 2 : 64, .rank = line->rank, .open = line->open};
    grown.event = malloc(grown.room * sizeof *grown.event);
    invariant(grown.event && grown.room > line->room);
    for (uint32_t i = line->first; i != line->next; i++)
        *line_at(&grown, grown.next++) = *line_at(line, i);
    free(line->event);
    *line = grown;
}

void order_open(struct order *order, uint32_t partition)
{
    struct order_line *line = &order->line[partition];
    if (!line->open && line_empty(line))
        order->starved_count++;
    line->open = true;
}

void order_close(struct order *order, uint32_t partition)
{
    struct order_line *line = &order->line[partition];
    if (line->open && line_empty(line))
        order->starved_count--;
    line->open = false;
}

void order_push(struct order *order, uint32_t partition, int64_t time_ms, uint32_t tag)
{
    invariant(partition < order->partition_count);
    struct order_line *line = &order->line[partition];
    bool was_empty = line_empty(line);
    if (line->next - line->first == line->room)
        line_grow(line);
    *line_at(line, line->next++) = (struct waiting){.time_ms = time_ms, .tag = tag};
    if (!was_empty)
        return;
    if (line->open)
        order->starved_count--;
    order->heap[order->heap_count++] = (struct head){.time_ms = time_ms, .rank = line->rank, .partition = partition};
    sift_up(order, order->heap_count - 1);
}

bool order_next(struct order *order, uint32_t *tag)
{
    if (order->heap_count == 0 || order->starved_count > 0)
        return false;
    uint32_t partition = order->heap[0].partition;
    struct order_line *line = &order->line[partition];
    *tag = line_at(line, line->first++)->tag;
    if (!line_empty(line)) {
        sift_down(order, (struct head){.time_ms = line_at(line, line->first)->time_ms, .rank = line->rank, .partition = partition});
        return true;
    }
    if (line->open)
        order->starved_count++;
    if (--order->heap_count > 0)
        sift_down(order, order->heap[order->heap_count]);
    return true;
}

uint32_t order_waiting(const struct order *order, uint32_t partition)
{
    return order->line[partition].next - order->line[partition].first;
}
