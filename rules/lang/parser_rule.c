/* Reads `rule` blocks. */
#include "rules/lang/parser.h"

static const char *const rule_clauses[] = {"version", "status", "typology", "family", "evidence", "source", "why",    "owner",
                                           "review",  "param",  "for",      "let",    "when",     "points", "once",   "say",
                                           "except",  "then",   "unless",   NULL};

enum clause {
    CLAUSE_VERSION, CLAUSE_STATUS, CLAUSE_TYPOLOGY, CLAUSE_FAMILY, CLAUSE_EVIDENCE, CLAUSE_SOURCE, CLAUSE_WHY,
    CLAUSE_OWNER, CLAUSE_REVIEW, CLAUSE_PARAM, CLAUSE_FOR, CLAUSE_LET, CLAUSE_WHEN, CLAUSE_POINTS, CLAUSE_ONCE,
    CLAUSE_SAY, CLAUSE_EXCEPT, CLAUSE_THEN, CLAUSE_UNLESS,
};

static bool parse_status(struct parser *p, struct syntax_rule *rule)
{
    static const char *const words[] = {"draft", "shadow", "live", "retired"};
    for (int i = 0; i < 4; i++) {
        if (take_word(p, words[i])) {
            rule->status = (enum rule_status)i;
            return true;
        }
    }
    return expected(p, "`draft`, `shadow`, `live` or `retired`");
}

static bool parse_evidence(struct parser *p, struct syntax_rule *rule)
{
    static const char *const words[] = {"act", "means", "purpose"};
    do {
        int i = 0;
        while (i < 3 && !take_word(p, words[i]))
            i++;
        if (i == 3)
            return expected(p, "`act`, `means` or `purpose`");
        rule->evidence |= (uint8_t)(1 << i);
    } while (take(p, TOKEN_COMMA));
    return true;
}

static bool parse_rule_source(struct parser *p, struct syntax_rule *rule)
{
    static const char *const grades[] = {"V2", "V", "M", "P"};
    if (!need_string(p, "a source in quotes", &rule->source))
        return false;
    for (int i = 0; i < 4; i++) {
        if (!take_word(p, grades[i]))
            continue;
        memcpy(rule->source_grade, grades[i], strlen(grades[i]));
        return true;
    }
    return true;
}

static bool parse_review(struct parser *p, struct syntax_rule *rule)
{
    if (!need_word(p, "by"))
        return false;
    if (now(p)->kind != TOKEN_DATE)
        return expected(p, "a date such as `2027-06-01`");
    rule->review_day = (int32_t)now(p)->value;
    advance(p);
    return true;
}

static bool parse_param(struct parser *p, struct syntax_rule *rule)
{
    struct syntax_param *param = ARENA_NEW(p->arena, struct syntax_param);
    if (!need_name(p, "the name of the param", &param->name))
        return false;
    struct syntax_param **end = &rule->param;
    uint32_t count = 0;
    for (; *end; end = &(*end)->next)
        count++;
    *end = param;
    if (count == LIMIT_PARAMS)
        diagnostic_add(p->diagnostics, DIAG_LIMIT, param->name.span, "a rule has at most %d params", LIMIT_PARAMS);
    if (!need(p, TOKEN_EQ))
        return false;
    param->value = parse_literal(p);
    if (!param->value)
        return false;
    if (!at_word(p, "in"))
        return expected(p, "`in` and the range of the param, for example `in 3..20`");
    advance(p);
    param->low = parse_literal(p);
    if (!param->low || !need(p, TOKEN_RANGE))
        return false;
    param->high = parse_literal(p);
    return param->high != NULL;
}

static bool parse_keys(struct parser *p, struct syntax_rule *rule)
{
    if (!need_word(p, "each"))
        return false;
    struct syntax_key **end = &rule->key;
    do {
        struct syntax_key *key = ARENA_NEW(p->arena, struct syntax_key);
        if (!need_name(p, "a key: account, party, pair, transfer, or a list of fields", &key->path))
            return false;
        if (take_word(p, "as") && !need_name(p, "a name for this part of the key", &key->alias))
            return false;
        *end = key;
        end = &key->next;
    } while (take(p, TOKEN_COMMA));
    return true;
}

static bool parse_let(struct parser *p, struct syntax_rule *rule)
{
    struct syntax_let *let = ARENA_NEW(p->arena, struct syntax_let);
    if (!need_name(p, "a name", &let->name))
        return false;
    struct syntax_let **end = &rule->let;
    uint32_t count = 0;
    for (; *end; end = &(*end)->next)
        count++;
    *end = let;
    if (count == LIMIT_LETS)
        diagnostic_add(p->diagnostics, DIAG_LIMIT, let->name.span, "a rule has at most %d lets", LIMIT_LETS);
    if (!need(p, TOKEN_EQ))
        return false;
    if (at_flow(p)) {
        let->is_source = true;
        p->depth = p->nodes = 0;
        bool good = parse_source(p, &let->source);
        let->source.is_name = !good; /* broken: a source without meaning */
        return good;
    }
    let->value = parse_expression(p);
    return let->value != NULL;
}

/* `then within 3h condition`: the steps stand in the order of the text. */
static bool parse_then(struct parser *p, struct syntax_rule *rule, struct span from)
{
    struct syntax_step *step = ARENA_NEW(p->arena, struct syntax_step);
    struct syntax_step **end = &rule->then;
    uint32_t count = 1;
    for (; *end; end = &(*end)->next)
        count++;
    *end = step;
    step->span = from;
    if (count == LIMIT_STEPS)
        diagnostic_add(p->diagnostics, DIAG_LIMIT, from, "a rule has at most %d steps", LIMIT_STEPS);
    step->within = parse_span(p, "within");
    if (!step->within)
        return false;
    step->condition = parse_expression(p);
    return step->condition != NULL;
}

static bool parse_one_points(struct parser *p, struct syntax_points *points)
{
    struct span from = now(p)->span;
    if (!need_integer(p, -LIMIT_POINT_VALUE, LIMIT_POINT_VALUE, "a number of points", &points->points) || !need_word(p, "to"))
        return false;
    points->each = take_word(p, "each");
    if (points->each && take_word(p, "member")) {
        points->each = false;
        points->member = true;
        if (!need_word(p, "of") || !need_name(p, "the let that is a graph operator", &points->source))
            return false;
    } else if (!need_name(p, "an account or party: the key, an alias or a field", &points->subject))
        return false;
    if (points->each && (!need_word(p, "of") || !need_name(p, "the let that is the source", &points->source)))
        return false;
    if (!need_word(p, "as") || !need_name(p, "a role", &points->role))
        return false;
    points->span = span_to(p, from);
    return true;
}

static bool parse_points(struct parser *p, struct syntax_rule *rule)
{
    struct syntax_points **end = &rule->points;
    uint32_t count = 0;
    do {
        struct syntax_points *points = ARENA_NEW(p->arena, struct syntax_points);
        if (!parse_one_points(p, points))
            return false;
        if (count++ == LIMIT_POINTS)
            diagnostic_add(p->diagnostics, DIAG_LIMIT, points->span, "a rule has at most %d `points`", LIMIT_POINTS);
        *end = points;
        end = &points->next;
    } while (take(p, TOKEN_COMMA));
    return true;
}

/* "text {let} text": the names in braces become parts of their own. */
static bool parse_say(struct parser *p, struct syntax_rule *rule)
{
    struct name say;
    if (!need_string(p, "a sentence in quotes", &say))
        return false;
    const char *base = p->syntax->file[say.span.file].text.data;
    struct syntax_say **end = &rule->say;
    size_t at = 0;
    for (uint32_t count = 0; at < say.text.size || count == 0; count++) {
        struct syntax_say *part = ARENA_NEW(p->arena, struct syntax_say);
        const char *rest = say.text.data + at;
        const char *open = memchr(rest, '{', say.text.size - at);
        part->text = (struct slice){rest, open ? (size_t)(open - rest) : say.text.size - at};
        *end = part;
        end = &part->next;
        if (!open)
            return true;
        at += part->text.size + 1;
        const char *close = memchr(open, '}', say.text.size - at + 1);
        if (!close || count == LIMIT_SAY_PARTS) {
            struct span span = {(uint32_t)(open - base), 1, say.span.file};
            diagnostic_add(p->diagnostics, DIAG_EXPECTED, span, close ? "too many values in one sentence" : "expected `}` after this");
            return true;
        }
        part->name.text = (struct slice){open + 1, (size_t)(close - open - 1)};
        part->name.span = (struct span){(uint32_t)(open + 1 - base), (uint32_t)part->name.text.size, say.span.file};
        at += part->name.text.size + 1;
        if (part->name.text.size == 0) {
            diagnostic_add(p->diagnostics, DIAG_EXPECTED, (struct span){part->name.span.at - 1, 2, say.span.file},
                           "expected the name of a value between the braces");
            return true;
        }
    }
    return true;
}

static bool parse_except(struct parser *p, struct syntax_rule *rule, struct span from)
{
    struct syntax_except *except = ARENA_NEW(p->arena, struct syntax_except);
    except->condition = parse_expression(p);
    if (!except->condition || !need_word(p, "until"))
        return false;
    if (now(p)->kind != TOKEN_DATE)
        return expected(p, "a date such as `2027-03-31`");
    except->until_day = (int32_t)now(p)->value;
    except->until_span = now(p)->span;
    advance(p);
    if (!need_word(p, "because") || !need_string(p, "a reason in quotes", &except->because) || !need_word(p, "by") ||
        !need_string(p, "who decided it, in quotes", &except->by))
        return false;
    except->span = span_to(p, from);
    struct syntax_except **end = &rule->except;
    uint32_t count = 0;
    for (; *end; end = &(*end)->next)
        count++;
    if (count == LIMIT_EXCEPTS)
        diagnostic_add(p->diagnostics, DIAG_LIMIT, from, "a rule has at most %d exceptions", LIMIT_EXCEPTS);
    *end = except;
    return true;
}

static bool parse_clause_body(struct parser *p, struct syntax_rule *rule, enum clause clause, struct span word)
{
    switch (clause) {
    case CLAUSE_VERSION:
        return need_integer(p, 1, 1000000, "a version number", &rule->version);
    case CLAUSE_STATUS:
        return parse_status(p, rule);
    case CLAUSE_TYPOLOGY:
        return need_name(p, "the name of a typology", &rule->typology);
    case CLAUSE_FAMILY:
        return need_name(p, "a family", &rule->family);
    case CLAUSE_EVIDENCE:
        return parse_evidence(p, rule);
    case CLAUSE_SOURCE:
        return parse_rule_source(p, rule);
    case CLAUSE_WHY:
        return need_string(p, "the reason of the rule in quotes", &rule->why);
    case CLAUSE_OWNER:
        return need_string(p, "the owner in quotes", &rule->owner);
    case CLAUSE_REVIEW:
        return parse_review(p, rule);
    case CLAUSE_PARAM:
        return parse_param(p, rule);
    case CLAUSE_FOR:
        return parse_keys(p, rule);
    case CLAUSE_LET:
        return parse_let(p, rule);
    case CLAUSE_WHEN:
        rule->when = parse_expression(p);
        return rule->when != NULL;
    case CLAUSE_POINTS:
        return parse_points(p, rule);
    case CLAUSE_ONCE:
        return need_word(p, "per") && need_duration(p, &rule->once_ms, NULL);
    case CLAUSE_SAY:
        return parse_say(p, rule);
    case CLAUSE_EXCEPT:
        return parse_except(p, rule, word);
    case CLAUSE_THEN:
        return parse_then(p, rule, word);
    case CLAUSE_UNLESS:
        rule->unless = parse_expression(p);
        return rule->unless != NULL;
    }
    return false;
}

static bool parse_clause(struct parser *p, struct syntax_rule *rule, uint32_t *seen)
{
    const struct token *word = now(p);
    uint32_t clause = 0;
    while (rule_clauses[clause] && !at_word(p, rule_clauses[clause]))
        clause++;
    if (!rule_clauses[clause]) {
        expected(p, "a clause of a rule, for example `let`, `when`, `points` or `say`");
        return false;
    }
    if (clause == CLAUSE_PARAM || clause == CLAUSE_LET || clause == CLAUSE_EXCEPT || clause == CLAUSE_THEN)
        *seen |= 1u << clause;
    else
        clause_once(p, seen, clause);
    advance(p);
    return parse_clause_body(p, rule, (enum clause)clause, word->span);
}

static void check_complete(struct parser *p, struct syntax_rule *rule, uint32_t seen)
{
    static const enum clause must[] = {CLAUSE_VERSION, CLAUSE_STATUS, CLAUSE_TYPOLOGY, CLAUSE_FAMILY,
                                       CLAUSE_WHY,     CLAUSE_FOR,    CLAUSE_WHEN,     CLAUSE_POINTS, CLAUSE_SAY};
    char names[160] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof must / sizeof *must; i++) {
        if (seen >> must[i] & 1)
            continue;
        int n = snprintf(names + used, sizeof names - used, "%s`%s`", used ? ", " : "", rule_clauses[must[i]]);
        used += (size_t)n;
    }
    if (!used)
        return;
    rule->broken = true;
    diagnostic_add(p->diagnostics, DIAG_CLAUSE_MISSING, rule->id.span, "this rule has no %s", names);
}

void parse_rule(struct parser *p)
{
    struct syntax_rule *rule = ARENA_NEW(p->arena, struct syntax_rule);
    struct span from = now(p)->span;
    uint32_t seen = 0;
    rule->version = 1;
    rule->status = RULE_DRAFT;
    advance(p);
    if (!need_name(p, "the id of the rule, for example COLL-01", &rule->id) ||
        !need_string(p, "the title of the rule in quotes", &rule->title) || !need(p, TOKEN_OPEN))
        return;
    while (now(p)->kind != TOKEN_CLOSE && now(p)->kind != TOKEN_END && !at_block(p)) {
        uint32_t at = p->at;
        set_mark(p, MARK_CLAUSE);
        if (parse_clause(p, rule, &seen))
            continue;
        rule->broken = true;
        if (p->at == at)
            advance(p);
        skip_to(p, rule_clauses);
    }
    if (!need(p, TOKEN_CLOSE))
        rule->broken = true;
    rule->span = span_to(p, from);
    check_complete(p, rule, seen);
    struct syntax_rule **end = &p->syntax->rule;
    while (*end)
        end = &(*end)->next;
    *end = rule;
}
