/* Any bytes as a file of facts: taken, or refused in words; what is taken can be asked. */
#include "rules/lang/fact.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice names[3] = {SLICE("sector"), SLICE("licensed"), SLICE("floor")};
    const enum value_type types[3] = {TYPE_MCC, TYPE_BOOL, TYPE_MONEY};
    struct fact_columns columns = {3, names, types, currency_parse(SLICE("USD")), NULL};
    char path[64], message[256] = "";
    uint32_t line = 0;
    const int64_t *value;
    int64_t valid_from;
    int fd = memory_file(data, size, path);
    struct fact_file *file = fact_file_load(path, &columns, message, &line);
    invariant((file == NULL) == (message[0] != '\0'));
    if (file && fact_file_find(file, SLICE("B"), INT64_MAX, &valid_from, &value))
        invariant(!fact_file_find(file, SLICE("B"), valid_from, &valid_from, &value) || value[0] == MISSING_I64 || value[0] > 0);
    fact_file_free(file);
    close(fd);
    return 0;
}
