/* Judges rule sets from PostgreSQL beside the engine's work, and answers. */
#include "engine/cli/rule_desk.h"

#include "engine/base/invariant.h"
#include "engine/cli/rule_set.h"
#include "rules/lang/diagnostic.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, LOOK_MS = 500, STEP_MS = 50 };

struct rule_desk {
    const struct settings *settings;
    struct notices *notices;
    const struct pipeline_figures *figures;
    struct rule_loads *loads;
    pthread_t thread;
    atomic_bool ending;
    bool has_thread;
};

/* --- a set as files, while it is compiled --- */

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)place;
    return kind == FTW_DP || kind == FTW_DNR || kind == FTW_D ? rmdir(path) : unlink(path);
}

static void folder_remove(const char *dir)
{
    (void)nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Inside the folder, visible, and nothing that a path could mean otherwise. */
static bool name_is_safe(struct slice name)
{
    char before = '/';
    if (name.size == 0 || name.size > 400 || name.data[name.size - 1] == '/')
        return false;
    for (size_t i = 0; i < name.size; before = name.data[i++])
        if ((before == '/' && (name.data[i] == '.' || name.data[i] == '/')) || (unsigned char)name.data[i] < ' ')
            return false;
    return true;
}

static bool file_write(const char *dir, const struct rule_load_file *file, struct error *err)
{
    char path[PATH_BYTES];
    size_t from = strlen(dir) + 1;
    if (snprintf(path, sizeof path, "%s/%.*s", dir, (int)file->name.size, file->name.data) >= (int)sizeof path)
        return error_set(err, ERROR_FATAL, "state_dir's path is too long");
    for (char *slash = strchr(path + from, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return error_errno(err, ERROR_RETRY, "cannot make a folder in state_dir");
        *slash = '/';
    }
    FILE *out = fopen(path, "wbx");
    if (!out)
        return error_errno(err, ERROR_RETRY, "cannot write the rules into state_dir");
    bool good = fwrite(file->body.data, 1, file->body.size, out) == file->body.size;
    good = (fclose(out) == 0) && good;
    return good || error_errno(err, ERROR_RETRY, "cannot write the rules into state_dir");
}

static bool files_write(const char *dir, const struct rule_load *load, struct error *err)
{
    if (load->file_count == 0)
        return error_set(err, ERROR_FATAL, "the set has no files, or more than %d MiB of them", RULE_LOAD_BYTES_MAX >> 20);
    if (mkdir(dir, 0700) != 0)
        return error_errno(err, ERROR_RETRY, "cannot make a folder in state_dir");
    for (uint32_t i = 0; i < load->file_count; i++)
        if (!name_is_safe(load->file[i].name))
            return error_set(err, ERROR_FATAL, "file %u of the set lies outside its folder, or is hidden", i + 1);
    for (uint32_t i = 0; i < load->file_count; i++)
        if (!file_write(dir, &load->file[i], err))
            return false;
    return true;
}

/* --- judging --- */

/* The first error's place and words, as the reason why a set is refused. */
static bool say_errors(struct diagnostics *diagnostics, const struct rule_load *load, struct error *err)
{
    const struct diagnostic *at = NULL;
    uint32_t line = 0, column = 0, rules = 0;
    for (uint32_t i = 0; i < diagnostics_count(diagnostics) && !at; i++)
        if (!diagnostic_page(diagnostics_at(diagnostics, i)->code)->warning)
            at = diagnostics_at(diagnostics, i);
    invariant(at != NULL);
    diagnostic_place(diagnostics, at->span, &line, &column);
    struct slice name = SLICE("the rules");
    for (uint32_t i = 0; i < load->file_count; i++) /* diagnostics number the rule files in order of name */
        if (load->file[i].name.size > 6 && memcmp(load->file[i].name.data + load->file[i].name.size - 6, ".rules", 6) == 0 &&
            !memchr(load->file[i].name.data, '/', load->file[i].name.size) && rules++ == at->span.file)
            name = load->file[i].name;
    return error_set(err, ERROR_FATAL, "the set has %u errors; the first in %.*s, line %u: %.*s", diagnostics_errors(diagnostics), (int)name.size,
                     name.data, line, (int)at->message.size, at->message.data);
}

static bool compile_aside(const char *dir, const struct rule_load *load, struct program **program, struct error *err)
{
    struct diagnostics *diagnostics = diagnostics_new();
    const struct load_options options = {.today = (int32_t)(time(NULL) / 86400)};
    *program = program_load(dir, &options, diagnostics, err);
    bool good = *program || err->class != ERROR_NONE || say_errors(diagnostics, load, err);
    diagnostics_free(diagnostics);
    return good && *program;
}

static bool judge_signatures(const struct settings *settings, const struct rule_load *load, struct error *err)
{
    struct signature signature[SIGNATURES_MAX];
    uint32_t count = 0;
    for (; count < load->mark_count && count < SIGNATURES_MAX; count++) {
        memcpy(signature[count].key, load->mark[count].key, sizeof signature[count].key);
        memcpy(signature[count].mark, load->mark[count].mark, sizeof signature[count].mark);
    }
    return rule_set_signed(settings, signature, count, load->hash, err);
}

struct program *rule_desk_judge(const struct settings *settings, const struct rule_load *load, struct error *err)
{
    char dir[PATH_BYTES];
    struct program *program = NULL;
    if (snprintf(dir, sizeof dir, "%s/rules-aside", settings->state_dir) >= (int)sizeof dir) {
        error_set(err, ERROR_FATAL, "state_dir's path is too long");
        return NULL;
    }
    folder_remove(dir); /* of a life that was killed */
    bool good = files_write(dir, load, err) && compile_aside(dir, load, &program, err);
    folder_remove(dir);
    if (good && memcmp(program->hash, load->hash, sizeof load->hash) != 0)
        good = error_set(err, ERROR_FATAL, "its files do not give the hash under which it was loaded: they were changed on the way, or another "
                                           "version of muster loaded them");
    if (good && judge_signatures(settings, load, err) && rule_set_facts(settings, program, err))
        return program;
    program_free(program);
    return NULL;
}

/* --- answering --- */

static bool answer_one(struct rule_desk *desk, const struct rule_load *load, struct error *err)
{
    struct error why = {0};
    struct program *program = NULL;
    char text[RULE_ANSWER_MAX + 64], hash[17];
    for (size_t i = 0; i < 8; i++)
        (void)snprintf(hash + 2 * i, 3, "%02x", load->hash[i]);
    if (*desk->settings->rules_dir)
        error_set(&why, ERROR_FATAL, "this engine takes its rules from a folder (setting rules_dir), not from PostgreSQL: leave that setting out");
    else
        program = rule_desk_judge(desk->settings, load, &why);
    if (!program && why.class == ERROR_RETRY) {
        *err = why;
        return false;
    }
    char said[RULE_ANSWER_MAX];
    if (program)
        (void)snprintf(said, sizeof said, "%u rules; the engine runs them from its next start on", program->rule_count);
    else
        (void)snprintf(said, sizeof said, "%s", why.text);
    bool good = pg_rule_loads_settle(desk->loads, load->number, program != NULL, said, err);
    (void)snprintf(text, sizeof text, "rule set %s…: %s", hash, said);
    if (good)
        notice_say(desk->notices, program ? NOTICE_INFO : NOTICE_WARNING, program ? "rules_accepted" : "rules_refused", text);
    program_free(program);
    return good;
}

/* Everything that waits, in order. */
static bool answer_all(struct rule_desk *desk, struct error *err)
{
    bool found = true, good = true;
    while (good && found && !atomic_load(&desk->ending)) {
        struct arena arena;
        struct rule_load load;
        arena_init(&arena);
        good = pg_rule_loads_read(desk->loads, RULE_WAITING_OLDEST, &arena, &load, &found, err) && (!found || answer_one(desk, &load, err));
        arena_fini(&arena);
    }
    return good;
}

struct program *rule_desk_newest(struct rule_desk *desk, struct error *err)
{
    struct arena arena;
    struct rule_load load;
    struct program *program = NULL;
    bool found = false;
    arena_init(&arena);
    if (answer_all(desk, err) && pg_rule_loads_read(desk->loads, RULE_ACCEPTED_NEWEST, &arena, &load, &found, err)) {
        if (found)
            program = rule_desk_judge(desk->settings, &load, err);
        else
            error_set(err, ERROR_FATAL, "PostgreSQL has no accepted rule set: load one (muster rules load DIR), or name a folder (setting rules_dir)");
        if (found && !program)
            error_context(err, "the rule set that was accepted last");
    }
    arena_fini(&arena);
    return program;
}

static void *desk_run(void *argument)
{
    struct rule_desk *desk = argument;
    bool told = false;
    for (int waited_ms = 0; !atomic_load(&desk->ending); waited_ms += STEP_MS) {
        (void)usleep(STEP_MS * 1000);
        if (waited_ms < LOOK_MS || atomic_load(&desk->figures->phase) != PIPELINE_LIVE)
            continue;
        struct error err = {0};
        waited_ms = 0;
        bool good = answer_all(desk, &err);
        if (!good && !told)
            notice_say(desk->notices, NOTICE_WARNING, "rules_wait", err.text);
        told = !good;
    }
    return NULL;
}

bool rule_desk_start(struct rule_desk *desk, struct error *err)
{
    int failed = pthread_create(&desk->thread, NULL, desk_run, desk);
    desk->has_thread = failed == 0;
    return desk->has_thread || error_set(err, ERROR_FATAL, "cannot start a thread for rule sets (error %d)", failed);
}

struct rule_desk *rule_desk_open(const struct settings *settings, struct notices *notices, const struct pipeline_figures *figures)
{
    struct rule_desk *desk = calloc(1, sizeof *desk);
    invariant(desk != NULL);
    desk->settings = settings;
    desk->notices = notices;
    desk->figures = figures;
    desk->loads = pg_rule_loads_open(settings->postgres_dsn);
    return desk;
}

void rule_desk_close(struct rule_desk *desk)
{
    if (!desk)
        return;
    atomic_store(&desk->ending, true);
    if (desk->has_thread)
        pthread_join(desk->thread, NULL);
    pg_rule_loads_close(desk->loads);
    free(desk);
}
