/* Opens translators by the words that operators write. */
#include "engine/cli/format_choice.h"

#include "connectors/avro/avro.h"
#include "connectors/csv/csv.h"
#include "connectors/format/source.h"
#include "connectors/iso20022/iso20022.h"
#include "engine/base/invariant.h"

#include <stdio.h>
#include <stdlib.h>

enum { SCHEMA_PATH_MAX = 4096, FOLDER_NAME_MAX = 255 };

static bool load_mapping(enum mapping_of of, const char *file, struct mapping **mapping, struct error *err)
{
    struct arena arena;
    struct slice wrong = SLICE("");
    arena_init(&arena);
    *mapping = mapping_load(of, file, &arena, &wrong);
    if (wrong.size)
        error_set(err, ERROR_FATAL, "the mapping has faults\n%.*s", (int)wrong.size - 1, wrong.data);
    arena_fini(&arena);
    return *mapping != NULL;
}

static bool choose_csv(const char *file, struct format **format, struct error *err)
{
    struct mapping *mapping;
    if (!*file)
        return error_set(err, ERROR_FATAL, "csv needs a mapping file: csv:FILE (connectors/csv/README.md says how to write one)");
    if (!load_mapping(MAPPING_CSV, file, &mapping, err))
        return false;
    *format = csv_format_open(mapping);
    return true;
}

/* --- avro --- */

/* The words behind avro: by their names. */
enum avro_word { AVRO_REGISTRY, AVRO_FOLDER, AVRO_MAPPING, AVRO_CA, AVRO_AUTH, AVRO_WORD_COUNT };

/* Cuts `text` at its commas in place. */
static bool take_avro_words(char *text, const char *value[AVRO_WORD_COUNT], struct error *err)
{
    static const char *const names[AVRO_WORD_COUNT] = {"registry=", "folder=", "mapping=", "ca=", "auth="};
    while (text && *text) {
        char *comma = strchr(text, ',');
        int word = 0;
        if (comma)
            *comma = '\0';
        while (word < AVRO_WORD_COUNT && strncmp(text, names[word], strlen(names[word])) != 0)
            word++;
        if (word == AVRO_WORD_COUNT)
            return error_set(err, ERROR_FATAL,
                             "avro takes registry=URL or folder=DIR, and mapping=FILE, ca=FILE, auth=FILE, with commas between them, not `%s`",
                             strchr(text, '@') ? "…@…" : text); /* whoever writes a password there should not find it in a log */
        if (value[word] || !text[strlen(names[word])])
            return error_set(err, ERROR_FATAL, "avro: %s%s", names[word], value[word] ? " is given twice" : " needs a value");
        value[word] = text + strlen(names[word]);
        text = comma ? comma + 1 : NULL;
    }
    return true;
}

/* The name of the folder for copies: the address, readable, with what no name may hold as %XX. */
static bool name_folder(const char *address, char name[FOLDER_NAME_MAX + 1], struct error *err)
{
    size_t size = 0;
    for (; *address && size + 3 <= FOLDER_NAME_MAX; address++) {
        unsigned char c = (unsigned char)*address;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || (c == '.' && size > 0);
        size += (size_t)snprintf(name + size, 4, plain ? "%c" : "%%%02X", c);
    }
    return !*address || error_set(err, ERROR_FATAL, "the registry's address, or the folder's path, is longer than can be kept in a name");
}

/* *store stays NULL where neither a registry nor a folder is named. */
static bool open_store(const char *const value[AVRO_WORD_COUNT], const struct format_use *use, struct schema_store **store, struct error *err)
{
    char parent[SCHEMA_PATH_MAX], name[FOLDER_NAME_MAX + 1] = "";
    if (!use->state_dir && !value[AVRO_REGISTRY] && !value[AVRO_FOLDER] && !value[AVRO_CA] && !value[AVRO_AUTH])
        return true;
    struct registry *registry = registry_open(
        &(struct registry_settings){
            .url = value[AVRO_REGISTRY], .folder = value[AVRO_FOLDER], .ca_file = value[AVRO_CA], .auth_file = value[AVRO_AUTH]},
        err);
    if (!registry)
        return false;
    int size = snprintf(parent, sizeof parent, "%s/schemas", use->state_dir ? use->state_dir : "");
    bool ok = size + FOLDER_NAME_MAX + 1 < SCHEMA_PATH_MAX || error_set(err, ERROR_FATAL, "state_dir's path is too long");
    if (!ok || !name_folder(value[AVRO_REGISTRY] ? value[AVRO_REGISTRY] : value[AVRO_FOLDER], name, err)) {
        registry_close(registry);
        return false;
    }
    *store = schema_store_open(registry, use->state_dir ? parent : NULL, name);
    return true;
}

static bool choose_avro(const char *words, const struct format_use *use, struct format **format, struct error *err)
{
    const char *value[AVRO_WORD_COUNT] = {NULL};
    struct mapping *mapping = NULL;
    struct schema_store *store = NULL;
    char *text = strdup(words);
    invariant(text);
    bool ok = take_avro_words(text, value, err) && (!value[AVRO_MAPPING] || load_mapping(MAPPING_AVRO, value[AVRO_MAPPING], &mapping, err)) &&
              open_store(value, use, &store, err);
    if (ok)
        *format = avro_format_open(&(struct avro_settings){.store = store, .mapping = mapping, .containers = !use->state_dir});
    else
        mapping_free(mapping);
    free(text);
    return ok;
}

/* --- any --- */

bool format_choose(const char *words, const struct format_use *use, struct format **format, struct error *err)
{
    const char *colon = strchr(words, ':');
    struct slice name = {words, colon ? (size_t)(colon - words) : strlen(words)};
    const char *rest = colon ? colon + 1 : "";
    *format = NULL;
    if (slice_equal(name, SLICE("json")) && !*rest)
        return true;
    if (slice_equal(name, SLICE("csv")))
        return choose_csv(rest, format, err);
    if (slice_equal(name, SLICE("iso20022"))) {
        *format = iso20022_format_open(rest, err);
        return *format || error_context(err, "iso20022:ZONE takes a time zone such as Europe/Berlin");
    }
    if (slice_equal(name, SLICE("avro")))
        return choose_avro(rest, use, format, err);
    return error_set(err, ERROR_FATAL,
                     "there is no format `%.*s`: take json, csv:FILE, iso20022, iso20022:ZONE, avro:registry=URL or avro:folder=DIR", (int)name.size, name.data);
}

/* --- the setting --- */

static bool topic_known(const struct settings *settings, const char *topic)
{
    for (uint32_t i = 0; i < settings->kafka_topics.count; i++)
        if (strcmp(settings->kafka_topics.pair[i].key, topic) == 0)
            return true;
    return false;
}

static bool open_topics(const struct settings *settings, struct format_unknowns *unknowns, struct format_topic *topic, uint32_t *count,
                        struct error *err)
{
    const struct setting_map *map = &settings->kafka_formats;
    const struct format_use use = {.state_dir = settings->state_dir};
    for (uint32_t i = 0; i < map->count; i++) {
        struct format *format;
        const char *name = map->pair[i].key;
        if (!topic_known(settings, name))
            return error_set(err, ERROR_FATAL, "kafka_formats names the topic %s, which kafka_topics does not: take it out, or say there who feeds it",
                             name);
        if (!format_choose(map->pair[i].value, &use, &format, err))
            return error_context(err, "kafka_formats, topic %s", name);
        if (format)
            topic[(*count)++] = (struct format_topic){.topic = name, .format = format, .unknowns = &unknowns[i]};
    }
    if (*count && settings->batch_max < FORMAT_ITEMS_MAX)
        return error_set(err, ERROR_FATAL, "batch_max is %lld: with kafka_formats it must be at least %d, for the payments of one message stay together",
                         (long long)settings->batch_max, FORMAT_ITEMS_MAX);
    return true;
}

static void close_topics(struct format_topic *topic, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        topic[i].format->close(topic[i].format->self);
}

struct source *format_source(const struct settings *settings, struct source *source, struct format_unknowns *unknowns, struct error *err)
{
    struct format_topic *topic = calloc(settings->kafka_formats.count + 1, sizeof *topic);
    uint32_t count = 0;
    struct source *made = NULL;
    invariant(topic);
    bool ok = open_topics(settings, unknowns, topic, &count, err);
    if (!ok)
        close_topics(topic, count);
    else if (count == 0)
        made = source;
    else
        made = format_source_open(&(struct format_source_settings){
            .source = source,
            .topic = topic,
            .topic_count = count,
            .message_bytes_max = (size_t)settings->message_kb_max << 10,
            .items_max = FORMAT_ITEMS_MAX,
        });
    free(topic);
    return made;
}

bool format_settings_check(const struct settings *settings, struct error *err)
{
    struct format_topic *topic = calloc(settings->kafka_formats.count + 1, sizeof *topic);
    struct format_unknowns *unknowns = calloc(settings->kafka_formats.count + 1, sizeof *unknowns);
    uint32_t count = 0;
    invariant(topic && unknowns);
    bool ok = open_topics(settings, unknowns, topic, &count, err);
    close_topics(topic, count);
    free(topic);
    free(unknowns);
    return ok;
}
