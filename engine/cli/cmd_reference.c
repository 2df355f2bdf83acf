/* `muster reference PAGE`: the pages that are made from tables. */
#include "connectors/iso20022/iso20022.h"
#include "engine/cli/command.h"
#include "engine/cli/metrics.h"
#include "engine/model/reject.h"
#include "rules/lang/language.h"

static void print_rejections(FILE *out)
{
    fputs("# Rejections\n\nMade by `muster reference rejections` from `engine/model/reject.def`. A message that is refused is kept with its\n"
          "position, the reason, the field and (bounded) its bytes; it is never silently dropped.\n\n"
          "| reason | what it says |\n|---|---|\n", out);
    for (int i = 1; i < REJECT_COUNT; i++)
        fprintf(out, "| `%s` | %s |\n", reject_code((enum reject_reason)i), reject_says((enum reject_reason)i));
}

struct page {
    const char *name;
    void (*print)(FILE *out);
};

static const struct page pages[] = {
    {"settings", settings_print_page},
    {"settings-file", settings_print_file},
    {"commands", command_print_page},
    {"metrics", metrics_print_page},
    {"rejections", print_rejections},
    {"iso20022", iso20022_print_page},
    {"language", language_print_page},
    {"diagnostics", diagnostics_print_page},
    {"vim", editor_print_vim},
    {"textmate", editor_print_textmate},
};

int cmd_reference(const struct command_line *line)
{
    if (line->word_count != 1)
        return command_fail(line, EXIT_USAGE, "one page is needed; `muster help reference` lists them");
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (strcmp(pages[i].name, line->word[0]) == 0) {
            pages[i].print(stdout);
            return EXIT_FINE;
        }
    }
    if (strcmp(line->word[0], "man") == 0 && command_print_man(stdout, NULL))
        return EXIT_FINE;
    if (strncmp(line->word[0], "man-", 4) == 0 && command_print_man(stdout, line->word[0] + 4))
        return EXIT_FINE;
    return command_fail(line, EXIT_USAGE, "there is no page `%s`; `muster help reference` lists them", line->word[0]);
}
