/* `muster rejections show`: what a bank really sent where a message was refused. */
#include "connectors/postgres/rejections.h"
#include "engine/base/invariant.h"
#include "engine/cli/command.h"
#include "engine/cli/rule_set.h"
#include "engine/state/seal.h"

#include <stdlib.h>

/* Printable ASCII as it is, the rest as \xHH: a terminal must not obey what a bank sent. */
static void print_bytes(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        printf(bytes[i] >= ' ' && bytes[i] < 127 && bytes[i] != '\\' ? "%c" : "\\x%02x", bytes[i]);
    putchar('\n');
}

static bool show_sealed(const struct settings *settings, const struct rejection_row *row, struct error *err)
{
    const struct log_settings keys = log_settings_of(settings);
    struct sealer *sealer = sealer_open(&keys, err);
    unsigned char *clear = malloc(row->body.size + 1);
    invariant(clear != NULL);
    bool good = sealer && seal_read(sealer, row->sealed_day, row->body, clear, err);
    if (good)
        print_bytes(clear, row->body.size - SEAL_EXTRA_BYTES);
    free(clear);
    sealer_close(sealer);
    return good;
}

static bool show(void *context, const struct rejection_row *row, struct error *err)
{
    printf("source: %s\nreason: %s\nfield: %s\nbytes: %d, as stored:\n", row->source, row->reason, row->field, (int)row->body_size);
    if (row->sealed_day >= 0)
        return show_sealed(context, row, err);
    print_bytes((const unsigned char *)row->body.data, row->body.size);
    return true;
}

static bool is_number(const char *text)
{
    size_t size = strlen(text);
    return size > 0 && size < 19 && strspn(text, "0123456789") == size;
}

int cmd_rejections_show(const struct command_line *line)
{
    struct settings settings;
    struct error err = {0};
    const char *item = command_option(line, "item");
    struct rejection_place place = {.item = item ? item : "0"};
    bool found = false;
    int code = command_settings(line, &settings) ? EXIT_FINE : EXIT_USAGE;
    if (code == EXIT_FINE && (line->word_count != 3 || !is_number(line->word[1]) || !is_number(line->word[2]) || !is_number(place.item)))
        code = command_fail(line, EXIT_USAGE, "the rejection's TOPIC PARTITION OFFSET are needed; muster.rejection has them");
    if (code == EXIT_FINE && !settings.postgres_dsn[0])
        code = command_fail(line, EXIT_USAGE, "the setting postgres_dsn is needed: --config FILE or --set postgres_dsn=…");
    if (code == EXIT_FINE) {
        place.topic = line->word[0];
        place.partition = line->word[1];
        place.offset = line->word[2];
        if (!pg_rejection_read(settings.postgres_dsn, &place, show, &settings, &found, &err))
            code = command_fail(line, EXIT_WORLD, "%s", err.text);
        else if (!found)
            code = command_fail(line, EXIT_FINDING, "there is no such rejection");
    }
    settings_fini(&settings);
    return code;
}
