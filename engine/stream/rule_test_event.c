/* Writes a test's steps as the JSON a bank would send, and decodes it. */
#include "engine/stream/rule_test_private.h"

#include "engine/base/invariant.h"
#include "engine/model/zone.h"
#include "engine/stream/fact.h"

#include <stdio.h>

enum { EVENTS_MAX = 100000 };

/* Where a field of a step stands in the JSON: the parent's name and the member's. */
static const struct field_place {
    const char *word, *parent, *member;
} places[] = {
    {"id", "", "id"},
    {"channel", "", "channel"},
    {"kind", "", "kind"},
    {"purpose", "", "purpose"},
    {"narrative", "", "narrative"},
    {"mcc", "", "mcc"},
    {"terminal", "", "terminal"},
    {"status", "", "status"},
    {"end_to_end", "", "end_to_end"},
    {"refers_to", "", "refers_to"},
    {"place", "place", "name"},
    {"place_country", "place", "country"},
    {"sender_country", "sender", "country"},
    {"sender_party", "sender", "party"},
    {"sender_device", "sender", "device"},
    {"sender_phone", "sender", "phone"},
    {"sender_address", "sender", "address"},
    {"receiver_country", "receiver", "country"},
    {"receiver_party", "receiver", "party"},
    {"receiver_device", "receiver", "device"},
    {"receiver_phone", "receiver", "phone"},
    {"receiver_address", "receiver", "address"},
};

/* A text that grows in the trial's arena. */
struct writer {
    struct arena *arena;
    char *data;
    size_t size, room;
};

static void write_bytes(struct writer *w, const char *data, size_t size)
{
    if (w->size + size > w->room) {
        size_t room = (w->size + size) * 2 + 256;
        char *more = arena_bytes(w->arena, room);
        if (w->size)
            memcpy(more, w->data, w->size);
        w->data = more;
        w->room = room;
    }
    memcpy(w->data + w->size, data, size);
    w->size += size;
}

static void write_text(struct writer *w, const char *text)
{
    write_bytes(w, text, strlen(text));
}

static void write_string(struct writer *w, struct slice text)
{
    char escape[8];
    write_bytes(w, "\"", 1);
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\')
            (void)snprintf(escape, sizeof escape, "\\%c", c);
        else if (c < 0x20)
            (void)snprintf(escape, sizeof escape, "\\u%04x", c);
        else
            (void)snprintf(escape, sizeof escape, "%c", c);
        write_text(w, escape);
    }
    write_bytes(w, "\"", 1);
}

/* Begins a member: `, "name": `, without the comma where it is the first of its object. */
static void write_member(struct writer *w, const char *name)
{
    if (w->data[w->size - 1] != '{')
        write_text(w, ", ");
    write_string(w, slice_of(name));
    write_text(w, ": ");
}

static void write_fields(struct writer *w, const struct test_step *step, const char *parent)
{
    for (const struct test_field *field = step->field; field; field = field->next)
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
            if (strcmp(places[i].parent, parent) != 0 || !slice_equal(field->name.text, slice_of(places[i].word)))
                continue;
            write_member(w, places[i].member);
            write_string(w, field->value.text);
        }
}

static const struct test_field *step_field(const struct test_step *step, const char *word)
{
    for (const struct test_field *field = step->field; field; field = field->next)
        if (slice_equal(field->name.text, slice_of(word)))
            return field;
    return NULL;
}

static void write_end(struct writer *w, const struct test_step *step, const char *parent, const struct test_end *end,
                      uint32_t fresh)
{
    char number[16];
    write_member(w, parent);
    write_text(w, "{");
    if (end->cash) {
        write_member(w, "cash");
        write_text(w, "true");
    } else {
        (void)snprintf(number, sizeof number, "*%u", fresh);
        write_member(w, "account");
        write_string(w, arena_format(w->arena, "%.*s%s", (int)end->name.text.size, end->name.text.data, end->fresh ? number : ""));
    }
    write_fields(w, step, parent);
    write_text(w, "}");
}

static struct slice step_json(struct trial *trial, const struct test_step *step, int64_t time_ms, uint32_t number)
{
    struct writer w = {.arena = trial->arena};
    char text[TIME_TEXT_MAX];
    write_text(&w, "{");
    write_member(&w, "source");
    write_string(&w, SLICE("test"));
    if (!step_field(step, "id")) {
        write_member(&w, "id");
        write_string(&w, arena_format(trial->arena, "test-%u", number));
    }
    write_member(&w, "time");
    time_format(time_ms, text);
    write_string(&w, slice_of(text));
    if (!step_field(step, "kind")) {
        write_member(&w, "kind");
        write_string(&w, slice_of(step->receiver.cash ? "CASH_OUT" : step->sender.cash ? "CASH_IN" : "TRANSFER"));
    }
    write_member(&w, "amount_minor");
    (void)snprintf(text, sizeof text, "%lld", (long long)step->amount_minor);
    write_text(&w, text);
    write_member(&w, "currency");
    write_string(&w, slice_of(currency_name(step->currency)));
    write_end(&w, step, "sender", &step->sender, number);
    write_end(&w, step, "receiver", &step->receiver, number);
    write_fields(&w, step, "");
    if (step_field(step, "place") || step_field(step, "place_country")) {
        write_member(&w, "place");
        write_text(&w, "{");
        write_fields(&w, step, "place");
        write_text(&w, "}");
    }
    write_text(&w, "}");
    return (struct slice){w.data, w.size};
}

/* The moment at which the zone's clock on that day shows clock_ms. */
static int64_t local_moment(const struct zone *zone, int32_t day, int64_t clock_ms)
{
    int64_t midnight = zone_day_start_ms(zone, day);
    int64_t guess = midnight + clock_ms;
    return guess + zone_offset_ms(zone, midnight) - zone_offset_ms(zone, guess);
}

/* "3h", "90m", "2d12h" in ms; -1 when it is none. */
static int64_t duration_parse(struct slice text)
{
    int64_t total = 0, number = -1;
    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        int64_t unit = c == 'd' ? MS_PER_DAY : c == 'h' ? 3600000 : c == 'm' ? 60000 : c == 's' ? 1000 : 0;
        if (c >= '0' && c <= '9' && number < 1000000) {
            number = (number < 0 ? 0 : number * 10) + (c - '0');
            continue;
        }
        if (!unit || number < 0)
            return -1;
        total += number * unit;
        number = -1;
    }
    return number < 0 && text.size ? total : -1;
}

static bool step_decode(struct trial *trial, const struct test_step *step, int64_t time_ms)
{
    struct event *event = &trial->event[trial->event_count];
    const struct test_field *late = step_field(step, "late");
    if (late) {
        int64_t back_ms = duration_parse(late->value.text);
        if (back_ms < 0) {
            trial_says(trial, "line %u: late needs a duration, such as \"3h\"", trial_line(trial->syntax, step->span));
            return false;
        }
        time_ms -= back_ms;
    }
    struct slice field = SLICE("");
    struct message message = {.body = step_json(trial, step, time_ms, trial->event_count + 1), .broker_ms = MISSING_I64};
    message.position.offset = trial->event_count + 1;
    enum reject_reason reason = trial->seam->decode(trial->decoder, &message, trial->arena, event, &field);
    if (reason != REJECT_NONE) {
        trial_says(trial, "line %u: the event would be refused: %s %.*s: %s", trial_line(trial->syntax, step->span),
                   reject_code(reason), (int)field.size, field.data, reject_says(reason));
        return false;
    }
    trial->event_count++;
    event->seq = trial->event_count;
    step_match_texts(&trial->program, trial->scratch, event);
    return true;
}

/* A fact that a test gives, as its message. */
static struct slice fact_json(struct trial *trial, const struct test_fact *fact, int64_t time_ms)
{
    struct writer w = {.arena = trial->arena};
    char text[TIME_TEXT_MAX];
    write_text(&w, "{");
    write_member(&w, "source");
    write_string(&w, SLICE("test"));
    write_member(&w, "fact");
    write_string(&w, fact->fact.text);
    write_member(&w, "subject");
    write_string(&w, fact->subject.text);
    write_member(&w, "valid_from");
    time_format(time_ms, text);
    write_string(&w, slice_of(text));
    write_member(&w, "fields");
    write_text(&w, "{");
    for (const struct test_field *field = fact->field; field; field = field->next) {
        bool number = field->value.text.size > 0 && field->value.text.size < 16;
        for (size_t i = 0; i < field->value.text.size; i++)
            number &= field->value.text.data[i] >= '0' && field->value.text.data[i] <= '9';
        write_member(&w, arena_text(trial->arena, field->name.text));
        if (number)
            write_bytes(&w, field->value.text.data, field->value.text.size);
        else
            write_string(&w, field->value.text);
    }
    write_text(&w, "}}");
    return (struct slice){w.data, w.size};
}

/* Facts come first: in the sequence they stand before the first event. */
static bool fact_decode(struct trial *trial, const struct test_fact *fact)
{
    struct event *event = &trial->event[trial->event_count];
    int32_t day = fact->has_day ? fact->from_day : trial->test->start_day - 3650;
    struct slice field = SLICE("");
    struct message message = {.body = fact_json(trial, fact, zone_day_start_ms(trial->program.zone, day)), .broker_ms = MISSING_I64};
    message.position.offset = trial->event_count + 1;
    enum reject_reason reason = trial->seam->decode(trial->decoder, &message, trial->arena, event, &field);
    if (reason == REJECT_NONE)
        fact_bind(&trial->program, trial->seam->hash, trial->decoder, event);
    if (reason != REJECT_NONE || event->fact->memory == UINT16_MAX || event->flags & EVENT_FACT_ODD) {
        trial_says(trial, "line %u: this fact cannot be used: %s", trial_line(trial->syntax, fact->span),
                   reason != REJECT_NONE ? reject_says(reason)
                   : event->fact->memory == UINT16_MAX ? "no fact that comes over a topic has this name"
                                                       : "a value is of another type than declared");
        return false;
    }
    trial->event_count++;
    event->seq = trial->event_count;
    return true;
}

bool trial_events(struct trial *trial)
{
    uint64_t total = 0;
    for (const struct test_step *step = trial->test->step; step; step = step->next)
        total += (uint64_t)step->times;
    for (const struct test_fact *fact = trial->test->fact; fact; fact = fact->next)
        total++;
    if (total > EVENTS_MAX) {
        trial_says(trial, "more than %d events", EVENTS_MAX);
        return false;
    }
    trial->event = ARENA_ARRAY(trial->arena, struct event, total + 1);
    for (const struct test_fact *fact = trial->test->fact; fact; fact = fact->next)
        if (!fact_decode(trial, fact))
            return false;
    int64_t now = local_moment(trial->program.zone, trial->test->start_day, trial->test->start_clock_ms);
    for (const struct test_step *step = trial->test->step; step; step = step->next) {
        now += step->after_ms;
        for (int64_t i = 0; i < step->times; i++) {
            now += i ? step->every_ms : 0;
            if (!step_decode(trial, step, now))
                return false;
        }
    }
    return true;
}
