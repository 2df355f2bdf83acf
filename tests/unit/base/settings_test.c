/* What is wrong in a settings file -> what is said, with line and column. */
#include "engine/base/settings.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct {
    const char *file, *says; /* says: "" when the file is fine */
} rows[] = {
    {"", ""},
    {"# nothing\n", ""},
    {"threads: 4\n", ""},
    {"kafka_topics:\n  payments.a: bank-a\n  payments.b: bank-b\n", ""},
    {"log_enabled: false\n", ""},
    {"thread: 4\n", ":1:1: there is no setting `thread`; did you mean `threads`?"},
    {"threads: 4\nbatch_mxa: 5\n", ":2:1: there is no setting `batch_mxa`; did you mean `batch_max`?"},
    {"completely_unknown_word: 1\n", ":1:1: there is no setting `completely_unknown_word`"},
    {"threads: 4\nthreads: 5\n", ":2:1: `threads` is given twice"},
    {"threads: four\n", ":1:10: `threads` must be a whole number"},
    {"threads: 4.5\n", ":1:10: `threads` must be a whole number"},
    {"threads: +4\n", ":1:10: `threads` must be a whole number"},
    {"threads: \"\"\n", ":1:10: `threads` must be a whole number"},
    {"threads: 0\n", ":1:10: `threads` must be from 1 to 64, not 0"},
    {"threads: 65\n", ":1:10: `threads` must be from 1 to 64, not 65"},
    {"threads: 99999999999999999999\n", ":1:10: `threads` must be a whole number"},
    {"lateness_h: -1\n", ":1:13: `lateness_h` must be from 0 to 720, not -1"},
    {"http_port: 65536\n", ":1:12: `http_port` must be from -1 to 65535, not 65536"},
    {"log_enabled: yes\n", ":1:14: `log_enabled` must be true or false"},
    {"threads: [1, 2]\n", "`threads` takes one value, not a list or block"},
    {"threads:\n  a: 1\n", "`threads` takes one value, not a list or block"},
    {"kafka_topics: payments\n", ":1:15: `kafka_topics` must be a block of KEY: VALUE lines"},
    {"kafka_topics:\n  a: x\n  a: y\n", ":3:3: `a` is given twice"},
    {"kafka_topics:\n  a: \"\"\n", "`kafka_topics` needs a text on both sides of the colon"},
    {"- threads\n- 4\n", "settings are lines of NAME: VALUE"},
    {"just words\n", "settings are lines of NAME: VALUE"},
    {"threads: &x 4\n", "anchors and aliases are not taken"},
    {"threads: 4\n---\nthreads: 5\n", "one document only"},
    {"threads: \"unfinished\n", "this is not YAML"},
    {"threads: 4\n\tbatch_max: 5\n", "this is not YAML"},
    {"postgres_dsn: \"a\\0b\"\n", "`postgres_dsn` holds a NUL character"},
};

static bool load(const char *text, struct settings *settings, struct slice *wrong)
{
    char path[] = "/tmp/muster-settings-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    settings_init(settings);
    bool good = settings_load(settings, path, wrong);
    unlink(path);
    return good;
}

Test(settings, says_what_is_wrong_and_where)
{
    cr_assert(sizeof rows / sizeof rows[0] >= 30);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings settings;
        struct slice wrong;
        bool good = load(rows[i].file, &settings, &wrong);
        char *said = strndup(wrong.data, wrong.size);
        cr_expect_eq(good, rows[i].says[0] == '\0', "%s: %s", rows[i].file, said);
        cr_expect(strstr(said, rows[i].says), "%s: said %s", rows[i].file, said);
        free(said);
        settings_fini(&settings);
    }
}

Test(settings, says_everything_at_once)
{
    struct settings settings;
    struct slice wrong;
    cr_assert(!load("thread: 1\nbatch_max: x\nlog_enabled: 2\n", &settings, &wrong));
    int lines = 0;
    for (size_t i = 0; i < wrong.size; i++)
        lines += wrong.data[i] == '\n';
    cr_expect_eq(lines, 3);
    settings_fini(&settings);
}

Test(settings, reads_values_and_keeps_defaults)
{
    struct settings settings;
    struct slice wrong;
    cr_assert(load("threads: 7\nkafka_topics: {b: y, a: x}\nrules_dir: packs\n", &settings, &wrong));
    cr_expect_eq(settings.threads, 7);
    cr_expect_eq(settings.batch_max, 16384);
    cr_expect_str_eq(settings.rules_dir, "packs");
    cr_assert_eq(settings.kafka_topics.count, 2);
    cr_expect_str_eq(settings.kafka_topics.pair[0].key, "a");
    cr_expect_str_eq(settings.kafka_topics.pair[1].value, "y");
    settings_fini(&settings);
}

Test(settings, sets_from_the_command_line)
{
    struct settings settings;
    struct error err = {0};
    settings_init(&settings);
    cr_expect(settings_set(&settings, SLICE("threads"), SLICE("3"), &err));
    cr_expect_eq(settings.threads, 3);
    cr_expect(!settings_set(&settings, SLICE("threadz"), SLICE("3"), &err));
    cr_expect(strstr(err.text, "did you mean `threads`?"));
    cr_expect(!settings_set(&settings, SLICE("threads"), SLICE("many"), &err));
    settings_fini(&settings);
}
