/* Seals bytes that are kept outside the log, under keys of their own that are made anew every day.
 *
 * The keys lie wrapped in log_key_dir/sealed and end like the log's: once a day's key is destroyed,
 * nobody reads what was sealed on that day, in no table and no backup. Belongs to one thread. */
#ifndef ENGINE_STATE_SEAL_H
#define ENGINE_STATE_SEAL_H

#include "engine/state/log.h"

enum { SEAL_EXTRA_BYTES = 40 }; /* sealed bytes are longer by so many */

struct sealer;
/* Makes the folder and the master key where they are absent. */
struct sealer *sealer_open(const struct log_settings *settings, struct error *err) must_check;
void sealer_close(struct sealer *sealer);

/* day: UTC day number; out has room for SEAL_EXTRA_BYTES more than clear. */
bool seal_bytes(struct sealer *sealer, int32_t day, struct slice clear, unsigned char *out, struct error *err) must_check;
/* out has room for SEAL_EXTRA_BYTES less than sealed. False where the key was destroyed or the bytes were changed. */
bool seal_read(struct sealer *sealer, int32_t day, struct slice sealed, unsigned char *out, struct error *err) must_check;

/* Destroys the keys of days before `day`; *days: how many. */
bool seal_expire(const struct log_settings *settings, int32_t day, int *days, struct error *err) must_check;

#endif
