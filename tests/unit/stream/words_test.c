/* A checkpoint's own words come back as they were written; cut short, they are refused. */
#include "engine/stream/checkpoint_words.h"
#include "engine/stream/crew.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"

#include <criterion/criterion.h>

static const char rules[] = "ruleset t { timezone \"UTC\" base USD }\n"
                            "typology x \"X\" { offence laundering alert at 10 points }\n"
                            "rule A-1 \"T\" { version 1 status live typology x family debt source \"s\" V why \"w\" for each account "
                            "when count of in over 1d > 3 points 5 to account as payer say \"s\" }\n";

Test(words, come_back_as_they_were_written)
{
    struct source_file file = {SLICE("a.rules"), SLICE(rules)};
    const struct load_options options = {0};
    const struct step_settings settings = {.shard_bytes_max = 1 << 20, .partition_max = 4};
    static const unsigned char key[16] = {1};
    struct error err = {0};
    struct arena arena;
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_parse(&file, 1, "", &options, diagnostics, &err);
    struct crew *crew = crew_new(1, &err);
    cr_assert(program && crew);
    struct step *step = step_new(program, &settings, crew, key, &err);
    cr_assert_not_null(step);
    struct partition partition[] = {{.topic = "a", .number = 7}, {.topic = "b", .number = 0}, {.topic = "c", .number = 1}};
    const struct partition_table table = {.partition = partition, .count = 3};
    arena_init(&arena);
    struct slice bytes = checkpoint_words_write(step, &table, 2, 4127, 5019, &arena);
    struct checkpoint_head head = {.extra = bytes.data, .extra_size = bytes.size};
    struct checkpoint_words words;
    int32_t number;
    cr_assert(checkpoint_words_read(&head, &words));
    cr_expect_eq(words.warm_from, 4127, "whoever recovers says of the next block since when its rules are warm");
    cr_expect_eq(words.logged_seq, 5019, "a log that ends before it does not go with the checkpoint");
    cr_expect_eq(words.partitions, 2);
    cr_expect(slice_equal(checkpoint_words_partition(&words, 0, &number), SLICE("a")));
    cr_expect_eq(number, 7);
    cr_expect(slice_equal(checkpoint_words_partition(&words, 1, &number), SLICE("b")));
    struct slice own;
    step_save_extra(step, &arena, &own);
    cr_expect(slice_equal(words.step, own));
    size_t whole = (size_t)(words.step.data - bytes.data);
    for (head.extra_size = 0; head.extra_size < whole; head.extra_size++)
        cr_expect_not(checkpoint_words_read(&head, &words), "%zu of %zu bytes", (size_t)head.extra_size, whole);
    arena_fini(&arena);
    step_free(step);
    crew_free(crew);
    program_free(program);
    diagnostics_free(diagnostics);
}
