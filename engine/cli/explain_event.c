/* Replays a recorded stream up to an event or an alert and gathers what its rules looked at.
 *
 * Passes over the stream: find (an alert's hits), look (what was evaluated at the wanted events), follow (since
 * when each condition holds: the same rules and keys from the beginning on). One thread works, so that the
 * step may be watched; the results are those of any number. */
#include "engine/cli/explain_event.h"

#include "connectors/file/reader.h"
#include "engine/base/invariant.h"
#include "engine/cli/explain_private.h"
#include "engine/cli/progress.h"
#include "engine/cli/rule_set.h"
#include "engine/model/zone.h"
#include "engine/stream/replay.h"
#include "engine/stream/value_text.h"

#include <stdlib.h>

enum { ALERT_DIGITS_MAX = 32, ALERT_DIGITS_LEAST = 4, VICTIM_MAX = 1000, BATCH_MAX = 4096 };
enum pass { PASS_FIND, PASS_LOOK, PASS_FOLLOW };

struct explaining {
    const struct command_line *line;
    const struct settings *settings;
    struct rule_set set;
    struct syntax *syntax;
    struct arena arena;
    struct inquiry *inquiry;
    enum pass pass;
    struct slice source, id;               /* --event; both empty for --alert */
    char alert[ALERT_DIGITS_MAX + 1];      /* --alert: digits without dashes */
    bool alert_more;                       /* more hits formed it than are shown */
    struct explain_target target[EXPLAIN_TARGET_MAX];
    uint32_t target_count;
    uint64_t last_seq;                     /* of the wanted events; 0 while it is not known */
    bool done;                             /* the pass has seen what it wants */
    struct explain_event *event;
    uint32_t event_count;
    struct explain_hit *hit;
    uint32_t hit_count;
    uint64_t hits_more;                    /* those there was no room for */
    struct slice victim[VICTIM_MAX];
    uint32_t victim_count;

    struct replay_input input[COMMAND_WORD_MAX];
    struct file_reader *reader[COMMAND_WORD_MAX];
    uint32_t input_count;
    struct progress progress;
    uint64_t events;
};

/* --- what is wanted --- */

static bool seq_wanted(const struct explaining *ex, uint64_t seq)
{
    for (uint32_t t = 0; t < ex->target_count; t++)
        if (ex->target[t].seq == seq)
            return true;
    return false;
}

static bool event_wanted(void *context, const struct event *event)
{
    const struct explaining *ex = context;
    if (ex->id.size)
        return slice_equal(event->id, ex->id) && slice_equal(event->source, ex->source);
    return seq_wanted(ex, event->seq);
}

static void watch_step(void *context, const struct state *state, struct step_watch *watch)
{
    struct explaining *ex = context;
    if (ex->pass == PASS_LOOK)
        *watch = inquiry_watch(ex->inquiry, state);
    else if (ex->pass == PASS_FOLLOW)
        *watch = inquiry_follow(ex->inquiry, state);
}

/* --- what comes out of a pass --- */

static struct slice end_text(const struct event *event, enum event_ref ref, uint32_t cash)
{
    return event->flags & cash ? SLICE("cash") : event_ref_text(event, ref);
}

static struct slice event_text(struct explaining *ex, const struct event *event)
{
    const struct program *program = ex->set.program;
    int year, month, dom;
    civil_date(zone_day(program->zone, event->time_ms), &year, &month, &dom);
    int second = (int)(zone_clock_ms(program->zone, event->time_ms) / 1000);
    struct slice from = end_text(event, REF_SENDER, EVENT_SENDER_CASH), to = end_text(event, REF_RECEIVER, EVENT_RECEIVER_CASH),
                 amount = value_text(program, NULL, &ex->arena, (struct value){event->amount_base, event->amount_base != MISSING_I64}, TYPE_MONEY);
    return arena_format(&ex->arena, "%.*s/%.*s, %04d-%02d-%02d %02d:%02d:%02d, %.*s -> %.*s, %.*s", (int)event->source.size, event->source.data,
                        (int)event->id.size, event->id.data, year, month, dom, second / 3600, second / 60 % 60, second % 60, (int)from.size,
                        from.size ? from.data : "", (int)to.size, to.size ? to.data : "", (int)amount.size, amount.data);
}

/* Keeps the wanted events; of several with one id the first that was scored. */
static bool take_events(void *context, const struct partition_table *table, const struct event *events, uint32_t count, struct error *err)
{
    struct explaining *ex = context;
    (void)table;
    (void)err;
    for (uint32_t i = 0; i < count; i++) {
        if (ex->pass == PASS_LOOK && ex->event_count <= ex->target_count && event_wanted(ex, &events[i])) {
            if (ex->id.size && ex->event_count)
                continue; /* a repeat of it */
            ex->event[ex->event_count++] = (struct explain_event){.seq = events[i].seq, .text = event_text(ex, &events[i]),
                                                                  .outcome = events[i].outcome, .late = (events[i].flags & EVENT_LATE) != 0};
            ex->last_seq = ex->id.size ? events[i].seq : ex->last_seq;
        }
    }
    ex->done |= ex->pass != PASS_FIND && ex->last_seq && count && events[count - 1].seq >= ex->last_seq;
    return true;
}

static bool event_kept(const struct explaining *ex, uint64_t seq)
{
    for (uint32_t e = 0; e < ex->event_count; e++)
        if (ex->event[e].seq == seq)
            return true;
    return false;
}

static void keep_subject(struct explaining *ex, struct explain_hit *keep, const struct hit_subject *subject)
{
    struct slice text = keep->points;
    keep->points = arena_format(&ex->arena, "%.*s    %.*s as %s, %d points%s\n", (int)text.size, text.size ? text.data : "",
                                (int)subject->text.size, subject->text.data, role_word(subject->role), subject->points,
                                subject->points && !subject->given && !keep->shadow ? ", not given again" : "");
    if (subject->role == ROLE_POSSIBLE_VICTIM && ex->victim_count < VICTIM_MAX && !command_option(ex->line, "unmask"))
        ex->victim[ex->victim_count++] = arena_copy(&ex->arena, subject->text);
}

static void keep_hit(struct explaining *ex, const struct hit *hit)
{
    if (ex->hit_count == EXPLAIN_HIT_MAX) {
        ex->hits_more++;
        return;
    }
    struct explain_hit *keep = &ex->hit[ex->hit_count++];
    bool to_give = false, given = false;
    *keep = (struct explain_hit){.seq = hit->seq, .rule = hit->rule, .key_count = hit->key_count, .say = arena_copy(&ex->arena, hit->say),
                                 .points = SLICE(""), .shadow = hit->shadow};
    for (uint8_t k = 0; k < hit->key_count; k++)
        keep->key[k] = arena_copy(&ex->arena, hit->key[k]);
    for (uint8_t s = 0; s < hit->subject_count; s++) {
        keep_subject(ex, keep, &hit->subject[s]);
        to_give |= hit->subject[s].points != 0;
        given |= hit->subject[s].given;
    }
    for (uint8_t l = 0; l < hit->let_count; l++)
        keep->lets = arena_format(&ex->arena, "%.*s%s%.*s = %.*s", (int)keep->lets.size, l ? keep->lets.data : "", l ? ", " : "",
                                  (int)hit->let[l].name.size, hit->let[l].name.data, (int)hit->let[l].value.size, hit->let[l].value.data);
    keep->counted = given || !to_give;
}

static bool alert_fits(const struct explaining *ex, const struct alert_revision *revision)
{
    char digits[2 * sizeof revision->id + 1];
    for (size_t i = 0; i < sizeof revision->id; i++)
        (void)snprintf(digits + 2 * i, 3, "%02x", revision->id[i]);
    return revision->revision == 1 && strncmp(digits, ex->alert, strlen(ex->alert)) == 0;
}

static void keep_alert(struct explaining *ex, const struct alert_revision *revision)
{
    for (uint32_t h = 0; h < revision->hit_count; h++) {
        if (ex->target_count == EXPLAIN_TARGET_MAX) {
            ex->alert_more = true;
            break;
        }
        ex->target[ex->target_count++] = (struct explain_target){revision->hit_seq[h], revision->hit_rule[h]};
        if (revision->hit_seq[h] > ex->last_seq)
            ex->last_seq = revision->hit_seq[h];
    }
    ex->done = true;
}

static void show_progress(struct explaining *ex, const struct output *output)
{
    uint64_t done = 0, total = 0;
    for (int i = 0; i < OUTCOME_COUNT; i++)
        ex->events += output->outcome[i];
    for (uint32_t i = 0; i < ex->input_count; i++) {
        uint64_t file_done, file_size;
        file_reader_progress(ex->reader[i], &file_done, &file_size);
        done += file_done;
        total += file_size;
    }
    progress_show(&ex->progress, done, total, ex->events);
}

static bool take_results(void *context, const struct output *output, const struct rejection *decoded, uint32_t decoded_count,
                         struct error *err)
{
    struct explaining *ex = context;
    (void)decoded;
    (void)decoded_count;
    (void)err;
    for (uint32_t h = 0; ex->pass == PASS_LOOK && h < output->hit_count; h++)
        if (event_kept(ex, output->hit[h].seq))
            keep_hit(ex, &output->hit[h]);
    for (uint32_t r = 0; ex->pass == PASS_FIND && r < output->revision_count && !ex->done; r++)
        if (alert_fits(ex, &output->revision[r]))
            keep_alert(ex, &output->revision[r]);
    show_progress(ex, output);
    return true;
}

static bool is_done(void *context)
{
    return ((const struct explaining *)context)->done;
}

/* --- passes --- */

static bool open_inputs(struct explaining *ex, size_t line_max, struct error *err)
{
    ex->input_count = 0;
    for (int i = 1; i < ex->line->word_count; i++) {
        struct file_reader *reader = file_reader_open(ex->line->word[i], line_max, err);
        if (!reader)
            return false;
        ex->reader[ex->input_count] = reader;
        ex->input[ex->input_count++] = (struct replay_input){.self = reader, .read = file_reader_read};
    }
    return true;
}

static bool run_pass(struct explaining *ex, enum pass pass, struct error *err)
{
    static const char *const verb[] = {"searched", "looked at", "followed"};
    const char *log_dir = command_option(ex->line, "log");
    struct log_settings log = log_settings_of(ex->settings);
    struct replay_summary summary;
    struct replay_settings replay = {.threads = 1, .batch_max = BATCH_MAX, .program = ex->set.program, .step = step_settings_of(ex->settings),
                                     .decode = decode_settings_of(ex->settings, ex->set.rates), .context = ex, .results = take_results,
                                     .events = take_events, .stop = is_done, .watch = watch_step};
    log.dir = log_dir;
    ex->pass = pass;
    ex->done = false;
    ex->events = 0;
    progress_begin(&ex->progress, verb[pass], command_option(ex->line, "quiet") != NULL);
    bool ok = log_dir ? replay_log(&replay, &log, &summary, err)
                      : open_inputs(ex, replay.decode.message_bytes_max, err) &&
                            replay_files(&replay, ex->input, ex->input_count, &summary, err);
    progress_end(&ex->progress);
    for (uint32_t i = 0; i < ex->input_count; i++)
        file_reader_close(ex->reader[i]);
    ex->input_count = 0;
    return ok;
}

static int print_page(struct explaining *ex)
{
    uint32_t looks;
    uint64_t more;
    (void)inquiry_looks(ex->inquiry, &looks, &more);
    const struct explanation page = {.program = ex->set.program, .syntax = ex->syntax, .inquiry = ex->inquiry, .arena = &ex->arena,
                                     .whole = ex->id.size > 0, .event = ex->event, .event_count = ex->event_count, .hit = ex->hit,
                                     .hit_count = ex->hit_count, .target = ex->target, .target_count = ex->target_count,
                                     .victim = ex->victim, .victim_count = ex->victim_count, .looks_more = more,
                                     .hits_more = ex->hits_more, .alert_more = ex->alert_more};
    if (command_option(ex->line, "json"))
        explain_json(&page, stdout);
    else
        explain_print(&page, stdout);
    return EXIT_FINE;
}

static int explain_passes(struct explaining *ex)
{
    const struct command_line *line = ex->line;
    const char *late = command_option(line, "log") ? "; the log may lag behind the engine by log_wait_ms: try once more" : "";
    struct error err = {0};
    if (ex->alert[0]) {
        if (!run_pass(ex, PASS_FIND, &err))
            return command_fail(line, EXIT_WORLD, "%s", err.text);
        if (!ex->target_count)
            return command_fail(line, EXIT_FINDING, "with these rules the stream gives no alert whose id begins with %s%s", ex->alert, late);
    }
    ex->event = ARENA_ARRAY(&ex->arena, struct explain_event, ex->target_count + 1u);
    ex->hit = ARENA_ARRAY(&ex->arena, struct explain_hit, EXPLAIN_HIT_MAX);
    ex->inquiry = inquiry_new(ex->set.program, event_wanted, ex);
    if (!run_pass(ex, PASS_LOOK, &err))
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    if (!ex->event_count)
        return command_fail(line, EXIT_FINDING, "the stream has no event %s (%llu events were read)%s", command_option(line, "event"),
                            (unsigned long long)ex->events, late);
    if (!run_pass(ex, PASS_FOLLOW, &err))
        return command_fail(line, EXIT_WORLD, "%s", err.text);
    return print_page(ex);
}

/* --- the command --- */

/* What --event or --alert names; says what is wrong with it. */
static bool wanted_read(struct explaining *ex)
{
    const char *event = command_option(ex->line, "event"), *alert = command_option(ex->line, "alert");
    if (event) {
        const char *slash = strchr(event, '/');
        if (!slash || slash == event || !slash[1]) {
            (void)command_fail(ex->line, EXIT_USAGE, "--event names a source and an id, such as bank_a/2026-17");
            return false;
        }
        ex->source = (struct slice){event, (size_t)(slash - event)};
        ex->id = slice_of(slash + 1);
        return true;
    }
    size_t digits = 0;
    bool good = true;
    for (; *alert && good; alert++) {
        if (*alert == '-')
            continue;
        good = digits < ALERT_DIGITS_MAX && strchr("0123456789abcdef", *alert) != NULL;
        if (good)
            ex->alert[digits++] = *alert;
    }
    if (good && digits >= ALERT_DIGITS_LEAST)
        return true;
    (void)command_fail(ex->line, EXIT_USAGE, "--alert takes at least the first %d digits (0-9, a-f) of an alert's id", ALERT_DIGITS_LEAST);
    return false;
}

static bool words_fit(const struct command_line *line)
{
    bool log = command_option(line, "log") != NULL, both = command_option(line, "event") && command_option(line, "alert");
    bool files = line->word_count > 1;
    for (int i = 1; i < line->word_count; i++)
        if (strcmp(line->word[i], "-") == 0) {
            (void)command_fail(line, EXIT_USAGE, "standard input cannot be read twice: name a file");
            return false;
        }
    if (line->word_count > 0 && log != files && !both)
        return true;
    (void)command_fail(line, EXIT_USAGE, "name the folder of rules, one of --event and --alert, and either files or --log DIR");
    return false;
}

static int explain_with(struct explaining *ex)
{
    const struct command_line *line = ex->line;
    const char *rates = command_option(line, "rates");
    struct error err = {0};
    int code = rule_set_load(line, line->word[0], rates ? rates : ex->settings->rates_file, EXIT_FINDING, &ex->set);
    if (code != EXIT_FINE)
        return code;
    struct diagnostics *again = diagnostics_new();
    ex->syntax = syntax_load(line->word[0], again, &err);
    code = ex->syntax ? explain_passes(ex) : command_fail(line, EXIT_WORLD, "%s", err.text);
    diagnostics_free(again);
    return code;
}

int explain_event(const struct command_line *line)
{
    struct settings settings;
    struct explaining *ex = calloc(1, sizeof *ex);
    invariant(ex != NULL);
    int code = EXIT_USAGE;
    ex->line = line;
    arena_init(&ex->arena);
    bool set = command_settings(line, &settings);
    ex->settings = &settings;
    if (set && words_fit(line) && wanted_read(ex))
        code = explain_with(ex);
    inquiry_free(ex->inquiry);
    syntax_free(ex->syntax);
    rule_set_fini(&ex->set);
    arena_fini(&ex->arena);
    settings_fini(&settings);
    free(ex);
    return code;
}
