/* `muster size`: the memory, disk and machine that a rule set needs at a rate and a number of accounts. */
#include "engine/cli/command.h"
#include "engine/cli/rule_set.h"
#include "engine/cli/sizing.h"
#include "engine/base/json_writer.h"
#include "engine/stream/cost.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

static const double GIB = 1024.0 * 1024 * 1024;
enum { FULL_SHARE = 80 /* of a machine's memory, in hundredths: the rest is the system's and its page cache's */ };

static double day_messages(const struct sizing *sizing)
{
    return sizing->question.rate * 86400;
}

/* The least usual size that holds it while it catches up. */
static double machine_gib(const struct sizing *sizing)
{
    double gib = 2;
    while (gib * GIB * FULL_SHARE / 100 < sizing_full(sizing))
        gib *= 2;
    return gib;
}

/* --- as text --- */

static void print_count(const char *name, double count, double bytes)
{
    char text[BYTES_TEXT_MAX];
    bytes_text(bytes, text);
    if (count >= 0)
        printf("  %-58s %14.0f %12s\n", name, count, text);
    else
        printf("  %-58s %14s %12s\n", name, "", text);
}

static void print_bytes(const char *name, double bytes)
{
    print_count(name, -1, bytes);
}

/* The same with a name of two parts, unless there is nothing of it. */
static void print_named(const char *what, const char *of, double count, double bytes)
{
    char name[128];
    if (count < 0.5 && bytes < 0.5)
        return;
    (void)snprintf(name, sizeof name, "%s%.40s", what, of);
    print_count(name, count, bytes);
}

/* What all windows of a keyspace keep, by kind. */
static struct size_window_part windows_of(const struct sizing *sizing, uint16_t k)
{
    struct size_window_part all = {0};
    for (uint16_t w = 0; w < sizing->sample.plan->layout.keyspace[k].window_count; w++) {
        const struct size_window_part *part = &sizing->state.keyspace[k].window[w];
        const struct size_part *const from[] = {&part->window, &part->record, &part->id, &part->day, &part->habit};
        struct size_part *const to[] = {&all.window, &all.record, &all.id, &all.day, &all.habit};
        for (int i = 0; i < 5; i++) {
            to[i]->count += from[i]->count;
            to[i]->bytes += from[i]->bytes;
        }
    }
    return all;
}

static void print_keyspace(const struct sizing *sizing, uint16_t k)
{
    const struct program *program = sizing->program;
    const struct size_keyspace_part *part = &sizing->state.keyspace[k];
    const char *label = program->keyspace[k].label;
    const struct size_window_part all = windows_of(sizing, k);
    print_named(program->keyspace[k].form == KEY_SEEN ? "what is new: " : "keys: ", label, part->key.count, part->key.bytes);
    print_named("  windows of ", label, all.window.count, all.window.bytes);
    print_named("  their records", "", all.record.count, all.record.bytes);
    print_named("  their tables of different values", "", all.id.count, all.id.bytes);
    print_named("  their days (windows above 30 days)", "", all.day.count, all.day.bytes);
    print_named("  their habits (`usual`)", "", all.habit.count, all.habit.bytes);
    for (uint16_t m = 0; m < program->memory_count; m++) {
        const struct memory *memory = &program->memory[m];
        char name[64];
        if (memory->keyspace != k)
            continue;
        (void)snprintf(name, sizeof name, "%.*s", (int)memory->name.size, memory->name.data);
        const struct size_part *kept = &part->memory[sizing->sample.plan->memory[m].memory];
        print_named(memory->seen ? "  when last: " : memory->fact ? "  fact " : "  memory ", name, kept->count, kept->bytes);
    }
}

static void print_state(const struct sizing *sizing)
{
    const struct size_state *state = &sizing->state;
    char text[BYTES_TEXT_MAX];
    printf("%-60s %14s %12s\n", "state", "count", "bytes");
    print_count("accounts", state->account.count, state->account.bytes);
    print_count("devices, parties, places and what else is named", state->other.count, state->other.bytes);
    print_count("ids of events, against repeats", state->repeat.count, state->repeat.bytes);
    print_named("end-to-end references, against second reports", "", state->join.count, state->join.bytes);
    for (uint16_t k = 0; k < sizing->program->keyspace_count; k++)
        print_keyspace(sizing, k);
    print_named("scores of subjects, `once per`", "", -1, state->score.bytes);
    print_bytes("blocks given back and not used again yet", state->held - state->used);
    bytes_text(state->held, text);
    printf("  %-73s %12s\n\n", "all of it", text);
}

static void print_row(const char *name, double even, double full)
{
    char a[BYTES_TEXT_MAX], b[BYTES_TEXT_MAX];
    bytes_text(even, a);
    bytes_text(full, b);
    printf("  %-58s %14s %12s\n", name, a, b);
}

static void print_process(const struct sizing *sizing)
{
    const struct footprint *even = &sizing->even, *full = &sizing->full;
    printf("%-60s %14s %12s\n", "memory of `muster run`", "at the rate", "catching up");
    print_row("the program, its libraries and their threads", sizing->base_bytes + sizing->run_bytes, sizing->base_bytes + sizing->run_bytes);
    print_row("state", sizing->state.held, sizing->state.held);
    print_row("blocks on their way (batch_max, queue_blocks_max)", even->blocks, full->blocks);
    print_row("the batch at work (batch_max, threads)", even->batch, full->batch);
    print_row("fetched from Kafka (kafka_fetch_mb)", even->fetch, full->fetch);
    print_row("log", even->log, full->log);
    print_row("checkpoint: a shard, read and packed", even->checkpoint, full->checkpoint);
    print_row("checkpoint: pages kept as they were", even->copies, full->copies);
    print_row("all of it", sizing_even(sizing), sizing_full(sizing));
    print_row("`muster replay` of a file with as many events", sizing_replay(sizing), sizing_replay(sizing));
    putchar('\n');
}

static void print_rules(const struct sizing *sizing)
{
    const struct program *program = sizing->program;
    uint16_t dearest = 0, busiest = 0;
    double most = -1, work = -1;
    char text[4][BYTES_TEXT_MAX];
    printf("%-16s %12s %12s %12s %10s %8s %10s %10s\n", "rule", "bytes", "of it usual", "of it is new", "bytes/key", "of new", "judged/ev.",
           "steps/ev.");
    for (uint16_t r = 0; r < program->rule_count; r++) {
        struct rule_size size;
        const struct rule_cost *cost = &sizing->cost[r];
        sizing_rule(sizing, r, &size);
        double steps = sizing->sample.judged[r] * cost->steps;
        bytes_text(size.bytes, text[0]);
        bytes_text(size.habit_bytes, text[1]);
        bytes_text(size.seen_bytes, text[2]);
        printf("%-16.*s %12s %12s %12s %10zu %8zu %10.3f %10.1f\n", (int)program->rule[r].id.size, program->rule[r].id.data, text[0],
               cost->habits ? text[1] : "-", cost->seen ? text[2] : "-", cost->key_bytes, cost->seen_bytes, sizing->sample.judged[r], steps);
        if (size.bytes > most) {
            most = size.bytes;
            dearest = r;
        }
        if (steps > work) {
            work = steps;
            busiest = r;
        }
    }
    if (!program->rule_count)
        return;
    bytes_text(most, text[3]);
    printf("most memory: %.*s, %s; most work: %.*s, %.1f steps for each event\n"
           "(what rules share is divided among them; bytes/key: one key with one event; of new: each value that `is new` remembers)\n\n",
           (int)program->rule[dearest].id.size, program->rule[dearest].id.data, text[3], (int)program->rule[busiest].id.size,
           program->rule[busiest].id.data, work);
}

static void print_assumptions(const struct sizing *sizing)
{
    const struct sizing_question *question = &sizing->question;
    const struct sample *sample = &sizing->sample;
    printf("%g events/s over %lld days, %.0f accounts that move money in that time\n", question->rate, (long long)question->days,
           question->accounts);
    if (question->sample)
        printf("shares: from %s, %llu messages of %.0f accounts over %.1f days", question->sample, (unsigned long long)sample->messages,
               sample->accounts, (double)sample->span_ms / 86400e3);
    else
        printf("ASSUMED shares: of the built-in generator, %llu messages of %.0f accounts over %.1f days; --sample FILE takes your own",
               (unsigned long long)sample->messages, sample->accounts, (double)sample->span_ms / 86400e3);
    printf("\n        each message: %.0f bytes, %.2f visits of keys, %.4f hits, %.5f revisions; accounts taken %.3g times over\n", sample->body_bytes,
           sample->touched, sample->hits, sample->revisions, sizing->stretch);
    puts("ASSUMED: events of an account come at an even pace; further accounts are like those of the sample; facts from files are not counted\n");
    if (sizing->stretch == 0)
        printf("WARNING: at this rate fewer than %.0f accounts can be named in %lld days: this is for %.0f\n\n", question->accounts,
               (long long)question->days, sizing->state.account.count);
}

static void print_machine(const struct sizing *sizing, const struct settings *settings)
{
    const struct sample *sample = &sizing->sample;
    double messages = day_messages(sizing), shard_mb = sizing->state.held / SHARD_COUNT / 1048576;
    char log[BYTES_TEXT_MAX], all[BYTES_TEXT_MAX], checkpoint[BYTES_TEXT_MAX];
    bytes_text(messages * sample->log_bytes, log);
    bytes_text(messages * sample->log_bytes * (double)settings->log_days, all);
    bytes_text(3 * sizing->state.held, checkpoint);
    printf("disk: log %s a day, %s in log_days; checkpoints up to %s (three, before packing)\n", log, all, checkpoint);
    printf("PostgreSQL, rows a day: %.0f hits, %.0f revisions, %.0f hits of open alerts, %.0f rejections\n", messages * sample->hits,
           messages * sample->revisions, messages * sample->alert_hits, messages * (double)sample->refused / (double)sample->messages);
    printf("machine: %.0f GiB of memory (a fifth stays free while it catches up), %.0f cores or more\n", machine_gib(sizing),
           fmax(2, ceil(sizing->question.rate * sample->step_ns / 1e9 * 4)));
    if (shard_mb > (double)settings->shard_mb_max)
        printf("WARNING: a shard needs %.0f MiB and shard_mb_max is %lld: raise it, or the engine forgets\n", shard_mb,
               (long long)settings->shard_mb_max);
}

/* --- as JSON --- */

static void json_part(struct json_writer *json, const char *name, const struct size_part *part)
{
    json_open_object(json, name);
    json_number(json, "count", llround(part->count));
    json_number(json, "bytes", llround(part->bytes));
    json_close_object(json);
}

static void json_footprint(struct json_writer *json, const char *name, const struct footprint *footprint, double all)
{
    json_open_object(json, name);
    json_number(json, "blocks", llround(footprint->blocks));
    json_number(json, "batch", llround(footprint->batch));
    json_number(json, "fetch", llround(footprint->fetch));
    json_number(json, "log", llround(footprint->log));
    json_number(json, "checkpoint", llround(footprint->checkpoint));
    json_number(json, "copies", llround(footprint->copies));
    json_number(json, "all", llround(all));
    json_close_object(json);
}

static void json_state(struct json_writer *json, const struct sizing *sizing)
{
    const struct size_state *state = &sizing->state;
    json_open_object(json, "state");
    json_part(json, "accounts", &state->account);
    json_part(json, "others", &state->other);
    json_part(json, "repeats", &state->repeat);
    json_part(json, "joins", &state->join);
    json_number(json, "score_bytes", llround(state->score.bytes));
    json_open_array(json, "keyspaces");
    for (uint16_t k = 0; k < sizing->program->keyspace_count; k++) {
        const struct size_window_part all = windows_of(sizing, k);
        struct size_part memory = {0};
        for (uint16_t m = 0; m < sizing->sample.plan->layout.keyspace[k].memory_count; m++) {
            memory.count += state->keyspace[k].memory[m].count;
            memory.bytes += state->keyspace[k].memory[m].bytes;
        }
        json_open_object(json, NULL);
        json_text(json, "key", slice_of(sizing->program->keyspace[k].label));
        json_part(json, "keys", &state->keyspace[k].key);
        json_part(json, "windows", &all.window);
        json_part(json, "records", &all.record);
        json_part(json, "values", &all.id);
        json_part(json, "days", &all.day);
        json_part(json, "habits", &all.habit);
        json_part(json, "memories", &memory);
        json_close_object(json);
    }
    json_close_array(json);
    json_number(json, "used", llround(state->used));
    json_number(json, "held", llround(state->held));
    json_close_object(json);
}

static void json_rules(struct json_writer *json, const struct sizing *sizing)
{
    json_open_array(json, "rules");
    for (uint16_t r = 0; r < sizing->program->rule_count; r++) {
        struct rule_size size;
        const struct rule_cost *cost = &sizing->cost[r];
        sizing_rule(sizing, r, &size);
        json_open_object(json, NULL);
        json_text(json, "rule", sizing->program->rule[r].id);
        json_number(json, "bytes", llround(size.bytes));
        json_number(json, "usual_bytes", llround(size.habit_bytes));
        json_number(json, "new_bytes", llround(size.seen_bytes));
        json_number(json, "key_bytes", (int64_t)cost->key_bytes);
        json_number(json, "new_value_bytes", (int64_t)cost->seen_bytes);
        json_number(json, "steps", cost->steps);
        json_number(json, "judged_per_million", llround(sizing->sample.judged[r] * 1e6));
        json_close_object(json);
    }
    json_close_array(json);
}

static void print_json(const struct sizing *sizing)
{
    struct json_writer json;
    json_writer_init(&json);
    json_open_object(&json, NULL);
    json_number(&json, "days", sizing->question.days);
    json_bool(&json, "assumed", sizing->question.sample == NULL);
    json_bool(&json, "reachable", sizing->stretch > 0);
    json_number(&json, "sample_messages", (int64_t)sizing->sample.messages);
    json_number(&json, "base", llround(sizing->base_bytes));
    json_number(&json, "run", llround(sizing->run_bytes));
    json_state(&json, sizing);
    json_footprint(&json, "at_the_rate", &sizing->even, sizing_even(sizing));
    json_footprint(&json, "catching_up", &sizing->full, sizing_full(sizing));
    json_footprint(&json, "replay", &sizing->replay, sizing_replay(sizing));
    json_number(&json, "log_bytes_per_day", llround(day_messages(sizing) * sizing->sample.log_bytes));
    json_number(&json, "machine_gib", llround(machine_gib(sizing)));
    json_rules(&json, sizing);
    json_close_object(&json);
    json_line(&json);
    (void)fwrite(json.text, 1, json.size, stdout);
    json_writer_fini(&json);
}

/* --- the command --- */

static bool question_read(const struct command_line *line, struct sizing_question *question)
{
    int64_t accounts;
    *question = (struct sizing_question){.sample = command_option(line, "sample")};
    if (!command_decimal(line, "rate", 0.001, 1e7, 0, &question->rate) || !command_number(line, "accounts", 1, 4000000000, 0, &accounts) ||
        !command_number(line, "days", 1, 3660, 0, &question->days))
        return false;
    question->accounts = (double)accounts;
    if (question->rate > 0 && accounts > 0)
        return true;
    (void)command_fail(line, EXIT_USAGE, "--rate R (events per second) and --accounts N are needed");
    return false;
}

static int size_with(const struct command_line *line, const struct settings *settings, const struct rule_set *set,
                     const struct sizing_question *question)
{
    struct sizing sizing;
    struct error err = {0};
    bool ok = sizing_make(settings, set->program, set->rates, question, &sizing, &err);
    if (ok && command_option(line, "json")) {
        print_json(&sizing);
    } else if (ok) {
        print_assumptions(&sizing);
        print_state(&sizing);
        print_process(&sizing);
        print_rules(&sizing);
        print_machine(&sizing, settings);
    }
    sizing_fini(&sizing);
    return ok ? EXIT_FINE : command_fail(line, EXIT_WORLD, "%s", err.text);
}

int cmd_size(const struct command_line *line)
{
    struct settings settings;
    struct rule_set set = {0};
    struct sizing_question question;
    const char *rules = command_option(line, "rules"), *rates = command_option(line, "rates");
    int code = command_settings(line, &settings) && question_read(line, &question) ? EXIT_FINE : EXIT_USAGE;
    if (code == EXIT_FINE)
        code = rule_set_load(line, rules ? rules : settings.rules_dir, rates ? rates : settings.rates_file, EXIT_USAGE, &set);
    if (code == EXIT_FINE)
        code = size_with(line, &settings, &set, &question);
    rule_set_fini(&set);
    settings_fini(&settings);
    return code;
}
