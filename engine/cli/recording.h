/* A recorded stream that a command was given: files (`--on FILE…`) or the engine's log (`--log DIR`).
 *
 * Lives as long as the command; one replay at a time. Files may be read again, standard input may not. */
#ifndef ENGINE_CLI_RECORDING_H
#define ENGINE_CLI_RECORDING_H

#include "connectors/file/reader.h"
#include "engine/cli/command.h"
#include "engine/cli/progress.h"
#include "engine/stream/replay.h"

struct recording {
    const struct command_line *line;
    uint32_t path_count;
    const char *path[COMMAND_WORD_MAX];
    const char *log_dir;               /* NULL: files */
    struct replay_input input[COMMAND_WORD_MAX];
    struct file_reader *reader[COMMAND_WORD_MAX];
    struct progress progress;
    uint64_t events;
    bool stdin_used;
};

/* Files are all --on and the words from first_word on. Says what is wrong; returns an exit code. */
int recording_of(const struct command_line *line, int first_word, struct recording *recording);
/* One replay of the whole, under a progress bar that says `verb`. replay.threads, batch_max, step and decode
 * come from settings; its stop is not used. */
bool recording_replay(struct recording *recording, const struct settings *settings, struct replay_settings *replay, const char *verb,
                      struct replay_summary *summary, struct error *err) must_check;
/* Called from the replay's results. */
void recording_progress(struct recording *recording, const struct output *output);

#endif
