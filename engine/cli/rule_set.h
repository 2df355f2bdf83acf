/* What run and replay load alike before they begin: rules, rates, and settings as the modules want them. */
#ifndef ENGINE_CLI_RULE_SET_H
#define ENGINE_CLI_RULE_SET_H

#include "engine/cli/command.h"
#include "engine/model/decode.h"
#include "engine/state/log.h"
#include "engine/stream/step.h"

struct rule_set {
    struct program *program;
    struct rates *rates;
};

/* Loads both, saying on standard error what is wrong; returns an exit code. Without a rates file only
 * amounts in the base currency are known. The caller runs rule_set_fini in every case. */
int rule_set_load(const struct command_line *line, const char *rules_dir, const char *rates_file, struct rule_set *set);
/* Whether the engine's settings allow the rules: how far back graph operators look. Says what does not fit; returns an exit code. */
int rule_set_fits(const struct command_line *line, const struct settings *settings, const struct rule_set *set);
void rule_set_fini(struct rule_set *set);

/* hash_key and partition_max are left to whoever runs. The result points into settings and set. */
struct step_settings step_settings_of(const struct settings *settings);
struct decode_settings decode_settings_of(const struct settings *settings, const struct rates *rates);
struct log_settings log_settings_of(const struct settings *settings);

#endif
