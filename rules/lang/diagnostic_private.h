/* What diagnostic.c and diagnostic_show.c share. */
#ifndef RULES_LANG_DIAGNOSTIC_PRIVATE_H
#define RULES_LANG_DIAGNOSTIC_PRIVATE_H

#include "rules/lang/diagnostic.h"

struct diagnostic_file {
    struct slice name, text;
    uint32_t shown[2], more; /* errors, warnings: neither hides the other */
};

/* One point of a text, counted from 1 in characters and in UTF-16 code units. */
struct diagnostic_point {
    uint32_t line, column, column_utf16;
};
struct diagnostic_point diagnostic_point(struct slice text, uint32_t at);

struct diagnostics {
    struct arena arena;
    struct slice dir;
    struct diagnostic_file *file;
    uint16_t file_count;
    struct diagnostic **item;
    uint32_t count, room;
    uint32_t errors, warnings;
    bool sorted;
};

#endif
