/* Random rules of several steps, for the model that holds them: what such a rule may say, how one is drawn, and its text.
 *
 * A shape is drawn so that its text compiles: lets look back only to steps that have come where they are named, and
 * both sides of a comparison are of one type. Amounts are minor units of USD, spans milliseconds. The text is the
 * caller's to free. */
#ifndef TESTS_SIMULATION_STEP_RULES_H
#define TESTS_SIMULATION_STEP_RULES_H

#include "tests/simulation/random_world.h"

enum { MINUTE = 60000, RULES = 3, STEPS = 4, LETS = 4 };

/* --- what a rule may say --- */

enum source { IN, OUT, TRANSFERS, REFUNDS, LARGE, SALARIES, WAGED, SOURCES };
enum fn { COUNT, DISTINCT, SUM, MAX, LAST, FNS };
enum read_field { AMOUNT, WAGE, FIELDS };
enum operand_kind { OF_LET, OF_ATOM, OF_FIELD, OF_CONST, OF_SHARE };

struct atom {
    enum source source;
    enum fn fn;
    int64_t span;
    int since;            /* 0: over span */
};
struct operand {
    enum operand_kind kind;
    struct atom atom;
    enum read_field field;
    int let;
    int64_t number;       /* a constant, or a percentage of the let */
};
struct comparison {
    struct operand left, right;
    int op;               /* >= > <= < = */
};
struct condition {
    struct comparison part[2];
    int parts;
    bool either, negated; /* or instead of and; not ( … ) */
};
struct let {
    struct operand of;    /* atom, field, or twice an earlier let */
    bool money;
    int since;            /* the latest step that it looks back to, through others too */
    int home;             /* first step that names it; 0: none */
};
struct shape {
    bool pair;
    int steps, lets;
    int64_t within[STEPS + 1];      /* [n]: of step n */
    struct condition step[STEPS + 1]; /* from 1 */
    bool has_unless, has_except;
    struct condition unless, except;
    struct let let[LETS];
};

static const char *const ops[] = {">=", ">", "<=", "<", "="};

/* --- random rules --- */

static int64_t random_span(uint64_t *c)
{
    static const int64_t minutes[] = {5, 10, 20, 40, 60, 120, 300};
    return minutes[below(c, 7)] * MINUTE;
}

static bool fn_is_money(enum fn fn)
{
    return fn >= SUM;
}

static struct atom random_atom(const struct shape *rule, int since_below, uint64_t *c)
{
    struct atom atom = {.fn = (enum fn)below(c, FNS), .span = random_span(c)};
    do
        atom.source = (enum source)below(c, SOURCES);
    while (rule->pair && (atom.source == IN || atom.source == OUT || atom.source == SALARIES));
    if (since_below > 1 && below(c, 2))
        atom.since = 1 + (int)below(c, since_below - 1);
    return atom;
}

/* a let that a part may name which may look back to steps below `since_below`; -1 when there is none */
static int random_let(const struct shape *rule, int since_below, int money, uint64_t *c)
{
    int from = rule->lets ? (int)below(c, rule->lets) : 0;
    for (int k = 0; k < rule->lets; k++) {
        int l = (from + k) % rule->lets;
        if (rule->let[l].since < since_below && (money < 0 || rule->let[l].money == money))
            return l;
    }
    return -1;
}

static struct comparison random_comparison(const struct shape *rule, int since_below, uint64_t *c)
{
    struct comparison out = {.op = below(c, 3) ? 0 : (int)below(c, 5)};
    int let = random_let(rule, since_below, -1, c);
    int64_t pick = below(c, 10);
    bool is_money;
    if (let >= 0 && pick < 4) {
        out.left = (struct operand){.kind = OF_LET, .let = let};
        is_money = rule->let[let].money;
    } else if (pick < 9) {
        out.left = (struct operand){.kind = OF_ATOM, .atom = random_atom(rule, since_below, c)};
        is_money = fn_is_money(out.left.atom.fn);
    } else {
        out.left = (struct operand){.kind = OF_FIELD, .field = (enum read_field)below(c, FIELDS)};
        is_money = true;
    }
    int other = random_let(rule, since_below, is_money, c);
    if (other >= 0 && below(c, 3) == 0)
        out.right = (struct operand){.kind = below(c, 2) ? OF_LET : OF_SHARE, .let = other, .number = 10 + below(c, 9) * 15};
    else
        out.right = (struct operand){.kind = OF_CONST, .number = is_money ? below(c, 12) * 1000 : below(c, 4)};
    return out;
}

static struct condition random_condition(const struct shape *rule, int since_below, uint64_t *c)
{
    struct condition out = {.parts = 1 + (below(c, 3) == 0), .either = below(c, 2), .negated = below(c, 12) == 0};
    for (int k = 0; k < out.parts; k++)
        out.part[k] = random_comparison(rule, since_below, c);
    return out;
}

static void random_lets(struct shape *rule, uint64_t *c)
{
    int lets = (int)below(c, LETS + 1);
    for (int l = 0; l < lets; l++) {
        struct let *let = &rule->let[l];
        int64_t pick = below(c, 8);
        if (pick == 0 && l > 0) {
            int base = (int)below(c, l);
            *let = (struct let){.of = {.kind = OF_LET, .let = base}, .money = rule->let[base].money, .since = rule->let[base].since};
        } else if (pick == 1) {
            *let = (struct let){.of = {.kind = OF_FIELD, .field = (enum read_field)below(c, FIELDS)}, .money = true};
        } else {
            let->of = (struct operand){.kind = OF_ATOM, .atom = random_atom(rule, rule->steps, c)};
            let->money = fn_is_money(let->of.atom.fn);
            let->since = let->of.atom.since;
        }
        rule->lets = l + 1;
    }
}

static void home_operand(struct shape *rule, const struct operand *of, int step)
{
    if (of->kind != OF_LET && of->kind != OF_SHARE)
        return;
    struct let *let = &rule->let[of->let];
    if (!let->home)
        let->home = step;
    home_operand(rule, &let->of, step);
}

static void random_shape(struct shape *rule, uint64_t *c)
{
    *rule = (struct shape){.pair = below(c, 4) == 0, .steps = 1 + (int)below(c, STEPS), .has_unless = below(c, 3) == 0, .has_except = below(c, 6) == 0};
    if (rule->steps == 1 && below(c, 3))
        rule->steps = 2;
    for (int n = 2; n <= rule->steps; n++)
        rule->within[n] = random_span(c);
    random_lets(rule, c);
    for (int n = 1; n <= rule->steps; n++) {
        rule->step[n] = random_condition(rule, n, c);
        for (int k = 0; k < rule->step[n].parts; k++) {
            home_operand(rule, &rule->step[n].part[k].left, n);
            home_operand(rule, &rule->step[n].part[k].right, n);
        }
    }
    rule->unless = random_condition(rule, rule->steps, c);
    rule->except = random_condition(rule, rule->steps, c);
}

/* --- the rules as text --- */

static const char *const source_words[2][SOURCES] = {
    {"in", "out", "transfers", "refunds", "in where amount >= 50 USD", "out where purpose = SALA", "in where sender.wage is known"},
    {"", "", "transfers", "refunds", "transfers where amount >= 50 USD", "", "transfers where sender.wage is known"}};
static const char *const fn_words[] = {"count of", "distinct sender of", "sum amount of", "max amount of", "last amount of"};
static const char *const field_words[] = {"amount", "sender.wage.amount"};

static void print_atom(FILE *out, const struct shape *rule, const struct atom *atom)
{
    fprintf(out, "%s %s ", fn_words[atom->fn], source_words[rule->pair][atom->source]);
    if (atom->since)
        fprintf(out, "since step %d", atom->since);
    else
        fprintf(out, "over %dm", (int)(atom->span / MINUTE));
}

static void print_operand(FILE *out, const struct shape *rule, const struct operand *of, bool is_money)
{
    if (of->kind == OF_LET)
        fprintf(out, "l%d", of->let);
    else if (of->kind == OF_SHARE)
        fprintf(out, "%d%% * l%d", (int)of->number, of->let);
    else if (of->kind == OF_FIELD)
        fputs(field_words[of->field], out);
    else if (of->kind == OF_CONST)
        fprintf(out, is_money ? "%d USD" : "%d", (int)(is_money ? of->number / 100 : of->number));
    else
        print_atom(out, rule, &of->atom);
}

static void print_condition(FILE *out, const struct shape *rule, const struct condition *c)
{
    fputs(c->negated ? "not (" : "", out);
    for (int k = 0; k < c->parts; k++) {
        const struct operand *left = &c->part[k].left;
        bool is_money = left->kind == OF_LET ? rule->let[left->let].money : left->kind == OF_FIELD || fn_is_money(left->atom.fn);
        fputs(k == 0 ? "" : c->either ? " or " : " and ", out);
        print_operand(out, rule, left, is_money);
        fprintf(out, " %s ", ops[c->part[k].op]);
        print_operand(out, rule, &c->part[k].right, is_money);
    }
    fputs(c->negated ? ")\n" : "\n", out);
}

static void print_rule(FILE *out, const struct shape *rule, int index)
{
    fprintf(out, "rule R%d \"Random\" {\n  version 1  status live  typology hits  family collection  why \"random\"\n  for each %s\n", index,
            rule->pair ? "pair" : "account");
    for (int l = 0; l < rule->lets; l++) {
        const struct operand *of = &rule->let[l].of;
        fprintf(out, "  let l%d = %s", l, of->kind == OF_LET ? "2 * " : "");
        print_operand(out, rule, of, true);
        fputs("\n", out);
    }
    for (int n = 1; n <= rule->steps; n++) {
        if (n == 1)
            fputs("  when ", out);
        else
            fprintf(out, "  then within %dm ", (int)(rule->within[n] / MINUTE));
        print_condition(out, rule, &rule->step[n]);
    }
    if (rule->has_unless) {
        fputs("  unless ", out);
        print_condition(out, rule, &rule->unless);
    }
    if (rule->has_except) {
        fputs("  except ", out);
        print_condition(out, rule, &rule->except);
        fputs("    until 2090-01-01 because \"random\" by \"chance\"\n", out);
    }
    fprintf(out, "  points 5 to %s as collector\n  say \"random\"\n}\n", rule->pair ? "receiver" : "account");
}

static char *print_rules(const struct shape shape[RULES], size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    invariant(out != NULL);
    fputs("ruleset random {\n  timezone \"Africa/Nairobi\"\n  base USD\n}\n"
          "memory wage for each account {\n  from in where purpose = SALA\n  keep amount\n  for 60m\n}\n"
          "typology hits \"Only hits\" {\n  offence laundering\n  alert at 40 points\n  half_life 30d\n}\n", out);
    for (int r = 0; r < RULES; r++)
        print_rule(out, &shape[r], r);
    fclose(out);
    return text;
}

#endif
