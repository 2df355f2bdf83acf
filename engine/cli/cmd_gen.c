/* `muster gen`: a labelled stream to try things on. */
#include "bench/gen.h"
#include "engine/cli/command.h"
#include "engine/model/zone.h"

#include <errno.h>
#include <stdlib.h>

/* A share such as "1%" or "0.5%" in millionths; false when it is none. */
static bool parse_share(const char *text, uint32_t *ppm)
{
    char *end;
    long whole = strtol(text, &end, 10);
    long tenth = *end == '.' && end[1] >= '0' && end[1] <= '9' ? end[1] - '0' : 0;
    if (*end == '.')
        end += 2;
    if (end == text || strcmp(end, "%") != 0 || whole < 0 || whole > 50)
        return false;
    *ppm = (uint32_t)(whole * 10000 + tenth * 1000);
    return true;
}

static bool gen_options(const struct command_line *line, struct gen_settings *settings)
{
    int64_t events, rate, accounts, seed, sources, days, ransoms;
    const char *broken = command_option(line, "broken"), *start = command_option(line, "start");
    if (!command_number(line, "events", 1, 1000000000, 100000, &events) || !command_number(line, "seed", 0, INT64_MAX, 1, &seed) ||
        !command_number(line, "sources", 1, 16, 3, &sources) || !command_number(line, "days", 1, 366, 90, &days) ||
        !command_number(line, "rate", 1, 1000000, 0, &rate) || !command_number(line, "accounts", 1, 10000000, 0, &accounts) ||
        !command_number(line, "ransom", 0, 100000, 0, &ransoms))
        return false;
    if (ransoms && days < 28) {
        (void)command_fail(line, EXIT_USAGE, "--ransom needs --days of at least 28: what its payers usually send must be seen before");
        return false;
    }
    *settings = (struct gen_settings){.events = (uint64_t)(rate ? rate * days * 86400 : events),
                                      .accounts = (uint32_t)accounts,
                                      .seed = (uint64_t)seed,
                                      .sources = (uint32_t)sources,
                                      .days = (uint32_t)days,
                                      .start_ms = (int64_t)civil_day(2026, 1, 5) * MS_PER_DAY,
                                      .repeat_ppm = 1000,
                                      .ransoms = (uint32_t)ransoms};
    if (broken && !parse_share(broken, &settings->broken_ppm)) {
        (void)command_fail(line, EXIT_USAGE, "--broken takes a share such as 1%% or 0.5%%, at most 50%%");
        return false;
    }
    const char *skew = command_option(line, "skew"), *shape = command_option(line, "shape");
    if (skew && !crowd_skew_parse(skew, &settings->skew)) {
        (void)command_fail(line, EXIT_USAGE, "--skew takes leaning, uniform, zipf or hub");
        return false;
    }
    if (shape && !crowd_shape_parse(shape, &settings->shape)) {
        (void)command_fail(line, EXIT_USAGE, "--shape takes none, clique or star");
        return false;
    }
    if (shape && settings->accounts && settings->accounts < 48) {
        (void)command_fail(line, EXIT_USAGE, "--shape needs --accounts of at least 48");
        return false;
    }
    if (start && !time_parse(slice_of(start), &settings->start_ms)) {
        (void)command_fail(line, EXIT_USAGE, "--start takes a moment such as 2026-01-05T00:00:00Z");
        return false;
    }
    return true;
}

int cmd_gen(const struct command_line *line)
{
    struct gen_settings settings;
    struct gen_summary summary;
    struct error err = {0};
    const char *out = command_option(line, "out"), *labels_path = command_option(line, "labels");
    if (!gen_options(line, &settings))
        return EXIT_USAGE;
    if (!out)
        return command_fail(line, EXIT_USAGE, "--out FILE is needed (- for standard output)");
    FILE *events = strcmp(out, "-") == 0 ? stdout : fopen(out, "w");
    FILE *labels = fopen(labels_path ? labels_path : "/dev/null", "w");
    bool good = events && labels && gen_write(&settings, events, labels, &summary, &err);
    if (!events || !labels)
        error_errno(&err, ERROR_FATAL, "cannot write %s", events ? labels_path : out);
    if (labels && fclose(labels) != 0)
        good = false;
    if (events && events != stdout && fclose(events) != 0)
        good = false;
    if (!good)
        return command_fail(line, EXIT_WORLD, "%s", err.text[0] ? err.text : "the stream could not be written");
    fprintf(stderr, "%llu line%s: %llu scheme%s and %llu innocent look-alike%s planted, %llu repeat%s, %llu broken\n", (unsigned long long)summary.lines,
            summary.lines == 1 ? "" : "s", (unsigned long long)summary.schemes, summary.schemes == 1 ? "" : "s",
            (unsigned long long)summary.innocents, summary.innocents == 1 ? "" : "s", (unsigned long long)summary.repeats,
            summary.repeats == 1 ? "" : "s", (unsigned long long)summary.broken);
    return EXIT_FINE;
}
