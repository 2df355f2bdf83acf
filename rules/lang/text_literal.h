/* Required literals: strings of which at least one stands in every text that a pattern matches.
 *
 * Conservative: a construct that is not understood gives no literal, never a wrong one. */
#ifndef RULES_LANG_TEXT_LITERAL_H
#define RULES_LANG_TEXT_LITERAL_H

#include "engine/base/slice.h"

enum { LITERAL_SET_MAX = 8, LITERAL_BYTES_MAX = 32, LITERAL_BYTES_MIN = 2 };

struct literal {
    char byte[LITERAL_BYTES_MAX]; /* ASCII letters in lower case where the pattern is caseless */
    uint8_t size;
};

/* count 0: nothing is known to be required. */
struct literal_set {
    struct literal literal[LITERAL_SET_MAX];
    uint8_t count;
};

/* Of a PCRE2 pattern without options other than caseless, UTF and UCP. */
void literal_of_regex(struct slice pattern, bool caseless, struct literal_set *out);
/* Of a plain string that is looked for without case. */
void literal_of_plain(struct slice plain, struct literal_set *out);

/* Letters K and S have a third form outside ASCII (Kelvin sign, long s), which a caseless pattern
 * matches and a literal does not: true when the subject holds one, so that literals prove nothing. */
bool literal_blind(struct slice subject);

#endif
