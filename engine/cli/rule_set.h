/* What run and replay load alike before they begin: rules, rates, and settings as the modules want them. */
#ifndef ENGINE_CLI_RULE_SET_H
#define ENGINE_CLI_RULE_SET_H

#include "engine/base/json_writer.h"
#include "engine/cli/command.h"
#include "engine/model/decode.h"
#include "engine/state/log.h"
#include "engine/stream/step.h"
#include "rules/lang/diagnostic.h"
#include "rules/lang/signature.h"
#include "rules/lang/syntax.h"

struct rule_set {
    struct program *program;
    struct rates *rates;
};

/* Says what is wrong with rules: as text on standard error, or, where the command was called with --json, as the JSON of `rules check` on
 * standard output, which then holds nothing else. */
void rule_set_faults(const struct command_line *line, struct diagnostics *diagnostics);

/* Loads both, saying what is wrong (rule_set_faults, or on standard error); returns an exit code. wrong_code: the one for rules with errors,
 * which a tool for rules has found (EXIT_FINDING) and which to the others are a wrong setting (EXIT_USAGE). Without a
 * rates file only amounts in the base currency are known. The caller runs rule_set_fini in every case. */
int rule_set_load(const struct command_line *line, const char *rules_dir, const char *rates_file, int wrong_code,
                  struct rule_set *set);
/* The rates alone, for a program that is there already. */
int rule_set_rates(const struct command_line *line, const char *rates_file, struct rule_set *set);
void rule_set_fini(struct rule_set *set);

/* Whether as many different trusted keys have signed as the settings ask for; the same of the signatures in a folder. */
bool rule_set_signed(const struct settings *settings, const struct signature *signature, uint32_t count, const unsigned char hash[32],
                     struct error *err) must_check;
bool rule_set_signed_folder(const struct settings *settings, const char *dir, const struct program *program, struct error *err) must_check;
/* Whether every topic of facts is read: rules that wait for facts which nobody reads would silently never fire. */
bool rule_set_facts(const struct settings *settings, const struct program *program, struct error *err) must_check;
/* Whether the settings allow the rules: how far back graph operators look. */
bool rule_set_fits(const struct settings *settings, const struct program *program, struct error *err) must_check;
/* What the database keeps of a set for people: an old alert can be read when the files are gone. */
void rule_set_describe(struct json_writer *json, const struct program *program);

/* The tree of a folder's rules, for what is said of them in words: only when the compiler has found nothing wrong. NULL
 * else, with what is wrong said and the exit code in *code. The caller frees it by syntax_free. */
struct syntax *rule_set_tree(const struct command_line *line, const char *rules_dir, int *code);

/* hash_key and partition_max are left to whoever runs. The result points into settings and set. */
struct step_settings step_settings_of(const struct settings *settings);
struct decode_settings decode_settings_of(const struct settings *settings, const struct rates *rates);
struct log_settings log_settings_of(const struct settings *settings);

#endif
