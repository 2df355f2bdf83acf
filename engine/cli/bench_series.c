/* Rounds of one rule set: taken from passes, or read from what `rules bench --json` saved. */
#include "engine/cli/bench_report.h"

#include "connectors/json/parse.h"
#include "engine/base/invariant.h"
#include "rules/lang/limit.h"

#include <stdio.h>
#include <stdlib.h>

enum { SAVED_BYTES_MAX = 16 << 20 };

void bench_series_init(struct bench_series *series, const struct program *program, struct arena *arena)
{
    struct slice *rule = ARENA_ARRAY(arena, struct slice, program->rule_count + 1);
    *series = (struct bench_series){.count = program->rule_count, .rule = rule};
    series->ns = arena_alloc(arena, sizeof *series->ns * (program->rule_count + 1u));
    for (uint16_t r = 0; r < program->rule_count; r++)
        rule[r] = program->rule[r].id;
}

void bench_series_add(struct bench_series *series, const struct measured *measured)
{
    invariant(series->rounds < BENCH_ROUNDS_MAX);
    series->whole[series->rounds] = measured->cpu_ns;
    for (uint16_t r = 0; r < series->count; r++)
        series->ns[r][series->rounds] = measured_sum(&measured->rule[r]);
    series->rounds++;
}

/* --- reading --- */

struct reading {
    const struct json_parser *parser;
    struct arena *arena;
    struct bench_series *out;
    struct slice *rule;
    int64_t events;
    double *into;      /* the rounds being read */
    uint32_t rounds;
};

static bool read_round(void *context, struct slice key, const struct json_value *value)
{
    struct reading *reading = context;
    (void)key;
    if (value->type != JSON_INTEGER || reading->rounds == BENCH_ROUNDS_MAX)
        return false;
    reading->into[reading->rounds++] = (double)value->integer / 1000;
    return true;
}

static bool read_rounds(struct reading *reading, const struct json_value *value, double *into)
{
    reading->into = into;
    reading->rounds = 0;
    return value->type == JSON_OBJECT && json_walk(reading->parser, value, read_round, reading) && reading->rounds > 0;
}

static bool read_rule(void *context, struct slice key, const struct json_value *value)
{
    struct reading *reading = context;
    struct bench_series *out = reading->out;
    if (out->count == LIMIT_RULES || !read_rounds(reading, value, out->ns[out->count]) || reading->rounds != out->rounds)
        return false;
    reading->rule[out->count++] = arena_copy(reading->arena, key);
    return true;
}

static bool read_member(void *context, struct slice key, const struct json_value *value)
{
    struct reading *reading = context;
    if (slice_equal(key, SLICE("events")) && value->type == JSON_INTEGER)
        reading->events = value->integer;
    if (slice_equal(key, SLICE("whole_rounds_ps"))) {
        if (!read_rounds(reading, value, reading->out->whole))
            return false;
        reading->out->rounds = reading->rounds;
    }
    if (slice_equal(key, SLICE("rule_rounds_ps")))
        return value->type == JSON_OBJECT && json_walk(reading->parser, value, read_rule, reading);
    return true;
}

bool bench_series_read(const char *path, struct arena *arena, struct bench_series *out, int64_t *events, struct error *err)
{
    char *text = malloc(SAVED_BYTES_MAX);
    FILE *file = fopen(path, "re");
    invariant(text);
    if (!file) {
        free(text);
        return error_errno(err, ERROR_FATAL, "cannot read %s", path);
    }
    size_t size = fread(text, 1, SAVED_BYTES_MAX, file);
    (void)fclose(file);
    struct json_parser *parser = json_parser_new(SAVED_BYTES_MAX);
    struct json_value root;
    struct reading reading = {.parser = parser, .arena = arena, .out = out, .rule = ARENA_ARRAY(arena, struct slice, LIMIT_RULES)};
    *out = (struct bench_series){.rule = reading.rule};
    out->ns = arena_alloc(arena, sizeof *out->ns * LIMIT_RULES);
    bool ok = json_parse(parser, (struct slice){text, size}, &root) == JSON_FINE && root.type == JSON_OBJECT &&
              json_walk(parser, &root, read_member, &reading) && out->rounds > 0;
    *events = reading.events;
    json_parser_free(parser);
    free(text);
    return ok || error_set(err, ERROR_FATAL, "%s is neither a folder of rules nor what `rules bench --json` printed", path);
}
