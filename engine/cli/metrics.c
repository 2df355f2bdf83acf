/* Prints the run's figures for Prometheus. */
#include "engine/cli/metrics.h"

#include "connectors/kafka/source.h"
#include "engine/base/invariant.h"
#include "engine/model/reject.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define READ(figure) ((unsigned long long)atomic_load_explicit(&(figure), memory_order_relaxed))

struct metric_row {
    const char *type, *name, *label, *help;
};

static const struct metric_row rows[] = {
#define METRIC(type, name, label, value, help) {#type, #name, label, help},
#define SOURCE_METRIC(type, name, label, value, help)
#include "engine/cli/metric.def"
#undef METRIC
#undef SOURCE_METRIC
};

static const struct metric_row source_rows[] = {
#define METRIC(type, name, label, value, help)
#define SOURCE_METRIC(type, name, label, value, help) {#type, #name, label, help},
#include "engine/cli/metric.def"
#undef METRIC
#undef SOURCE_METRIC
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0], SOURCE_ROW_COUNT = sizeof source_rows / sizeof source_rows[0] };

/* What its rows say of one bank. */
struct source_metrics {
    struct feed_bank feed;
    int64_t lag, lag_s;
    uint64_t gaps, heartbeats;
    double value[SOURCE_ROW_COUNT];
};

static void print_head(const struct metric_row *row, const struct metric_row *before, FILE *out)
{
    if (!before || strcmp(row->name, before->name) != 0)
        fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, row->type);
}

static void print_rejections(const struct pipeline_figures *f, FILE *out)
{
    fputs("# HELP muster_rejections_total Messages refused, by reason.\n# TYPE muster_rejections_total counter\n", out);
    for (int i = 1; i < REJECT_COUNT; i++)
        fprintf(out, "muster_rejections_total{reason=\"%s\"} %llu\n", reject_code((enum reject_reason)i), READ(f->rejected[i]));
}

static const struct {
    const char *label, *says, *advice;
} bounds[BOUND_COUNT] = {
#define BOUND(name, label, level, says, advice) {label, says, advice},
#include "engine/state/bound.def"
#undef BOUND
};

static void print_bounds(const struct pipeline_figures *f, FILE *out)
{
    fputs("# HELP muster_bound_hits_total How often a bound was hit.\n# TYPE muster_bound_hits_total counter\n", out);
    for (int i = 0; i < BOUND_COUNT; i++)
        fprintf(out, "muster_bound_hits_total{bound=\"%s\"} %llu\n", bounds[i].label, READ(f->state.bound[i]));
}

void metrics_print(const struct pipeline_figures *f, FILE *out)
{
    const unsigned long long values[ROW_COUNT] = {
#define METRIC(type, name, label, value, help) (unsigned long long)(value),
#define SOURCE_METRIC(type, name, label, value, help)
#include "engine/cli/metric.def"
#undef METRIC
#undef SOURCE_METRIC
    };
    for (int i = 0; i < ROW_COUNT; i++) {
        print_head(&rows[i], i ? &rows[i - 1] : NULL, out);
        fprintf(out, "%s%s%s%s %llu\n", rows[i].name, rows[i].label[0] ? "{" : "", rows[i].label, rows[i].label[0] ? "}" : "", values[i]);
    }
    print_rejections(f, out);
    print_bounds(f, out);
}

/* --- per bank --- */

static void read_kafka(const struct feed *feed, const struct source *kafka, int64_t now_ms, struct source_metrics *b)
{
    struct kafka_partition_figures figures;
    for (uint32_t p = 0; kafka && kafka_source_figures(kafka, p, &figures); p++) {
        if (!feed_bank_has(feed, &b->feed, p))
            continue;
        int64_t age_s = figures.newest_ms > 0 && figures.lag > 0 ? (now_ms - figures.newest_ms) / 1000 : 0;
        b->lag += figures.lag;
        b->lag_s = age_s > b->lag_s ? age_s : b->lag_s;
        b->gaps += figures.gaps;
        b->heartbeats += figures.heartbeats;
    }
}

static void value_source(struct source_metrics *b)
{
    const double value[SOURCE_ROW_COUNT] = {
#define METRIC(type, name, label, value, help)
#define SOURCE_METRIC(type, name, label, value, help) (double)(value),
#include "engine/cli/metric.def"
#undef METRIC
#undef SOURCE_METRIC
    };
    memcpy(b->value, value, sizeof value);
}

/* A label's value, escaped as the format wants it. */
static void print_escaped(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            fputc('\\', out);
        fputs(*text == '\n' ? "\\n" : (const char[]){*text, '\0'}, out);
    }
}

static void print_sample(const char *name, const char *source, const char *label, double value, FILE *out)
{
    fprintf(out, "%s{source=\"", name);
    print_escaped(source, out);
    fprintf(out, "\"%s%s} %.15g\n", *label ? "," : "", label, value);
}

/* Reasons that were never given to a bank are left out: banks times reasons would be many lines. */
static void print_source_rejections(const struct source_metrics *banks, uint32_t count, FILE *out)
{
    char label[96];
    fputs("# HELP muster_source_rejections_total Messages of a bank refused, by reason.\n# TYPE muster_source_rejections_total counter\n", out);
    for (uint32_t i = 0; i < count; i++) {
        for (int r = 1; r < REJECT_COUNT; r++) {
            (void)snprintf(label, sizeof label, "reason=\"%s\"", reject_code((enum reject_reason)r));
            if (banks[i].feed.rejected[r])
                print_sample("muster_source_rejections_total", banks[i].feed.source, label, (double)banks[i].feed.rejected[r], out);
        }
    }
}

void metrics_print_sources(const struct feed *feed, const struct source *kafka, int64_t now_ms, FILE *out)
{
    struct source_metrics *bank = calloc(feed->room + 1u, sizeof *bank);
    uint32_t count = 0;
    invariant(bank);
    for (; feed_bank_read(feed, count, &bank[count].feed); count++) {
        read_kafka(feed, kafka, now_ms, &bank[count]);
        value_source(&bank[count]);
    }
    for (int i = 0; i < SOURCE_ROW_COUNT && count; i++) {
        print_head(&source_rows[i], i ? &source_rows[i - 1] : NULL, out);
        for (uint32_t s = 0; s < count; s++)
            if (!isnan(bank[s].value[i]))
                print_sample(source_rows[i].name, bank[s].feed.source, source_rows[i].label, bank[s].value[i], out);
    }
    if (count)
        print_source_rejections(bank, count, out);
    free(bank);
}

void metrics_print_formats(const struct setting_map *formats, const struct format_unknowns *unknowns, FILE *out)
{
    if (formats->count == 0)
        return;
    fputs("# HELP muster_unknown_fields_total Fields that a topic's format does not know.\n# TYPE muster_unknown_fields_total counter\n", out);
    for (uint32_t i = 0; i < formats->count; i++)
        fprintf(out, "muster_unknown_fields_total{topic=\"%s\"} %llu\n", formats->pair[i].key, READ(unknowns[i].total));
}

/* What is told of each partition of Kafka. */
static const struct partition_row {
    const char *type, *name, *help;
    size_t at;
} partition_rows[] = {
#define PARTITION_METRIC(type, name, field, help) {#type, #name, help, offsetof(struct kafka_partition_figures, field)},
#include "engine/cli/partition_metric.def"
#undef PARTITION_METRIC
};

enum { PARTITION_ROW_COUNT = sizeof partition_rows / sizeof partition_rows[0] };

void metrics_print_partitions(const struct source *kafka, FILE *out)
{
    struct kafka_partition_figures figures;
    for (int i = 0; kafka && i < PARTITION_ROW_COUNT; i++) {
        const struct partition_row *row = &partition_rows[i];
        fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, row->type);
        for (uint32_t n = 0; kafka_source_figures(kafka, n, &figures); n++) {
            uint64_t value; /* all figures have 64 bits and are never below zero */
            memcpy(&value, (const char *)&figures + row->at, sizeof value);
            fprintf(out, "%s{topic=\"%s\",partition=\"%d\"} %llu\n", row->name, figures.partition->topic, figures.partition->number,
                    (unsigned long long)value);
        }
    }
}

void metrics_print_page(FILE *out)
{
    fputs("# Metrics\n\nMade by `muster reference metrics` from `engine/cli/metric.def`. Served as Prometheus text at `/metrics` on loopback\n"
          "(setting `http_port`), beside `/health/live` and `/health/ready`. No label names an account or a person; `source` is the bank\n"
          "as kafka_topics names it.\n\n"
          "| metric | label | type | meaning |\n|---|---|---|---|\n", out);
    for (int i = 0; i < ROW_COUNT; i++)
        fprintf(out, "| `%s` | %s%s%s | %s | %s |\n", rows[i].name, rows[i].label[0] ? "`" : "", rows[i].label, rows[i].label[0] ? "`" : "",
                rows[i].type, rows[i].help);
    for (int i = 0; i < SOURCE_ROW_COUNT; i++)
        fprintf(out, "| `%s` | `source`%s%s%s | %s | %s |\n", source_rows[i].name, source_rows[i].label[0] ? ", `" : "", source_rows[i].label,
                source_rows[i].label[0] ? "`" : "", source_rows[i].type, source_rows[i].help);
    fputs("| `muster_source_rejections_total` | `source`, `reason` | counter | Messages of a bank refused, by reason; reasons that were given at least once. |\n", out);
    fputs("| `muster_rejections_total` | `reason` | counter | Messages refused, by reason (connectors/json/REJECTIONS.md). |\n"
          "| `muster_unknown_fields_total` | `topic` | counter | Fields that a topic's format does not know; only of topics in the setting `kafka_formats`. |\n", out);
    for (int i = 0; i < PARTITION_ROW_COUNT; i++)
        fprintf(out, "| `%s` | `topic`, `partition` | %s | %s |\n", partition_rows[i].name, partition_rows[i].type, partition_rows[i].help);
    fputs("| `muster_bound_hits_total` | `bound` | counter | How often a bound was hit: below. |\n"
          "\n## Bounds\n\nEach is told in a line `bound_hit` too, the first time and then at most once a minute. A shard is full above `shard_mb_max`; "
          "what it does then stands in `engine/state/state.h`.\n\n| bound | what happened | what happens then, and what to do |\n|---|---|---|\n", out);
    for (int i = 0; i < BOUND_COUNT; i++)
        fprintf(out, "| `%s` | %s | %s |\n", bounds[i].label, bounds[i].says, bounds[i].advice);
}

bool metrics_ready(const struct pipeline_figures *f, const char **why)
{
    if (READ(f->phase) != PIPELINE_LIVE)
        *why = "not live: waiting for the lease, recovering or draining\n";
    else if (READ(f->sink_away_since_ms))
        *why = "PostgreSQL does not answer: detection is delayed\n";
    else if (READ(f->log_away_since_ms))
        *why = "the log's disk is full: detection is delayed\n";
    else if (READ(f->queue_full_since_ms))
        *why = "no intake block has been free for a second: PostgreSQL or the log's disk stands\n";
    else if (READ(f->source_away_since_ms))
        *why = "Kafka does not answer\n";
    else
        return true;
    return false;
}
