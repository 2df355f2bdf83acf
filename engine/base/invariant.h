/* An invariant is a statement about our own code; when it is false, we are wrong and must stop.
 *
 * Kept in release builds: a wrong alert does more harm than a restart. Never used for bad input
 * (that is an outcome, counted and kept) nor for a world that failed (that is a struct error). */
#ifndef ENGINE_BASE_INVARIANT_H
#define ENGINE_BASE_INVARIANT_H

#define invariant(condition)                                              \
    ((condition) ? (void)0 : invariant_broken(#condition, __FILE__, __LINE__))

/* Writes one line to standard error and aborts. Any thread. */
_Noreturn void invariant_broken(const char *condition, const char *file, int line);

#endif
