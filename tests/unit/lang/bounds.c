/* Every bound of limit.h: a rule set from outside that is exactly so large loads, one more is refused in plain words. */
#include "rules/lang/diagnostic.h"
#include "rules/lang/limit.h"
#include "rules/lang/load.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SET "ruleset b { timezone \"UTC\"  base USD }\ntypology t \"T\" { offence laundering  alert at 60 points }\n"
#define HEAD "version 1 status live typology t family debt source \"x\" V why \"y\"\n"
#define RULE "rule R-1 \"r\" { " HEAD
#define KEY "for each account\nlet n = count of in over 1h\n"
#define WHEN "when n >= 1\n"
#define END "points 1 to account as payer\nsay \"{n}\" }\n"

/* --- rule sets with `count` of something --- */

static void many_lets(FILE *out, uint32_t count)
{
    fputs(SET RULE KEY, out);
    for (uint32_t i = 1; i < count; i++)
        fprintf(out, "let n%u = %u * n\n", i, i);
    fputs(WHEN END, out);
}

static void many_params(FILE *out, uint32_t count)
{
    fputs(SET RULE, out);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "param p%u = 1 in 1..2\n", i);
    fputs(KEY WHEN END, out);
}

static void many_steps(FILE *out, uint32_t count)
{
    fputs(SET RULE KEY WHEN, out);
    for (uint32_t i = 1; i < count; i++)
        fputs("then within 1h n >= 1\n", out);
    fputs(END, out);
}

static void many_points(FILE *out, uint32_t count)
{
    fputs(SET RULE KEY WHEN "points 1 to account as payer", out);
    for (uint32_t i = 1; i < count; i++)
        fprintf(out, ", %u to account as payer", i + 1);
    fputs("\nsay \"{n}\" }\n", out);
}

static void many_say_parts(FILE *out, uint32_t count)
{
    fputs(SET RULE KEY WHEN "points 1 to account as payer\nsay \"", out);
    for (uint32_t i = 0; i < count; i++)
        fputs("{n}", out);
    fputs("\" }\n", out);
}

static void many_excepts(FILE *out, uint32_t count)
{
    fputs(SET RULE KEY WHEN "points 1 to account as payer\nsay \"{n}\"\n", out);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "except n > %u until 2030-01-01 because \"x\" by \"y\"\n", i + 1);
    fputs("}\n", out);
}

static void many_windows(FILE *out, uint32_t count)
{
    fputs(SET RULE KEY "when n >= 1", out);
    for (uint32_t i = 1; i < count; i++)
        fprintf(out, " and count of in over %us >= 1", i);
    fputs("\n" END, out);
}

static void many_key_parts(FILE *out, uint32_t count)
{
    static const char *const part[] = {"sender", "receiver", "terminal", "sender.device", "receiver.device"};
    fputs(SET RULE "for each sender as k0", out);
    for (uint32_t i = 1; i < count; i++)
        fprintf(out, ", %s as k%u", part[i], i);
    fputs("\nlet n = count of transfers over 1h\n" WHEN "points 1 to sender as payer\nsay \"{n}\" }\n", out);
}

static void many_keeps(FILE *out, uint32_t count)
{
    fputs(SET "memory m for each account { from in\nkeep amount as a0", out);
    for (uint32_t i = 1; i < count; i++)
        fprintf(out, ", amount as a%u", i);
    fputs("\nfor 1d }\n", out);
}

static void many_fact_fields(FILE *out, uint32_t count)
{
    fputs(SET "fact f for each party { ", out);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "a%u money  ", i);
    fputs("} from \"facts.f\"\n", out);
}

static void many_lists(FILE *out, uint32_t count)
{
    fputs(SET, out);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "list l%u of account from \"lists/people.csv\"\n", i);
}

static void many_texts(FILE *out, uint32_t count)
{
    fputs(SET, out);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "text x%u { any \"word%u\" }\n", i, i);
}

static void many_patterns(FILE *out, uint32_t count)
{
    fputs(SET "text x { any \"word\"", out);
    for (uint32_t i = 1; i < count; i++)
        fprintf(out, ", \"word%u\"", i);
    fputs(" }\n", out);
}

static void long_pattern(FILE *out, uint32_t count)
{
    fputs(SET "text x { any /", out);
    for (uint32_t i = 0; i < count; i++)
        fputc('a', out);
    fputs("/ }\n", out);
}

static void many_memories(FILE *out, uint32_t count)
{
    fputs(SET, out);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "memory m%u for each account { from in\nkeep amount\nfor 1d }\n", i);
}

static void many_rules(FILE *out, uint32_t count)
{
    fputs(SET, out);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "rule R-%u \"r\" { " HEAD "for each transfer\nwhen amount > %u USD\npoints 1 to sender as payer\nsay \"x\" }\n", i, i + 1);
}

static void many_sources(FILE *out, uint32_t count)
{
    fputs(SET, out);
    for (uint32_t i = 0; i < count;) {
        fprintf(out, "rule R-%u \"r\" { " HEAD "for each account\nwhen 1 >= 1", i);
        for (uint32_t of = 0; of < 25 && i < count; of++, i++)
            fprintf(out, " and count of in where amount < %u USD over 1h >= 1", i + 1);
        fputs("\npoints 1 to account as payer\nsay \"x\" }\n", out);
    }
}

static void many_keys(FILE *out, uint32_t count)
{
    static const char *const part[] = {"sender", "receiver", "terminal", "sender.device", "receiver.device", "sender.phone", "receiver.phone"};
    fputs(SET, out);
    for (uint32_t i = 0, made = 0; made < count; i++) {
        uint32_t of[4] = {i % 7, i / 7 % 7, i / 49 % 7, i / 343};
        bool different = of[0] != of[1] && of[0] != of[2] && of[0] != of[3] && of[1] != of[2] && of[1] != of[3] && of[2] != of[3];
        if (!different)
            continue;
        fprintf(out, "rule R-%u \"r\" { " HEAD "for each %s as a, %s as b, %s as c, %s as d\nlet n = count of transfers over 1h\n" WHEN
                     "points 1 to sender as payer\nsay \"{n}\" }\n", made++, part[of[0]], part[of[1]], part[of[2]], part[of[3]]);
    }
}

static void many_typologies(FILE *out, uint32_t count)
{
    fputs(SET, out);
    for (uint32_t i = 1; i < count; i++) /* one stands in SET */
        fprintf(out, "typology more_%u \"t\" { offence laundering\nalert at 1 points }\n", i);
    fputs(RULE KEY WHEN "points 1 to account as payer\nsay \"x\" }\n", out);
}

static void deep(FILE *out, uint32_t count)
{
    fputs(SET RULE KEY "when ", out);
    for (uint32_t i = 2; i < count; i++) /* a condition and a value are a level each */
        fputs("not ", out);
    fputs("n >= 1\n" END, out);
}

static void long_name(FILE *out, uint32_t count)
{
    fputs(SET RULE KEY "let ", out);
    for (uint32_t i = 0; i < count; i++)
        fputc('a', out);
    fputs(" = 2 * n\n" WHEN END, out);
}

static void long_string(FILE *out, uint32_t count)
{
    fputs(SET "rule R-1 \"", out);
    for (uint32_t i = 0; i < count; i++)
        fputc('a', out);
    fputs("\" { " HEAD KEY WHEN END, out);
}

static void large_points(FILE *out, uint32_t count)
{
    fprintf(out, SET RULE KEY WHEN "points %u to account as payer\nsay \"{n}\" }\n", count);
}

static void wide_window(FILE *out, uint32_t count)
{
    fprintf(out, SET RULE "for each account\nlet n = count of in over %ud\n" WHEN END, count);
}

static void many_times(FILE *out, uint32_t count)
{
    fprintf(out, SET RULE KEY WHEN END "test \"t\" for R-1 {\nstart 2026-03-02 12:00\nevery 1s x %u A -> B 1 USD\nexpect nothing\n}\n", count);
}

/* --- at the bound, and one more --- */

static struct program *load(void (*make)(FILE *out, uint32_t count), uint32_t count, char **said)
{
    char *text = NULL;
    size_t size = 0, said_size = 0;
    FILE *out = open_memstream(&text, &size);
    make(out, count);
    fclose(out);
    struct source_file file = {SLICE("bound.rules"), {text, size}};
    struct load_options options = {.today = 20781};
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_parse(&file, 1, "tests/data/diagnostics", &options, diagnostics, &err);
    out = open_memstream(said, &said_size);
    diagnostics_text(diagnostics, out);
    fclose(out);
    diagnostics_free(diagnostics);
    free(text);
    return program;
}

Test(bounds, what_is_exactly_so_large_loads_and_one_more_is_refused, .timeout = 120)
{
    static const struct {
        const char *what;
        void (*make)(FILE *out, uint32_t count);
        uint32_t most;
        const char *says;
    } bound[] = {
        {"lets", many_lets, LIMIT_LETS, "a rule has at most 16 lets"},
        {"params", many_params, LIMIT_PARAMS, "a rule has at most 32 params"},
        {"steps", many_steps, LIMIT_STEPS, "a rule has at most 8 steps"},
        {"points", many_points, LIMIT_POINTS, "a rule has at most 16 `points`"},
        {"parts of say", many_say_parts, LIMIT_SAY_PARTS, "error[R"},
        {"exceptions", many_excepts, LIMIT_EXCEPTS, "a rule has at most 16 exceptions"},
        {"windows of a rule", many_windows, RULE_INPUT_MAX, "a rule reads at most 32 windows"},
        {"parts of a key", many_key_parts, KEY_WIDTH_MAX, "a key has at most 4 parts"},
        {"fields of a memory", many_keeps, MEMORY_KEEP_MAX, "a memory keeps at most 8 fields"},
        {"fields of a fact", many_fact_fields, MEMORY_KEEP_MAX, "a fact has at most 8 fields"},
        {"lists", many_lists, LIMIT_LISTS, "a rule set has at most 64 lists"},
        {"texts", many_texts, LIMIT_TEXTS, "a rule set has at most 64 texts"},
        {"patterns", many_patterns, LIMIT_PATTERNS, "a text of more than 500 patterns"},
        {"bytes of a pattern", long_pattern, LIMIT_PATTERN_BYTES, "a pattern has 1 to 1000 bytes"},
        {"memories", many_memories, LIMIT_MEMORIES, "a rule set has at most 64 memories"},
        {"rules", many_rules, LIMIT_RULES, "a rule set has at most 2000 rules"},
        {"sources", many_sources, LIMIT_STREAMS, "a rule set has at most 4000 different sources"},
        {"keys", many_keys, LIMIT_KEYS, "a rule set has at most 256 different keys"},
        {"typologies", many_typologies, LIMIT_TYPOLOGIES, "a rule set has at most 64 typologies"},
        {"nesting", deep, LIMIT_DEPTH, "this is nested too deeply"},
        {"bytes of a name", long_name, LIMIT_WORD, "a name of more than 128 bytes"},
        {"bytes of a text in quotes", long_string, LIMIT_STRING, "a text of more than 2000 bytes"},
        {"points of one hit", large_points, LIMIT_POINT_VALUE, "must lie between -1000 and 1000"},
        {"days of a window", wide_window, LIMIT_DAYS, "this window is not possible"},
        {"events of a test", many_times, LIMIT_TEST_EVENTS, "must lie between 1 and 100000"},
    };
    for (size_t i = 0; i < sizeof bound / sizeof bound[0]; i++) {
        char *said;
        struct program *program = load(bound[i].make, bound[i].most, &said);
        cr_expect(program != NULL && !strstr(said, "error["), "%u %s are refused:\n%.400s", bound[i].most, bound[i].what, said);
        program_free(program);
        free(said);
        program = load(bound[i].make, bound[i].most + 1, &said);
        cr_expect(program == NULL && strstr(said, bound[i].says), "%u %s are not refused, or with other words:\n%.400s", bound[i].most + 1,
                  bound[i].what, said);
        program_free(program);
        free(said);
    }
}

/* More of what is refused already must end as well: nothing grows behind the bound. */
Test(bounds, far_more_is_refused_too, .timeout = 120)
{
    static void (*const make[])(FILE *out, uint32_t count) = {many_lets,  many_params,   many_steps,    many_points,  many_say_parts, many_excepts,
                                                              many_windows, many_lists,  many_texts,    many_memories, deep,          long_name,
                                                              long_string, many_keeps,   many_patterns};
    for (size_t i = 0; i < sizeof make / sizeof make[0]; i++) {
        char *said;
        struct program *program = load(make[i], 5000, &said);
        cr_expect(program == NULL && strstr(said, "error["), "place %zu: %.400s", i, said);
        program_free(program);
        free(said);
    }
}

/* --- what only a folder can be --- */

static void folder_make(char folder[32], uint32_t files, size_t bytes)
{
    char path[64], block[4096];
    memset(block, ' ', sizeof block);
    snprintf(folder, 32, "/tmp/bounds-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    for (uint32_t i = 0; i < files; i++) {
        snprintf(path, sizeof path, "%s/%04u.rules", folder, i);
        FILE *out = fopen(path, "w");
        if (i == 0)
            fputs(SET, out);
        for (size_t at = 0; at < bytes; at += sizeof block)
            fwrite(block, 1, sizeof block, out);
        fclose(out);
    }
}

static void folder_remove(const char *folder, uint32_t files)
{
    char path[64];
    for (uint32_t i = 0; i < files; i++) {
        snprintf(path, sizeof path, "%s/%04u.rules", folder, i);
        unlink(path);
    }
    rmdir(folder);
}

static void folder_check(uint32_t files, size_t bytes, const char *says)
{
    char folder[32];
    struct error err = {0};
    struct load_options options = {.today = 20781};
    struct diagnostics *diagnostics = diagnostics_new();
    folder_make(folder, files, bytes);
    struct program *program = program_load(folder, &options, diagnostics, &err);
    cr_expect_eq(program != NULL, says == NULL, "%u files of %zu bytes: %s", files, bytes, err.text);
    cr_expect(!says || strstr(err.text, says), "%s", err.text);
    program_free(program);
    diagnostics_free(diagnostics);
    folder_remove(folder, files);
}

Test(bounds, a_folder_of_too_many_or_too_large_files_is_refused, .timeout = 120)
{
    folder_check(LIMIT_FILES - 1, 0, NULL);
    folder_check(LIMIT_FILES, 0, "more than 999 rule files");
    folder_check(LIMIT_SET_BYTES / (1024 * 512) - 1, 1024 * 512, NULL);
    folder_check(LIMIT_SET_BYTES / (1024 * 512) + 1, 1024 * 512, "larger than 16 MiB together");
}

/* --- what is said when much is wrong --- */

static void many_warnings(FILE *out, uint32_t count)
{
    fputs(SET, out);
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, "rule R-%u \"r\" { " HEAD "for each transfer\nwhen 1 >= 1\npoints 1 to sender as payer\nsay \"x\" }\n", i);
    fputs("rule Z-1 \"r\" { " HEAD "for each transfer\nwhen amount > 1\npoints 1 to sender as payer\nsay \"x\" }\n", out);
}

Test(bounds, warnings_hide_no_error)
{
    char *said;
    struct program *program = load(many_warnings, 500, &said);
    cr_expect(program == NULL && strstr(said, "error[R"), "%.300s", said);
    cr_expect(strstr(said, "more"), "the warnings that are not shown are counted");
    program_free(program);
    free(said);
}
