/* Resolves the names of a rule: fields, memories, keys, lets, params, codes; suggests near ones. */
#include "rules/lang/compile.h"

#include "engine/base/suggest.h"

static const char *const field_words[FIELD_COUNT] = {
#define FIELD(name, word, type, help) word,
#include "rules/lang/field.def"
#undef FIELD
};

static const char *const weekday_words[8] = {"", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"};

const char *type_says(enum value_type type)
{
    static const char *const says[] = {
#define TYPE(name, text) text,
#include "rules/lang/value_type.def"
#undef TYPE
    };
    return says[type];
}

int name_field(struct slice path)
{
    for (int i = 0; i < FIELD_COUNT; i++)
        if (slice_equal(path, slice_of(field_words[i])))
            return i;
    return -1;
}

void suggest_offer(struct suggestion *suggestion, struct slice candidate)
{
    if (candidate.size == 0 || suggest_nearest(suggestion->wrong, &candidate, 1) < 0)
        return;
    int distance = suggest_distance(suggestion->wrong, candidate);
    if (suggestion->best.size && distance >= suggestion->distance)
        return;
    suggestion->best = candidate;
    suggestion->distance = distance;
}

static struct slice cut_word(struct slice *rest)
{
    const char *dot = rest->size ? memchr(rest->data, '.', rest->size) : NULL;
    size_t size = dot ? (size_t)(dot - rest->data) : rest->size;
    struct slice word = {rest->data, size};
    size_t skip = dot ? size + 1 : size;
    if (skip)
        *rest = (struct slice){rest->data + skip, rest->size - skip};
    return word;
}

bool name_memory(const struct compiler *c, struct slice path, struct memory_path *out)
{
    static const char *const bases[] = {"sender", "receiver", "account", "other", "pair", "terminal"};
    struct slice rest = path;
    if (path.size == 0)
        return false;
    out->base = cut_word(&rest);
    struct slice word = rest.size ? cut_word(&rest) : rest;
    out->keep = rest;
    bool base = false;
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
        base |= slice_equal(out->base, slice_of(bases[i]));
    if (!base || word.size == 0 || name_field(path) >= 0)
        return false;
    for (uint16_t i = 0; i < c->memory_named; i++) {
        if (slice_equal(c->memory_syntax[i]->name.text, word)) {
            out->memory = i;
            return true;
        }
    }
    return false;
}

const struct syntax_key *name_key(const struct syntax_rule *rule, struct slice word)
{
    for (const struct syntax_key *key = rule ? rule->key : NULL; key; key = key->next)
        if (slice_equal(key->path.text, word) || (key->alias.text.size && slice_equal(key->alias.text, word)))
            return key;
    return NULL;
}

const struct syntax_let *name_let(const struct emitter *em, struct slice word)
{
    const struct syntax_let *let = em->rule ? em->rule->let : NULL;
    for (; let && let != em->let_limit; let = let->next)
        if (slice_equal(let->name.text, word))
            return let;
    return NULL;
}

const struct syntax_param *name_param(const struct syntax_rule *rule, struct slice word)
{
    for (const struct syntax_param *param = rule ? rule->param : NULL; param; param = param->next)
        if (slice_equal(param->name.text, word))
            return param;
    return NULL;
}

int name_list(const struct compiler *c, struct slice word)
{
    int i = 0;
    for (const struct syntax_list *list = c->syntax->list; list; list = list->next, i++)
        if (slice_equal(list->name.text, word))
            return i;
    return -1;
}

int name_text(const struct compiler *c, struct slice word)
{
    int i = 0;
    for (const struct syntax_text *text = c->syntax->text; text; text = text->next, i++)
        if (slice_equal(text->name.text, word))
            return i;
    return -1;
}

bool type_has_codes(enum value_type type)
{
    return type == TYPE_COUNTRY || type == TYPE_CURRENCY || type == TYPE_KIND || type == TYPE_CHANNEL ||
           type == TYPE_PURPOSE || type == TYPE_CORRIDOR || type == TYPE_WEEKDAY || type == TYPE_BOOL;
}

static bool purpose_value(struct slice word, int64_t *number)
{
    int64_t value = 0;
    if (word.size != 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        char c = word.data[i];
        if (!(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9'))
            return false;
        value = value << 8 | (unsigned char)c;
    }
    *number = value;
    return true;
}

static bool corridor_value(struct slice word, int64_t *number)
{
    size_t arrow = word.size == 7 ? 3 : 2; /* → is three bytes */
    if (word.size != 6 && word.size != 7)
        return false;
    if (word.size == 6 && memcmp(word.data + 2, "->", 2) != 0)
        return false;
    int64_t from = country_parse((struct slice){word.data, 2});
    int64_t to = country_parse((struct slice){word.data + 2 + arrow, 2});
    *number = from << 16 | to;
    return from && to;
}

bool code_value(enum value_type type, struct slice word, int64_t *number)
{
    switch (type) {
    case TYPE_COUNTRY:
        return (*number = country_parse(word)) != 0;
    case TYPE_CURRENCY:
        return (*number = currency_parse(word)) != 0;
    case TYPE_KIND:
        return (*number = event_kind_parse(word)) != KIND_MISSING;
    case TYPE_CHANNEL:
        return (*number = event_channel_parse(word)) != CHANNEL_MISSING;
    case TYPE_PURPOSE:
        return purpose_value(word, number);
    case TYPE_CORRIDOR:
        return corridor_value(word, number);
    case TYPE_WEEKDAY:
        for (*number = 1; *number <= 7; (*number)++)
            if (slice_equal(word, slice_of(weekday_words[*number])))
                return true;
        return false;
    case TYPE_BOOL:
        *number = slice_equal(word, SLICE("yes"));
        return *number || slice_equal(word, SLICE("no"));
    default:
        return false;
    }
}

void code_offer(enum value_type type, struct suggestion *s)
{
    if (type == TYPE_KIND)
        for (int i = 1; i < KIND_COUNT; i++)
            suggest_offer(s, slice_of(event_kind_name((enum event_kind)i)));
    if (type == TYPE_CHANNEL)
        for (int i = 1; i < CHANNEL_COUNT; i++)
            suggest_offer(s, slice_of(event_channel_name((enum event_channel)i)));
    if (type == TYPE_WEEKDAY)
        for (int i = 1; i <= 7; i++)
            suggest_offer(s, slice_of(weekday_words[i]));
    if (type == TYPE_CURRENCY)
        for (currency_code code = 1; currency_name(code)[0] != '?'; code++)
            suggest_offer(s, slice_of(currency_name(code)));
}

void help_suggestion(struct compiler *c, struct diagnostic *d, const struct suggestion *s)
{
    if (s->best.size)
        diagnostic_help(c->diagnostics, d, "did you mean `%.*s`?", (int)s->best.size, s->best.data);
}

void report_code(struct compiler *c, enum value_type type, const struct name *name)
{
    struct suggestion s = {.wrong = name->text};
    code_offer(type, &s);
    if (type == TYPE_COUNTRY && slice_equal(name->text, SLICE("UK")))
        s.best = SLICE("GB");
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_CODE_UNKNOWN, name->span, "`%.*s` is not %s",
                                          (int)name->text.size, name->text.data, type_says(type));
    help_suggestion(c, d, &s);
}

/* Offers every name that could stand here. */
void report_unknown(struct emitter *em, const struct name *name)
{
    struct compiler *c = em->c;
    struct suggestion s = {.wrong = name->text};
    for (const struct syntax_let *let = em->rule ? em->rule->let : NULL; let && let != em->let_limit; let = let->next)
        suggest_offer(&s, let->name.text);
    for (const struct syntax_param *param = em->rule ? em->rule->param : NULL; param; param = param->next)
        suggest_offer(&s, param->name.text);
    for (const struct syntax_key *key = em->rule ? em->rule->key : NULL; key; key = key->next)
        suggest_offer(&s, key->alias.text);
    for (int i = 0; i < FIELD_COUNT; i++)
        suggest_offer(&s, slice_of(field_words[i]));
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_NAME_UNKNOWN, name->span, "there is no `%.*s` here",
                                          (int)name->text.size, name->text.data);
    struct slice rest = name->text;
    cut_word(&rest);
    if (!s.best.size && rest.size) {
        struct slice word = cut_word(&rest);
        struct suggestion memory = {.wrong = word};
        for (uint16_t i = 0; i < c->memory_named; i++)
            suggest_offer(&memory, c->memory_syntax[i]->name.text);
        help_suggestion(c, d, &memory);
        return;
    }
    for (const struct syntax_let *let = em->let_limit; let; let = let->next)
        if (slice_equal(let->name.text, name->text))
            diagnostic_second(c->diagnostics, d, let->name.span, "declared only here: a let sees those before it");
    help_suggestion(c, d, &s);
}
