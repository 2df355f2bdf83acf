/* `muster checkpoint show`: what a checkpoint holds, and its state hash. */
#include "engine/base/json_writer.h"
#include "engine/cli/rule_set.h"
#include "engine/stream/checkpoint_view.h"

static void print_text(const struct checkpoint_view *view)
{
    printf("block       %llu\nsequence    %llu\npartitions  %u\n", (unsigned long long)view->block, (unsigned long long)view->seq,
           view->partitions);
    printf("rules       %s\n", view->same_rules ? "these" : "others, which ask for the same to be remembered");
    printf("keys        %llu\nrecords     %llu\nmemories    %llu\n", (unsigned long long)view->stats.keys,
           (unsigned long long)view->stats.records, (unsigned long long)view->stats.memories);
    printf("identities  %llu\nrepeats     %llu\nbytes       %llu\nstate hash  ", (unsigned long long)view->stats.identities,
           (unsigned long long)view->stats.dedup_entries, (unsigned long long)view->stats.bytes_used);
    for (int i = 0; i < STATE_HASH_BYTES; i++)
        printf("%02x", view->hash[i]);
    printf("\n");
}

static void print_json(const struct checkpoint_view *view)
{
    struct json_writer json;
    json_writer_init(&json);
    json_open_object(&json, NULL);
    json_number(&json, "block", (int64_t)view->block);
    json_number(&json, "seq", (int64_t)view->seq);
    json_number(&json, "partitions", view->partitions);
    json_bool(&json, "same_rules", view->same_rules);
    json_number(&json, "keys", (int64_t)view->stats.keys);
    json_number(&json, "records", (int64_t)view->stats.records);
    json_number(&json, "memories", (int64_t)view->stats.memories);
    json_number(&json, "identities", (int64_t)view->stats.identities);
    json_number(&json, "repeats", (int64_t)view->stats.dedup_entries);
    json_number(&json, "bytes", (int64_t)view->stats.bytes_used);
    json_hex(&json, "state_hash", view->hash, sizeof view->hash);
    json_close_object(&json);
    json_line(&json);
    (void)fwrite(json.text, 1, json.size, stdout);
    json_writer_fini(&json);
}

static int show(const struct command_line *line, const struct settings *settings)
{
    const char *rules = command_option(line, "rules");
    const struct step_settings step = step_settings_of(settings);
    struct rule_set set = {0};
    struct checkpoint_view view;
    struct error err = {0};
    int code = rule_set_load(line, rules ? rules : settings->rules_dir, NULL, EXIT_USAGE, &set);
    if (code == EXIT_FINE && !checkpoint_view_file(line->word[0], set.program, &step, &view, &err))
        code = command_fail(line, EXIT_WORLD, "%s", err.text);
    else if (code == EXIT_FINE && command_option(line, "json"))
        print_json(&view);
    else if (code == EXIT_FINE)
        print_text(&view);
    rule_set_fini(&set);
    return code;
}

int cmd_checkpoint_show(const struct command_line *line)
{
    struct settings settings;
    int code = EXIT_USAGE;
    if (command_settings(line, &settings))
        code = line->word_count == 1 ? show(line, &settings)
                                     : command_fail(line, EXIT_USAGE, "one checkpoint file is needed: state_dir/checkpoint-BLOCK");
    settings_fini(&settings);
    return code;
}
