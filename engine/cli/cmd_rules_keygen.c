/* `muster rules keygen NAME`: a pair of keys for signing rule sets. */
#include "engine/cli/command.h"
#include "rules/lang/signature.h"

int cmd_rules_keygen(const struct command_line *line)
{
    struct error err = {0};
    if (line->word_count != 1)
        return command_fail(line, EXIT_USAGE, "one name for the keys is needed");
    if (!signature_key_make(line->word[0], &err))
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    printf("%s.key: keep it to yourself; it signs rule sets\n%s.pub: goes into the folder that the setting rules_keys names\n", line->word[0],
           line->word[0]);
    return EXIT_FINE;
}
