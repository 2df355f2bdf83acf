/* A zone turns UTC milliseconds into local civil time, from the machine's tz database, read once.
 *
 * Immutable after zone_load, shared by all threads. Days are counted from 1970-01-01, Thursday.
 * Times before 1900 or after 2200 are refused at decode, so no arithmetic here can overflow. */
#ifndef ENGINE_MODEL_ZONE_H
#define ENGINE_MODEL_ZONE_H

#include "engine/base/error.h"
#include "engine/base/slice.h"

#include <stdint.h>

enum { MS_PER_DAY = 86400000 };

struct zone;

/* zone_load reads e.g. "Africa/Nairobi" (TZif, all versions, with the footer's rule). NULL on error.
 * Names with "..", a leading "/" or odd characters are refused. "UTC" works without any file. */
struct zone *zone_load(struct slice name, struct error *err) must_check;
void zone_free(struct zone *zone);

int64_t zone_offset_ms(const struct zone *zone, int64_t utc_ms); /* local = utc + offset */
int32_t zone_day(const struct zone *zone, int64_t utc_ms);       /* local day number */
int64_t zone_day_start_ms(const struct zone *zone, int32_t day); /* UTC ms of the first moment of that local day */
/* The moment at which the wall clock shows local_ms (milliseconds since 1970 as if it were UTC). Of an
 * hour that comes twice the first; in one that is skipped the moment that far behind the jump. */
int64_t zone_utc_ms(const struct zone *zone, int64_t local_ms);
int64_t zone_clock_ms(const struct zone *zone, int64_t utc_ms);  /* since local midnight by the wall clock */
int32_t zone_week(const struct zone *zone, int64_t utc_ms);      /* local week number, Monday to Sunday */
int64_t zone_week_end_ms(const struct zone *zone, int32_t week); /* UTC ms of the last moment of its Sunday */
int zone_weekday(const struct zone *zone, int64_t utc_ms);       /* 1 Monday .. 7 Sunday */

int32_t civil_day(int year, int month, int day);                 /* proleptic Gregorian */
void civil_date(int32_t day, int *year, int *month, int *dom);

/* time_parse reads RFC 3339 with a required offset, up to nine fraction digits (cut to ms). */
bool time_parse(struct slice text, int64_t *utc_ms);
/* time_format writes "2026-03-02T19:10:00.000Z"; 25 bytes with the NUL. */
enum { TIME_TEXT_MAX = 32 };
void time_format(int64_t utc_ms, char out[TIME_TEXT_MAX]);

#endif
