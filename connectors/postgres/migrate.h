/* Numbered migrations with checksums, applied in order under an advisory lock.
 *
 * The SQL files are built into the program. A migration that was applied and then changed, one that
 * is missing in between, or one that this program does not know, is refused in words. */
#ifndef CONNECTORS_POSTGRES_MIGRATE_H
#define CONNECTORS_POSTGRES_MIGRATE_H

#include "engine/base/error.h"

/* Called once per migration, in order. `applied`: it was there before or is now. */
typedef void (*migrate_say_fn)(void *context, int number, const char *name, bool applied, bool now);

bool pg_migrate(const char *dsn, migrate_say_fn say, void *context, struct error *err) must_check;
/* The same without applying any; *due counts what is not applied. */
bool pg_migrate_status(const char *dsn, migrate_say_fn say, void *context, int *due, struct error *err) must_check;

#endif
