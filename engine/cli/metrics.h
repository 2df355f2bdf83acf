/* Metrics of a running engine: as Prometheus text, and the page that explains them.
 *
 * Rows stand in metric.def. No label can hold an account, a name or a small group. Any thread. */
#ifndef ENGINE_CLI_METRICS_H
#define ENGINE_CLI_METRICS_H

#include "engine/base/settings.h"
#include "engine/model/format.h"
#include "engine/model/seam.h"
#include "engine/stream/pipeline.h"

#include <stdio.h>

void metrics_print(const struct pipeline_figures *figures, FILE *out);
/* Per bank. kafka: the source that reads Kafka, NULL while it is not open; now_ms: the wall clock, for how old a message is. */
void metrics_print_sources(const struct feed *feed, const struct source *kafka, int64_t now_ms, FILE *out);
/* Per topic of the setting kafka_formats, in its order. */
void metrics_print_formats(const struct setting_map *formats, const struct format_unknowns *unknowns, FILE *out);
/* Per partition of Kafka, once the source is open (NULL before). */
void metrics_print_partitions(const struct source *kafka, FILE *out);
void metrics_print_page(FILE *out);

/* True when the engine scores and both its neighbours answer; why is one sentence else. */
bool metrics_ready(const struct pipeline_figures *figures, const char **why);

#endif
