/* SipHash-1-3: a keyed hash of 64 bits, for what is told apart and thrown away (J.-P. Aumasson, D. J. Bernstein, 2012).
 *
 * Who does not know the key cannot make two texts that meet. libsodium has SipHash-2-4 only, which is what identities go by;
 * this one, which Rust's and Python's tables use, takes half as long for the text of a whole message. */
#ifndef ENGINE_BASE_SIPHASH_H
#define ENGINE_BASE_SIPHASH_H

#include "engine/base/slice.h"

uint64_t siphash_1_3(const unsigned char key[16], struct slice text);

#endif
