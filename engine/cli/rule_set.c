/* Loading rules and rates for the commands that score. */
#include "engine/cli/rule_set.h"

#include "engine/base/json_writer.h"
#include "rules/lang/list.h"
#include "rules/lang/load.h"

#include <time.h>

int rule_set_rates(const struct command_line *line, const char *rates_file, struct rule_set *set)
{
    struct error err = {0};
    set->rates = rates_file && *rates_file ? rates_load(rates_file, set->program->base, &err) : rates_none(set->program->base);
    return set->rates ? EXIT_FINE : command_fail(line, EXIT_WORLD, "%s", err.text);
}

void rule_set_faults(const struct command_line *line, struct diagnostics *diagnostics)
{
    if (command_option(line, "json"))
        diagnostics_json(diagnostics, stdout);
    else
        diagnostics_text(diagnostics, stderr);
}

int rule_set_load(const struct command_line *line, const char *rules_dir, const char *rates_file, int wrong_code,
                  struct rule_set *set)
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
        rule_set_faults(line, diagnostics);
    diagnostics_free(diagnostics);
    if (wrong)
        return command_option(line, "json") ? wrong_code : command_fail(line, wrong_code, "the rules in %s have errors", rules_dir);
    if (!set->program)
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    return rule_set_rates(line, rates_file, set);
}

bool rule_set_fits(const struct settings *settings, const struct program *program, struct error *err)
{
    for (uint16_t r = 0; r < program->rule_count; r++) {
        const struct rule *rule = &program->rule[r];
        for (uint8_t g = 0; g < rule->graph_count; g++) {
            int64_t days = (rule->graph[g].span_ms + MS_PER_DAY - 1) / MS_PER_DAY;
            if (days > settings->graph_horizon_days)
                return error_set(err, ERROR_FATAL,
                                 "the rule %.*s follows payments over %lld days, but the setting graph_horizon_days allows %lld: shorten "
                                 "`over` in its let `%.*s`, or raise the setting; memory grows with it (muster size)",
                                 (int)rule->id.size, rule->id.data, (long long)days, (long long)settings->graph_horizon_days,
                                 (int)rule->graph[g].name.size, rule->graph[g].name.data);
        }
    }
    return true;
}

struct syntax *rule_set_tree(const struct command_line *line, const char *rules_dir, int *code)
{
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new(), *again = diagnostics_new(); /* warnings would stand there twice */
    diagnostics_dir(diagnostics, rules_dir);
    struct program *program = program_load(rules_dir, &(struct load_options){.for_tests = true}, diagnostics, &err);
    struct syntax *syntax = program ? syntax_load(rules_dir, again, &err) : NULL;
    *code = syntax ? EXIT_FINE : EXIT_FINDING;
    if (!syntax && err.class)
        *code = command_fail(line, EXIT_WORLD, "%s", err.text);
    else if (!syntax)
        rule_set_faults(line, diagnostics);
    program_free(program);
    diagnostics_free(again);
    diagnostics_free(diagnostics);
    return syntax;
}

void rule_set_fini(struct rule_set *set)
{
    if (set->rates)
        rates_free(set->rates);
    if (set->program)
        program_free(set->program);
    *set = (struct rule_set){0};
}

/* --- may it be run? --- */

bool rule_set_signed(const struct settings *settings, const struct signature *signature, uint32_t count, const unsigned char hash[32],
                     struct error *err)
{
    struct trusted_keys keys;
    if (settings->rules_signatures == 0)
        return true;
    if (!*settings->rules_keys)
        return error_set(err, ERROR_FATAL, "rules_signatures asks for signatures, but the setting rules_keys names no folder of public keys");
    if (!trusted_keys_read(settings->rules_keys, &keys, err))
        return error_context(err, "rules_keys");
    uint32_t good = signatures_good(signature, count, &keys, hash);
    bool one = settings->rules_signatures == 1;
    return good >= (uint64_t)settings->rules_signatures ||
           error_set(err, ERROR_FATAL, "the rule set needs the signature%s of %lld %strusted key%s (rules_signatures) and has %u: "
                     "`muster rules sign DIR --key NAME.key`, after the last change", one ? "" : "s", (long long)settings->rules_signatures,
                     one ? "" : "different ", one ? "" : "s", good);
}

bool rule_set_signed_folder(const struct settings *settings, const char *dir, const struct program *program, struct error *err)
{
    struct signature signature[SIGNATURES_MAX];
    uint32_t count = 0;
    return settings->rules_signatures == 0 ||
           (signatures_read(dir, signature, &count, err) && rule_set_signed(settings, signature, count, program->hash, err));
}

bool rule_set_facts(const struct settings *settings, const struct program *program, struct error *err)
{
    const struct setting_map *map = &settings->kafka_fact_topics;
    for (uint16_t m = 0; m < program->memory_count; m++) {
        struct slice topic = program->memory[m].topic;
        bool found = topic.size == 0;
        for (uint32_t i = 0; i < map->count && !found; i++)
            found = slice_equal(slice_of(map->pair[i].key), topic);
        if (!found)
            return error_set(err, ERROR_FATAL, "the fact %.*s comes over the topic %.*s: name it in kafka_fact_topics",
                             (int)program->memory[m].name.size, program->memory[m].name.data, (int)topic.size, topic.data);
    }
    return true;
}

void rule_set_describe(struct json_writer *json, const struct program *program)
{
    static const char *const status[] = {"draft", "shadow", "live", "retired"};
    json_open_object(json, NULL);
    json_text(json, "name", program->name);
    json_open_array(json, "rules");
    for (uint16_t i = 0; i < program->rule_count; i++) {
        const struct rule *rule = &program->rule[i];
        json_open_object(json, NULL);
        json_text(json, "id", rule->id);
        json_number(json, "version", rule->version);
        json_text(json, "status", slice_of(status[rule->status]));
        json_text(json, "title", rule->title);
        json_text(json, "typology", program->typology[rule->typology].name);
        json_text(json, "family", program->family[rule->family].name);
        json_text(json, "source", rule->source);
        json_close_object(json);
    }
    json_close_array(json);
    json_open_array(json, "lists");
    for (uint16_t i = 0; i < program->list_count; i++) {
        unsigned char hash[32];
        list_hash(program->list[i], hash);
        json_open_object(json, NULL);
        json_text(json, "name", list_name(program->list[i]));
        json_number(json, "entries", list_count(program->list[i]));
        json_hex(json, "hash", hash, sizeof hash);
        json_close_object(json);
    }
    json_close_array(json);
    json_close_object(json);
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
        .block_bytes = LOG_BLOCK_BYTES,
    };
}
