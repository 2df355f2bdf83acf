/* Signatures over rule sets: who of those that may decide has agreed to exactly these rules.
 *
 * Ed25519 over the set's identity (program.hash), by key pairs in files of one line: NAME.key (64 hexadecimal
 * digits, the seed, mode 0600) and NAME.pub (64 digits). A signature is a file NAME.sig beside the rules: the public
 * key's digits, a space, 128 digits. It never is part of the identity, so that a second person signs the same set.
 * What counts is different trusted keys: a key that signs twice, or lies twice among the trusted ones, counts once.
 * Any thread. */
#ifndef RULES_LANG_SIGNATURE_H
#define RULES_LANG_SIGNATURE_H

#include "engine/base/error.h"

#include <stdint.h>

enum { SIGNATURE_KEY_BYTES = 32, SIGNATURE_BYTES = 64, SIGNATURES_MAX = 16, TRUSTED_KEYS_MAX = 64 };

struct signature {
    unsigned char key[SIGNATURE_KEY_BYTES]; /* public */
    unsigned char mark[SIGNATURE_BYTES];
};
struct trusted_keys {
    unsigned char key[TRUSTED_KEYS_MAX][SIGNATURE_KEY_BYTES];
    uint32_t count;
};

/* Writes NAME.key and NAME.pub; neither may be there. */
bool signature_key_make(const char *name, struct error *err) must_check;
/* Signs with a key file that others cannot read. */
bool signature_make(const char *key_file, const unsigned char identity[32], struct signature *signature, struct error *err) must_check;
/* Writes DIR/NAME.sig, named like the key file; a former one is replaced whole or not at all. */
bool signature_write(const char *dir, const char *key_file, const struct signature *signature, struct error *err) must_check;
/* Every *.sig of a folder, at most SIGNATURES_MAX. One that is no signature is an error. */
bool signatures_read(const char *dir, struct signature out[SIGNATURES_MAX], uint32_t *count, struct error *err) must_check;
/* Every *.pub of a folder, no two equal. */
bool trusted_keys_read(const char *dir, struct trusted_keys *keys, struct error *err) must_check;
/* How many different trusted keys have signed this identity. */
uint32_t signatures_good(const struct signature *signature, uint32_t count, const struct trusted_keys *keys, const unsigned char identity[32]);

#endif
