/* What all translators share: items, drafts, bounds, and names in the bank's own terms. */
#include "engine/model/format.h"

#include "engine/base/invariant.h"
#include "engine/base/utf8.h"

#include <stdlib.h>

void format_output_init(struct format_output *out)
{
    memset(out, 0, sizeof *out);
    json_writer_init(&out->writer);
}

void format_output_fini(struct format_output *out)
{
    json_writer_fini(&out->writer);
    free(out->item);
}

static struct format_item *item_new(struct format_output *out)
{
    if (out->count == out->most) {
        out->overflowed = true;
        return NULL;
    }
    if (out->count == out->room) {
        out->room = out->room ? out->room * 2 : 64;
        out->item = realloc(out->item, out->room * sizeof *out->item);
        invariant(out->item);
    }
    struct format_item *item = &out->item[out->count++];
    *item = (struct format_item){.translated = ARENA_NEW(out->arena, struct translated)};
    return item;
}

void format_refuse(struct format_output *out, enum reject_reason reason, struct slice field, struct slice raw)
{
    struct format_item *item = item_new(out);
    if (item)
        *item->translated = (struct translated){.reason = reason, .field = arena_copy(out->arena, field),
                                                  .raw = arena_copy(out->arena, raw)};
}

/* The name as it may be shown: cut at a character's end, without what a terminal would obey. */
static struct slice unknown_name(struct slice name, char shown[FORMAT_NAME_MAX])
{
    size_t size = name.size < FORMAT_NAME_MAX ? name.size : FORMAT_NAME_MAX - 1;
    while (size > 0 && size < name.size && ((unsigned char)name.data[size] & 0xC0) == 0x80)
        size--;
    for (size_t i = 0; i < size; i++)
        shown[i] = (unsigned char)name.data[i] < 0x20 || name.data[i] == 0x7F ? '.' : name.data[i];
    return (struct slice){shown, size};
}

void format_unknowns_add(struct format_unknowns *unknowns, struct slice name)
{
    char shown[FORMAT_NAME_MAX];
    uint32_t at = 0;
    name = unknown_name(name, shown);
    atomic_fetch_add_explicit(&unknowns->total, 1, memory_order_relaxed);
    while (at < unknowns->count && !slice_equal(name, slice_of(unknowns->entry[at].name)))
        at++;
    if (at == FORMAT_UNKNOWN_MAX)
        return;
    if (at == unknowns->count) {
        unknowns->count++;
        memcpy(unknowns->entry[at].name, name.data, name.size);
    }
    unknowns->entry[at].times++;
}

void format_unknown(struct format_output *out, struct slice name)
{
    format_unknowns_add(out->unknowns, name);
}

/* --- drafts --- */

struct slice format_own_name(const struct slice *own, enum event_field field)
{
    return own && own[field].size ? own[field] : slice_of(event_field_path(field));
}

/* Whole numbers of up to 18 digits: longer ones stay text, and are refused as such. */
static bool read_number(struct slice text, int64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        *number = *number * 10 + (text.data[i] - '0');
        if (*number > 999999999999999999)
            return false;
    }
    return true;
}

/* Flags and minor units are no texts in JSON; what is neither stays a text, and is refused as such. */
static void write_field(struct json_writer *writer, enum event_field field, struct slice text)
{
    const char *key = event_field_key(field);
    bool flag = field == EF_SENDER_CASH || field == EF_RECEIVER_CASH;
    int64_t number;
    if (flag && (slice_equal(text, SLICE("true")) || slice_equal(text, SLICE("false"))))
        json_bool(writer, key, text.data[0] == 't');
    else if (field == EF_AMOUNT_MINOR && read_number(text, &number))
        json_number(writer, key, number);
    else
        json_text(writer, key, text);
}

static void write_part(struct json_writer *writer, const struct draft *draft, const char *name, enum event_field first, enum event_field end)
{
    enum event_field field = first;
    while (field < end && draft->text[field].size == 0)
        field++;
    if (field == end)
        return;
    if (name)
        json_open_object(writer, name);
    for (; field < end; field++)
        if (draft->text[field].size)
            write_field(writer, field, draft->text[field]);
    if (name)
        json_close_object(writer);
}

/* The writer mends broken UTF-8, which would change what the bank said. */
static enum event_field broken_text(const struct draft *draft)
{
    int field = 0;
    while (field < EF_COUNT && utf8_valid(draft->text[field]))
        field++;
    return (enum event_field)field;
}

void format_add(struct format_output *out, const struct draft *draft)
{
    enum event_field broken = broken_text(draft);
    if (broken < EF_COUNT) {
        format_refuse(out, REJECT_BAD_UTF8, format_own_name(draft->own, broken), draft->raw);
        return;
    }
    struct format_item *item = item_new(out);
    struct json_writer *writer = &out->writer;
    if (!item)
        return;
    json_writer_reset(writer);
    json_open_object(writer, NULL);
    write_part(writer, draft, NULL, EF_ID, EF_SENDER_ACCOUNT);
    write_part(writer, draft, "sender", EF_SENDER_ACCOUNT, EF_RECEIVER_ACCOUNT);
    write_part(writer, draft, "receiver", EF_RECEIVER_ACCOUNT, EF_PLACE_NAME);
    write_part(writer, draft, "place", EF_PLACE_NAME, EF_COUNT);
    json_close_object(writer);
    item->text = arena_copy(out->arena, (struct slice){writer->text, writer->size});
    *item->translated = (struct translated){.raw = arena_copy(out->arena, draft->raw), .own = draft->own};
}

/* --- one message --- */

bool format_translate(const struct format *format, struct slice bytes, size_t bytes_max, struct format_output *out,
                      struct error *err)
{
    out->count = 0;
    out->overflowed = false;
    if (bytes.size == 0)
        format_refuse(out, REJECT_EMPTY, SLICE(""), bytes);
    else if (bytes.size > bytes_max)
        format_refuse(out, REJECT_TOO_LARGE, SLICE(""), bytes);
    else if (!format->translate(format->self, bytes, out, err))
        return false;
    if (out->overflowed) {
        out->count = 0; /* all or nothing: half a message would pass for a whole one */
        format_refuse(out, REJECT_TOO_MANY_EVENTS, SLICE(""), bytes);
    }
    if (out->count == 0)
        format_refuse(out, REJECT_NO_EVENTS, SLICE(""), bytes);
    return true;
}

/* --- decoding what was translated --- */

enum reject_reason message_decode(struct decoder *decoder, const struct message *message, struct arena *arena,
                                  struct event *event, struct slice *field)
{
    const struct translated *translated = message->translated;
    if (translated && translated->reason != REJECT_NONE) {
        *field = translated->field;
        event->id = (struct slice){0};
        return translated->reason;
    }
    enum reject_reason reason = decoder_decode(decoder, message, arena, event, field);
    if (reason == REJECT_NONE || !translated || !translated->own)
        return reason;
    enum event_field known = event_field_parse(*field);
    if (known < EF_COUNT)
        *field = format_own_name(translated->own, known);
    return reason;
}

struct slice message_raw(const struct message *message)
{
    return message->translated ? message->translated->raw : message->body;
}
