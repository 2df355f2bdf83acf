/* Muster's one entry: wires the libraries up and hands over to the command. */
#include "engine/cli/command.h"

#include <sodium.h>
#include <signal.h>

#ifdef MUSTER_JEMALLOC
/* Read by jemalloc: what a burst took goes back within a second, and many cores do not mean many arenas that keep it. */
extern const char *const malloc_conf;
const char *const malloc_conf = "background_thread:true,narenas:4,dirty_decay_ms:500,muzzy_decay_ms:0";
#endif

int main(int argc, char **argv)
{
    if (sodium_init() < 0) {
        fputs("muster: libsodium cannot be used on this machine\n", stderr);
        return EXIT_WORLD;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a closed socket is an error to handle, not an end */
    int code = command_main(argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fputs("muster: standard output could not be written\n", stderr);
        return code == EXIT_FINE ? EXIT_WORLD : code;
    }
    return code;
}
