/* `muster rules sign DIR --key NAME.key`: agrees to a rule set as it is now. */
#include "engine/cli/command.h"
#include "engine/cli/rule_set.h"
#include "rules/lang/signature.h"

static void print_text(const struct program *program)
{
    printf("signed rule set ");
    for (size_t i = 0; i < sizeof program->hash; i++)
        printf("%02x", program->hash[i]);
    printf(" (%.*s)\n", (int)program->name.size, program->name.data);
}

static void print_json(const struct program *program)
{
    struct json_writer json;
    json_writer_init(&json);
    json_open_object(&json, NULL);
    json_text(&json, "name", program->name);
    json_hex(&json, "rule_set", program->hash, sizeof program->hash);
    json_close_object(&json);
    json_line(&json);
    (void)fwrite(json.text, 1, json.size, stdout);
    json_writer_fini(&json);
}

int cmd_rules_sign(const struct command_line *line)
{
    const char *key_file = command_option(line, "key");
    struct rule_set set;
    struct signature signature;
    struct error err = {0};
    if (line->word_count != 1 || !key_file)
        return command_fail(line, EXIT_USAGE, "a folder of rules and --key NAME.key are needed");
    int code = rule_set_load(line, line->word[0], NULL, EXIT_FINDING, &set);
    if (code == EXIT_USAGE)
        code = EXIT_FINDING; /* the rules have errors, which are told by now */
    if (code == EXIT_FINE && (!signature_make(key_file, set.program->hash, &signature, &err) ||
                              !signature_write(line->word[0], key_file, &signature, &err)))
        code = command_fail(line, EXIT_WORLD, "%s", err.text);
    if (code == EXIT_FINE && command_option(line, "json"))
        print_json(set.program);
    else if (code == EXIT_FINE)
        print_text(set.program);
    rule_set_fini(&set);
    return code;
}
