/* Opening what is replayed, and the bar above it. */
#include "engine/cli/recording.h"

#include "engine/cli/rule_set.h"

int recording_of(const struct command_line *line, int first_word, struct recording *recording)
{
    *recording = (struct recording){.line = line, .log_dir = command_option(line, "log")};
    const char *path;
    for (int i = 0; (path = command_option_nth(line, "on", i)) && recording->path_count < COMMAND_WORD_MAX; i++)
        recording->path[recording->path_count++] = path;
    for (int i = first_word; i < line->word_count && recording->path_count < COMMAND_WORD_MAX; i++)
        recording->path[recording->path_count++] = line->word[i];
    if ((recording->path_count == 0) == (recording->log_dir == NULL))
        return command_fail(line, EXIT_USAGE, "name a recorded stream: either --on FILE… or --log DIR");
    return EXIT_FINE;
}

static void close_files(struct recording *recording)
{
    for (uint32_t i = 0; i < recording->path_count; i++) {
        file_reader_close(recording->reader[i]);
        recording->reader[i] = NULL;
    }
}

static bool open_files(struct recording *recording, size_t line_max, struct error *err)
{
    for (uint32_t i = 0; i < recording->path_count; i++) {
        bool is_stdin = strcmp(recording->path[i], "-") == 0;
        if (is_stdin && recording->stdin_used)
            return error_set(err, ERROR_FATAL, "standard input can be read once only, and this needs the stream again: give a file");
        recording->stdin_used |= is_stdin;
        recording->reader[i] = file_reader_open(recording->path[i], line_max, err);
        if (!recording->reader[i])
            return false;
        recording->input[i] = (struct replay_input){.self = recording->reader[i], .read = file_reader_read};
    }
    return true;
}

bool recording_replay(struct recording *recording, const struct settings *settings, struct replay_settings *replay, const char *verb,
                      struct replay_summary *summary, struct error *err)
{
    struct log_settings log = log_settings_of(settings);
    recording->events = 0;
    log.dir = recording->log_dir;
    bool ok = recording->log_dir || open_files(recording, replay->decode.message_bytes_max, err);
    if (ok) {
        progress_begin(&recording->progress, verb, command_option(recording->line, "quiet") != NULL);
        ok = recording->log_dir ? replay_log(replay, &log, summary, err)
                                : replay_files(replay, recording->input, recording->path_count, summary, err);
        progress_end(&recording->progress);
    }
    close_files(recording);
    return ok;
}

void recording_progress(struct recording *recording, const struct output *output)
{
    uint64_t done = 0, total = 0;
    for (int i = 0; i < OUTCOME_COUNT; i++)
        recording->events += output->outcome[i];
    for (uint32_t i = 0; i < recording->path_count; i++) {
        uint64_t file_done, file_size;
        file_reader_progress(recording->reader[i], &file_done, &file_size);
        done += file_done;
        total += file_size;
    }
    progress_show(&recording->progress, done, total, recording->events);
}
