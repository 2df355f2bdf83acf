/* Avro, translated by the names of its fields or by a mapping (connectors/avro/README.md).
 *
 * A message is one record in Confluent's framing: a zero byte, the schema's id in four bytes, the body.
 * Files of Avro's own (containers) carry their schema; each of their blocks is a message of many records.
 * A record is one event, or refused with its field.
 *
 * Everything is read by a walk of our own over bounded schemas (body.h), not by libavro, which makes
 * as many values as four bytes tell it to, and forgets logical types; libavro is what the tests are held against. */
#ifndef CONNECTORS_AVRO_AVRO_H
#define CONNECTORS_AVRO_AVRO_H

#include "connectors/avro/store.h"
#include "connectors/format/mapping.h"
#include "engine/model/format.h"

struct avro_settings {
    struct schema_store *store;  /* of framed messages; NULL: they are refused */
    struct mapping *mapping;     /* NULL: fields carry the canonical names */
    bool containers;             /* blocks of Avro's own files are taken too: for `muster feed`, never from Kafka */
};

/* Takes the store and the mapping into its care. Never NULL. */
struct format *avro_format_open(const struct avro_settings *settings);

#endif
