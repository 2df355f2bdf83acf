/* Opens translators by the words that operators write. */
#include "engine/cli/format_choice.h"

#include "connectors/csv/csv.h"
#include "connectors/format/source.h"
#include "connectors/iso20022/iso20022.h"
#include "engine/base/invariant.h"

#include <stdlib.h>

static bool choose_csv(const char *file, struct format **format, struct error *err)
{
    struct arena arena;
    struct slice wrong = SLICE("");
    if (!*file)
        return error_set(err, ERROR_FATAL, "csv needs a mapping file: csv:FILE (connectors/csv/README.md says how to write one)");
    arena_init(&arena);
    struct mapping *mapping = mapping_load(MAPPING_CSV, file, &arena, &wrong);
    if (wrong.size)
        error_set(err, ERROR_FATAL, "the mapping has faults\n%.*s", (int)wrong.size - 1, wrong.data);
    arena_fini(&arena);
    if (mapping)
        *format = csv_format_open(mapping);
    return mapping != NULL;
}

bool format_choose(const char *words, struct format **format, struct error *err)
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
    return error_set(err, ERROR_FATAL, "there is no format `%s`: take json, csv:FILE, iso20022 or iso20022:ZONE", words);
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
    for (uint32_t i = 0; i < map->count; i++) {
        struct format *format;
        const char *name = map->pair[i].key;
        if (!topic_known(settings, name))
            return error_set(err, ERROR_FATAL, "kafka_formats names the topic %s, which kafka_topics does not: take it out, or say there who feeds it",
                             name);
        if (!format_choose(map->pair[i].value, &format, err))
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
