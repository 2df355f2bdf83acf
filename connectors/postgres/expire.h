/* Deletes what is past its expires_at, a bounded batch per transaction, each noted in muster.expiry. */
#ifndef CONNECTORS_POSTGRES_EXPIRE_H
#define CONNECTORS_POSTGRES_EXPIRE_H

#include "engine/base/error.h"

#include <stdint.h>

/* Called once per kind ("alerts", "hits", …) with how many rows went. */
typedef void (*expire_say_fn)(void *context, const char *kind, int64_t deleted);

bool pg_expire(const char *dsn, expire_say_fn say, void *context, struct error *err) must_check;

#endif
