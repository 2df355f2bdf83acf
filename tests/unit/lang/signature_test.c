/* Signatures: who counts, how often, and what is no signature. */
#include "rules/lang/signature.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct desk {
    char home[64], keys[128], rules[128], name[2][192], key[2][256];
    unsigned char identity[32];
    struct trusted_keys trusted;
    struct signature signature[SIGNATURES_MAX];
    uint32_t count;
};

static void desk_open(struct desk *desk)
{
    struct error err = {0};
    *desk = (struct desk){.home = "/tmp/muster-signature-XXXXXX"};
    cr_assert(mkdtemp(desk->home));
    (void)snprintf(desk->keys, sizeof desk->keys, "%s/keys", desk->home);
    (void)snprintf(desk->rules, sizeof desk->rules, "%s/rules", desk->home);
    cr_assert(mkdir(desk->keys, 0700) == 0 && mkdir(desk->rules, 0700) == 0);
    for (int i = 0; i < 32; i++)
        desk->identity[i] = (unsigned char)(i * 5 + 1);
    for (int i = 0; i < 2; i++) {
        (void)snprintf(desk->name[i], sizeof desk->name[i], "%s/person%d", desk->keys, i);
        (void)snprintf(desk->key[i], sizeof desk->key[i], "%s/person%d.key", desk->keys, i);
        cr_assert(signature_key_make(desk->name[i], &err), "%s", err.text);
    }
    cr_assert(trusted_keys_read(desk->keys, &desk->trusted, &err), "%s", err.text);
    cr_assert_eq(desk->trusted.count, 2);
}

static void desk_sign(struct desk *desk, int person, const char *as)
{
    struct error err = {0};
    struct signature signature;
    cr_assert(signature_make(desk->key[person], desk->identity, &signature, &err), "%s", err.text);
    cr_assert(signature_write(desk->rules, as ? as : desk->key[person], &signature, &err), "%s", err.text);
}

static uint32_t desk_count(struct desk *desk)
{
    struct error err = {0};
    cr_assert(signatures_read(desk->rules, desk->signature, &desk->count, &err), "%s", err.text);
    return signatures_good(desk->signature, desk->count, &desk->trusted, desk->identity);
}

Test(signature, different_trusted_keys_count)
{
    struct desk desk;
    desk_open(&desk);
    cr_expect_eq(desk_count(&desk), 0);
    desk_sign(&desk, 0, NULL);
    cr_expect_eq(desk_count(&desk), 1);
    desk_sign(&desk, 0, "again.key"); /* the same person under another name */
    cr_expect_eq(desk_count(&desk), 1);
    cr_expect_eq(desk.count, 2);
    desk_sign(&desk, 1, NULL);
    cr_expect_eq(desk_count(&desk), 2);
    desk.trusted.count = 1;
    cr_expect_eq(desk_count(&desk), 1, "a key that is not trusted counts");
}

Test(signature, a_trusted_key_that_lies_there_twice_is_one)
{
    struct desk desk;
    struct error err = {0};
    char from[256], to[256];
    desk_open(&desk);
    (void)snprintf(to, sizeof to, "%s/copy.pub", desk.keys);
    (void)snprintf(from, sizeof from, "%s.pub", desk.name[0]);
    cr_assert(link(from, to) == 0);
    cr_assert(trusted_keys_read(desk.keys, &desk.trusted, &err));
    cr_expect_eq(desk.trusted.count, 2);
}

Test(signature, every_changed_bit_is_noticed)
{
    struct desk desk;
    desk_open(&desk);
    desk_sign(&desk, 0, NULL);
    cr_assert_eq(desk_count(&desk), 1);
    for (size_t bit = 0; bit < sizeof desk.signature[0].mark * 8; bit++) {
        desk.signature[0].mark[bit / 8] ^= (unsigned char)(1u << bit % 8);
        cr_expect_eq(signatures_good(desk.signature, 1, &desk.trusted, desk.identity), 0, "bit %zu of the signature", bit);
        desk.signature[0].mark[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < sizeof desk.identity * 8; bit++) {
        desk.identity[bit / 8] ^= (unsigned char)(1u << bit % 8);
        cr_expect_eq(signatures_good(desk.signature, 1, &desk.trusted, desk.identity), 0, "bit %zu of the identity", bit);
        desk.identity[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    cr_expect_eq(signatures_good(desk.signature, 1, &desk.trusted, desk.identity), 1);
}

Test(signature, keys_are_kept_and_guarded)
{
    struct desk desk;
    struct error err = {0};
    struct signature signature;
    struct stat info;
    desk_open(&desk);
    cr_assert(stat(desk.key[0], &info) == 0);
    cr_expect_eq(info.st_mode & 0777, 0600);
    cr_expect_not(signature_key_make(desk.name[0], &err), "a key was overwritten");
    cr_assert(chmod(desk.key[0], 0640) == 0);
    cr_expect_not(signature_make(desk.key[0], desk.identity, &signature, &err));
    cr_expect(strstr(err.text, "chmod 600"), "%s", err.text);
}

Test(signature, what_is_no_signature_is_told)
{
    struct desk desk;
    struct error err = {0};
    char path[256];
    desk_open(&desk);
    desk_sign(&desk, 0, NULL);
    (void)snprintf(path, sizeof path, "%s/person0.sig", desk.rules);
    cr_assert(truncate(path, 150) == 0);
    cr_expect_not(signatures_read(desk.rules, desk.signature, &desk.count, &err));
    cr_expect(strstr(err.text, "is no signature"), "%s", err.text);
}
