/* Judges rule sets from PostgreSQL beside the engine's work, and answers. */
#include "engine/cli/rule_desk.h"

#include "engine/base/invariant.h"
#include "engine/base/thread.h"
#include "engine/cli/rule_files.h"
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
    struct rule_loads *loads;              /* the thread's, once it runs */
    pthread_t thread;
    atomic_bool ending;
    bool has_thread;
    atomic_bool reread;                    /* rules_dir, as soon as the engine is live */
    bool kept;                             /* the folder's set lies in PostgreSQL too */
    _Atomic(const struct program *) running; /* NULL: the engine has not begun */
    _Atomic(const struct program *) next;  /* to go over to; NULL: none */
    pthread_mutex_t lock;                  /* of what follows */
    struct program **held;                 /* every set that was ever run or offered: the pipeline may point to it */
    uint32_t held_count;
    struct swap_report report;             /* of the last swap */
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
static bool say_errors(struct diagnostics *diagnostics, struct error *err)
{
    const struct diagnostic *at = NULL;
    uint32_t line = 0, column = 0;
    for (uint32_t i = 0; i < diagnostics_count(diagnostics) && !at; i++)
        if (!diagnostic_page(diagnostics_at(diagnostics, i)->code)->warning)
            at = diagnostics_at(diagnostics, i);
    invariant(at != NULL);
    diagnostic_place(diagnostics, at->span, &line, &column);
    struct slice name = diagnostics_file_name(diagnostics, at->span.file);
    return error_set(err, ERROR_FATAL, "the set has %u errors; the first in %.*s, line %u: %.*s", diagnostics_errors(diagnostics), (int)name.size,
                     name.data, line, (int)at->message.size, at->message.data);
}

static bool compile_aside(const char *dir, struct program **program, struct error *err)
{
    struct diagnostics *diagnostics = diagnostics_new();
    const struct load_options options = {.today = (int32_t)(time(NULL) / 86400)};
    *program = program_load(dir, &options, diagnostics, err);
    bool good = *program || err->class != ERROR_NONE || say_errors(diagnostics, err);
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

/* The program of a set whose files give its hash. */
static struct program *load_whole(const struct settings *settings, const char *aside, const struct rule_load *load, struct error *err)
{
    char dir[PATH_BYTES];
    struct program *program = NULL;
    if (snprintf(dir, sizeof dir, "%s/%s", settings->state_dir, aside) >= (int)sizeof dir) {
        error_set(err, ERROR_FATAL, "state_dir's path is too long");
        return NULL;
    }
    folder_remove(dir); /* of a life that was killed */
    bool good = files_write(dir, load, err) && compile_aside(dir, &program, err);
    folder_remove(dir);
    if (good && memcmp(program->hash, load->hash, sizeof load->hash) != 0)
        good = error_set(err, ERROR_FATAL, "its files do not give the hash under which it was loaded: they were changed on the way, or another "
                                           "version of muster loaded them");
    if (good)
        return program;
    program_free(program);
    return NULL;
}

struct program *rule_desk_judge(const struct settings *settings, const struct rule_load *load, struct error *err)
{
    struct program *program = load_whole(settings, "rules-aside", load, err);
    if (program && judge_signatures(settings, load, err) && rule_set_facts(settings, program, err) &&
        rule_set_fits(settings, program, err))
        return program;
    program_free(program);
    return NULL;
}

/* --- beside the pipeline --- */

static const struct program *desk_hold(struct rule_desk *desk, struct program *program)
{
    pthread_mutex_lock(&desk->lock);
    desk->held = realloc(desk->held, (desk->held_count + 1) * sizeof(struct program *));
    invariant(desk->held != NULL);
    desk->held[desk->held_count++] = program;
    pthread_mutex_unlock(&desk->lock);
    return program;
}

static const struct program *desk_find(struct rule_desk *desk, const unsigned char hash[32])
{
    const struct program *found = NULL;
    pthread_mutex_lock(&desk->lock);
    for (uint32_t i = 0; i < desk->held_count && !found; i++)
        if (memcmp(desk->held[i]->hash, hash, sizeof desk->held[i]->hash) == 0)
            found = desk->held[i];
    pthread_mutex_unlock(&desk->lock);
    return found;
}

const struct program *rule_desk_program(struct rule_desk *desk, const unsigned char hash[32], struct error *err)
{
    const struct program *program = desk_find(desk, hash);
    if (program)
        return program;
    struct arena arena;
    struct rule_load load = {0};
    struct error why = {0};
    bool found = false;
    struct rule_loads *loads = pg_rule_loads_open(desk->settings->postgres_dsn); /* the other connection is the thread's */
    arena_init(&arena);
    memcpy(load.hash, hash, sizeof load.hash);
    if (pg_rule_loads_read(loads, RULE_BY_HASH, &arena, &load, &found, err) && found) {
        struct program *loaded = load_whole(desk->settings, "rules-again", &load, &why);
        if (loaded)
            program = desk_hold(desk, loaded);
        else if (why.class == ERROR_RETRY)
            *err = why;
    }
    arena_fini(&arena);
    pg_rule_loads_close(loads);
    return program;
}

void rule_desk_begin(struct rule_desk *desk, const struct program *program)
{
    atomic_store(&desk->running, program);
}

const struct program *rule_desk_next(struct rule_desk *desk)
{
    return atomic_load_explicit(&desk->next, memory_order_acquire);
}

void rule_desk_swapped(struct rule_desk *desk, const struct program *program, const struct swap_report *report)
{
    pthread_mutex_lock(&desk->lock);
    desk->report = *report;
    pthread_mutex_unlock(&desk->lock);
    atomic_store(&desk->running, program);
}

/* --- answering --- */

/* Offers a set to the pipeline and waits until it runs; false when the engine ends before. number: of the request, 0: there is none. */
static bool desk_offer(struct rule_desk *desk, const struct program *program, int64_t number)
{
    struct error ignored;
    atomic_store_explicit(&desk->next, program, memory_order_release);
    for (int waited_ms = 0; atomic_load(&desk->running) != program && !atomic_load(&desk->ending) && atomic_load(&desk->figures->phase) == PIPELINE_LIVE;
         waited_ms += STEP_MS) {
        if (number && waited_ms == LOOK_MS) /* for whoever waits for an answer; it is missed by nobody else */
            (void)!pg_rule_loads_say(desk->loads, number, "the set is sound; what is new in it is being warmed up from the log, then it goes to work", &ignored);
        (void)usleep(STEP_MS * 1000);
    }
    return atomic_load(&desk->running) == program;
}

/* A sound set goes to work; false: the engine ends first, and the next one answers. `said` is the answer. */
static bool take_on(struct rule_desk *desk, struct program *program, int64_t number, struct swap_report *report, bool *taken, char said[RULE_ANSWER_MAX])
{
    const struct program *running = atomic_load(&desk->running);
    *taken = true;
    if (!running) {
        (void)snprintf(said, RULE_ANSWER_MAX, "%u rule%s; the engine begins with this set unless another comes", program->rule_count, program->rule_count == 1 ? "" : "s");
        program_free(program);
        return true;
    }
    if (memcmp(running->hash, program->hash, sizeof program->hash) == 0) {
        (void)snprintf(said, RULE_ANSWER_MAX, "%u rule%s, at work already", program->rule_count, program->rule_count == 1 ? "" : "s");
        program_free(program);
        return true;
    }
    *taken = running->base == program->base && slice_equal(running->zone_name, program->zone_name);
    if (!*taken) {
        (void)snprintf(said, RULE_ANSWER_MAX, "it has another base currency or timezone than the rules at work: what is remembered would mean nothing");
        program_free(program);
        return true;
    }
    if (!desk_offer(desk, desk_hold(desk, program), number))
        return false;
    pthread_mutex_lock(&desk->lock);
    *report = desk->report;
    pthread_mutex_unlock(&desk->lock);
    (void)snprintf(said, RULE_ANSWER_MAX, "from block %llu on: %s; the pause was %llu ms", (unsigned long long)report->block, report->text,
                   (unsigned long long)report->pause_ms);
    return true;
}

static bool answer_one(struct rule_desk *desk, const struct rule_load *load, struct error *err)
{
    struct error why = {0};
    struct program *program = NULL;
    char text[RULE_ANSWER_MAX + 64], said[RULE_ANSWER_MAX], hash[17];
    bool taken = false;
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
    (void)snprintf(said, sizeof said, "%s", why.text);
    struct swap_report report = {0};
    if (program && !take_on(desk, program, load->number, &report, &taken, said))
        return true;
    const struct rule_outcome outcome = {report.kept, report.warmed, report.cold, report.gone, report.pause_ms, report.warming_until_ms};
    bool good = (!report.block || pg_rule_loads_report(desk->loads, load->number, &outcome, err)) &&
                pg_rule_loads_settle(desk->loads, load->number, taken, said, err);
    (void)snprintf(text, sizeof text, "rule set %s…: %s", hash, said);
    if (good)
        notice_say(desk->notices, taken ? NOTICE_INFO : NOTICE_WARNING, taken ? "rules_accepted" : "rules_refused", text);
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

/* An engine that took over goes on with the rules of the last block; others may have been accepted that it had not seen. */
static bool catch_up(struct rule_desk *desk, struct error *err)
{
    struct arena arena;
    struct rule_load load = {0};
    bool found = false;
    arena_init(&arena);
    bool good = pg_rule_loads_read(desk->loads, RULE_ACCEPTED_NEWEST, &arena, &load, &found, err);
    if (good && found && memcmp(atomic_load(&desk->running)->hash, load.hash, sizeof load.hash) != 0) {
        struct program *program = rule_desk_judge(desk->settings, &load, err);
        good = program != NULL;
        if (good)
            (void)desk_offer(desk, desk_hold(desk, program), 0);
    }
    arena_fini(&arena);
    return good;
}

/* --- the engine's own folder --- */

/* Puts the folder's set into PostgreSQL: whoever recovers or follows goes over to it there. */
static bool folder_keep(struct rule_desk *desk, const struct program *program, struct error *err)
{
    struct arena arena;
    struct json_writer description;
    struct rule_load load;
    arena_init(&arena);
    json_writer_init(&description);
    bool good = rule_files_read(desk->settings->rules_dir, program, &arena, &description, &load, err) && pg_rule_loads_keep(desk->loads, &load, err);
    json_writer_fini(&description);
    arena_fini(&arena);
    return good;
}

/* What PostgreSQL keeps of a set to answer about it; outlives the set's program. */
struct described {
    struct json_writer description;
    struct arena arena;
    struct rule_load set; /* without files */
};

static void described_init(struct described *described, const struct program *program)
{
    json_writer_init(&described->description);
    arena_init(&described->arena);
    rule_set_describe(&described->description, program);
    described->set = (struct rule_load){.name = arena_copy(&described->arena, program->name),
                                        .description = {described->description.text, described->description.size}};
    memcpy(described->set.hash, program->hash, sizeof described->set.hash);
}

static void described_fini(struct described *described)
{
    json_writer_fini(&described->description);
    arena_fini(&described->arena);
}

static bool folder_began(struct rule_desk *desk, const struct program *program, struct error *err)
{
    struct described described;
    char said[RULE_ANSWER_MAX];
    (void)snprintf(said, sizeof said, "%u rule%s; the engine began with this set, from its folder (rules_dir)", program->rule_count,
                   program->rule_count == 1 ? "" : "s");
    described_init(&described, program);
    bool good = folder_keep(desk, program, err) && pg_rule_loads_judge(desk->loads, &described.set, true, said, err);
    described_fini(&described);
    return good;
}

/* The set that the engine began with, as long as the folder still holds it; true: nothing is left to do. It is needed after a change only, so a
 * failure is not worth a word. */
static bool folder_remember(struct rule_desk *desk, struct error *err)
{
    const struct program *running = atomic_load(&desk->running);
    struct program *again = NULL;
    bool there = compile_aside(desk->settings->rules_dir, &again, err) && memcmp(again->hash, running->hash, sizeof again->hash) == 0;
    bool done = !there || folder_began(desk, again, err) || err->class == ERROR_FATAL;
    program_free(again);
    return done;
}

static bool folder_sound(struct rule_desk *desk, const struct program *program, struct error *err)
{
    const struct settings *settings = desk->settings;
    return rule_set_signed_folder(settings, settings->rules_dir, program, err) && rule_set_facts(settings, program, err) &&
           rule_set_fits(settings, program, err) && folder_keep(desk, program, err);
}

/* Judges what the folder holds now, and goes over to it; false: the engine ends first. A set that compiles has an answer in PostgreSQL too. */
static bool folder_take(struct rule_desk *desk, bool *taken, char said[RULE_ANSWER_MAX])
{
    struct error err = {0};
    struct swap_report report = {0};
    struct described described;
    struct program *program = NULL;
    bool compiled = compile_aside(desk->settings->rules_dir, &program, &err), sound = compiled && folder_sound(desk, program, &err);
    (void)snprintf(said, RULE_ANSWER_MAX, "%.400s; the rules at work stay", err.text);
    if (!compiled)
        return true;
    described_init(&described, program);
    if (!sound)
        program_free(program);
    bool good = !sound || take_on(desk, program, 0, &report, taken, said);
    err = (struct error){0};
    if (good && !pg_rule_loads_judge(desk->loads, &described.set, *taken, said, &err))
        notice_say(desk->notices, NOTICE_WARNING, "rules_wait", err.text);
    described_fini(&described);
    return good;
}

/* Told to read rules_dir again: what `muster rules load` does, without a request. */
static void folder_load(struct rule_desk *desk)
{
    char said[RULE_ANSWER_MAX] = "this engine takes its rules from PostgreSQL (muster rules load), not from a folder; the rules at work stay";
    char text[RULE_ANSWER_MAX + 64];
    bool taken = false;
    if (*desk->settings->rules_dir && !folder_take(desk, &taken, said))
        return;
    (void)snprintf(text, sizeof text, "rules_dir, read again: %s", said);
    notice_say(desk->notices, taken ? NOTICE_INFO : NOTICE_WARNING, taken ? "rules_accepted" : "rules_refused", text);
}

void rule_desk_reread(struct rule_desk *desk)
{
    atomic_store(&desk->reread, true);
}

static void *desk_run(void *argument)
{
    thread_name("muster-rules");
    struct rule_desk *desk = argument;
    bool told = false, caught_up = *desk->settings->rules_dir != '\0';
    for (int waited_ms = 0; !atomic_load(&desk->ending); waited_ms += STEP_MS) {
        (void)usleep(STEP_MS * 1000);
        if (waited_ms < LOOK_MS || atomic_load(&desk->figures->phase) != PIPELINE_LIVE)
            continue;
        struct error err = {0};
        waited_ms = 0;
        if (atomic_exchange(&desk->reread, false))
            folder_load(desk);
        if (*desk->settings->rules_dir && !desk->kept)
            desk->kept = folder_remember(desk, &err);
        err = (struct error){0};
        bool good = answer_all(desk, &err) && (caught_up || catch_up(desk, &err));
        caught_up |= good;
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
    pthread_mutex_init(&desk->lock, NULL);
    return desk;
}

void rule_desk_end(struct rule_desk *desk)
{
    if (!desk)
        return;
    atomic_store(&desk->ending, true);
    if (desk->has_thread)
        pthread_join(desk->thread, NULL);
    desk->has_thread = false;
}

void rule_desk_close(struct rule_desk *desk)
{
    if (!desk)
        return;
    rule_desk_end(desk);
    pg_rule_loads_close(desk->loads);
    for (uint32_t i = 0; i < desk->held_count; i++)
        program_free(desk->held[i]);
    free(desk->held);
    pthread_mutex_destroy(&desk->lock);
    free(desk);
}
