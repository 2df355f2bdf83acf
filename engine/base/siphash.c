/* SipHash with one round for each eight bytes and three at the end. */
#include "engine/base/siphash.h"

#include <endian.h>

struct sip {
    uint64_t a, b, c, d;
};

static uint64_t rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static uint64_t word_at(const void *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word);
}

static inline void sip_round(struct sip *s)
{
    s->a += s->b;
    s->c += s->d;
    s->b = rotate(s->b, 13) ^ s->a;
    s->d = rotate(s->d, 16) ^ s->c;
    s->a = rotate(s->a, 32);
    s->c += s->b;
    s->a += s->d;
    s->b = rotate(s->b, 17) ^ s->c;
    s->d = rotate(s->d, 21) ^ s->a;
    s->c = rotate(s->c, 32);
}

static inline void sip_take(struct sip *s, uint64_t word)
{
    s->d ^= word;
    sip_round(s);
    s->a ^= word;
}

uint64_t siphash_1_3(const unsigned char key[16], struct slice text)
{
    uint64_t low = word_at(key), high = word_at(key + 8), last = (uint64_t)text.size << 56;
    struct sip s = {low ^ 0x736f6d6570736575, high ^ 0x646f72616e646f6d, low ^ 0x6c7967656e657261, high ^ 0x7465646279746573};
    size_t at = 0;
    for (; text.size - at >= sizeof last; at += sizeof last)
        sip_take(&s, word_at(text.data + at));
    for (size_t i = at; i < text.size; i++)
        last |= (uint64_t)(unsigned char)text.data[i] << 8 * (i - at);
    sip_take(&s, last);
    s.c ^= 0xff;
    for (int i = 0; i < 3; i++)
        sip_round(&s);
    return s.a ^ s.b ^ s.c ^ s.d;
}
