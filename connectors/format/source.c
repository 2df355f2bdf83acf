/* Polls raw messages, translates each by its topic's format and hands over whole messages only. */
#include "connectors/format/source.h"

#include "engine/base/fail_point.h"
#include "engine/base/invariant.h"

#include <stdlib.h>

enum { TOPIC_UNSEEN = 0, TOPIC_JSON = 1, TOPIC_FIRST = 2 };

struct format_source {
    struct source seam;
    struct source *inner;
    struct format_topic *topic;
    uint32_t topic_count;
    size_t message_bytes_max;
    uint32_t items_max;
    uint16_t *topic_of;        /* per partition: TOPIC_*, or TOPIC_FIRST + index of topic */

    struct arena arena;        /* of what is held */
    struct message *held;      /* raw messages of the last poll */
    uint32_t held_room, held_count, held_at;
    struct format_output out;
    const struct record_watch *watch; /* NULL: nobody asks */
};

/* --- translating --- */

static const struct format_topic *topic_of(struct format_source *source, uint32_t partition)
{
    invariant(partition < PARTITION_MAX);
    uint16_t *known = &source->topic_of[partition];
    if (*known == TOPIC_UNSEEN) {
        const char *name = source->inner->partitions->partition[partition].topic;
        uint32_t at = 0;
        while (at < source->topic_count && strcmp(source->topic[at].topic, name) != 0)
            at++;
        bool own = at < source->topic_count && source->topic[at].format;
        *known = (uint16_t)(own ? TOPIC_FIRST + at : TOPIC_JSON);
    }
    return *known == TOPIC_JSON ? NULL : &source->topic[*known - TOPIC_FIRST];
}

/* The items of one message into source->out; false when the world failed. */
static bool translate(struct format_source *source, const struct format_topic *topic, const struct message *raw,
                      struct arena *arena, const struct record_watch *watch, struct error *err)
{
    struct format_output *out = &source->out;
    out->arena = arena;
    out->unknowns = topic->unknowns;
    out->most = source->items_max;
    if (watch)
        watch->at(watch->self, &raw->position);
    fail_point_record(FAIL_RECORD_TRANSLATE, raw->body);
    return format_translate(topic->format, raw->body, source->message_bytes_max, out, err);
}

/* A message that is set aside as poison is never translated again: one refused item stands for it. */
static void refuse_poison(struct format_source *source, const struct message *raw, struct arena *arena)
{
    struct format_output *out = &source->out;
    out->arena = arena;
    out->most = source->items_max;
    out->count = 0;
    format_refuse(out, REJECT_POISON, (struct slice){0}, arena_copy(arena, raw->body));
}

/* Item i of source->out as a message of its own. */
static struct message item_message(const struct format_source *source, const struct message *raw, uint32_t i)
{
    struct message message = *raw;
    message.body = source->out.item[i].text;
    message.position.item = i;
    message.translated = source->out.item[i].translated;
    return message;
}

/* --- reading --- */

static void source_look(void *self)
{
    struct format_source *source = self;
    source->inner->look(source->inner->self);
}

static void source_measure(void *self)
{
    struct format_source *source = self;
    source->inner->measure(source->inner->self);
}

static bool source_seek(void *self, const int64_t *next, struct error *err)
{
    struct format_source *source = self;
    source->held_count = source->held_at = 0;
    return source->inner->seek(source->inner->self, next, err);
}

/* `bound` holds for raw bytes here as for the canonical ones that come of them. */
static bool hold(struct format_source *source, uint32_t wait_ms, size_t bound, uint32_t max, struct error *err)
{
    if (source->held_at < source->held_count)
        return true;
    arena_reset(&source->arena);
    source->arena.bound = bound;
    source->held_at = source->held_count = 0;
    if (max > source->held_room) {
        source->held_room = max;
        source->held = realloc(source->held, max * sizeof *source->held);
        invariant(source->held);
    }
    return source->inner->poll(source->inner->self, wait_ms, &source->arena, source->held, max, &source->held_count, err);
}

/* Hands held messages over while they fit. A world that fails behind some that did is heard of next time. */
static bool hand_over(struct format_source *source, struct arena *arena, struct message *messages, uint32_t max,
                      uint32_t *count, struct error *err)
{
    for (; source->held_at < source->held_count; source->held_at++) {
        const struct message *raw = &source->held[source->held_at];
        const struct format_topic *topic = topic_of(source, raw->position.partition);
        if (*count == max || arena_full(arena))
            break;
        if (!topic || raw->mark) {
            messages[*count] = *raw;
            messages[(*count)++].body = arena_copy(arena, raw->body);
            continue;
        }
        if (source->watch && source->watch->aside(source->watch->self, &raw->position))
            refuse_poison(source, raw, arena);
        else if (!translate(source, topic, raw, arena, source->watch, err))
            return *count > 0; /* tried again at the next poll: it stays held */
        if (*count + source->out.count > max)
            break;
        for (uint32_t i = 0; i < source->out.count; i++)
            messages[(*count)++] = item_message(source, raw, i);
    }
    return true;
}

static bool source_poll(void *self, uint32_t wait_ms, struct arena *arena, struct message *messages, uint32_t max,
                        uint32_t *count, struct error *err)
{
    struct format_source *source = self;
    invariant(max >= source->items_max);
    *count = 0;
    bool held = hold(source, wait_ms, arena->bound, max, err);
    /* what came before a trouble is handed over with it: the seam allows messages beside an error */
    struct error trouble = *err;
    bool handed = hand_over(source, arena, messages, max, count, err);
    if (source->watch)
        source->watch->at(source->watch->self, NULL);
    if (!held)
        *err = trouble;
    return held && handed;
}

static void source_watch(void *self, const struct record_watch *watch)
{
    struct format_source *source = self;
    source->watch = watch;
}

static bool source_read_range(void *self, const struct journal_range *range, struct arena *arena,
                              struct message **messages, uint32_t *count, struct error *err)
{
    struct format_source *source = self;
    const struct format_topic *topic = topic_of(source, range->partition);
    struct message *raw = NULL, *made = NULL;
    uint32_t raw_count = 0, room = 0;
    if (!source->inner->read_range(source->inner->self, range, arena, &raw, &raw_count, err))
        return false;
    *messages = raw;
    *count = raw_count;
    if (!topic)
        return true;
    *count = 0;
    for (uint32_t i = 0; i < raw_count; i++) {
        source->out.count = 0;
        if (journal_range_aside(range, raw[i].position.offset))
            refuse_poison(source, &raw[i], arena);
        else if (!raw[i].mark && !translate(source, topic, &raw[i], arena, NULL, err))
            return false;
        if (*count + source->out.count > room) {
            room = (*count + source->out.count) * 2;
            struct message *grown = ARENA_ARRAY(arena, struct message, room);
            if (*count)
                memcpy(grown, made, *count * sizeof *grown);
            made = grown;
        }
        for (uint32_t n = 0; n < source->out.count; n++)
            made[(*count)++] = item_message(source, &raw[i], n);
    }
    *messages = made;
    return true;
}

static bool source_ended(void *self)
{
    struct format_source *source = self;
    return source->held_at == source->held_count && source->inner->ended(source->inner->self);
}

/* --- opening and closing --- */

static void source_close(void *self)
{
    struct format_source *source = self;
    source->inner->close(source->inner->self);
    for (uint32_t i = 0; i < source->topic_count; i++)
        if (source->topic[i].format)
            source->topic[i].format->close(source->topic[i].format->self);
    arena_fini(&source->arena);
    format_output_fini(&source->out);
    free(source->topic);
    free(source->topic_of);
    free(source->held);
    free(source);
}

struct source *format_source_open(const struct format_source_settings *settings)
{
    struct format_source *source = calloc(1, sizeof *source);
    invariant(source && settings->items_max <= FORMAT_ITEMS_MAX && settings->topic_count < UINT16_MAX - TOPIC_FIRST);
    source->inner = settings->source;
    source->topic_count = settings->topic_count;
    source->message_bytes_max = settings->message_bytes_max;
    source->items_max = settings->items_max;
    source->topic = calloc(settings->topic_count + 1, sizeof *source->topic);
    source->topic_of = calloc(PARTITION_MAX, sizeof *source->topic_of);
    invariant(source->topic && source->topic_of);
    if (settings->topic_count)
        memcpy(source->topic, settings->topic, settings->topic_count * sizeof *source->topic);
    arena_init(&source->arena);
    format_output_init(&source->out);
    source->seam = (struct source){
        .self = source,
        .partitions = settings->source->partitions,
        .look = settings->source->look ? source_look : NULL,
        .measure = settings->source->measure ? source_measure : NULL,
        .seek = source_seek,
        .watch = source_watch,
        .poll = source_poll,
        .read_range = source_read_range,
        .ended = settings->source->ended ? source_ended : NULL,
        .close = source_close,
    };
    return &source->seam;
}
