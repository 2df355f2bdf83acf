/* Finds the messages in an XML document and makes a canonical event of each payment. */
#include "connectors/iso20022/iso20022.h"

#include "connectors/iso20022/table.h"
#include "connectors/iso20022/value.h"
#include "connectors/iso20022/xml.h"
#include "engine/base/invariant.h"

#include <stdlib.h>

#define ISO_SPACE "urn:iso:std:iso:20022:tech:xsd:"

/* A row with its path cut into steps. */
struct row {
    const struct iso_row *row;
    struct slice step[ISO_STEPS_MAX];
    uint32_t steps;
    bool currency;     /* the attribute of the last step, not its text */
    struct slice own;  /* "GrpHdr/MsgId" */
};

struct iso_format {
    struct format seam;
    struct zone *zone;
    struct xml_reader *reader;
    struct arena arena; /* of the message at work */
    struct arena names; /* of the rows */
    struct row row[ISO_ROWS_MAX];
    struct slice own[ISO_KIND_COUNT][EF_COUNT]; /* each field's first element */
};

/* One message at work. */
struct work {
    struct iso_format *iso;
    struct format_output *out;
    struct slice bytes;
    struct xml_node *header;
    uint32_t documents;
    uint32_t entry;   /* of camt.054, inside its notification */
    bool skipped;     /* a piece was refused before its elements were looked at */
};

/* One payment in the making. */
struct payment {
    struct work *work;
    enum iso_kind kind;
    struct xml_node *base[BASE_COUNT];
    uint32_t place;              /* inside its message or entry, from 1 */
    uint32_t entry;              /* of its entry inside the notification, from 1; 0: there are none */
    struct draft draft;
    struct slice *own;
    struct slice part[ISO_PARTS_MAX + 1];
    enum reject_reason reason;   /* the first that was met */
    struct slice field;
    enum reject_reason pending;  /* unless a later row fills the field */
    struct slice pending_own;
    enum event_field pending_field;
};

static struct slice piece(const struct work *work, const struct xml_node *node)
{
    bool whole = !node || node->end > work->bytes.size || node->begin > node->end;
    return whole ? work->bytes : (struct slice){work->bytes.data + node->begin, node->end - node->begin};
}

/* --- rows --- */

/* The first node at the row's path; marks all that stand there as known. */
static struct xml_node *find(struct xml_node *from, const struct row *row)
{
    struct xml_node *node = from;
    for (uint32_t i = 0; node && i < row->steps; i++)
        node = xml_child(node, row->step[i]);
    for (struct xml_node *again = node; again && again != from; again = xml_again(again))
        again->used = true;
    return node;
}

static void refuse(struct payment *payment, enum reject_reason reason, struct slice field)
{
    if (payment->reason != REJECT_NONE)
        return;
    payment->reason = reason;
    payment->field = field;
}

/* The institution of an agent named by `with` beside the row's base (in the header for NUMBER_HERE). */
static struct slice agent_of(const struct payment *payment, const struct row *row)
{
    struct slice path = slice_of(row->row->with);
    const struct xml_node *node = payment->base[row->row->how == HOW_NUMBER_HERE ? BASE_HEADER : row->row->base];
    while (node && path.size) {
        const char *cut = memchr(path.data, '/', path.size);
        size_t size = cut ? (size_t)(cut - path.data) : path.size;
        node = xml_child(node, (struct slice){path.data, size});
        path = cut ? (struct slice){cut + 1, path.size - size - 1} : SLICE("");
    }
    return iso_institution(node, &payment->work->iso->arena);
}

static enum reject_reason make_number(struct payment *payment, const struct row *row, struct slice text, struct slice *made)
{
    struct slice institution = agent_of(payment, row);
    if (institution.size == 0) {
        payment->pending = REJECT_ACCOUNT_NOT_UNIQUE;
        payment->pending_field = row->row->field;
        payment->pending_own = row->own;
        *made = SLICE("");
        return REJECT_NONE;
    }
    *made = arena_format(&payment->work->iso->arena, "%.*s:%.*s", (int)institution.size, institution.data, (int)text.size, text.data);
    return REJECT_NONE;
}

/* The row's text: empty when it yields nothing. */
static enum reject_reason make_text(struct payment *payment, const struct row *row, const struct xml_node *node, struct slice *made)
{
    struct arena *arena = &payment->work->iso->arena;
    struct slice text = row->currency ? node->currency : node->text;
    *made = text;
    switch (row->row->how) {
    case HOW_ADDRESS:
        *made = iso_address(node, arena);
        return REJECT_NONE;
    case HOW_SCHEME:
        *made = iso_scheme(node, arena);
        return REJECT_NONE;
    case HOW_ALWAYS:
        *made = slice_of(row->row->with);
        return REJECT_NONE;
    case HOW_TEXT:
    case HOW_JOIN:
    case HOW_PART:
    case HOW_COUNT:
        return REJECT_NONE;
    case HOW_TIME:
        return text.size ? iso_time(text, payment->work->iso->zone, arena, made) : REJECT_NONE;
    case HOW_IBAN:
        return text.size ? iso_iban(text) : REJECT_NONE;
    case HOW_NUMBER:
    case HOW_NUMBER_HERE:
        return text.size ? make_number(payment, row, text, made) : REJECT_NONE;
    case HOW_BIC_COUNTRY:
        *made = iso_country(text, 4);
        return REJECT_NONE;
    case HOW_IBAN_COUNTRY:
        *made = iso_country(text, 0);
        return REJECT_NONE;
    case HOW_PREFIX:
        *made = text.size ? arena_format(arena, "%s:%.*s", row->row->with, (int)text.size, text.data) : text;
        return REJECT_NONE;
    case HOW_UETR:
        return text.size ? iso_uetr(text, arena, made) : REJECT_NONE;
    case HOW_WORD:
        *made = iso_word(slice_of(row->row->with), text);
        return REJECT_NONE;
    case HOW_CODE:
        *made = iso_word(slice_of(row->row->with), text);
        return text.size && made->size == 0 ? REJECT_BAD_CODE : REJECT_NONE;
    }
    return REJECT_NONE;
}

static void take_part(struct payment *payment, const struct row *row, struct slice text)
{
    uint32_t number = (uint32_t)(row->row->with[0] - '0');
    invariant(number >= 1 && number <= ISO_PARTS_MAX);
    if (payment->part[number].size == 0 && !slice_equal(text, SLICE("NOTPROVIDED")))
        payment->part[number] = text;
}

static void take_joined(struct payment *payment, const struct row *row, const struct xml_node *node)
{
    struct slice *text = &payment->draft.text[row->row->field];
    for (; node; node = xml_again(node)) {
        if (node->text.size == 0)
            continue;
        if (text->size == 0)
            *text = node->text;
        else if (text->size <= event_field_most(row->row->field)) /* longer ones are refused as they are */
            *text = arena_format(&payment->work->iso->arena, "%.*s %.*s", (int)text->size, text->data, (int)node->text.size, node->text.data);
    }
}

static void take_row(struct payment *payment, const struct row *row)
{
    struct xml_node *base = payment->base[row->row->base];
    const struct xml_node *node = base ? find(base, row) : NULL;
    struct slice *text = &payment->draft.text[row->row->field], made;
    if (!node)
        return;
    if (row->row->how == HOW_JOIN) {
        take_joined(payment, row, node);
        return;
    }
    if (row->row->how == HOW_PART) {
        take_part(payment, row, node->text);
        return;
    }
    if (text->size)
        return;
    enum reject_reason reason = make_text(payment, row, node, &made);
    if (reason != REJECT_NONE)
        refuse(payment, reason, row->own);
    if (made.size == 0)
        return;
    *text = made;
    payment->own[row->row->field] = row->own;
}

/* --- one payment --- */

static void make_id(struct payment *payment)
{
    struct arena *arena = &payment->work->iso->arena;
    struct slice id = arena_format(arena, "%s:%.*s", iso_kind_name(payment->kind), (int)payment->part[1].size, payment->part[1].data);
    if (payment->part[1].size == 0)
        refuse(payment, REJECT_MISSING_FIELD, payment->own[EF_ID]);
    bool has_own = payment->base[BASE_ENTRY] && xml_child(payment->base[BASE_ENTRY], SLICE("AcctSvcrRef"));
    if (payment->entry && payment->part[2].size == 0 && !has_own)
        payment->part[2] = arena_format(arena, "%u", payment->entry); /* or two entries would pass for one */
    if (payment->part[3].size == 0)
        payment->part[3] = arena_format(arena, "%u", payment->place);
    for (int i = 2; i <= ISO_PARTS_MAX; i++)
        if (payment->part[i].size)
            id = arena_format(arena, "%.*s/%.*s", (int)id.size, id.data, (int)payment->part[i].size, payment->part[i].data);
    payment->draft.text[EF_ID] = id;
}

/* Has the entry come to take a payment back? */
static bool reverses(const struct payment *payment)
{
    struct xml_node *entry = payment->base[BASE_ENTRY], *item = payment->base[BASE_ITEM];
    struct xml_node *mark = entry ? xml_child(entry, SLICE("RvslInd")) : NULL, *back = item ? xml_child(item, SLICE("RtrInf")) : NULL;
    if (mark)
        mark->used = true;
    return (mark && (slice_equal(mark->text, SLICE("true")) || slice_equal(mark->text, SLICE("1")))) || back;
}

/* What no single row can say. */
static void finish(struct payment *payment, bool reversal)
{
    struct slice *text = payment->draft.text;
    if (payment->pending != REJECT_NONE && text[payment->pending_field].size == 0)
        refuse(payment, payment->pending, payment->pending_own);
    if (payment->kind == ISO_PACS009COV && text[EF_END_TO_END].size == 0)
        refuse(payment, REJECT_MISSING_FIELD, payment->own[EF_END_TO_END]);
    bool camt = payment->kind == ISO_CAMT054_IN || payment->kind == ISO_CAMT054_OUT;
    if (camt && text[EF_STATUS].size == 0)
        refuse(payment, REJECT_MISSING_FIELD, payment->own[EF_STATUS]);
    if (reversal && slice_equal(text[EF_STATUS], SLICE("SETTLED")))
        text[EF_STATUS] = SLICE("REVERSED");
    make_id(payment);
    if (reversal)
        text[EF_ID] = arena_format(&payment->work->iso->arena, "%.*s/R", (int)text[EF_ID].size, text[EF_ID].data);
}

static void translate_payment(struct work *work, enum iso_kind kind, struct xml_node *const base[BASE_COUNT], const struct xml_node *shown, uint32_t place)
{
    struct iso_format *iso = work->iso;
    struct payment payment = {.work = work, .kind = kind, .place = place, .entry = work->entry};
    memcpy(payment.base, base, sizeof payment.base);
    payment.own = ARENA_ARRAY(work->out->arena, struct slice, EF_COUNT);
    memcpy(payment.own, iso->own[kind], sizeof iso->own[kind]);
    payment.draft.own = payment.own;
    payment.draft.raw = piece(work, shown);
    bool camt = kind == ISO_CAMT054_IN || kind == ISO_CAMT054_OUT;
    bool reversal = camt && reverses(&payment);
    for (uint32_t i = 0; i < iso_row_count; i++)
        if (iso_rows[i].kind == kind)
            take_row(&payment, &iso->row[i]);
    finish(&payment, reversal);
    if (payment.reason != REJECT_NONE)
        format_refuse(work->out, payment.reason, payment.field, payment.draft.raw);
    else
        format_add(work->out, &payment.draft);
}

/* --- messages --- */

/* True when the header's number of payments is the one that is there. */
static bool count_agrees(struct work *work, const struct xml_node *message, const struct xml_node *group, uint32_t found)
{
    const struct xml_node *said = group ? xml_child(group, SLICE("NbOfTxs")) : NULL;
    uint64_t number = 0;
    for (size_t i = 0; said && i < said->text.size; i++) {
        bool digit = said->text.data[i] >= '0' && said->text.data[i] <= '9' && number < UINT32_MAX;
        number = digit ? number * 10 + (uint64_t)(said->text.data[i] - '0') : UINT64_MAX / 16;
    }
    if (!said || number == found)
        return true;
    work->skipped = true;
    format_refuse(work->out, REJECT_COUNT_DIFFERS, SLICE("GrpHdr/NbOfTxs"), piece(work, message));
    return false;
}

static uint32_t count_of(const struct xml_node *parent, struct slice name)
{
    uint32_t count = 0;
    for (const struct xml_node *node = xml_child(parent, name); node; node = xml_again(node))
        count++;
    return count;
}

static void take_transfers(struct work *work, enum iso_kind kind, struct xml_node *message)
{
    struct xml_node *base[BASE_COUNT] = {[BASE_HEADER] = work->header, [BASE_GROUP] = xml_child(message, SLICE("GrpHdr"))};
    uint32_t place = 0;
    if (!count_agrees(work, message, base[BASE_GROUP], count_of(message, SLICE("CdtTrfTxInf"))))
        return;
    for (struct xml_node *item = xml_child(message, SLICE("CdtTrfTxInf")); item; item = xml_again(item)) {
        base[BASE_ITEM] = item;
        base[BASE_COVER] = xml_child(item, SLICE("UndrlygCstmrCdtTrf"));
        bool cover = kind == ISO_PACS009 && base[BASE_COVER];
        translate_payment(work, cover ? ISO_PACS009COV : kind, base, item, ++place);
    }
}

static void take_initiation(struct work *work, enum iso_kind kind, struct xml_node *message)
{
    struct xml_node *base[BASE_COUNT] = {[BASE_HEADER] = work->header, [BASE_GROUP] = xml_child(message, SLICE("GrpHdr"))};
    uint32_t place = 0, count = 0;
    for (struct xml_node *batch = xml_child(message, SLICE("PmtInf")); batch; batch = xml_again(batch))
        count += count_of(batch, SLICE("CdtTrfTxInf"));
    if (!count_agrees(work, message, base[BASE_GROUP], count))
        return;
    for (struct xml_node *batch = xml_child(message, SLICE("PmtInf")); batch; batch = xml_again(batch)) {
        base[BASE_BATCH] = batch;
        for (struct xml_node *item = xml_child(batch, SLICE("CdtTrfTxInf")); item; item = xml_again(item)) {
            base[BASE_ITEM] = item;
            translate_payment(work, kind, base, item, ++place);
        }
    }
}

/* A debit that is taken back is still a payment from this account: only its status says that it came back. */
static bool entry_kind(struct work *work, struct xml_node *const base[BASE_COUNT], enum iso_kind *kind)
{
    struct payment probe = {.work = work};
    memcpy(probe.base, base, sizeof probe.base);
    struct xml_node *entry_mark = xml_child(base[BASE_ENTRY], SLICE("CdtDbtInd"));
    struct xml_node *item_mark = base[BASE_ITEM] ? xml_child(base[BASE_ITEM], SLICE("CdtDbtInd")) : NULL;
    const struct xml_node *mark = item_mark ? item_mark : entry_mark;
    if (entry_mark)
        entry_mark->used = true;
    if (item_mark)
        item_mark->used = true;
    bool credit = mark && slice_equal(mark->text, SLICE("CRDT"));
    if (!credit && !(mark && slice_equal(mark->text, SLICE("DBIT")))) {
        work->skipped = true;
        format_refuse(work->out, mark ? REJECT_BAD_CODE : REJECT_MISSING_FIELD, SLICE("Ntry/CdtDbtInd"), piece(work, base[BASE_ENTRY]));
        return false;
    }
    *kind = credit != reverses(&probe) ? ISO_CAMT054_IN : ISO_CAMT054_OUT;
    return true;
}

static void take_entry(struct work *work, struct xml_node *base[BASE_COUNT])
{
    struct xml_node *entry = base[BASE_ENTRY];
    enum iso_kind kind;
    uint32_t count = 0, place = 0;
    for (struct xml_node *details = xml_child(entry, SLICE("NtryDtls")); details; details = xml_again(details))
        count += count_of(details, SLICE("TxDtls"));
    base[BASE_ENTRY_ALONE] = count <= 1 ? entry : NULL;
    base[BASE_ITEM] = NULL;
    if (count == 0 && entry_kind(work, base, &kind))
        translate_payment(work, kind, base, entry, ++place);
    for (struct xml_node *details = xml_child(entry, SLICE("NtryDtls")); details; details = xml_again(details))
        for (struct xml_node *item = xml_child(details, SLICE("TxDtls")); item; item = xml_again(item)) {
            base[BASE_ITEM] = item;
            if (entry_kind(work, base, &kind))
                translate_payment(work, kind, base, count == 1 ? entry : item, ++place);
        }
}

static void take_notification(struct work *work, enum iso_kind kind, struct xml_node *message)
{
    struct xml_node *base[BASE_COUNT] = {[BASE_HEADER] = work->header, [BASE_GROUP] = xml_child(message, SLICE("GrpHdr"))};
    (void)kind;
    for (struct xml_node *batch = xml_child(message, SLICE("Ntfctn")); batch; batch = xml_again(batch)) {
        work->entry = 0;
        base[BASE_BATCH] = batch;
        for (struct xml_node *entry = xml_child(batch, SLICE("Ntry")); entry; entry = xml_again(entry)) {
            work->entry++;
            base[BASE_ENTRY] = entry;
            take_entry(work, base);
        }
    }
    work->entry = 0;
}

static const struct {
    const char *space, *root;
    enum iso_kind kind;
    void (*take)(struct work *work, enum iso_kind kind, struct xml_node *message);
} messages[] = {
    {ISO_SPACE "pacs.008.001.", "FIToFICstmrCdtTrf", ISO_PACS008, take_transfers},
    {ISO_SPACE "pacs.009.001.", "FICdtTrf", ISO_PACS009, take_transfers},
    {ISO_SPACE "pain.001.001.", "CstmrCdtTrfInitn", ISO_PAIN001, take_initiation},
    {ISO_SPACE "camt.054.001.", "BkToCstmrDbtCdtNtfctn", ISO_CAMT054_IN, take_notification},
};

enum { MESSAGE_COUNT = sizeof messages / sizeof messages[0] };

/* --- what is unknown --- */

struct trail {
    char text[1024];
    size_t size;
};

static bool is_dropped(const struct trail *trail)
{
    for (uint32_t i = 0; i < iso_dropped_count; i++) {
        size_t size = strlen(iso_dropped[i].end);
        if (trail->size >= size && memcmp(trail->text + trail->size - size, iso_dropped[i].end, size) == 0 &&
            (trail->size == size || trail->text[trail->size - size - 1] == '/'))
            return true;
    }
    return false;
}

/* Depth is bounded by XML_DEPTH_MAX. */
static void count_unknown(struct work *work, const struct xml_node *node, struct trail *trail)
{
    for (const struct xml_node *child = node->child; child; child = child->next) {
        size_t before = trail->size;
        if (trail->size + child->name.size + 2 >= sizeof trail->text)
            continue; /* no element of ISO 20022 has so long a path: what lies deeper was not used either */
        trail->text[trail->size] = '/';
        trail->size += before > 0;
        memcpy(trail->text + trail->size, child->name.data, child->name.size);
        trail->size += child->name.size;
        bool foreign = !slice_equal(child->space, node->space);
        if (foreign || (child->text.size && !child->used && !is_dropped(trail)))
            format_unknown(work->out, (struct slice){trail->text, trail->size});
        else if (child->child && !is_dropped(trail))
            count_unknown(work, child, trail);
        trail->size = before;
    }
}

/* --- documents --- */

static bool begins(struct slice text, const char *start)
{
    size_t size = strlen(start);
    return text.size >= size && memcmp(text.data, start, size) == 0;
}

static void take_document(struct work *work, struct xml_node *document)
{
    struct arena *arena = &work->iso->arena;
    struct trail trail = {.size = 0};
    for (int i = 0; i < MESSAGE_COUNT; i++) {
        struct xml_node *message = xml_child(document, slice_of(messages[i].root));
        if (!begins(document->space, messages[i].space) || !message)
            continue;
        uint32_t before = work->out->count;
        messages[i].take(work, messages[i].kind, message);
        if (work->out->count == before && !work->out->overflowed)
            format_refuse(work->out, REJECT_NO_EVENTS, slice_of(messages[i].root), piece(work, document));
        if (!work->skipped) /* else what was not looked at would pass for unknown */
            count_unknown(work, message, &trail);
        work->skipped = false;
        return;
    }
    struct slice name = document->space;
    if (begins(name, ISO_SPACE))
        name = (struct slice){name.data + strlen(ISO_SPACE), name.size - strlen(ISO_SPACE)};
    if (name.size > 64)
        name.size = 64;
    format_refuse(work->out, REJECT_UNKNOWN_MESSAGE, arena_format(arena, "Document %.*s", (int)name.size, name.data), piece(work, document));
}

/* Envelopes differ: documents and headers are found by their names, wherever they stand. Depth is
 * bounded by XML_DEPTH_MAX. */
static void find_documents(struct work *work, struct xml_node *node)
{
    if (slice_equal(node->name, SLICE("Document"))) {
        work->documents++;
        take_document(work, node);
        return;
    }
    if (slice_equal(node->name, SLICE("AppHdr")) && begins(node->space, ISO_SPACE "head.001.")) {
        work->header = node;
        return;
    }
    for (struct xml_node *child = node->child; child; child = child->next)
        find_documents(work, child);
}

static bool iso_translate(void *self, struct slice bytes, struct format_output *out, struct error *err)
{
    struct iso_format *iso = self;
    struct work work = {.iso = iso, .out = out, .bytes = bytes};
    struct xml_node *root;
    uint64_t line;
    (void)err;
    arena_reset(&iso->arena);
    enum reject_reason reason = xml_read(iso->reader, bytes, &iso->arena, &root, &line);
    if (reason != REJECT_NONE) {
        format_refuse(out, reason, arena_format(&iso->arena, "line %llu", (unsigned long long)line), bytes);
        return true;
    }
    find_documents(&work, root);
    if (work.documents == 0)
        format_refuse(out, REJECT_UNKNOWN_MESSAGE, SLICE("Document"), bytes);
    return true;
}

/* --- beginning and end --- */

static void cut_path(struct row *row)
{
    struct slice path = slice_of(row->row->path);
    const char *at = memchr(path.data, '@', path.size);
    row->currency = at != NULL;
    if (at)
        path.size = (size_t)(at - path.data);
    while (path.size) {
        const char *cut = memchr(path.data, '/', path.size);
        size_t size = cut ? (size_t)(cut - path.data) : path.size;
        invariant(row->steps < ISO_STEPS_MAX);
        row->step[row->steps++] = (struct slice){path.data, size};
        path = cut ? (struct slice){cut + 1, path.size - size - 1} : SLICE("");
    }
}

static void prepare_rows(struct iso_format *iso)
{
    for (uint32_t i = 0; i < iso_row_count; i++) {
        struct row *row = &iso->row[i];
        row->row = &iso_rows[i];
        cut_path(row);
        row->own = arena_format(&iso->names, "%s%s%s", iso_base_name(row->row->kind, row->row->base), row->row->path[0] ? "/" : "", row->row->path);
        struct slice *first = &iso->own[row->row->kind][row->row->field];
        if (first->size == 0)
            *first = row->own;
    }
    for (int kind = 0; kind < ISO_KIND_COUNT; kind++) { /* a payment without any key is refused as one without sides */
        struct slice *sides = &iso->own[kind][EF_SENDER];
        *sides = iso->own[kind][EF_SENDER_ACCOUNT];
        sides->size -= strlen("/Id/IBAN");
    }
}

static void iso_close(void *self)
{
    struct iso_format *iso = self;
    xml_reader_free(iso->reader);
    zone_free(iso->zone);
    arena_fini(&iso->arena);
    arena_fini(&iso->names);
    free(iso);
}

struct format *iso20022_format_open(const char *zone, struct error *err)
{
    struct iso_format *iso = calloc(1, sizeof *iso);
    invariant(iso);
    iso->zone = zone_load(slice_of(*zone ? zone : "UTC"), err);
    if (!iso->zone) {
        free(iso);
        return NULL;
    }
    iso->reader = xml_reader_new();
    arena_init(&iso->arena);
    arena_init(&iso->names);
    prepare_rows(iso);
    iso->seam = (struct format){.self = iso, .name = "iso20022", .translate = iso_translate, .close = iso_close};
    return &iso->seam;
}
