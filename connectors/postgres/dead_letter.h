/* Rejections on their way to a dead-letter topic: read from PostgreSQL in the order of their commits, marked as sent
 * once Kafka has them. After a crash in between some are sent again: at least once, with the same key.
 *
 * They say place, reason and field and which event it was; never the bytes. Every question is asked as the role
 * muster_feed. Belongs to one thread. */
#ifndef CONNECTORS_POSTGRES_DEAD_LETTER_H
#define CONNECTORS_POSTGRES_DEAD_LETTER_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

#include <stdint.h>

struct dead_letters;

/* Of one topic, which has its own mark. */
struct dead_letters *pg_dead_letters_open(const char *dsn, const char *topic, struct error *err) must_check;
/* Up to `most` rejections behind the mark: key "TOPIC|PARTITION|OFFSET|ITEM" and a JSON object, good until visit
 * returns; false from visit ends the reading with err. *count: how many were visited. */
typedef bool (*dead_letter_visit)(void *context, struct slice key, struct slice body, struct error *err);
bool pg_dead_letters_read(struct dead_letters *letters, uint32_t most, dead_letter_visit visit, void *context, uint32_t *count,
                          struct error *err) must_check;
/* All that the last read visited has arrived. */
bool pg_dead_letters_mark(struct dead_letters *letters, struct error *err) must_check;
void pg_dead_letters_close(struct dead_letters *letters);

#endif
