/* Which format a bank sends, from the words of a setting or an option to an open translator.
 *
 *   json                      canonical events: no translator (*format is NULL)
 *   csv:FILE                  CSV by this mapping file
 *   iso20022, iso20022:ZONE   ISO 20022 XML; ZONE is that of times without an offset (UTC)
 *   avro:registry=URL, avro:folder=DIR   Avro in Confluent's framing, by the schemas of a registry or folder;
 *                             behind a comma: mapping=FILE, ca=FILE, auth=FILE
 *   avro, avro:mapping=FILE   for files that carry their schema
 * For `muster run` and `muster feed`. */
#ifndef ENGINE_CLI_FORMAT_CHOICE_H
#define ENGINE_CLI_FORMAT_CHOICE_H

#include "engine/base/settings.h"
#include "engine/model/format.h"
#include "engine/model/seam.h"

/* Where the translator will be used: a topic keeps the schemas it has seen under state_dir; files keep none. */
struct format_use {
    const char *state_dir; /* NULL: for files */
};

/* False with what is wrong, and what to do, in err. */
bool format_choose(const char *words, const struct format_use *use, struct format **format, struct error *err) must_check;

/* A source whose topics have the formats that the setting kafka_formats gives. NULL with err when the
 * setting is wrong; `source` itself when every topic is canonical JSON; else it is in the new one's
 * care. unknowns (one per pair of kafka_formats) outlive the source. */
struct source *format_source(const struct settings *settings, struct source *source, struct format_unknowns *unknowns,
                             struct error *err) must_check;
/* Only checks the setting: opens each format and closes it again. */
bool format_settings_check(const struct settings *settings, struct error *err) must_check;

#endif
