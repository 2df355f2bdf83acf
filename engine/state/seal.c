/* Sealed bytes: a nonce, then XChaCha20-Poly1305 under the day's key. */
#include "engine/state/seal.h"

#include "engine/base/invariant.h"
#include "engine/state/log_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

_Static_assert(SEAL_EXTRA_BYTES == LOG_NONCE_BYTES + LOG_SEAL_BYTES, "the header says so");

struct sealer {
    struct log_settings settings;
    char dir[LOG_PATH_MAX];
    int32_t day; /* of key; INT32_MIN before the first */
    unsigned char key[LOG_KEY_BYTES];
};

struct sealer *sealer_open(const struct log_settings *settings, struct error *err)
{
    struct sealer *sealer = calloc(1, sizeof *sealer);
    invariant(sealer != NULL);
    sealer->settings = *settings;
    sealer->settings.key_dir = sealer->dir;
    sealer->day = INT32_MIN;
    bool good = log_path(sealer->dir, settings->key_dir, "sealed", err) &&
                (mkdir(settings->key_dir, 0700) == 0 || errno == EEXIST ||
                 error_errno(err, ERROR_FATAL, "cannot make the folder %s", settings->key_dir)) &&
                (mkdir(sealer->dir, 0700) == 0 || errno == EEXIST ||
                 error_errno(err, ERROR_FATAL, "cannot make the folder %s", sealer->dir)) &&
                log_master_key(settings, sealer->key, err);
    if (good)
        return sealer;
    sealer_close(sealer);
    return NULL;
}

void sealer_close(struct sealer *sealer)
{
    if (!sealer)
        return;
    sodium_memzero(sealer->key, sizeof sealer->key);
    free(sealer);
}

static bool sealer_key(struct sealer *sealer, int32_t day, bool make, struct error *err)
{
    if (sealer->day == day)
        return true;
    sealer->day = INT32_MIN;
    if (!log_day_key(&sealer->settings, day, make, sealer->key, err))
        return false;
    sealer->day = day;
    return true;
}

bool seal_bytes(struct sealer *sealer, int32_t day, struct slice clear, unsigned char *out, struct error *err)
{
    if (!sealer_key(sealer, day, true, err))
        return false;
    randombytes_buf(out, LOG_NONCE_BYTES);
    (void)crypto_aead_xchacha20poly1305_ietf_encrypt(out + LOG_NONCE_BYTES, NULL, (const unsigned char *)clear.data, clear.size, NULL, 0,
                                                     NULL, out, sealer->key);
    return true;
}

bool seal_read(struct sealer *sealer, int32_t day, struct slice sealed, unsigned char *out, struct error *err)
{
    const unsigned char *data = (const unsigned char *)sealed.data;
    if (!sealer_key(sealer, day, false, err))
        return false;
    return (sealed.size >= SEAL_EXTRA_BYTES &&
            crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, data + LOG_NONCE_BYTES, sealed.size - LOG_NONCE_BYTES, NULL, 0,
                                                       data, sealer->key) == 0) ||
           error_set(err, ERROR_FATAL, "the bytes do not open with their day's key: damaged or replaced");
}

bool seal_expire(const struct log_settings *settings, int32_t day, int *days, struct error *err)
{
    char dir[LOG_PATH_MAX];
    *days = 0;
    return log_path(dir, settings->key_dir, "sealed", err) && log_keys_destroy(dir, &(struct log_expiry){day, INT32_MAX}, days, err);
}
