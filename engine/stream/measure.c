/* Runs a pass, times texts beside it, and divides what was timed among the rules. */
#include "engine/stream/measure.h"

#include "engine/base/invariant.h"
#include "engine/stream/cost.h"
#include "engine/stream/crew.h"
#include "engine/stream/intake.h"
#include "rules/lang/limit.h"
#include "rules/lang/text.h"

#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 4096 };

struct pass {
    const struct measure_settings *settings;
    struct measured *out;
    struct meter *meter;          /* NULL: as replay would */
    struct crew *crew;
    struct step *step;
    struct intake *intake;
    struct order *order;
    struct block *block;
    struct text_scratch *scratch;
    int64_t position;
    uint64_t seq;
    double pair_ticks, cpu_ns, step_ns;
};

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now); /* statistics only */
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static bool pass_open(struct pass *pass, struct error *err)
{
    struct step_settings step = pass->settings->step;
    struct intake_settings intake = {.program = pass->settings->program, .decode = pass->settings->decode, .inline_below = UINT32_MAX};
    step.partition_max = 1;
    randombytes_buf(intake.decode.hash_key, sizeof intake.decode.hash_key);
    pass->crew = crew_new(1, err);
    if (!pass->crew)
        return false;
    intake.crew = pass->crew;
    pass->step = step_new(pass->settings->program, &step, pass->crew, intake.decode.hash_key, err);
    pass->intake = pass->step ? intake_new(&intake, err) : NULL;
    pass->order = order_new(1);
    pass->block = block_new(BATCH, 1, 1);
    pass->scratch = text_scratch_new();
    return pass->intake != NULL;
}

static void pass_close(struct pass *pass)
{
    text_scratch_free(pass->scratch);
    block_free(pass->block);
    order_free(pass->order);
    intake_free(pass->intake);
    step_free(pass->step);
    if (pass->crew)
        crew_free(pass->crew);
}

/* Decode has matched them already: here once more, one at a time. */
static void time_texts(struct pass *pass)
{
    const struct program *program = pass->settings->program;
    for (uint32_t i = 0; i < pass->block->event_count; i++) {
        struct slice narrative = pass->block->event[i].narrative;
        for (uint16_t t = 0; narrative.size && t < program->text_count; t++) {
            struct meter_text *text = &pass->meter->text[t];
            uint64_t runs = text_scratch_runs(pass->scratch), begun = meter_ticks();
            (void)text_match(program->text[t], pass->scratch, narrative);
            meter_add(pass->meter, &text->cost, begun);
            runs = text_scratch_runs(pass->scratch) - runs;
            text->run += runs;
            text->reached += runs > 0;
        }
    }
}

static void pass_run(struct pass *pass)
{
    const struct measure_settings *settings = pass->settings;
    struct block *block = pass->block;
    for (uint32_t from = 0; from < settings->count; from += block->message_count) {
        block_clear(block);
        block->message_count = settings->count - from < BATCH ? settings->count - from : BATCH;
        memcpy(block->message, settings->message + from, block->message_count * sizeof *block->message);
        double begun = cpu_ns();
        intake_range(block, &pass->position);
        intake_sequence(pass->intake, block, pass->order, pass->seq + 1);
        double between = cpu_ns();
        step_run(pass->step, block->event, block->event_count, &block->results, &block->output);
        double end = cpu_ns();
        pass->seq = block->journal.last_seq;
        pass->cpu_ns += end - begun;
        pass->step_ns += end - between;
        pass->out->events += block->event_count;
        pass->out->hits += block->output.hit_count;
        if (pass->meter)
            time_texts(pass);
        if (settings->progress)
            settings->progress(settings->context, from + block->message_count);
    }
}

/* --- dividing --- */

/* Readers of each stream, memory and text. */
struct readers {
    uint16_t *stream, *memory, *text;
};

static uint64_t expr_texts(const struct expr *expr)
{
    uint64_t texts = 0;
    for (uint16_t n = 0; n < expr->count; n++)
        texts |= expr->node[n].op == OP_MATCHES ? (uint64_t)1 << expr->node[n].imm : 0;
    return texts;
}

/* Texts that a rule names: in its body, in its sources, in the memories that these ask. */
static uint64_t rule_texts(const struct program *program, const struct rule *rule)
{
    uint16_t stream[LIMIT_STREAMS], memory[LIMIT_MEMORIES];
    uint16_t streams = rule_streams(program, rule, stream), memories = rule_memories(program, rule, memory);
    uint64_t texts = expr_texts(&rule->body);
    for (uint16_t i = 0; i < streams; i++)
        texts |= expr_texts(&program->stream[stream[i]].filter);
    for (uint16_t i = 0; i < memories; i++)
        texts |= expr_texts(&program->memory[memory[i]].filter);
    return texts;
}

static void count_readers(const struct program *program, struct arena *arena, struct readers *readers)
{
    readers->stream = ARENA_ARRAY(arena, uint16_t, program->stream_count + 1);
    readers->memory = ARENA_ARRAY(arena, uint16_t, program->memory_count + 1);
    readers->text = ARENA_ARRAY(arena, uint16_t, program->text_count + 1);
    for (uint16_t r = 0; r < program->rule_count; r++) {
        uint16_t stream[LIMIT_STREAMS], memory[LIMIT_MEMORIES];
        uint16_t streams = rule_streams(program, &program->rule[r], stream), memories = rule_memories(program, &program->rule[r], memory);
        for (uint16_t i = 0; i < streams; i++)
            readers->stream[stream[i]]++;
        for (uint16_t i = 0; i < memories; i++)
            readers->memory[memory[i]]++;
        for (uint64_t left = rule_texts(program, &program->rule[r]); left; left &= left - 1)
            readers->text[__builtin_ctzll(left)]++;
    }
}

static double share_ns(const struct pass *pass, const struct meter_cost *cost, uint16_t readers)
{
    return meter_ns(pass->meter, cost, pass->pair_ticks) / readers / (double)pass->out->events;
}

static void add_source(const struct pass *pass, const struct meter_stream *source, uint16_t readers, struct measured_rule *out)
{
    out->filter_ns += share_ns(pass, &source->filter, readers);
    out->record_ns += share_ns(pass, &source->record, readers);
    out->filters += (double)source->filter.count / readers / (double)pass->out->events;
}

static void add_texts(const struct pass *pass, uint64_t texts, const struct readers *readers, struct measured_rule *out)
{
    double asked = 0, reached = 0, dearest = -1;
    for (uint64_t left = texts; left; left &= left - 1) {
        uint16_t t = (uint16_t)__builtin_ctzll(left);
        const struct meter_text *text = &pass->meter->text[t];
        double ns = share_ns(pass, &text->cost, readers->text[t]);
        out->text_ns += ns;
        asked += (double)text->cost.count;
        reached += (double)text->reached;
        if (ns > dearest) {
            dearest = ns;
            out->text = t;
        }
    }
    out->text_reached = texts ? asked > 0 ? reached / asked : 0 : -1;
}

/* What state holds, by keyspace. */
struct census_all {
    struct census *cells;         /* by keyspace */
    struct census **window, **memory;
    double *readers;              /* rules that have the keyspace as theirs */
};

static void take_census(const struct pass *pass, struct arena *arena, struct census_all *out)
{
    const struct program *program = pass->settings->program;
    const struct state_layout *layout = step_layout(pass->step);
    out->cells = ARENA_ARRAY(arena, struct census, program->keyspace_count + 1);
    out->window = ARENA_ARRAY(arena, struct census *, program->keyspace_count + 1);
    out->memory = ARENA_ARRAY(arena, struct census *, program->keyspace_count + 1);
    out->readers = ARENA_ARRAY(arena, double, program->keyspace_count + 1);
    for (uint16_t k = 0; k < program->keyspace_count; k++) {
        out->window[k] = ARENA_ARRAY(arena, struct census, layout->keyspace[k].window_count + 1);
        out->memory[k] = ARENA_ARRAY(arena, struct census, layout->keyspace[k].memory_count + 1);
        state_census(step_state(pass->step), k, &out->cells[k], out->window[k], out->memory[k]);
        pass->out->state_bytes += (double)out->cells[k].bytes;
        for (uint16_t w = 0; w < layout->keyspace[k].window_count; w++)
            pass->out->state_bytes += (double)out->window[k][w].bytes;
        for (uint16_t m = 0; m < layout->keyspace[k].memory_count; m++)
            pass->out->state_bytes += (double)out->memory[k][m].bytes;
    }
    for (uint16_t r = 0; r < program->rule_count; r++)
        out->readers[program->rule[r].keyspace]++;
}

static void add_state(const struct census_all *census, const struct plan *plan, const struct readers *readers, uint16_t index,
                      struct measured_rule *out)
{
    const struct program *program = plan->program;
    const struct rule *rule = &program->rule[index];
    uint16_t stream[LIMIT_STREAMS], memory[LIMIT_MEMORIES];
    uint16_t streams = rule_streams(program, rule, stream), memories = rule_memories(program, rule, memory);
    if (program->keyspace[rule->keyspace].form != KEY_TRANSFER)
        out->state_bytes += (double)census->cells[rule->keyspace].bytes / census->readers[rule->keyspace];
    for (uint16_t i = 0; i < streams; i++) {
        const struct census *at = &census->window[program->stream[stream[i]].keyspace][plan->stream[stream[i]].window];
        out->keys = fmax(out->keys, (double)at->keys);
        out->state_bytes += (double)at->bytes / readers->stream[stream[i]];
    }
    for (uint16_t i = 0; i < memories; i++) {
        const struct memory *def = &program->memory[memory[i]];
        if (def->file)
            continue;
        double bytes = (double)census->memory[def->keyspace][plan->memory[memory[i]].memory].bytes;
        if (def->seen)
            bytes += (double)census->cells[def->keyspace].bytes;
        out->state_bytes += bytes / readers->memory[memory[i]];
    }
}

static void conclude_rule(const struct pass *pass, const struct readers *readers, uint16_t r, struct measured_rule *out)
{
    const struct program *program = pass->settings->program;
    const struct meter_rule *from = &pass->meter->rule[r];
    uint16_t stream[LIMIT_STREAMS], memory[LIMIT_MEMORIES];
    uint16_t streams = rule_streams(program, &program->rule[r], stream), memories = rule_memories(program, &program->rule[r], memory);
    double match_ns = meter_ns(pass->meter, &from->match, pass->pair_ticks), miss_ns = meter_ns(pass->meter, &from->miss, pass->pair_ticks);
    *out = (struct measured_rule){.checks = from->match.count + from->miss.count,
                                  .matches = from->match.count,
                                  .hits = from->hits,
                                  .searched = from->searched,
                                  .match_ns = from->match.count ? match_ns / (double)from->match.count : 0,
                                  .miss_ns = from->miss.count ? miss_ns / (double)from->miss.count : 0,
                                  .p99_ns = meter_p99_ns(pass->meter, from, pass->pair_ticks),
                                  .judge_ns = (match_ns + miss_ns) / (double)pass->out->events,
                                  .text = UINT16_MAX};
    for (uint16_t i = 0; i < streams; i++)
        add_source(pass, &pass->meter->stream[stream[i]], readers->stream[stream[i]], out);
    for (uint16_t i = 0; i < memories; i++)
        add_source(pass, &pass->meter->memory[memory[i]], readers->memory[memory[i]], out);
    add_texts(pass, rule_texts(program, &program->rule[r]), readers, out);
}

static void count_timings(struct pass *pass)
{
    const struct program *program = pass->settings->program;
    const struct meter *meter = pass->meter;
    struct measured *out = pass->out;
    out->timings = meter->index.count;
    for (uint16_t r = 0; r < program->rule_count; r++)
        out->timings += meter->rule[r].match.count + meter->rule[r].miss.count;
    for (uint16_t s = 0; s < program->stream_count; s++)
        out->timings += meter->stream[s].filter.count + meter->stream[s].record.count;
    for (uint16_t t = 0; t < program->text_count; t++)
        out->text_ns += meter_ns(meter, &meter->text[t].cost, pass->pair_ticks) / (double)out->events;
    out->index_ns = meter_ns(meter, &meter->index, pass->pair_ticks) / (double)out->events;
    out->interrupted = meter->interrupted;
    out->clock_ns = pass->pair_ticks / meter->ticks_per_ns;
}

static void conclude(struct pass *pass, struct arena *arena)
{
    const struct program *program = pass->settings->program;
    struct measured_rule *rule = ARENA_ARRAY(arena, struct measured_rule, program->rule_count + 1);
    struct readers readers;
    struct census_all census;
    struct plan *plan = plan_new(program, &(struct plan_settings){.lateness_ms = pass->settings->step.lateness_ms,
                                                                  .shard_bytes_max = pass->settings->step.shard_bytes_max});
    const struct rule_cost *cost = rule_costs(plan, arena);
    count_readers(program, arena, &readers);
    count_timings(pass);
    take_census(pass, arena, &census);
    for (uint16_t r = 0; r < program->rule_count; r++) {
        conclude_rule(pass, &readers, r, &rule[r]);
        add_state(&census, plan, &readers, r, &rule[r]);
        rule[r].key_bytes = (double)cost[r].key_bytes;
    }
    pass->out->rule = rule;
    plan_free(plan);
}

bool measure_pass(const struct measure_settings *settings, bool metered, struct arena *arena, struct measured *out, struct error *err)
{
    struct pass pass = {.settings = settings, .out = out, .position = -1};
    *out = (struct measured){0};
    bool ok = pass_open(&pass, err);
    if (ok && metered) {
        pass.meter = meter_new(settings->program);
        pass.pair_ticks = meter_pair_ticks();
        step_measure(pass.step, pass.meter);
    }
    if (ok)
        pass_run(&pass);
    if (ok && out->events == 0)
        ok = error_set(err, ERROR_FATAL, "no line of the stream is an event that was accepted");
    if (ok) {
        out->cpu_ns = pass.cpu_ns / (double)out->events;
        out->step_ns = pass.step_ns / (double)out->events;
    }
    if (ok && metered)
        conclude(&pass, arena);
    meter_free(pass.meter);
    pass_close(&pass);
    return ok;
}
