/* Sealed bytes: read with their key, unreadable without it, with another, or when changed. */
#include "engine/state/seal.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DAY = 20600, SIZE = 300 };

Test(seal, ends_with_its_key)
{
    char home[] = "/tmp/muster-seal-XXXXXX", keys[64], master[64], path[128];
    unsigned char clear[SIZE], sealed[SIZE + SEAL_EXTRA_BYTES], back[SIZE];
    struct error err = {0};
    int days;
    cr_assert(sodium_init() >= 0 && mkdtemp(home));
    (void)snprintf(keys, sizeof keys, "%s/keys", home);
    (void)snprintf(master, sizeof master, "%s/master", home);
    const struct log_settings settings = {.dir = home, .key_dir = keys, .master_key_file = master};
    for (int i = 0; i < SIZE; i++)
        clear[i] = (unsigned char)(i * 7);
    struct sealer *sealer = sealer_open(&settings, &err);
    cr_assert(sealer, "%s", err.text);
    const struct slice plain = {(const char *)clear, SIZE}, closed = {(const char *)sealed, sizeof sealed};
    cr_assert(seal_bytes(sealer, DAY, plain, sealed, &err), "%s", err.text);
    cr_expect_null(memmem(sealed, sizeof sealed, clear, 8), "the bytes lie open");
    sealer_close(sealer);

    sealer = sealer_open(&settings, &err);
    cr_assert(seal_read(sealer, DAY, closed, back, &err), "%s", err.text);
    cr_expect(memcmp(back, clear, SIZE) == 0);
    for (size_t i = 0; i < sizeof sealed; i++) {
        sealed[i] ^= 1;
        cr_expect_not(seal_read(sealer, DAY, closed, back, &err), "byte %zu was changed and nobody noticed", i);
        sealed[i] ^= 1;
    }
    for (size_t size = 0; size < sizeof sealed; size++)
        cr_expect_not(seal_read(sealer, DAY, (struct slice){closed.data, size}, back, &err));
    cr_expect_not(seal_read(sealer, DAY + 1, closed, back, &err), "another day's key");
    sealer_close(sealer);

    cr_assert(seal_expire(&settings, DAY, &days, &err) && days == 0, "%s", err.text);
    cr_assert(seal_expire(&settings, DAY + 1, &days, &err) && days == 1, "%s", err.text);
    sealer = sealer_open(&settings, &err);
    cr_expect_not(seal_read(sealer, DAY, closed, back, &err), "read after its key was destroyed");
    cr_expect(strstr(err.text, "is not there"), "%s", err.text);
    cr_assert(seal_bytes(sealer, DAY, plain, (unsigned char[SIZE + SEAL_EXTRA_BYTES]){0}, &err), "%s", err.text);
    cr_expect_not(seal_read(sealer, DAY, closed, back, &err), "a new key of that day opened it");
    sealer_close(sealer);
    (void)snprintf(path, sizeof path, "rm -r %s", home);
    FILE *gone = popen(path, "r");
    cr_assert(gone && pclose(gone) == 0);
}
