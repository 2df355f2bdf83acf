/* Loading rules and rates for the commands that score. */
#include "engine/cli/rule_set.h"

#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"

#include <time.h>

int rule_set_load(const struct command_line *line, const char *rules_dir, const char *rates_file, struct rule_set *set)
{
    struct error err = {0};
    *set = (struct rule_set){0};
    if (!rules_dir || !*rules_dir)
        return command_fail(line, EXIT_USAGE, "no rules are named: give --rules DIR or the setting rules_dir");
    struct diagnostics *diagnostics = diagnostics_new();
    const struct load_options options = {.today = (int32_t)(time(NULL) / 86400)};
    set->program = program_load(rules_dir, &options, diagnostics, &err);
    bool wrong = !set->program && err.class == ERROR_NONE;
    if (wrong)
        diagnostics_text(diagnostics, stderr);
    diagnostics_free(diagnostics);
    if (wrong)
        return command_fail(line, EXIT_USAGE, "the rules in %s have errors", rules_dir);
    if (set->program && rates_file && *rates_file)
        set->rates = rates_load(rates_file, set->program->base, &err);
    else if (set->program)
        set->rates = rates_none(set->program->base);
    return set->rates ? EXIT_FINE : command_fail(line, EXIT_WORLD, "%s", err.text);
}

int rule_set_fits(const struct command_line *line, const struct settings *settings, const struct rule_set *set)
{
    for (uint16_t r = 0; r < set->program->rule_count; r++) {
        const struct rule *rule = &set->program->rule[r];
        for (uint8_t g = 0; g < rule->graph_count; g++) {
            int64_t days = (rule->graph[g].span_ms + MS_PER_DAY - 1) / MS_PER_DAY;
            if (days > settings->graph_horizon_days)
                return command_fail(line, EXIT_USAGE,
                                    "the rule %.*s follows payments over %lld days, but the setting graph_horizon_days allows %lld: shorten "
                                    "`over` in its let `%.*s`, or raise the setting; memory grows with it (muster size)",
                                    (int)rule->id.size, rule->id.data, (long long)days, (long long)settings->graph_horizon_days,
                                    (int)rule->graph[g].name.size, rule->graph[g].name.data);
        }
    }
    return EXIT_FINE;
}

void rule_set_fini(struct rule_set *set)
{
    if (set->rates)
        rates_free(set->rates);
    if (set->program)
        program_free(set->program);
    *set = (struct rule_set){0};
}

struct step_settings step_settings_of(const struct settings *settings)
{
    return (struct step_settings){
        .lateness_ms = settings->lateness_h * 3600 * 1000,
        .dedup_ms = settings->dedup_days * 86400 * 1000,
        .shard_bytes_max = (size_t)settings->shard_mb_max << 20,
        .inline_below = (uint32_t)settings->inline_below,
        .filter_all = !settings->filter_index,
    };
}

struct decode_settings decode_settings_of(const struct settings *settings, const struct rates *rates)
{
    return (struct decode_settings){
        .rates = rates,
        .message_bytes_max = (size_t)settings->message_kb_max << 10,
        .future_ms_max = 5 * 60 * 1000,
    };
}

struct log_settings log_settings_of(const struct settings *settings)
{
    return (struct log_settings){
        .dir = settings->log_dir,
        .key_dir = settings->log_key_dir,
        .master_key_file = settings->master_key_file,
        .block_bytes = 256 * 1024,
    };
}
