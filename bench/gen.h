/* Makes labelled streams: ordinary payments of a small country, with planted schemes and innocent
 * look-alikes in between. The same seed gives the same bytes.
 *
 * Not a model of any real country: amounts, rates and habits are invented. Protected attributes do
 * not exist in it. Labels name the account, its role and the scheme (or "innocent"). */
#ifndef BENCH_GEN_H
#define BENCH_GEN_H

#include "bench/crowd.h"
#include "engine/base/error.h"

#include <stdint.h>
#include <stdio.h>

struct gen_settings {
    uint64_t events;
    uint64_t seed;
    uint32_t sources;      /* banks: bank-1, bank-2, …; 1..16 */
    uint32_t accounts;     /* ordinary ones; 0: events / 20 + 200 */
    enum crowd_skew skew;  /* who is busy; what is planted is not touched by it */
    enum crowd_shape shape; /* other than SHAPE_NONE: the background is nothing but such payments */
    uint32_t days;         /* the stream spans so many days; 1..366 */
    int64_t start_ms;      /* UTC */
    const char *currency;  /* of all amounts; NULL: USD */
    uint32_t broken_ppm;   /* broken lines per million, for tests */
    uint32_t repeat_ppm;   /* lines sent twice per million */
    uint32_t ransoms;      /* bursts of ransom planted besides, and as many look-alikes of them; the rest of the stream stays as it is */
};

struct gen_summary {
    uint64_t lines, schemes, innocents, broken, repeats;
};

/* Writes NDJSON to events and CSV (account,role,scheme,typology) to labels. */
bool gen_write(const struct gen_settings *settings, FILE *events, FILE *labels, struct gen_summary *summary, struct error *err) must_check;

#endif
