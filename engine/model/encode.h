/* Hits, alert revisions and rejections as NDJSON lines: what `replay` writes, what tests compare.
 *
 * The same output gives the same bytes. Names are those of PostgreSQL's columns. */
#ifndef ENGINE_MODEL_ENCODE_H
#define ENGINE_MODEL_ENCODE_H

#include "engine/base/json_writer.h"
#include "engine/model/hit.h"

/* One line each, appended to the writer. */
void encode_hit(struct json_writer *writer, const struct hit *hit);
void encode_revision(struct json_writer *writer, const struct alert_revision *revision);
void encode_rejection(struct json_writer *writer, const struct rejection *rejection);

/* Parts of a hit, as PostgreSQL's json columns hold them too. */
void encode_lets(struct json_writer *writer, const char *name, const struct hit *hit);
void encode_subjects(struct json_writer *writer, const char *name, const struct hit *hit);
void encode_evidence(struct json_writer *writer, const char *name, const struct hit *hit);
void encode_indicators(struct json_writer *writer, const char *name, const struct alert_revision *revision);

/* Whether a hit is kept: shadow hits, and hits that gave points (RULES 25); others are counted. */
bool hit_is_kept(const struct hit *hit);

#endif
