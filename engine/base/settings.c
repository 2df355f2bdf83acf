/* Reads settings from YAML, strictly, with the place of every fault. */
#include "engine/base/settings.h"

#include "engine/base/invariant.h"
#include "engine/base/suggest.h"

#include <errno.h>
#include <stdlib.h>
#include <yaml.h>

enum setting_type { TYPE_TEXT, TYPE_INT, TYPE_BOOL, TYPE_MAP };
enum { DEPTH_MAX = 16, MAP_MAX = 1024, FILE_BYTES_MAX = 1 << 20, TEXT_BYTES_MAX = 4096 };

struct setting {
    const char *name;
    enum setting_type type;
    size_t offset;
    const char *text;
    int64_t number, least, most;
    const char *help;
};

static const struct setting table[] = {
#define SETTING_TEXT(name, def, help) {#name, TYPE_TEXT, offsetof(struct settings, name), def, 0, 0, 0, help},
#define SETTING_INT(name, def, least, most, help) {#name, TYPE_INT, offsetof(struct settings, name), NULL, def, least, most, help},
#define SETTING_BOOL(name, def, help) {#name, TYPE_BOOL, offsetof(struct settings, name), NULL, def, 0, 1, help},
#define SETTING_MAP(name, help) {#name, TYPE_MAP, offsetof(struct settings, name), NULL, 0, 0, 0, help},
#include "engine/base/setting.def"
#undef SETTING_TEXT
#undef SETTING_INT
#undef SETTING_BOOL
#undef SETTING_MAP
};

enum { SETTING_COUNT = sizeof table / sizeof table[0] };

static void *member(struct settings *settings, const struct setting *setting)
{
    return (char *)settings + setting->offset;
}

void settings_init(struct settings *settings)
{
    memset(settings, 0, sizeof *settings);
    arena_init(&settings->arena);
    for (int i = 0; i < SETTING_COUNT; i++) {
        if (table[i].type == TYPE_TEXT)
            *(const char **)member(settings, &table[i]) = table[i].text;
        else if (table[i].type == TYPE_INT)
            *(int64_t *)member(settings, &table[i]) = table[i].number;
        else if (table[i].type == TYPE_BOOL)
            *(bool *)member(settings, &table[i]) = table[i].number != 0;
    }
}

void settings_fini(struct settings *settings)
{
    arena_fini(&settings->arena);
}

static int setting_find(struct slice name)
{
    for (int i = 0; i < SETTING_COUNT; i++)
        if (slice_equal(name, slice_of(table[i].name)))
            return i;
    return -1;
}

/* "; did you mean `x`?" or nothing. */
static struct slice meant(struct arena *arena, struct slice name)
{
    struct slice names[SETTING_COUNT];
    for (int i = 0; i < SETTING_COUNT; i++)
        names[i] = slice_of(table[i].name);
    int near = suggest_nearest(name, names, SETTING_COUNT);
    return near < 0 ? SLICE("") : arena_format(arena, "; did you mean `%s`?", table[near].name);
}

static bool parse_number(struct slice text, int64_t *number)
{
    char room[24];
    char *end;
    if (text.size == 0 || text.size >= sizeof room)
        return false;
    memcpy(room, text.data, text.size);
    room[text.size] = '\0';
    errno = 0;
    *number = strtoll(room, &end, 10);
    return errno == 0 && *end == '\0' && end != room && room[0] != ' ' && room[0] != '+';
}

/* Stores one value; empty when it is fine, else what is wrong with it. */
static struct slice setting_store(struct settings *settings, const struct setting *setting, struct slice value)
{
    struct arena *arena = &settings->arena;
    int64_t number;
    if (memchr(value.data, '\0', value.size) || value.size > TEXT_BYTES_MAX)
        return arena_format(arena, "`%s` holds a NUL character or is longer than %d bytes", setting->name, TEXT_BYTES_MAX);
    switch (setting->type) {
    case TYPE_TEXT:
        *(const char **)member(settings, setting) = arena_text(arena, value);
        return SLICE("");
    case TYPE_INT:
        if (!parse_number(value, &number))
            return arena_format(arena, "`%s` must be a whole number", setting->name);
        if (number < setting->least || number > setting->most)
            return arena_format(arena, "`%s` must be from %lld to %lld, not %lld", setting->name, (long long)setting->least,
                                (long long)setting->most, (long long)number);
        *(int64_t *)member(settings, setting) = number;
        return SLICE("");
    case TYPE_BOOL:
        if (!slice_equal(value, SLICE("true")) && !slice_equal(value, SLICE("false")))
            return arena_format(arena, "`%s` must be true or false", setting->name);
        *(bool *)member(settings, setting) = value.data[0] == 't';
        return SLICE("");
    case TYPE_MAP:
        break;
    }
    return arena_format(arena, "`%s` must be a block of KEY: VALUE lines", setting->name);
}

bool settings_set(struct settings *settings, struct slice name, struct slice value, struct error *err)
{
    int index = setting_find(name);
    if (index < 0) {
        struct slice hint = meant(&settings->arena, name);
        return error_set(err, ERROR_FATAL, "there is no setting `%.*s`%.*s", (int)name.size, name.data, (int)hint.size, hint.data);
    }
    struct slice wrong = setting_store(settings, &table[index], value);
    return wrong.size == 0 || error_set(err, ERROR_FATAL, "%.*s", (int)wrong.size, wrong.data);
}

/* --- YAML --- */

struct loading {
    struct settings *settings;
    const char *path;
    struct slice wrong;      /* all lines so far */
    bool seen[SETTING_COUNT];
    int depth;               /* of open mappings and sequences */
    int key;                 /* setting whose value comes next; -1: a key is due; -2: skip the value */
    struct slice map_key;    /* inside a map: its key; data NULL when a key is due */
    bool in_map;
    int skipping;            /* depth inside a value that is skipped */
};

static void complain(struct loading *l, yaml_mark_t mark, struct slice what)
{
    struct slice line = arena_format(&l->settings->arena, "%.*s%s:%zu:%zu: %.*s\n", (int)l->wrong.size, l->wrong.data, l->path,
                                     mark.line + 1, mark.column + 1, (int)what.size, what.data);
    l->wrong = line;
}

static void load_map_scalar(struct loading *l, yaml_mark_t mark, struct slice text)
{
    struct arena *arena = &l->settings->arena;
    struct setting_map *map = member(l->settings, &table[l->key]);
    if (!l->map_key.data) {
        for (uint32_t i = 0; i < map->count; i++)
            if (slice_equal(text, slice_of(map->pair[i].key)))
                complain(l, mark, arena_format(arena, "`%.*s` is given twice", (int)text.size, text.data));
        l->map_key = (struct slice){arena_text(arena, text), text.size};
        return;
    }
    if (text.size == 0 || l->map_key.size == 0)
        complain(l, mark, arena_format(arena, "`%s` needs a text on both sides of the colon", table[l->key].name));
    if (map->count < MAP_MAX)
        map->pair[map->count++] = (struct setting_pair){l->map_key.data, arena_text(arena, text)};
    l->map_key.data = NULL;
}

static void load_key(struct loading *l, yaml_mark_t mark, struct slice name)
{
    struct arena *arena = &l->settings->arena;
    l->key = setting_find(name);
    if (l->key < 0) {
        struct slice hint = meant(arena, name);
        complain(l, mark, arena_format(arena, "there is no setting `%.*s`%.*s", (int)name.size, name.data, (int)hint.size, hint.data));
        l->key = -2;
    } else if (l->seen[l->key]) {
        complain(l, mark, arena_format(arena, "`%s` is given twice", table[l->key].name));
        l->key = -2;
    } else {
        l->seen[l->key] = true;
    }
}

static void load_scalar(struct loading *l, const yaml_event_t *event)
{
    struct slice text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    if (l->skipping)
        return;
    if (l->in_map) {
        load_map_scalar(l, event->start_mark, text);
    } else if (l->depth != 1) {
        complain(l, event->start_mark, SLICE("settings are lines of NAME: VALUE"));
    } else if (l->key == -1) {
        load_key(l, event->start_mark, text);
    } else {
        struct slice wrong = l->key >= 0 ? setting_store(l->settings, &table[l->key], text) : SLICE("");
        if (wrong.size)
            complain(l, event->start_mark, wrong);
        l->key = -1;
    }
}

static void load_open(struct loading *l, const yaml_event_t *event, bool mapping)
{
    l->depth++;
    if (l->depth > DEPTH_MAX && !l->skipping)
        complain(l, event->start_mark, SLICE("nested too deeply"));
    if (l->skipping || (l->depth == 1 && mapping)) {
        l->skipping += l->skipping > 0;
        return;
    }
    if (l->depth == 2 && mapping && l->key >= 0 && table[l->key].type == TYPE_MAP) {
        struct setting_map *map = member(l->settings, &table[l->key]);
        map->pair = ARENA_ARRAY(&l->settings->arena, struct setting_pair, MAP_MAX);
        map->count = 0;
        l->in_map = true;
        l->map_key.data = NULL;
        return;
    }
    if (l->key >= 0 && l->depth == 2)
        complain(l, event->start_mark, arena_format(&l->settings->arena, "`%s` takes one value, not a list or block", table[l->key].name));
    else if (l->key != -2)
        complain(l, event->start_mark, SLICE("settings are lines of NAME: VALUE"));
    l->skipping = 1;
}

static int pair_compare(const void *a, const void *b)
{
    return strcmp(((const struct setting_pair *)a)->key, ((const struct setting_pair *)b)->key);
}

static void load_close(struct loading *l)
{
    l->depth--;
    if (l->skipping && --l->skipping > 0)
        return;
    if (l->in_map && l->depth == 1) {
        struct setting_map *map = member(l->settings, &table[l->key]);
        if (map->count)
            qsort(map->pair, map->count, sizeof *map->pair, pair_compare);
        l->in_map = false;
    }
    if (l->depth == 1)
        l->key = -1;
}

/* False at the end of the document. */
static bool load_event(struct loading *l, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        if (event->data.scalar.anchor)
            complain(l, event->start_mark, SLICE("anchors and aliases are not taken"));
        load_scalar(l, event);
        return true;
    case YAML_ALIAS_EVENT:
        complain(l, event->start_mark, SLICE("anchors and aliases are not taken"));
        l->key = l->depth == 1 ? -1 : l->key;
        return true;
    case YAML_MAPPING_START_EVENT:
        load_open(l, event, true);
        return true;
    case YAML_SEQUENCE_START_EVENT:
        load_open(l, event, false);
        return true;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        load_close(l);
        return true;
    case YAML_STREAM_END_EVENT:
        return false;
    default:
        return true;
    }
}

static void load_events(struct loading *l, yaml_parser_t *parser)
{
    yaml_event_t event;
    int documents = 0;
    for (bool more = true; more;) {
        if (!yaml_parser_parse(parser, &event)) {
            complain(l, parser->problem_mark,
                     arena_format(&l->settings->arena, "this is not YAML: %s", parser->problem ? parser->problem : "unreadable"));
            return;
        }
        if (event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1) {
            complain(l, event.start_mark, SLICE("one document only"));
            more = false;
        } else {
            more = load_event(l, &event);
        }
        yaml_event_delete(&event);
    }
}

bool settings_load(struct settings *settings, const char *path, struct slice *wrong)
{
    struct loading l = {.settings = settings, .path = path, .wrong = SLICE(""), .key = -1};
    yaml_parser_t parser;
    FILE *file = fopen(path, "rb");
    if (!file) {
        *wrong = arena_format(&settings->arena, "%s: cannot be read: %s\n", path, strerror(errno));
        return false;
    }
    invariant(yaml_parser_initialize(&parser));
    unsigned char *text = malloc(FILE_BYTES_MAX);
    invariant(text != NULL);
    size_t size = fread(text, 1, FILE_BYTES_MAX, file);
    yaml_parser_set_input_string(&parser, text, size);
    if (size == FILE_BYTES_MAX)
        l.wrong = arena_format(&settings->arena, "%s: larger than %d bytes\n", path, FILE_BYTES_MAX);
    else
        load_events(&l, &parser);
    yaml_parser_delete(&parser);
    free(text);
    (void)fclose(file);
    *wrong = l.wrong;
    return l.wrong.size == 0;
}

/* --- pages --- */

void settings_print_file(FILE *out)
{
    fputs("# Muster's settings, each with its default. Uncomment what you change.\n", out);
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &table[i];
        fprintf(out, "\n# %s\n", s->help);
        if (s->type == TYPE_TEXT)
            fprintf(out, "# %s: \"%s\"\n", s->name, s->text);
        else if (s->type == TYPE_INT)
            fprintf(out, "# %s: %lld    # from %lld to %lld\n", s->name, (long long)s->number, (long long)s->least, (long long)s->most);
        else if (s->type == TYPE_BOOL)
            fprintf(out, "# %s: %s\n", s->name, s->number ? "true" : "false");
        else
            fprintf(out, "# %s:\n#   KEY: VALUE\n", s->name);
    }
}

void settings_print_page(FILE *out)
{
    fputs("# Settings\n\nMade by `muster reference settings` from `engine/base/setting.def`; `muster reference settings-file` prints a\n"
          "commented file to start from. A wrong, unknown or doubled setting refuses to start.\n\n"
          "| setting | takes | default | meaning |\n|---|---|---|---|\n", out);
    for (int i = 0; i < SETTING_COUNT; i++) {
        const struct setting *s = &table[i];
        if (s->type == TYPE_TEXT)
            fprintf(out, "| `%s` | text | %s%s%s | %s |\n", s->name, s->text[0] ? "`" : "must be given", s->text, s->text[0] ? "`" : "", s->help);
        else if (s->type == TYPE_INT)
            fprintf(out, "| `%s` | %lld to %lld | %lld | %s |\n", s->name, (long long)s->least, (long long)s->most, (long long)s->number, s->help);
        else if (s->type == TYPE_BOOL)
            fprintf(out, "| `%s` | true or false | %s | %s |\n", s->name, s->number ? "true" : "false", s->help);
        else
            fprintf(out, "| `%s` | lines of KEY: VALUE | none | %s |\n", s->name, s->help);
    }
}
