/* Reads the alert queue for people: as a table, as JSON, and one alert explained in full.
 *
 * Accounts that hold the role possible_victim are masked unless asked otherwise. Read-only. */
#ifndef CONNECTORS_POSTGRES_ALERTS_H
#define CONNECTORS_POSTGRES_ALERTS_H

#include "engine/base/error.h"

#include <stdio.h>

struct alerts_query {
    const char *dsn;
    const char *state;    /* NULL: any */
    const char *typology; /* NULL: any */
    int limit;
    bool json, unmask;
};

bool pg_alerts_list(const struct alerts_query *query, FILE *out, struct error *err) must_check;
/* id: hexadecimal, or the beginning of one; *found false when there is none. */
bool pg_alerts_show(const struct alerts_query *query, const char *id, FILE *out, bool *found, struct error *err) must_check;
/* Positions, journal and lease, for `db status`. */
bool pg_status_print(const char *dsn, bool json, FILE *out, struct error *err) must_check;

#endif
