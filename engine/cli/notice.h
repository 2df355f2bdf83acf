/* Log lines: one JSON object a line, from any thread, never with personal data.
 *
 *   {"time":"2026-11-24T12:00:00.123Z","level":"info","event":"live","text":"6 partitions, …"} */
#ifndef ENGINE_CLI_NOTICE_H
#define ENGINE_CLI_NOTICE_H

#include "engine/base/json_writer.h"
#include "engine/stream/pipeline.h"

#include <pthread.h>
#include <stdio.h>

struct notices {
    FILE *out;
    pthread_mutex_t lock;
    struct json_writer writer;
};

void notices_init(struct notices *notices, FILE *out);
void notices_fini(struct notices *notices);
void notice_say(struct notices *notices, enum notice_level level, const char *event, const char *text);

#endif
