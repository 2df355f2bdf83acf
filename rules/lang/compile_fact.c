/* Builds facts: their key, their fields and types, and the file they come from, if any. */
#include "rules/lang/compile.h"

#include "rules/lang/fact.h"

static const struct {
    const char *word;
    enum value_type type;
} fact_types[] = {
    {"count", TYPE_COUNT},     {"money", TYPE_MONEY},       {"percent", TYPE_PERCENT},   {"time", TYPE_TIME},         {"flag", TYPE_BOOL},
    {"country", TYPE_COUNTRY}, {"currency", TYPE_CURRENCY}, {"purpose", TYPE_PURPOSE},   {"mcc", TYPE_MCC},           {"account", TYPE_ACCOUNT},
    {"party", TYPE_PARTY},     {"device", TYPE_DEVICE},     {"phone", TYPE_PHONE},       {"address", TYPE_ADDRESS},   {"terminal", TYPE_TERMINAL},
};

static enum value_type fact_type(struct compiler *c, const struct name *word)
{
    struct suggestion s = {.wrong = word->text};
    for (size_t i = 0; i < sizeof fact_types / sizeof *fact_types; i++) {
        if (slice_equal(word->text, slice_of(fact_types[i].word)))
            return fact_types[i].type;
        suggest_offer(&s, slice_of(fact_types[i].word));
    }
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_TYPE_WORD, word->span, "a fact's field cannot be `%.*s`",
                                          (int)word->text.size, word->text.data);
    if (s.best.size)
        help_suggestion(c, d, &s);
    else
        diagnostic_help(c->diagnostics, d, "count, money, percent, time, flag, country, currency, purpose, mcc, account, party, device, "
                                           "phone, address or terminal");
    return TYPE_POISON;
}

static void fact_fields(struct compiler *c, const struct syntax_memory *at, struct memory *memory, bool file)
{
    uint32_t entities = 0;
    for (const struct syntax_fact_field *field = at->field; field; field = field->next) {
        if (memory->keep_count == MEMORY_KEEP_MAX) {
            diagnostic_add(c->diagnostics, DIAG_LIMIT, field->name.span, "a fact has at most %d fields", MEMORY_KEEP_MAX);
            return;
        }
        for (uint8_t i = 0; i < memory->keep_count; i++)
            if (slice_equal(memory->keep_name[i], field->name.text))
                diagnostic_add(c->diagnostics, DIAG_NAME_TWICE, field->name.span, "`%.*s` is declared twice", (int)field->name.text.size,
                               field->name.text.data);
        enum value_type type = fact_type(c, &field->type);
        bool entity = fact_type_is_entity(type);
        if (entity && file)
            diagnostic_add(c->diagnostics, DIAG_LIMIT, field->type.span, "a file of facts holds no accounts or parties: use a list, or a topic");
        else if (entity && entities >> type & 1)
            diagnostic_add(c->diagnostics, DIAG_LIMIT, field->type.span, "a fact holds at most one field of this type");
        entities |= entity ? 1u << type : 0;
        uint8_t k = memory->keep_count++;
        memory->keep_name[k] = arena_copy(c->arena, field->name.text);
        memory->keep_type[k] = type;
        memory->hash = hash_number(hash_slice(memory->hash, field->name.text), type);
    }
}

bool fact_is_file(const struct syntax_memory *at)
{
    struct slice from = at->from.text;
    return at->fact && from.size > 4 && memcmp(from.data + from.size - 4, ".csv", 4) == 0;
}

static void fact_load(struct compiler *c, const struct syntax_memory *at, struct memory *memory)
{
    char message[256] = "";
    uint32_t line = 0;
    if (!path_is_safe(at->from.text)) {
        diagnostic_add(c->diagnostics, DIAG_LIST_FILE, at->from.span, "a file of facts lies beside the rules: no `..`, no leading `/`");
        return;
    }
    struct slice path = arena_format(&c->scratch, "%s%s%.*s", c->dir, *c->dir ? "/" : "", (int)at->from.text.size, at->from.text.data);
    struct fact_columns columns = {memory->keep_count, memory->keep_name, memory->keep_type, c->base, c->out->program.zone};
    memory->file = fact_file_load(arena_text(&c->scratch, path), &columns, message, &line);
    if (memory->file)
        return;
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_LIST_FILE, at->from.span, "these facts cannot be loaded");
    if (line)
        diagnostic_label(c->diagnostics, d, "line %u: %s", line, message);
    else
        diagnostic_label(c->diagnostics, d, "%s", message);
}

void fact_compile(struct compiler *c, const struct syntax_memory *at, struct memory *memory)
{
    enum key_form form = key_form_of(at->key.text);
    if (form != KEY_ACCOUNT && form != KEY_PARTY) {
        diagnostic_add(c->diagnostics, DIAG_KEY_UNKNOWN, at->key.span, "facts are about each account or party");
        form = KEY_ACCOUNT;
    }
    struct keyspace *key = ARENA_NEW(&c->scratch, struct keyspace);
    *key = plain_key(form);
    (void)keyspace_intern(c, key, at->key.span, &memory->keyspace);
    memory->fact = true;
    memory->flow = STREAM_NONE;
    memory->hash = hash_number(hash_slice(key->hash, at->name.text), STREAM_NONE);
    bool file = fact_is_file(at);
    uint32_t errors = diagnostics_errors(c->diagnostics);
    fact_fields(c, at, memory, file);
    if (!file)
        memory->topic = arena_copy(c->arena, at->from.text);
    else if (errors == diagnostics_errors(c->diagnostics))
        fact_load(c, at, memory);
}
