/* Builds what rules read: keys, sources and their filters, windows; equal ones are shared by hash. */
#include "rules/lang/compile.h"

#include "engine/base/invariant.h"

static const struct typed poison = {0, TYPE_POISON};

/* --- keys --- */

bool keyspace_intern(struct compiler *c, const struct keyspace *key, struct span span, uint16_t *index)
{
    for (*index = 0; *index < c->keyspace_count; (*index)++)
        if (c->keyspace[*index].hash == key->hash)
            return true;
    if (c->keyspace_count == LIMIT_KEYS) {
        diagnostic_add(c->diagnostics, DIAG_LIMIT, span, "a rule set has at most %d different keys, those of `is new` among them", LIMIT_KEYS);
        *index = 0;
        return false;
    }
    c->keyspace[c->keyspace_count++] = *key;
    return true;
}

bool type_is_key(uint8_t type)
{
    return (type >= TYPE_ACCOUNT && type <= TYPE_PLACE) || type == TYPE_COUNTRY || type == TYPE_CURRENCY || type == TYPE_KIND ||
           type == TYPE_CHANNEL || type == TYPE_PURPOSE || type == TYPE_MCC || type == TYPE_CORRIDOR;
}

uint32_t path_refs(const struct compiler *c, struct slice word)
{
    struct memory_path path;
    int field = name_field(word);
    if (field >= FIELD_SENDER && field <= FIELD_PLACE)
        return 1u << field; /* the fields up to PLACE stand in the order of enum event_ref */
    if (!name_memory(c, word, &path))
        return 0;
    const struct keyspace *of = &c->keyspace[c->memory[path.memory].keyspace];
    if (slice_equal(path.base, SLICE("sender")))
        return of->joined_refs[SIDE_SENDER];
    if (slice_equal(path.base, SLICE("receiver")))
        return of->joined_refs[SIDE_RECEIVER];
    return of->joined_refs[SIDE_SENDER] | of->joined_refs[SIDE_RECEIVER];
}

static const struct key_entity entities[] = {
#define KEY_ENTITY(name, word, sender, receiver, type, field, flows, help) \
    {word, {sender, receiver}, type, field, flows},
#include "rules/lang/key_entity.def"
#undef KEY_ENTITY
};

const struct key_entity *key_entity(enum key_form form)
{
    invariant(key_is_entity(form));
    return &entities[form - KEY_TRANSFER - 1];
}

/* The word of every key that is one word. */
static const char *key_word(enum key_form form)
{
    if (key_is_entity(form))
        return key_entity(form)->word;
    return form == KEY_PAIR ? "pair" : "transfer";
}

enum key_form key_form_of(struct slice word)
{
    for (int form = KEY_TRANSFER; form <= KEY_PAIR; form++)
        if (slice_equal(word, slice_of(key_word((enum key_form)form))))
            return (enum key_form)form;
    return KEY_FORM_COUNT;
}

struct keyspace plain_key(enum key_form form)
{
    struct keyspace key = {.form = form, .label = key_word(form), .hash = hash_slice(1, slice_of(key_word(form)))};
    if (form == KEY_PAIR) {
        key.width = 2;
        key.type[0] = key.type[1] = TYPE_ACCOUNT;
        key.joined_refs[SIDE_SENDER] = 1u << REF_SENDER | 1u << REF_RECEIVER;
    } else if (key_is_entity(form)) {
        const struct key_entity *entity = key_entity(form);
        key.width = 1;
        key.type[0] = entity->type;
        key.sided = entity->ref[SIDE_RECEIVER] != REF_COUNT;
        for (int side = SIDE_SENDER; side <= SIDE_RECEIVER; side++)
            key.joined_refs[side] = entity->ref[side] == REF_COUNT ? 0 : 1u << entity->ref[side];
    }
    return key;
}

static bool key_element(struct compiler *c, const struct syntax_key *at, struct keyspace *key)
{
    struct emitter *em = arena_alloc(&c->of_rule, sizeof *em);
    *em = (struct emitter){.c = c, .scope = SCOPE_FILTER, .key = key};
    struct memory_path path;
    if (name_field(at->path.text) < 0 && !name_memory(c, at->path.text, &path)) {
        struct suggestion s = {.wrong = at->path.text};
        for (int form = KEY_TRANSFER; form <= KEY_PAIR; form++)
            suggest_offer(&s, slice_of(key_word((enum key_form)form)));
        suggest_offer(&s, SLICE("sender"));
        suggest_offer(&s, SLICE("receiver"));
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_KEY_UNKNOWN, at->path.span, "`%.*s` is not a key",
                                              (int)at->path.text.size, at->path.text.data);
        help_suggestion(c, d, &s);
        return false;
    }
    struct typed value = emit_path(em, &at->path, TYPE_POISON);
    if (value.type == TYPE_POISON)
        return false;
    if (!type_is_key(value.type)) {
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_KEY_TYPE, at->path.span, "this cannot be part of a key");
        diagnostic_label(c->diagnostics, d, "%s", type_says((enum value_type)value.type));
        return false;
    }
    key->element[key->width] = emitted(em, value.node);
    key->type[key->width] = (enum value_type)value.type;
    key->hash = hash_expr(c, &key->element[key->width], key->hash);
    key->joined_refs[SIDE_SENDER] |= path_refs(c, at->path.text);
    uint8_t stratum = path_stratum(c, at->path.text);
    key->stratum = stratum > key->stratum ? stratum : key->stratum;
    key->width++;
    return true;
}

bool key_of_rule(struct compiler *c, const struct syntax_rule *rule, struct keyspace *key)
{
    const struct syntax_key *first = rule->key;
    if (!first)
        return false;
    enum key_form form = first->next ? KEY_FORM_COUNT : key_form_of(first->path.text);
    if (form != KEY_FORM_COUNT) {
        *key = plain_key(form);
        return true;
    }
    *key = (struct keyspace){.form = KEY_COMPOSITE, .hash = hash_slice(1, SLICE("composite"))};
    struct slice label = {"", 0};
    for (const struct syntax_key *at = first; at; at = at->next) {
        if (key->width == KEY_WIDTH_MAX) {
            diagnostic_add(c->diagnostics, DIAG_LIMIT, at->path.span, "a key has at most %d parts", KEY_WIDTH_MAX);
            return false;
        }
        if (!key_element(c, at, key))
            return false;
        label = arena_format(c->arena, "%.*s%s%.*s", (int)label.size, label.data, label.size ? ", " : "", (int)at->path.text.size,
                             at->path.text.data);
    }
    key->label = arena_text(c->arena, label);
    return true;
}

/* --- sources --- */

bool source_fits(struct compiler *c, const struct keyspace *key, const struct syntax_source *source)
{
    static const char *const words[] = {"in", "out", "transfers", "refunds", "reversals"};
    bool flows = key_is_entity(key->form) && key_entity(key->form)->flows;
    bool fits = flows || (key->form != KEY_TRANSFER && source->flow != STREAM_IN && source->flow != STREAM_OUT);
    if (fits)
        return true;
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_SOURCE_NOT_HERE, source->span, "`for each %s` has no `%s`",
                                          key->form == KEY_COMPOSITE ? "…" : key->label, words[source->flow]);
    diagnostic_help(c->diagnostics, d, key->form == KEY_TRANSFER ? "a single transfer has no sources and no windows"
                                                                   : "use `transfers`, the events that carry this key");
    return false;
}

/* Emits the filter; false when it is wrong. */
bool source_filter(struct emitter *em, const struct syntax_source *source, const struct syntax_let *limit,
                          struct expr *filter, bool *side_relative)
{
    struct emitter *sub = arena_alloc(&em->c->of_rule, sizeof *sub);
    *sub = (struct emitter){.c = em->c, .scope = SCOPE_FILTER, .rule = em->rule, .key = em->key,
                            .keyspace = em->keyspace, .let_limit = limit, .stratum = em->stratum};
    *filter = (struct expr){0};
    if (!source_fits(em->c, em->key, source))
        return false;
    uint16_t root = 0;
    if (source->where && !emit_condition(sub, source->where, "`where`", &root))
        return false;
    if (sub->full) {
        diagnostic_add(em->c->diagnostics, DIAG_LIMIT, source->span, "a filter of more than %d parts", EXPR_NODE_MAX);
        return false;
    }
    if (source->where)
        *filter = emitted(sub, root);
    *side_relative = sub->side_relative;
    return true;
}

static const char *source_label(const struct compiler *c, struct span span)
{
    struct slice text = c->syntax->file[span.file].text;
    return arena_text(c->arena, (struct slice){text.data + span.at, span.size});
}

/* The let or inline source behind a name; NULL when there is none (reported). */
const struct syntax_source *source_resolve(struct emitter *em, const struct syntax_source *source,
                                                  const struct syntax_let **limit)
{
    *limit = em->let_limit;
    if (!source->is_name)
        return source;
    const struct syntax_let *let = name_let(em, source->name.text);
    if (!let) {
        report_unknown(em, &source->name);
        return NULL;
    }
    if (!let->is_source) {
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_VALUE_NOT_SOURCE, source->name.span,
                                              "`%.*s` is a value, not a source of events", (int)let->name.text.size, let->name.text.data);
        diagnostic_second(em->c->diagnostics, d, let->name.span, "declared here");
        return NULL;
    }
    if (let->source.is_name)
        return NULL; /* could not be read */
    *limit = let;
    return &let->source;
}

/* Keeps how this rule wrote the filter, once for each place. */
static void filter_note(struct emitter *em, uint16_t stream, const struct expr *filter)
{
    if (filter->comparison_count == 0)
        return;
    for (uint8_t i = 0; i < em->filter_count; i++)
        if (em->filter[i].stream == stream && em->filter[i].comparison[0].span.at == filter->comparison[0].span.at)
            return;
    if (!em->filter)
        em->filter = arena_bytes(&em->c->of_rule, FILTER_MAX * sizeof *em->filter);
    em->full |= em->filter_count == FILTER_MAX;
    if (em->filter_count < FILTER_MAX)
        em->filter[em->filter_count++] = (struct rule_filter){stream, filter->comparison_count, filter->comparison};
}

bool stream_intern(struct emitter *em, const struct syntax_source *source, const struct syntax_let *limit, uint16_t *index)
{
    struct compiler *c = em->c;
    struct stream stream = {.keyspace = em->keyspace, .flow = (uint8_t)source->flow};
    if (!source_filter(em, source, limit, &stream.filter, &stream.side_relative))
        return false;
    stream.hash = hash_expr(c, &stream.filter, hash_number(em->key->hash, stream.flow));
    for (*index = 0; *index < c->stream_count && c->stream[*index].hash != stream.hash; (*index)++)
        ;
    filter_note(em, *index, &stream.filter);
    if (*index < c->stream_count)
        return true;
    if (c->stream_count == LIMIT_STREAMS) {
        diagnostic_add(c->diagnostics, DIAG_LIMIT, source->span, "a rule set has at most %d different sources", LIMIT_STREAMS);
        return false;
    }
    stream.label = source_label(c, source->span);
    c->stream[c->stream_count++] = stream;
    return true;
}

/* A stream of legs: its filter is compiled already. */
bool legs_intern(struct emitter *em, const struct keyspace *key, const struct expr *filter, enum stream_flow flow, struct span span,
                 uint16_t *index)
{
    struct compiler *c = em->c;
    struct stream stream = {.flow = (uint8_t)flow, .stratum = key->stratum, .filter = *filter, .legs = true};
    if (!keyspace_intern(c, key, span, &stream.keyspace))
        return false;
    stream.hash = hash_expr(c, filter, hash_number(hash_number(key->hash, flow), stream.stratum));
    for (*index = 0; *index < c->stream_count && c->stream[*index].hash != stream.hash; (*index)++)
        ;
    filter_note(em, *index, filter);
    if (*index < c->stream_count)
        return true;
    if (c->stream_count == LIMIT_STREAMS) {
        diagnostic_add(c->diagnostics, DIAG_LIMIT, span, "a rule set has at most %d different sources", LIMIT_STREAMS);
        return false;
    }
    stream.label = source_label(c, span);
    c->stream[c->stream_count++] = stream;
    return true;
}

static const uint8_t field_types[FIELD_COUNT] = {
#define FIELD(name, word, type, help) TYPE_##type,
#include "rules/lang/field.def"
#undef FIELD
};

/* The column of a stream in which a field stands; asks for an extra one where needed. */
bool stream_column(struct emitter *em, uint16_t stream, const struct name *name, uint8_t *column, uint8_t *type)
{
    struct compiler *c = em->c;
    struct stream *at = &c->stream[stream];
    int field = name_field(name->text);
    if (field < 0) {
        report_unknown(em, name);
        return false;
    }
    if (field >= FIELD_ACCOUNT && !em->key->sided) {
        diagnostic_add(c->diagnostics, DIAG_FIELD_NOT_HERE, name->span, "`%.*s` has a meaning only in `for each account`",
                       (int)name->text.size, name->text.data);
        return false;
    }
    *type = field_types[field];
    static const struct {
        int field;
        uint8_t column;
    } plain[] = {{FIELD_AMOUNT, COLUMN_AMOUNT}, {FIELD_SENDER, COLUMN_SENDER}, {FIELD_RECEIVER, COLUMN_RECEIVER}, {FIELD_OTHER, COLUMN_OTHER}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        if (plain[i].field == field) {
            *column = plain[i].column;
            return true;
        }
    }
    uint8_t extra = 0;
    while (extra < at->extra_count && at->extra[extra] != field)
        extra++;
    if (extra == STREAM_EXTRA_MAX) {
        diagnostic_add(c->diagnostics, DIAG_LIMIT, name->span, "one source keeps at most %d fields besides amount, sender and receiver",
                       STREAM_EXTRA_MAX);
        return false;
    }
    if (extra == at->extra_count) {
        at->extra[at->extra_count++] = (uint8_t)field;
        at->side_relative |= field >= FIELD_ACCOUNT;
    }
    *column = (uint8_t)(COLUMN_EXTRA + extra);
    return true;
}

static bool span_legal(struct emitter *em, struct span span, int64_t ms)
{
    if (ms > 0 && ms <= (int64_t)LIMIT_DAYS * MS_PER_DAY &&
        (ms <= (int64_t)LIMIT_EXACT_DAYS * MS_PER_DAY || ms % MS_PER_DAY == 0))
        return true;
    struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_WINDOW, span, "this window is not possible");
    diagnostic_help(em->c->diagnostics, d, "windows are more than 0 and at most 400d; above 30d they are whole days");
    return false;
}

/* The window, whose param must be legal over its whole range. */
bool window_span(struct emitter *em, const struct syntax_expr *over, int64_t *span_ms, int32_t *days)
{
    const struct syntax_expr *value = over;
    if (over->form == EXPR_NAME) {
        const struct syntax_param *param = name_param(em->rule, over->name.text);
        if (!param) {
            report_unknown(em, &over->name);
            return false;
        }
        if (!param->high || !param->low || !param->value)
            return false;
        if (param->value->form != EXPR_DURATION || param->low->form != EXPR_DURATION || param->high->form != EXPR_DURATION) {
            struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_WINDOW, over->span, "a window is a length of time");
            diagnostic_second(em->c->diagnostics, d, param->name.span, "this param is not one");
            return false;
        }
        if (!span_legal(em, param->low->span, param->low->value) || !span_legal(em, param->high->span, param->high->value))
            return false;
        value = param->value;
    }
    if (!span_legal(em, over->span, value->value))
        return false;
    *span_ms = value->value;
    *days = value->value > (int64_t)LIMIT_EXACT_DAYS * MS_PER_DAY ? (int32_t)(value->value / MS_PER_DAY) : 0;
    return true;
}

/* What a function may be asked of a field, and what it yields. */
static bool aggregate_fits(enum aggregate_fn fn, uint8_t field_type)
{
    switch (fn) {
    case AGGREGATE_SUM:
    case AGGREGATE_AVG:
        return field_type == TYPE_MONEY;
    case AGGREGATE_MIN:
    case AGGREGATE_MAX:
        return field_type == TYPE_MONEY || field_type == TYPE_TIME || field_type == TYPE_CLOCK;
    case AGGREGATE_DISTINCT:
        return type_is_key(field_type);
    case AGGREGATE_FIRST:
    case AGGREGATE_LAST:
        return field_type != TYPE_TEXT;
    default:
        return false;
    }
}

static bool aggregate_column(struct emitter *em, const struct syntax_aggregate *at, struct aggregate *aggregate, uint8_t *type)
{
    static const char *const says[AGGREGATE_FN_COUNT] = {[AGGREGATE_SUM] = "summed",           [AGGREGATE_DISTINCT] = "counted as distinct",
                                                         [AGGREGATE_MIN] = "the smallest",     [AGGREGATE_MAX] = "the largest",
                                                         [AGGREGATE_AVG] = "averaged",         [AGGREGATE_FIRST] = "the first value",
                                                         [AGGREGATE_LAST] = "the last value"};
    *type = TYPE_COUNT;
    if (at->fn == AGGREGATE_COUNT)
        return true;
    uint8_t field_type;
    if (!stream_column(em, aggregate->stream, &at->field, &aggregate->column, &field_type))
        return false;
    if (!aggregate_fits(at->fn, field_type)) {
        struct diagnostic *d = diagnostic_add(em->c->diagnostics, DIAG_FIELD_NOT_AGGREGATE, at->field.span, "this cannot be %s", says[at->fn]);
        diagnostic_label(em->c->diagnostics, d, "%s", type_says((enum value_type)field_type));
        return false;
    }
    if (at->fn != AGGREGATE_DISTINCT)
        *type = field_type;
    return true;
}

static uint64_t aggregate_hash(const struct compiler *c, const struct aggregate *aggregate)
{
    const struct stream *stream = &c->stream[aggregate->stream];
    uint64_t hash = hash_number(hash_number(stream->hash, aggregate->fn), aggregate->days);
    int column = aggregate->column;
    if (column >= COLUMN_EXTRA)
        column = 100 + stream->extra[column - COLUMN_EXTRA];
    return hash_number(hash_number(hash, aggregate->span_ms), column);
}

uint64_t input_hash(const struct compiler *c, const struct aggregate *aggregate)
{
    uint64_t hash = aggregate_hash(c, aggregate);
    if (aggregate->usual)
        return hash_number(hash, AGGREGATE_FN_COUNT);
    return aggregate->since ? hash_number(hash_number(hash, AGGREGATE_FN_COUNT), aggregate->since) : hash;
}

uint16_t aggregate_intern(struct compiler *c, const struct aggregate *aggregate)
{
    for (uint16_t i = 0; i < c->aggregate_count; i++)
        if (c->aggregate[i].hash == aggregate->hash && c->aggregate[i].clock == aggregate->clock)
            return i;
    invariant(c->aggregate_count < WINDOWS_MAX);
    c->aggregate[c->aggregate_count] = *aggregate;
    return c->aggregate_count++;
}

/* How long the stream's records, and its key, must be kept for an aggregate. */
static void stream_keep(struct stream *stream, const struct aggregate *aggregate)
{
    int64_t widest_ms = aggregate->days ? (int64_t)(aggregate->days + 1) * MS_PER_DAY : aggregate->span_ms;
    int64_t keep_ms = aggregate->days ? (int64_t)LIMIT_EXACT_DAYS * MS_PER_DAY : aggregate->span_ms;
    stream->keep_ms = keep_ms > stream->keep_ms ? keep_ms : stream->keep_ms;
    stream->widest_ms = widest_ms > stream->widest_ms ? widest_ms : stream->widest_ms;
}

struct typed input_intern(struct emitter *em, const struct syntax_expr *expr, const struct aggregate *aggregate, uint8_t type)
{
    struct compiler *c = em->c;
    uint16_t input = 0;
    while (input < em->input_count && em->input[input].hash != aggregate->hash)
        input++;
    if (input == RULE_INPUT_MAX || c->aggregate_count + RULE_INPUT_MAX > WINDOWS_MAX) {
        diagnostic_add(c->diagnostics, DIAG_LIMIT, expr->span, "a rule reads at most %d windows, a rule set %d", RULE_INPUT_MAX,
                       WINDOWS_MAX - RULE_INPUT_MAX);
        return poison;
    }
    if (input == em->input_count)
        em->input[em->input_count++] = *aggregate;
    em->part_inputs |= 1u << input;
    return (struct typed){emit_node(em, (struct node){.op = OP_INPUT, .type = type, .imm = input}), type};
}

struct typed emit_aggregate(struct emitter *em, const struct syntax_expr *expr)
{
    struct compiler *c = em->c;
    const struct syntax_aggregate *at = expr->aggregate;
    struct aggregate aggregate = {.fn = (uint8_t)at->fn};
    const struct syntax_let *limit;
    uint8_t type;
    if (em->scope != SCOPE_RULE) {
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_AGGREGATE_NOT_HERE, expr->span, "a window cannot stand in a filter");
        diagnostic_help(c->diagnostics, d, "compare it in `when`; filters see one event and the memories");
        return poison;
    }
    const struct syntax_source *source = source_resolve(em, &at->source, &limit);
    if (!source || !stream_intern(em, source, limit, &aggregate.stream) ||
        !(at->since ? since_span(em, at, &aggregate) : window_span(em, at->over, &aggregate.span_ms, &aggregate.days)) ||
        !aggregate_column(em, at, &aggregate, &type))
        return poison;
    if (aggregate.since > em->in_hand) /* `unless`, before that step */
        return (struct typed){emit_node(em, (struct node){.op = OP_MISSING, .type = type}), type};
    stream_keep(&c->stream[aggregate.stream], &aggregate);
    aggregate.hash = input_hash(c, &aggregate);
    if (aggregate.since) /* its beginning is the attempt's: no other rule shares the window's tail */
        aggregate.hash = hash_slice(aggregate.hash, em->rule->id.text);
    aggregate.base_hash = aggregate.hash;
    return input_intern(em, expr, &aggregate, type);
}
