/* UTF-8: is it sound, and where may it be cut. Pure, any thread. */
#ifndef ENGINE_BASE_UTF8_H
#define ENGINE_BASE_UTF8_H

#include "engine/base/slice.h"

/* Bytes of the character at text, of which `left` are there; 0 when it is not sound: overlong, a
 * surrogate, above U+10FFFF, cut. */
size_t utf8_size(const char *text, size_t left);
bool utf8_valid(struct slice text);
/* The longest piece from the start of at most `most` bytes that ends with a whole character. */
struct slice utf8_cut(struct slice text, size_t most);
/* Writes a code point of at most U+FFFF; returns its 1 to 3 bytes. */
size_t utf8_put(char *at, uint32_t code);

#endif
