/* `muster version`. */
#include "engine/cli/command.h"

#include <sodium.h>
#include <zstd.h>

const char muster_version[] = "0.1.0";

int cmd_version(const struct command_line *line)
{
    (void)line;
    printf("muster %s (libsodium %s, zstd %s)\n", muster_version, sodium_version_string(), ZSTD_versionString());
    return EXIT_FINE;
}
