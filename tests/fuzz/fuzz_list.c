/* Any bytes as a list beside rules, of every kind: taken, or refused in words. */
#include "rules/lang/list.h"
#include "tests/fuzz/memory_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum value_type types[] = {TYPE_ACCOUNT, TYPE_COUNTRY, TYPE_MCC, TYPE_CORRIDOR, TYPE_PURPOSE, TYPE_CURRENCY};
    char path[64], message[256] = "";
    uint32_t line = 0;
    if (size == 0)
        return 0;
    enum value_type type = types[data[0] % (sizeof types / sizeof *types)];
    int fd = memory_file(data + 1, size - 1, path);
    struct list *list = list_load(SLICE("fuzz"), type, path, message, &line);
    invariant((list == NULL) == (message[0] != '\0'));
    if (list) {
        unsigned char hash[32];
        list_hash(list, hash);
        (void)(type == TYPE_ACCOUNT ? list_has_text(list, SLICE("A")) : list_has_number(list, 5411));
        list_free(list);
    }
    close(fd);
    return 0;
}
