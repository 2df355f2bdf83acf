/* The schemas that messages name by id: in memory, on disk, and from whoever keeps them.
 *
 * What an id was once found to be is never asked again: a text is copied to DIR/ID.avsc before it is
 * first used, and an id that nobody knows (or whose schema cannot be taken) is noted in DIR/refused.ids.
 * So a message gives the same after a restart, in recovery, and while nobody answers. The folder may be
 * shared by topics of one registry. Memory: the 64 schemas used last and 8 bytes per noted id; when
 * 65,536 ids are noted, further ones are refused unasked. Used by one thread. */
#ifndef CONNECTORS_AVRO_STORE_H
#define CONNECTORS_AVRO_STORE_H

#include "connectors/avro/registry.h"
#include "connectors/avro/schema.h"
#include "engine/model/reject.h"

enum { STORE_SCHEMAS = 64, STORE_NOTES_MAX = 65536 };

struct schema_store;

/* Takes the registry into its care. parent: the folder under which the store makes its own, by `name`, when
 * it first keeps something; NULL: nothing is kept on disk. Never NULL. */
struct schema_store *schema_store_open(struct registry *registry, const char *parent, const char *name);
void schema_store_close(struct schema_store *store);

/* The record that an id stands for, until the next call; or NULL in *schema with the reason and words for
 * the bank. False with ERROR_RETRY when the world failed: ask again. */
bool schema_store_get(struct schema_store *store, uint32_t id, const struct schema_node **schema, enum reject_reason *reason, struct slice *wrong,
                      struct error *err) must_check;

#endif
