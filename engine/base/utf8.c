/* UTF-8, checked byte by byte as RFC 3629 says. */
#include "engine/base/utf8.h"

size_t utf8_size(const char *at, size_t left)
{
    static const unsigned char least[5] = {0, 0, 0x80, 0xA0, 0x90};
    const unsigned char *text = (const unsigned char *)at;
    size_t size = text[0] < 0x80 ? 1 : text[0] >= 0xC2 && text[0] < 0xE0 ? 2 : (text[0] & 0xF0) == 0xE0 ? 3 : text[0] >= 0xF0 && text[0] < 0xF5 ? 4 : 0;
    if (size == 0 || size > left)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    if ((text[0] == 0xE0 || text[0] == 0xF0) && text[1] < least[size])
        return 0;
    if ((text[0] == 0xED && text[1] >= 0xA0) || (text[0] == 0xF4 && text[1] >= 0x90))
        return 0;
    return size;
}

bool utf8_valid(struct slice text)
{
    for (size_t i = 0; i < text.size;) {
        size_t size = utf8_size(text.data + i, text.size - i);
        if (size == 0)
            return false;
        i += size;
    }
    return true;
}

struct slice utf8_cut(struct slice text, size_t most)
{
    if (text.size <= most)
        return text;
    while (most > 0 && ((unsigned char)text.data[most] & 0xC0) == 0x80)
        most--;
    return (struct slice){text.data, most};
}

size_t utf8_put(char *at, uint32_t code)
{
    if (code < 0x80) {
        at[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        at[0] = (char)(0xC0 | code >> 6);
        at[1] = (char)(0x80 | (code & 0x3F));
        return 2;
    }
    at[0] = (char)(0xE0 | code >> 12);
    at[1] = (char)(0x80 | (code >> 6 & 0x3F));
    at[2] = (char)(0x80 | (code & 0x3F));
    return 3;
}
