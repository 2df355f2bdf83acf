/* `unset struct large x;`: a local that is filled before it is read, and not zeroed first.
 *
 * Release builds zero every local (-ftrivial-auto-var-init=zero), so that what is forgotten is at least the
 * same every time. For room that is mostly not used that costs more than the work in it: the few places
 * on the path of every event that say `unset` took 4 % of a replay's instructions off (callgrind, 25 rules). */
#ifndef ENGINE_BASE_UNSET_H
#define ENGINE_BASE_UNSET_H

#if defined(__has_attribute)
#if __has_attribute(uninitialized)
#define unset __attribute__((uninitialized))
#endif
#endif
#ifndef unset
#define unset
#endif

#endif
