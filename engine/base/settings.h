/* Settings: what an operator may change, from one YAML file and the command line.
 *
 * Rows stand in setting.def. A wrong, unknown or doubled setting refuses to start and says where,
 * what, and what was perhaps meant. Texts live in the settings' arena. Immutable after loading. */
#ifndef ENGINE_BASE_SETTINGS_H
#define ENGINE_BASE_SETTINGS_H

#include "engine/base/arena.h"
#include "engine/base/error.h"

#include <stdio.h>

struct setting_pair {
    const char *key, *value;
};
struct setting_map {
    struct setting_pair *pair; /* in order of key */
    uint32_t count;
};

struct settings {
#define SETTING_TEXT(name, def, help) const char *name;
#define SETTING_INT(name, def, least, most, help) int64_t name;
#define SETTING_BOOL(name, def, help) bool name;
#define SETTING_MAP(name, help) struct setting_map name;
#include "engine/base/setting.def"
#undef SETTING_TEXT
#undef SETTING_INT
#undef SETTING_BOOL
#undef SETTING_MAP
    struct arena arena;
};

/* Fills in the defaults. */
void settings_init(struct settings *settings);
void settings_fini(struct settings *settings);

/* Reads a file over what is there. Every wrong line is said in `wrong` (one "FILE:LINE:COL: …" per
 * line, allocated in the settings' arena); false when there is any, or the file cannot be read. */
bool settings_load(struct settings *settings, const char *path, struct slice *wrong) must_check;

/* Sets one (not a map) as from the command line; false with what is wrong in err. */
bool settings_set(struct settings *settings, struct slice name, struct slice value, struct error *err) must_check;

/* A commented file with all defaults; the reference page. */
void settings_print_file(FILE *out);
void settings_print_page(FILE *out);

#endif
