/* A spread says how unevenly something falls on keys: so many keys meet an event with such a chance.
 *
 * Fitted to how often each key occurred in a sample: the mixture of Poisson rates that makes those
 * counts likeliest (nonparametric, by EM over a grid of rates), so that busy and quiet keys need no
 * assumed law, and keys that a short sample happened to miss are reckoned with. Two accounts that
 * occurred once each tell little of one another: below a twentieth of an event per sample rates are
 * not told apart, and such keys grow in number with the events.
 *
 * Time is counted in events. Owned by whoever made it; no thread. */
#ifndef ENGINE_STATE_SPREAD_H
#define ENGINE_STATE_SPREAD_H

#include "engine/base/arena.h"

struct spread {
    uint32_t count;
    double *rate; /* chance that one event meets one of these keys */
    double *keys; /* how many of them there are */
};

/* keys[i] different keys occurred times[i] (> 0) times among `events`. In arena memory. */
void spread_fit(struct spread *spread, struct arena *arena, const uint32_t *times, const double *keys, uint32_t count, double events);
/* `by` times as many keys that share the same events. */
void spread_scale(struct spread *spread, double by);

double spread_rate(const struct spread *spread);                /* events with any of the keys, per event */
double spread_seen(const struct spread *spread, double events); /* different keys met among so many events */
/* Keys met in an event for which none was met in the `gap` before: what is made anew, per event. */
double spread_fresh(const struct spread *spread, double gap);

/* P(at most n) of a Poisson count; n may be negative. */
double poisson_most(double n, double mean);

#endif
