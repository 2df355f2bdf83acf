/* `muster rules keygen NAME`: a pair of keys for signing rule sets. */
#include "engine/base/json_writer.h"
#include "engine/cli/command.h"
#include "rules/lang/signature.h"

static void print_json(const char *name)
{
    struct json_writer json;
    struct arena arena;
    json_writer_init(&json);
    arena_init(&arena);
    json_open_object(&json, NULL);
    json_text(&json, "signs", arena_format(&arena, "%s.key", name));
    json_text(&json, "verifies", arena_format(&arena, "%s.pub", name));
    json_close_object(&json);
    json_line(&json);
    (void)fwrite(json.text, 1, json.size, stdout);
    arena_fini(&arena);
    json_writer_fini(&json);
}

int cmd_rules_keygen(const struct command_line *line)
{
    struct error err = {0};
    if (line->word_count != 1)
        return command_fail(line, EXIT_USAGE, "one name for the keys is needed");
    if (!signature_key_make(line->word[0], &err))
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    if (command_option(line, "json"))
        print_json(line->word[0]);
    else
        printf("%s.key: keep it to yourself; it signs rule sets\n%s.pub: goes into the folder that the setting rules_keys names\n", line->word[0],
               line->word[0]);
    return EXIT_FINE;
}
