/* Lays out the program of a rule set: lists, texts, memories by stratum, typologies, rules. */
#include "rules/lang/compile.h"

#include "engine/base/invariant.h"
#include "rules/lang/fact.h"
#include "rules/lang/list.h"
#include "rules/lang/text.h"

#include <sodium.h>
#include <stdlib.h>

const char *const family_words[FAMILY_COUNT + 1] = {"control",   "collection", "payroll",    "debt",    "advertising", "lodging",
                                                    "transport", "cash_out",   "remittance", "network", "profile",     "laundering", NULL};

static void report_twice(struct compiler *c, const struct name *first, const struct name *again)
{
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_NAME_TWICE, again->span, "`%.*s` is declared twice",
                                          (int)again->text.size, again->text.data);
    diagnostic_second(c->diagnostics, d, first->span, "the first one");
}

/* Chains of named nodes differ only in where their name stands. */
#define CHECK_TWICE(type, first, member)                                        \
    for (const type *a_ = (first); a_; a_ = a_->next)                           \
        for (const type *b_ = a_->next; b_; b_ = b_->next)                      \
            if (slice_equal(a_->member.text, b_->member.text))                  \
                report_twice(c, &a_->member, &b_->member)

static void check_twice(struct compiler *c)
{
    const struct syntax *syntax = c->syntax;
    CHECK_TWICE(struct syntax_list, syntax->list, name);
    CHECK_TWICE(struct syntax_text, syntax->text, name);
    CHECK_TWICE(struct syntax_memory, syntax->memory, name);
    CHECK_TWICE(struct syntax_typology, syntax->typology, name);
    CHECK_TWICE(struct syntax_rule, syntax->rule, id);
}

/* --- rule set --- */

static bool compile_ruleset(struct compiler *c, struct error *err)
{
    struct program *program = &c->out->program;
    const struct syntax *syntax = c->syntax;
    struct span start = {0, 0, 0};
    if (!syntax->name.text.size) {
        if (syntax->file_count && diagnostics_errors(c->diagnostics) == 0)
            diagnostic_add(c->diagnostics, DIAG_BAD_RULESET, start, "no file of this folder has a `ruleset` block");
        return true;
    }
    program->name = arena_copy(c->arena, syntax->name.text);
    if (syntax->base.text.size) {
        c->base = program->base = currency_parse(syntax->base.text);
        if (!c->base)
            diagnostic_add(c->diagnostics, DIAG_BAD_ZONE, syntax->base.span, "there is no currency `%.*s`",
                           (int)syntax->base.text.size, syntax->base.text.data);
    }
    if (syntax->timezone.text.size) {
        struct error why = {0};
        program->zone = zone_load(syntax->timezone.text, &why);
        program->zone_name = arena_copy(c->arena, syntax->timezone.text);
        if (!program->zone) {
            struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_BAD_ZONE, syntax->timezone.span, "there is no such time zone");
            diagnostic_help(c->diagnostics, d, "a name of the tz database, for example \"Africa/Nairobi\"");
        }
    }
    (void)err;
    return true;
}

/* --- lists and texts --- */

static enum value_type list_type_of(struct slice word)
{
    static const struct {
        const char *word;
        enum value_type type;
    } types[] = {{"account", TYPE_ACCOUNT}, {"party", TYPE_PARTY},     {"device", TYPE_DEVICE},     {"phone", TYPE_PHONE},
                 {"address", TYPE_ADDRESS}, {"terminal", TYPE_TERMINAL}, {"country", TYPE_COUNTRY}, {"mcc", TYPE_MCC},
                 {"corridor", TYPE_CORRIDOR}, {"route", TYPE_ROUTE}, {"purpose", TYPE_PURPOSE}, {"currency", TYPE_CURRENCY}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (slice_equal(word, slice_of(types[i].word)))
            return types[i].type;
    return TYPE_POISON;
}

bool path_is_safe(struct slice path)
{
    if (path.size == 0 || path.size > 512 || path.data[0] == '/' || memchr(path.data, 0, path.size))
        return false;
    for (size_t i = 0; i + 1 < path.size; i++)
        if (path.data[i] == '.' && path.data[i + 1] == '.')
            return false;
    return true;
}

static void compile_list(struct compiler *c, const struct syntax_list *list, uint16_t index)
{
    char message[256] = "";
    uint32_t line = 0;
    c->list_type[index] = list_type_of(list->of.text);
    if (c->list_type[index] == TYPE_POISON) {
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_TYPE_WORD, list->of.span, "there are no lists of `%.*s`",
                                              (int)list->of.text.size, list->of.text.data);
        diagnostic_help(c->diagnostics, d, "account, party, device, phone, address, terminal, country, mcc, corridor, route, purpose or currency");
        return;
    }
    if (!path_is_safe(list->path.text)) {
        diagnostic_add(c->diagnostics, DIAG_LIST_FILE, list->path.span, "a list lies beside the rules: no `..`, no leading `/`");
        return;
    }
    struct slice path = arena_format(&c->scratch, "%s%s%.*s", c->dir, *c->dir ? "/" : "", (int)list->path.text.size, list->path.text.data);
    c->list[index] = list_load(arena_copy(c->arena, list->name.text), c->list_type[index], arena_text(&c->scratch, path), message, &line);
    if (c->list[index])
        return;
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_LIST_FILE, list->path.span, "this list cannot be loaded");
    if (line)
        diagnostic_label(c->diagnostics, d, "line %u: %s", line, message);
    else
        diagnostic_label(c->diagnostics, d, "%s", message);
}

static void compile_lists(struct compiler *c)
{
    uint16_t count = 0;
    for (const struct syntax_list *list = c->syntax->list; list; list = list->next)
        count++;
    c->list = ARENA_ARRAY(c->arena, struct list *, count + 1);
    c->list_type = ARENA_ARRAY(&c->scratch, enum value_type, count + 1);
    for (const struct syntax_list *list = c->syntax->list; list; list = list->next) {
        if (c->list_count == LIMIT_LISTS) {
            diagnostic_add(c->diagnostics, DIAG_LIMIT, list->name.span, "a rule set has at most %d lists", LIMIT_LISTS);
            return;
        }
        compile_list(c, list, c->list_count);
        c->list_count++;
    }
}

static void compile_text(struct compiler *c, const struct syntax_text *text, uint16_t index)
{
    struct text_pattern *pattern = ARENA_ARRAY(&c->scratch, struct text_pattern, text->pattern_count + 1);
    uint32_t count = 0, wrong = 0, offset = 0;
    char message[256] = "";
    uint64_t hash = hash_slice(2, text->name.text);
    for (const struct syntax_pattern *at = text->pattern; at && count < text->pattern_count; at = at->next) {
        pattern[count++] = (struct text_pattern){.body = at->body, .regex = at->regex, .caseless = at->caseless, .never = at->never};
        hash = hash_slice(hash, at->body);
        hash = hash_number(hash, at->regex | at->caseless << 1 | at->never << 2);
    }
    c->text_hash[index] = hash;
    if (text->broken || !count)
        return;
    c->text[index] = text_new(arena_copy(c->arena, text->name.text), pattern, count, message, &wrong, &offset);
    const struct syntax_pattern *at = text->pattern;
    for (uint32_t i = 0; !c->text[index] && i < wrong && at->next; i++)
        at = at->next;
    if (!c->text[index]) {
        struct span span = {at->span.at + 1 + (offset < at->body.size ? offset : 0), 1, at->span.file};
        diagnostic_add(c->diagnostics, DIAG_BAD_PATTERN, span, "this pattern cannot be compiled: %s", message);
        return;
    }
    for (uint32_t i = 0; i < count; i++, at = at->next)
        if (at->regex && text_required_literal(c->text[index], i).size == 0)
            diagnostic_add(c->diagnostics, DIAG_NO_LITERAL, at->span, "this pattern has no word that must occur, so it is tried on every narrative");
}

static void compile_texts(struct compiler *c)
{
    c->text = ARENA_ARRAY(c->arena, struct text *, LIMIT_TEXTS);
    c->text_hash = ARENA_ARRAY(c->arena, uint64_t, LIMIT_TEXTS);
    for (const struct syntax_text *text = c->syntax->text; text; text = text->next) {
        if (c->text_count == LIMIT_TEXTS) {
            diagnostic_add(c->diagnostics, DIAG_LIMIT, text->name.span, "a rule set has at most %d texts", LIMIT_TEXTS);
            return;
        }
        compile_text(c, text, c->text_count);
        c->text_count++;
    }
}

/* --- memories --- */

static void memory_compile(struct compiler *c, uint16_t index);

/* Compiles the memories that expr reads first; a memory met while it is being compiled is a cycle. */
static void memory_needs(struct compiler *c, const struct syntax_expr *expr, uint16_t by)
{
    struct memory_path path;
    if (!expr)
        return;
    if (expr->form == EXPR_NAME && name_memory(c, expr->name.text, &path)) {
        if (c->memory_state[path.memory] == 1) {
            struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_MEMORY_CYCLE, expr->name.span,
                                                  "the memory `%.*s` depends on itself", (int)c->memory_syntax[path.memory]->name.text.size,
                                                  c->memory_syntax[path.memory]->name.text.data);
            diagnostic_label(c->diagnostics, d, "read by `%.*s`", (int)c->memory_syntax[by]->name.text.size, c->memory_syntax[by]->name.text.data);
            diagnostic_second(c->diagnostics, d, c->memory_syntax[path.memory]->name.span, "and this one needs that");
            return;
        }
        memory_compile(c, path.memory);
        uint8_t stratum = (uint8_t)(c->memory[path.memory].stratum + 1);
        if (stratum > c->memory[by].stratum)
            c->memory[by].stratum = stratum;
        return;
    }
    memory_needs(c, expr->a, by);
    memory_needs(c, expr->b, by);
    memory_needs(c, expr->c, by);
}

static void memory_keeps(struct compiler *c, const struct syntax_memory *at, struct emitter *em, struct memory *memory)
{
    for (const struct syntax_keep *keep = at->keep; keep; keep = keep->next) {
        if (memory->keep_count == MEMORY_KEEP_MAX) {
            diagnostic_add(c->diagnostics, DIAG_LIMIT, keep->name.span, "a memory keeps at most %d fields", MEMORY_KEEP_MAX);
            return;
        }
        for (uint8_t i = 0; i < memory->keep_count; i++)
            if (slice_equal(memory->keep_name[i], keep->name.text))
                diagnostic_add(c->diagnostics, DIAG_NAME_TWICE, keep->name.span, "`%.*s` is kept twice", (int)keep->name.text.size, keep->name.text.data);
        em->count = em->comparison_count = 0;
        struct typed value = emit(em, keep->value, TYPE_POISON);
        uint8_t k = memory->keep_count++;
        memory->keep_name[k] = arena_copy(c->arena, keep->name.text);
        memory->keep_type[k] = (enum value_type)value.type;
        if (value.type == TYPE_POISON)
            continue;
        memory->keep[k] = emitted(em, value.node);
        memory->hash = hash_expr(c, &memory->keep[k], hash_slice(memory->hash, keep->name.text));
    }
}

static bool memory_key(struct compiler *c, const struct syntax_memory *at, struct keyspace *key)
{
    enum key_form form = key_form_of(at->key.text);
    *key = plain_key(form == KEY_FORM_COUNT || form == KEY_TRANSFER ? KEY_ACCOUNT : form);
    if (form != KEY_FORM_COUNT && form != KEY_TRANSFER)
        return true;
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_KEY_UNKNOWN, at->key.span, "memories are kept for each account or pair");
    diagnostic_help(c->diagnostics, d, "or for each party, device, phone, address or terminal");
    return false;
}

static void memory_compile(struct compiler *c, uint16_t index)
{
    const struct syntax_memory *at = c->memory_syntax[index];
    struct memory *memory = &c->memory[index];
    struct keyspace *key = ARENA_NEW(&c->scratch, struct keyspace);
    if (c->memory_state[index] == 2)
        return;
    c->memory_state[index] = 1;
    memory->name = arena_copy(c->arena, at->name.text);
    if (at->fact) {
        fact_compile(c, at, memory);
        c->memory_state[index] = 2;
        return;
    }
    memory_needs(c, at->source.where, index);
    for (const struct syntax_keep *keep = at->keep; keep; keep = keep->next)
        memory_needs(c, keep->value, index);
    if (memory_key(c, at, key)) {
        struct emitter *em = arena_alloc(&c->scratch, sizeof *em);
        (void)keyspace_intern(c, key, at->key.span, &memory->keyspace);
        *em = (struct emitter){.c = c, .scope = SCOPE_FILTER, .key = key, .keyspace = memory->keyspace};
        memory->flow = (uint8_t)at->source.flow;
        memory->for_ms = at->for_ms;
        memory->hash = hash_number(hash_slice(key->hash, at->name.text), memory->flow);
        if (at->source.is_name && !at->broken)
            diagnostic_add(c->diagnostics, DIAG_VALUE_NOT_SOURCE, at->source.span, "a memory reads in, out, transfers, refunds or reversals");
        else if (!at->broken)
            (void)source_fits(c, key, &at->source);
        uint16_t root;
        if (at->source.where && emit_condition(em, at->source.where, "`where`", &root))
            memory->filter = emitted(em, root);
        memory->hash = hash_expr(c, &memory->filter, memory->hash);
        memory_keeps(c, at, em, memory);
        if (em->full)
            diagnostic_add(c->diagnostics, DIAG_LIMIT, at->name.span, "a filter of more than %d parts", EXPR_NODE_MAX);
    }
    if (memory->stratum >= STRATUM_MAX)
        diagnostic_add(c->diagnostics, DIAG_STRATA, at->name.span, "memories read each other at most %d deep", STRATUM_MAX - 1);
    c->memory_state[index] = 2;
}

static void compile_memories(struct compiler *c)
{
    c->memory = ARENA_ARRAY(c->arena, struct memory, LIMIT_MEMORIES);
    c->memory_syntax = ARENA_ARRAY(&c->scratch, const struct syntax_memory *, LIMIT_MEMORIES);
    c->memory_state = ARENA_ARRAY(&c->scratch, uint8_t, LIMIT_MEMORIES);
    for (const struct syntax_memory *memory = c->syntax->memory; memory; memory = memory->next) {
        if (c->memory_count == LIMIT_MEMORIES) {
            diagnostic_add(c->diagnostics, DIAG_LIMIT, memory->name.span, "a rule set has at most %d memories", LIMIT_MEMORIES);
            break;
        }
        c->memory_syntax[c->memory_count++] = memory;
    }
    c->memory_named = c->memory_count;
    for (uint16_t i = 0; i < c->memory_count; i++)
        memory_compile(c, i);
}

/* --- typologies --- */

static int by_typology(const void *left, const void *right)
{
    return slice_compare(((const struct typology *)left)->name, ((const struct typology *)right)->name);
}

static int family_of(struct slice word)
{
    for (int i = 0; i < FAMILY_COUNT; i++)
        if (slice_equal(word, slice_of(family_words[i])))
            return i;
    return -1;
}

static void compile_typologies(struct compiler *c)
{
    static const char *const offences[] = {"trafficking", "smuggling", "child_exploitation", "laundering", NULL};
    uint16_t count = 0;
    struct typology *all = ARENA_ARRAY(c->arena, struct typology, LIMIT_TYPOLOGIES);
    for (const struct syntax_typology *at = c->syntax->typology; at; at = at->next) {
        if (count == LIMIT_TYPOLOGIES) {
            diagnostic_add(c->diagnostics, DIAG_LIMIT, at->name.span, "a rule set has at most %d typologies", LIMIT_TYPOLOGIES);
            break;
        }
        struct typology *out = &all[count++];
        *out = (struct typology){.name = arena_copy(c->arena, at->name.text), .title = arena_copy(c->arena, at->title.text),
                                 .offence = arena_copy(c->arena, at->offence.text), .alert_points = (int32_t)at->points,
                                 .indicators_least = (uint16_t)at->indicators, .families_least = (uint16_t)at->families,
                                 .including_family = -1, .urgent = at->urgent, .half_life_ms = at->half_life_ms,
                                 .family_cap = (int32_t)at->cap};
        bool known = !at->offence.text.size;
        struct suggestion s = {.wrong = at->offence.text};
        for (int i = 0; offences[i]; i++) {
            known |= slice_equal(at->offence.text, slice_of(offences[i]));
            suggest_offer(&s, slice_of(offences[i]));
        }
        if (!known)
            help_suggestion(c, diagnostic_add(c->diagnostics, DIAG_OFFENCE_UNKNOWN, at->offence.span, "there is no offence `%.*s`",
                                              (int)at->offence.text.size, at->offence.text.data), &s);
        if (!at->including.text.size)
            continue;
        out->including_family = (int16_t)family_of(at->including.text);
        if (out->including_family < 0)
            diagnostic_add(c->diagnostics, DIAG_FAMILY_UNKNOWN, at->including.span, "there is no family `%.*s`",
                           (int)at->including.text.size, at->including.text.data);
    }
    qsort(all, count, sizeof *all, by_typology);
    c->out->program.typology = all;
    c->out->program.typology_count = count;
    struct family *family = ARENA_ARRAY(c->arena, struct family, FAMILY_COUNT);
    for (int i = 0; i < FAMILY_COUNT; i++)
        family[i].name = slice_of(family_words[i]);
    c->out->program.family = family;
    c->out->program.family_count = FAMILY_COUNT;
}

/* --- rules and tests --- */

static int by_rule(const void *left, const void *right)
{
    return slice_compare((*(const struct syntax_rule *const *)left)->id.text, (*(const struct syntax_rule *const *)right)->id.text);
}

static bool rule_runs(const struct compiler *c, const struct syntax_rule *rule)
{
    if (c->options->typology.size && !slice_equal(c->options->typology, rule->typology.text))
        return false;
    if (c->options->live.size && slice_equal(c->options->live, rule->id.text))
        return true;
    if (rule->status == RULE_RETIRED)
        return false;
    return c->options->for_tests || rule->status != RULE_DRAFT;
}

/* Rules that do not run are checked first and forgotten, so that they leave no stream behind. */
static void compile_rules(struct compiler *c)
{
    uint16_t count = 0;
    for (const struct syntax_rule *at = c->syntax->rule; at && count < LIMIT_RULES; at = at->next)
        count++;
    const struct syntax_rule **rule = ARENA_ARRAY(&c->scratch, const struct syntax_rule *, count + 1);
    count = 0;
    for (const struct syntax_rule *at = c->syntax->rule; at; at = at->next) {
        if (count == LIMIT_RULES) {
            diagnostic_add(c->diagnostics, DIAG_LIMIT, at->id.span, "a rule set has at most %d rules", LIMIT_RULES);
            break;
        }
        rule[count++] = at;
    }
    qsort(rule, count, sizeof(const struct syntax_rule *), by_rule);
    c->stream = ARENA_ARRAY(c->arena, struct stream, LIMIT_STREAMS);
    c->aggregate = ARENA_ARRAY(c->arena, struct aggregate, WINDOWS_MAX);
    c->clock = ARENA_ARRAY(c->arena, struct clock_def, LIMIT_RULES);
    c->rule = ARENA_ARRAY(c->arena, struct rule, count + 1);
    c->graph = ARENA_ARRAY(c->arena, struct graph_use, LIMIT_RULES);
    uint16_t keyspaces = c->keyspace_count, reads = c->read_count, slots = c->slot_count;
    for (uint16_t i = 0; i < count; i++)
        if (!rule_runs(c, rule[i]))
            compile_rule(c, rule[i]);
    memset(c->stream, 0, sizeof *c->stream * c->stream_count);
    c->stream_count = c->clock_count = c->aggregate_count = c->rule_count = 0;
    uint16_t drafts = c->graph_count;
    c->memory_count = c->memory_named;
    c->keyspace_count = keyspaces;
    c->read_count = reads;
    c->slot_count = slots;
    for (uint16_t i = 0; i < count; i++)
        if (rule_runs(c, rule[i]))
            compile_rule(c, rule[i]);
    c->graph_drafts = drafts;
}

static const struct syntax_rule *find_rule(const struct compiler *c, struct slice id)
{
    for (const struct syntax_rule *rule = c->syntax->rule; rule; rule = rule->next)
        if (slice_equal(rule->id.text, id))
            return rule;
    return NULL;
}

static bool test_knows_let(const struct compiler *c, const struct syntax_test *test, struct slice word)
{
    const struct syntax_key *at = test->rule;
    for (const struct syntax_rule *rule = c->syntax->rule; rule; rule = rule->next) {
        bool named = !test->rule;
        for (at = test->rule; at; at = at->next)
            named |= slice_equal(at->path.text, rule->id.text);
        if (!named)
            continue;
        if (rule->broken)
            return true;
        for (const struct syntax_let *let = rule->let; let; let = let->next)
            if (!let->is_source && slice_equal(let->name.text, word))
                return true;
    }
    return false;
}

static void check_test(struct compiler *c, const struct syntax_test *test)
{
    for (const struct syntax_key *at = test->rule; at; at = at->next) {
        if (find_rule(c, at->path.text))
            continue;
        struct suggestion s = {.wrong = at->path.text};
        for (const struct syntax_rule *rule = c->syntax->rule; rule; rule = rule->next)
            suggest_offer(&s, rule->id.text);
        help_suggestion(c, diagnostic_add(c->diagnostics, DIAG_TEST_NAME, at->path.span, "there is no rule `%.*s`",
                                          (int)at->path.text.size, at->path.text.data), &s);
    }
    for (const struct test_given *given = test->given; given; given = given->next)
        if (name_list(c, given->list.text) < 0)
            diagnostic_add(c->diagnostics, DIAG_LIST_UNKNOWN, given->list.span, "there is no list `%.*s`",
                           (int)given->list.text.size, given->list.text.data);
    for (const struct test_expect *expect = test->expect; expect; expect = expect->next) {
        bool known = expect->form != EXPECT_ALERT;
        for (const struct syntax_typology *at = c->syntax->typology; at && !known; at = at->next)
            known = slice_equal(at->name.text, expect->typology.text);
        if (!known)
            diagnostic_add(c->diagnostics, DIAG_TYPOLOGY_UNKNOWN, expect->typology.span, "there is no typology `%.*s`",
                           (int)expect->typology.text.size, expect->typology.text.data);
        for (const struct test_let *let = expect->with; let; let = let->next)
            if (!test_knows_let(c, test, let->name.text))
                diagnostic_add(c->diagnostics, DIAG_TEST_NAME, let->name.span, "no rule of this test has a let `%.*s`",
                               (int)let->name.text.size, let->name.text.data);
    }
}

/* --- the whole --- */

/* The identity of the set: what its files and lists say, and how patterns run. */
static void program_identity(struct compiler *c)
{
    struct program *program = &c->out->program;
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, sizeof program->hash);
    for (uint16_t i = 0; i < c->syntax->file_count; i++) {
        const struct source_file *file = &c->syntax->file[i];
        uint64_t sizes[2] = {file->name.size, file->text.size};
        crypto_generichash_update(&state, (const unsigned char *)sizes, sizeof sizes);
        crypto_generichash_update(&state, (const unsigned char *)file->name.data, file->name.size);
        crypto_generichash_update(&state, (const unsigned char *)file->text.data, file->text.size);
    }
    for (uint16_t i = 0; i < c->list_count; i++) {
        unsigned char hash[32];
        list_hash(c->list[i], hash);
        crypto_generichash_update(&state, hash, sizeof hash);
    }
    for (uint16_t i = 0; i < c->memory_count; i++) {
        unsigned char hash[32];
        if (!c->memory[i].file)
            continue;
        fact_file_hash(c->memory[i].file, hash);
        crypto_generichash_update(&state, hash, sizeof hash);
    }
    for (uint16_t i = 0; i < c->options->param_count; i++) {
        const struct param_value *param = &c->options->param[i];
        crypto_generichash_update(&state, (const unsigned char *)param->rule.data, param->rule.size);
        crypto_generichash_update(&state, (const unsigned char *)param->param.data, param->param.size);
        crypto_generichash_update(&state, (const unsigned char *)&param->value, sizeof param->value);
    }
    static const char mode[] = "pcre2-jit";
    crypto_generichash_update(&state, (const unsigned char *)mode, sizeof mode - 1);
    crypto_generichash_final(&state, program->hash, sizeof program->hash);
}

static void program_file_add(struct slice *file, uint16_t *count, struct arena *arena, struct slice path)
{
    for (uint16_t i = 0; i < *count; i++)
        if (slice_equal(file[i], path))
            return;
    file[(*count)++] = arena_copy(arena, path);
}

static void program_files(struct compiler *c)
{
    struct program *program = &c->out->program;
    struct slice *file = ARENA_ARRAY(c->arena, struct slice, c->syntax->file_count + LIMIT_LISTS + LIMIT_MEMORIES);
    for (uint16_t i = 0; i < c->syntax->file_count; i++)
        program_file_add(file, &program->file_count, c->arena, c->syntax->file[i].name);
    for (const struct syntax_list *list = c->syntax->list; list; list = list->next)
        program_file_add(file, &program->file_count, c->arena, list->path.text);
    for (const struct syntax_memory *fact = c->syntax->memory; fact; fact = fact->next)
        if (fact_is_file(fact))
            program_file_add(file, &program->file_count, c->arena, fact->from.text);
    program->file = file;
}

/* All rules of a key go to the highest stratum that one of them needs, and with them what they count: so a source is kept once,
 * whatever else its rules read. With the shipped pack that spares three of nine records of an event. */
static void raise_rules(struct compiler *c)
{
    uint8_t highest[LIMIT_KEYS] = {0};
    for (uint16_t i = 0; i < c->rule_count; i++) {
        const struct rule *rule = &c->rule[i];
        highest[rule->keyspace] = rule->stratum > highest[rule->keyspace] ? rule->stratum : highest[rule->keyspace];
    }
    for (uint16_t i = 0; i < c->rule_count; i++)
        if (c->keyspace[c->rule[i].keyspace].form != KEY_TRANSFER) /* nothing is kept for these */
            c->rule[i].stratum = highest[c->rule[i].keyspace];
    for (uint16_t i = 0; i < c->stream_count; i++)
        if (!c->stream[i].legs)
            c->stream[i].stratum = highest[c->stream[i].keyspace];
}

static void program_finish(struct compiler *c)
{
    struct program *p = &c->out->program;
    uint8_t highest = 0;
    raise_rules(c);
    for (uint16_t i = 0; i < c->stream_count; i++) {
        struct stream *stream = &c->stream[i];
        for (uint8_t x = 0; x < stream->extra_count; x++)
            stream->hash = hash_number(stream->hash, stream->extra[x]);
        p->widest_ms = stream->widest_ms > p->widest_ms ? stream->widest_ms : p->widest_ms;
    }
    for (uint16_t i = 0; i < c->memory_count; i++) {
        highest = c->memory[i].stratum > highest ? c->memory[i].stratum : highest;
        p->widest_ms = c->memory[i].for_ms > p->widest_ms ? c->memory[i].for_ms : p->widest_ms;
    }
    for (uint16_t i = 0; i < c->rule_count; i++) {
        highest = c->rule[i].stratum > highest ? c->rule[i].stratum : highest;
        p->widest_ms = c->rule[i].within_ms > p->widest_ms ? c->rule[i].within_ms : p->widest_ms;
    }
    p->stratum_count = (uint8_t)(highest + 1);
    p->keyspace_count = c->keyspace_count;
    p->keyspace = c->keyspace;
    p->stream_count = c->stream_count;
    p->stream = c->stream;
    p->clock_count = c->clock_count;
    p->clock = c->clock;
    p->aggregate_count = c->aggregate_count;
    p->aggregate = c->aggregate;
    p->memory_count = c->memory_count;
    p->memory = c->memory;
    p->read_count = c->read_count;
    p->read = c->read;
    p->slot_count = c->slot_count;
    p->rule_count = c->rule_count;
    p->rule = c->rule;
    p->graph_count = c->graph_count;
    p->graph_drafts = c->graph_drafts;
    p->graph = c->graph;
}

static void compile_all(struct compiler *c, struct error *err)
{
    check_twice(c);
    (void)compile_ruleset(c, err);
    compile_lists(c);
    compile_texts(c);
    struct program *p = &c->out->program;
    p->list = c->list;
    p->list_count = c->list_count;
    p->text = c->text;
    p->text_count = c->text_count;
    p->text_hash = c->text_hash;
    c->keyspace = ARENA_ARRAY(c->arena, struct keyspace, LIMIT_KEYS);
    c->read = ARENA_ARRAY(c->arena, struct memory_read, READ_MAX);
    compile_memories(c);
    p->memory = c->memory;
    p->memory_count = c->memory_count; /* already here: program_free finds files of facts by it */
    compile_typologies(c);
    compile_rules(c);
    for (const struct syntax_test *test = c->syntax->test; test; test = test->next)
        check_test(c, test);
    warn_all(c);
}

struct program *compile(const struct syntax *syntax, const char *dir, const struct load_options *options,
                        struct diagnostics *diagnostics, struct error *err)
{
    if (sodium_init() < 0) {
        error_set(err, ERROR_FATAL, "libsodium cannot be started");
        return NULL;
    }
    struct compiler c = {.diagnostics = diagnostics, .syntax = syntax, .options = options, .dir = dir};
    c.out = calloc(1, sizeof *c.out);
    invariant(c.out != NULL);
    arena_init(&c.out->arena);
    arena_init(&c.scratch);
    arena_init(&c.of_rule);
    c.arena = &c.out->arena;
    c.hash_link = ARENA_ARRAY(&c.scratch, struct hash_link, HASH_LINK_COUNT);
    compile_all(&c, err);
    bool good = diagnostics_errors(diagnostics) == 0;
    if (good) {
        program_finish(&c);
        program_files(&c);
        program_identity(&c);
    }
    arena_fini(&c.of_rule);
    arena_fini(&c.scratch);
    if (good)
        return &c.out->program;
    program_free(&c.out->program);
    return NULL;
}
