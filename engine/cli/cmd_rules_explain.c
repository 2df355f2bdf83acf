/* `muster rules explain`: what a rule means, in plain words; or why an event came out as it did. */
#include "engine/cli/command.h"

#include "engine/base/invariant.h"
#include "engine/base/json_writer.h"
#include "engine/base/suggest.h"
#include "engine/cli/explain_event.h"
#include "engine/cli/rule_set.h"
#include "rules/lang/plain.h"

#include <stdlib.h>

static const struct syntax_rule *find_rule(const struct syntax *syntax, const char *id)
{
    const struct syntax_rule *rule = syntax->rule;
    while (rule && !slice_equal(rule->id.text, slice_of(id)))
        rule = rule->next;
    return rule;
}

static const struct syntax_typology *find_typology(const struct syntax *syntax, struct slice name)
{
    const struct syntax_typology *typology = syntax->typology;
    while (typology && !slice_equal(typology->name.text, name))
        typology = typology->next;
    return typology;
}

static void print_head(const struct syntax_rule *rule)
{
    printf("%.*s  %.*s\n\n", (int)rule->id.text.size, rule->id.text.data, (int)rule->title.text.size, rule->title.text.data);
    printf("Why: %.*s.\n", (int)rule->why.text.size, rule->why.text.data);
    if (rule->source.text.size)
        printf("Source: %.*s (%s).\n", (int)rule->source.text.size, rule->source.text.data, plain_grade(rule->source_grade));
    printf("Version %lld, %s, in the family %.*s", (long long)rule->version, plain_status(rule->status), (int)rule->family.text.size,
           rule->family.text.data);
    if (rule->owner.text.size)
        printf(", kept by the %.*s", (int)rule->owner.text.size, rule->owner.text.data);
    if (rule->review_day) {
        fputs(", to be looked at again by ", stdout);
        plain_day(rule->review_day, stdout);
    }
    fputs(".\n\n", stdout);
}

static void print_tests(const struct syntax *syntax, const struct syntax_rule *rule)
{
    uint32_t count = 0;
    for (const struct syntax_test *test = syntax->test; test; test = test->next)
        for (const struct syntax_key *key = test->rule; key; key = key->next)
            if (slice_equal(key->path.text, rule->id.text))
                printf("%s- %.*s\n", count++ ? "" : "Its tests:\n\n", (int)test->title.text.size, test->title.text.data);
    fputs(count ? "\n" : "It has no test.\n\n", stdout);
}

/* In plain words what the typology does, or without one what the rule means. */
static void write_plain(struct json_writer *json, const char *name, const struct syntax *syntax, const struct syntax_rule *rule,
                        const struct syntax_typology *typology)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    invariant(out != NULL);
    if (typology)
        plain_typology(syntax, typology, out);
    else
        plain_rule(syntax, rule, out);
    invariant(fclose(out) == 0);
    json_text(json, name, (struct slice){text, size});
    free(text);
}

static void write_day(struct json_writer *json, const char *name, int32_t day)
{
    char text[32] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    invariant(out != NULL);
    plain_day(day, out);
    invariant(fclose(out) == 0);
    json_text(json, name, slice_of(text));
}

/* The facts of the text, in its order. */
static void print_json(const struct syntax *syntax, const struct syntax_rule *rule, const struct syntax_typology *typology)
{
    struct json_writer json;
    json_writer_init(&json);
    json_open_object(&json, NULL);
    json_text(&json, "rule", rule->id.text);
    json_text(&json, "title", rule->title.text);
    json_text(&json, "why", rule->why.text);
    json_text(&json, "source", rule->source.text);
    json_text(&json, "source_grade", slice_of(rule->source_grade));
    json_number(&json, "version", rule->version);
    json_text(&json, "status", slice_of(plain_status(rule->status)));
    json_text(&json, "family", rule->family.text);
    json_text(&json, "typology", rule->typology.text);
    json_text(&json, "kept_by", rule->owner.text);
    if (rule->review_day)
        write_day(&json, "review_by", rule->review_day);
    write_plain(&json, "meaning", syntax, rule, NULL);
    json_open_array(&json, "tests");
    for (const struct syntax_test *test = syntax->test; test; test = test->next)
        for (const struct syntax_key *key = test->rule; key; key = key->next)
            if (slice_equal(key->path.text, rule->id.text))
                json_text(&json, NULL, test->title.text);
    json_close_array(&json);
    if (typology)
        write_plain(&json, "alert", syntax, NULL, typology);
    json_close_object(&json);
    json_line(&json);
    (void)fwrite(json.text, 1, json.size, stdout);
    json_writer_fini(&json);
}

static int no_rule(const struct command_line *line, const struct syntax *syntax)
{
    struct slice id[SUGGEST_CANDIDATES_MAX];
    int count = 0;
    for (const struct syntax_rule *rule = syntax->rule; rule && count < SUGGEST_CANDIDATES_MAX; rule = rule->next)
        id[count++] = rule->id.text;
    int near = suggest_nearest(slice_of(line->word[1]), id, count);
    if (near < 0)
        return command_fail(line, EXIT_FINDING, "%s has no rule %s", line->word[0], line->word[1]);
    return command_fail(line, EXIT_FINDING, "%s has no rule %s; did you mean %.*s?", line->word[0], line->word[1], (int)id[near].size, id[near].data);
}

static int explain(const struct command_line *line, const struct syntax *syntax)
{
    const struct syntax_rule *rule = find_rule(syntax, line->word[1]);
    if (!rule)
        return no_rule(line, syntax);
    const struct syntax_typology *typology = find_typology(syntax, rule->typology.text);
    if (command_option(line, "json")) {
        print_json(syntax, rule, typology);
        return EXIT_FINE;
    }
    print_head(rule);
    plain_rule(syntax, rule, stdout);
    print_tests(syntax, rule);
    if (typology) {
        plain_typology(syntax, typology, stdout);
        putchar('\n');
    }
    return EXIT_FINE;
}

int cmd_rules_explain(const struct command_line *line)
{
    int code;
    if (command_option(line, "event") || command_option(line, "alert"))
        return explain_event(line);
    if (line->word_count != 2)
        return command_fail(line, EXIT_USAGE, "name the folder of rules and the id of a rule");
    struct syntax *syntax = rule_set_tree(line, line->word[0], &code);
    if (!syntax)
        return code;
    code = explain(line, syntax);
    syntax_free(syntax);
    return code;
}
