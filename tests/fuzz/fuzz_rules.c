/* Fuzz target: any bytes as a rule file. Its corpus is the rule files of other tests and of the pack (run.py). */
#include "rules/lang/diagnostic.h"
#include "rules/lang/load.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct source_file source = {SLICE("fuzz.rules"), {(const char *)data, size}};
    struct error err = {0};
    struct diagnostics *diagnostics = diagnostics_new();
    struct program *program = program_parse(&source, 1, "tests/data/diagnostics", NULL, diagnostics, &err);
    if ((program == NULL) != (diagnostics_errors(diagnostics) > 0))
        abort();
    program_free(program);
    char *text = NULL;
    size_t length;
    FILE *out = open_memstream(&text, &length);
    diagnostics_text(diagnostics, out);
    diagnostics_sarif(diagnostics, out);
    fclose(out);
    free(text);
    diagnostics_free(diagnostics);
    return 0;
}
