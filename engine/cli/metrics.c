/* Prints the run's figures for Prometheus. */
#include "engine/cli/metrics.h"

#include "connectors/kafka/source.h"
#include "engine/model/reject.h"

#include <stddef.h>
#include <string.h>

#define READ(figure) ((unsigned long long)atomic_load_explicit(&(figure), memory_order_relaxed))

static const struct {
    const char *type, *name, *label, *help;
} rows[] = {
#define METRIC(type, name, label, value, help) {#type, #name, label, help},
#include "engine/cli/metric.def"
#undef METRIC
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static void print_rejections(const struct pipeline_figures *f, FILE *out)
{
    fputs("# HELP muster_rejections_total Messages refused, by reason.\n# TYPE muster_rejections_total counter\n", out);
    for (int i = 1; i < REJECT_COUNT; i++)
        fprintf(out, "muster_rejections_total{reason=\"%s\"} %llu\n", reject_code((enum reject_reason)i), READ(f->rejected[i]));
}

void metrics_print(const struct pipeline_figures *f, FILE *out)
{
    const unsigned long long values[ROW_COUNT] = {
#define METRIC(type, name, label, value, help) (unsigned long long)(value),
#include "engine/cli/metric.def"
#undef METRIC
    };
    for (int i = 0; i < ROW_COUNT; i++) {
        if (i == 0 || strcmp(rows[i].name, rows[i - 1].name) != 0)
            fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", rows[i].name, rows[i].help, rows[i].name, rows[i].type);
        fprintf(out, "%s%s%s%s %llu\n", rows[i].name, rows[i].label[0] ? "{" : "", rows[i].label, rows[i].label[0] ? "}" : "", values[i]);
    }
    print_rejections(f, out);
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
          "(setting `http_port`), beside `/health/live` and `/health/ready`. No label names an account or a person.\n\n"
          "| metric | label | type | meaning |\n|---|---|---|---|\n", out);
    for (int i = 0; i < ROW_COUNT; i++)
        fprintf(out, "| `%s` | %s%s%s | %s | %s |\n", rows[i].name, rows[i].label[0] ? "`" : "", rows[i].label, rows[i].label[0] ? "`" : "",
                rows[i].type, rows[i].help);
    fputs("| `muster_rejections_total` | `reason` | counter | Messages refused, by reason (connectors/json/REJECTIONS.md). |\n"
          "| `muster_unknown_fields_total` | `topic` | counter | Fields that a topic's format does not know; only of topics in the setting `kafka_formats`. |\n", out);
    for (int i = 0; i < PARTITION_ROW_COUNT; i++)
        fprintf(out, "| `%s` | `topic`, `partition` | %s | %s |\n", partition_rows[i].name, partition_rows[i].type, partition_rows[i].help);
}

bool metrics_ready(const struct pipeline_figures *f, const char **why)
{
    if (READ(f->phase) != PIPELINE_LIVE)
        *why = "not live: waiting for the lease, recovering or draining\n";
    else if (READ(f->sink_away_since_ms))
        *why = "PostgreSQL does not answer: detection is delayed\n";
    else if (READ(f->source_away_since_ms))
        *why = "Kafka does not answer\n";
    else
        return true;
    return false;
}
