/* Reads `test` blocks. */
#include "rules/lang/parser.h"

#include "engine/model/money.h"

static const char *const test_clauses[] = {"start", "given", "after", "every", "expect", NULL};

static const char *const test_field_words[] = {
    "channel", "kind", "purpose", "narrative", "mcc", "place", "place_country", "terminal", "status", "id", "end_to_end",
    "sender_country", "receiver_country", "sender_device", "receiver_device", "sender_phone", "receiver_phone",
    "sender_address", "receiver_address", "sender_party", "receiver_party", "refers_to", "late", NULL};

static bool parse_end(struct parser *p, struct test_end *end)
{
    if (take_word(p, "CASH")) {
        end->cash = true;
        return true;
    }
    if (!need_name(p, "an account such as `A`, `S*` or CASH", &end->name))
        return false;
    if (now(p)->kind == TOKEN_STAR && now(p)->glued) {
        advance(p);
        end->fresh = true;
    }
    return true;
}

static bool parse_amount(struct parser *p, struct test_step *step)
{
    struct span span = now(p)->span;
    struct syntax_expr *amount = parse_literal(p);
    if (!amount)
        return false;
    if (amount->form != EXPR_MONEY || amount->value <= 0) {
        diagnostic_add(p->diagnostics, DIAG_EXPECTED, span, "expected an amount such as `200 USD`");
        return false;
    }
    step->amount_minor = amount->value;
    step->currency = amount->currency;
    return true;
}

static bool parse_fields(struct parser *p, struct test_step *step)
{
    struct test_field **end = &step->field;
    while (!take(p, TOKEN_CLOSE)) {
        struct test_field *field = ARENA_NEW(p->arena, struct test_field);
        if (!need_name(p, "a field of the payment, for example `channel`", &field->name))
            return false;
        if (!word_in(field->name.text, test_field_words)) {
            struct diagnostic *d = diagnostic_add(p->diagnostics, DIAG_TEST_NAME, field->name.span,
                                                  "a test's payment has no field `%.*s`", (int)field->name.text.size,
                                                  field->name.text.data);
            diagnostic_help(p->diagnostics, d, "channel, kind, purpose, narrative, mcc, place, terminal, status, id, end_to_end, "
                                               "sender_country, receiver_device and so on");
        }
        const struct token *value = now(p);
        if (value->kind != TOKEN_WORD && value->kind != TOKEN_STRING && value->kind != TOKEN_NUMBER)
            return expected(p, "the value of the field: a word, a number or a text in quotes");
        field->value = (struct name){value->text, value->span};
        advance(p);
        take(p, TOKEN_COMMA);
        *end = field;
        end = &field->next;
    }
    return true;
}

static bool parse_step(struct parser *p, struct syntax_test *test)
{
    struct test_step *step = ARENA_NEW(p->arena, struct test_step);
    struct span from = now(p)->span;
    step->times = 1;
    if (take_word(p, "after") && !need_duration(p, &step->after_ms, NULL))
        return false;
    if (take_word(p, "every")) {
        if (!need_duration(p, &step->every_ms, NULL) || !need_word(p, "x") ||
            !need_integer(p, 1, LIMIT_TEST_EVENTS, "how many times", &step->times))
            return false;
    }
    if (!parse_end(p, &step->sender) || !need(p, TOKEN_ARROW) || !parse_end(p, &step->receiver) || !parse_amount(p, step))
        return false;
    if (take(p, TOKEN_OPEN) && !parse_fields(p, step))
        return false;
    step->span = span_to(p, from);
    struct test_step **end = &test->step;
    while (*end)
        end = &(*end)->next;
    *end = step;
    return true;
}

static bool parse_with(struct parser *p, struct test_expect *expect)
{
    struct test_let **end = &expect->with;
    do {
        struct test_let *let = ARENA_NEW(p->arena, struct test_let);
        if (!need_name(p, "the name of a let", &let->name) || !need(p, TOKEN_EQ))
            return false;
        let->value = parse_literal(p);
        if (!let->value)
            return false;
        *end = let;
        end = &let->next;
    } while (take(p, TOKEN_COMMA));
    return true;
}

static bool parse_role(struct parser *p, struct test_expect *expect)
{
    struct name word;
    if (!need_name(p, "a role", &word))
        return false;
    for (int role = 0; role < ROLE_COUNT; role++) {
        if (slice_equal(word.text, slice_of(role_word((enum role)role)))) {
            expect->role = (enum role)role;
            expect->has_role = true;
            return true;
        }
    }
    diagnostic_add(p->diagnostics, DIAG_ROLE_UNKNOWN, word.span, "there is no role `%.*s`", (int)word.text.size, word.text.data);
    return true;
}

static bool parse_expect(struct parser *p, struct syntax_test *test)
{
    struct test_expect *expect = ARENA_NEW(p->arena, struct test_expect);
    struct span from = now(p)->span;
    bool good;
    advance(p);
    if (take_word(p, "nothing")) {
        expect->form = EXPECT_NOTHING;
        good = true;
    } else if (take_word(p, "hit")) {
        expect->form = EXPECT_HIT;
        good = need_word(p, "on") && need_name(p, "an account of this test", &expect->subject);
        if (good && take_word(p, "as"))
            good = parse_role(p, expect);
        if (good && take_word(p, "with"))
            good = parse_with(p, expect);
    } else if (take_word(p, "alert")) {
        expect->form = EXPECT_ALERT;
        good = need_name(p, "a typology", &expect->typology) && need_word(p, "on") &&
               need_name(p, "an account of this test", &expect->subject);
    } else {
        good = expected(p, "`hit`, `alert` or `nothing`");
    }
    if (!good)
        return false;
    expect->span = span_to(p, from);
    struct test_expect **end = &test->expect;
    while (*end)
        end = &(*end)->next;
    *end = expect;
    return true;
}

static bool parse_start(struct parser *p, struct syntax_test *test)
{
    advance(p);
    if (now(p)->kind != TOKEN_DATE)
        return expected(p, "a date such as `2026-03-02`");
    test->start_day = (int32_t)now(p)->value;
    advance(p);
    if (now(p)->kind != TOKEN_CLOCK)
        return expected(p, "a time of day such as `22:10`");
    test->start_clock_ms = now(p)->value;
    advance(p);
    return true;
}

/* `given FACT of A { field value … } [from DATE]` */
static bool parse_given_fact(struct parser *p, struct syntax_test *test)
{
    struct test_fact *fact = ARENA_NEW(p->arena, struct test_fact);
    struct span from = now(p)->span;
    if (!need_name(p, "the name of a fact", &fact->fact) || !need_word(p, "of") ||
        !need_name(p, "an account or party of this test", &fact->subject) || !need(p, TOKEN_OPEN))
        return false;
    struct test_field **field_end = &fact->field;
    while (!take(p, TOKEN_CLOSE)) {
        struct test_field *field = ARENA_NEW(p->arena, struct test_field);
        if (!need_name(p, "a field of the fact", &field->name))
            return false;
        struct span at = now(p)->span;
        const char *text = p->syntax->file[at.file].text.data + at.at;
        bool quoted = now(p)->kind == TOKEN_STRING;
        field->value = (struct name){now(p)->text, at};
        advance(p);
        if (!quoted && now(p)->kind == TOKEN_WORD && currency_parse(now(p)->text)) {
            advance(p); /* 500 USD is one value */
            field->value.span = span_to(p, at);
            field->value.text = (struct slice){text, field->value.span.size};
        }
        take(p, TOKEN_COMMA);
        *field_end = field;
        field_end = &field->next;
    }
    if (take_word(p, "from")) {
        if (now(p)->kind != TOKEN_DATE)
            return expected(p, "a date such as `2026-03-02`");
        fact->has_day = true;
        fact->from_day = (int32_t)now(p)->value;
        advance(p);
    }
    fact->span = span_to(p, from);
    struct test_fact **end = &test->fact;
    while (*end)
        end = &(*end)->next;
    *end = fact;
    return true;
}

static bool parse_given(struct parser *p, struct syntax_test *test)
{
    struct test_given *given = ARENA_NEW(p->arena, struct test_given);
    advance(p);
    if (now(p)->kind == TOKEN_WORD && word_is(ahead(p, 1), "of"))
        return parse_given_fact(p, test);
    if (!need_name(p, "an account of this test", &given->account) || !need_word(p, "in") ||
        !need_name(p, "the name of a list", &given->list))
        return false;
    struct test_given **end = &test->given;
    while (*end)
        end = &(*end)->next;
    *end = given;
    return true;
}

static bool parse_test_clause(struct parser *p, struct syntax_test *test, uint32_t *seen)
{
    if (at_word(p, "start") && clause_once(p, seen, 0))
        return parse_start(p, test);
    if (at_word(p, "given"))
        return parse_given(p, test);
    if (at_word(p, "expect")) {
        *seen |= 2;
        return parse_expect(p, test);
    }
    if (now(p)->kind == TOKEN_WORD)
        return parse_step(p, test);
    return expected(p, "`start`, `given`, `after`, `every`, a payment such as `A -> B 200 USD`, or `expect`");
}

void parse_test(struct parser *p)
{
    struct syntax_test *test = ARENA_NEW(p->arena, struct syntax_test);
    struct span from = now(p)->span;
    uint32_t seen = 0;
    advance(p);
    if (!need_string(p, "the title of the test in quotes", &test->title))
        return;
    if (take_word(p, "for")) {
        struct syntax_key **end = &test->rule;
        do {
            struct syntax_key *rule = ARENA_NEW(p->arena, struct syntax_key);
            if (!need_name(p, "the id of a rule", &rule->path))
                return;
            *end = rule;
            end = &rule->next;
        } while (take(p, TOKEN_COMMA));
    }
    if (!need(p, TOKEN_OPEN))
        return;
    while (now(p)->kind != TOKEN_CLOSE && now(p)->kind != TOKEN_END && !at_block(p)) {
        uint32_t at = p->at;
        set_mark(p, MARK_CLAUSE);
        if (parse_test_clause(p, test, &seen))
            continue;
        test->broken = true;
        if (p->at == at)
            advance(p);
        skip_to(p, test_clauses);
    }
    if (!need(p, TOKEN_CLOSE))
        test->broken = true;
    test->span = span_to(p, from);
    if (!test->broken && seen != 3)
        diagnostic_add(p->diagnostics, DIAG_CLAUSE_MISSING, test->title.span, "this test has no `%s`", seen & 1 ? "expect" : "start");
    struct syntax_test **end = &p->syntax->test;
    while (*end)
        end = &(*end)->next;
    *end = test;
}
