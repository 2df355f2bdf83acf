/* Sweeping: what the state no longer needs goes, a few shards at each epoch of the sequence. */
#include "engine/stream/step_private.h"

/* For each unit of work that the state has grown by since the last sweep, `pace` / PACE_ONE units are swept: PACE_MOST where the last
 * sweep found an eighth of what it went through gone, less by the square of that where it found less. So what is gone but not swept
 * yet is never more than about a third of what lives, however fast accounts come and go, and a state that mostly grows is not walked
 * for nothing: at PACE_MOST the sweep took 9 % of a replay of a million events and found 2 % gone; at PACE_ONE 4 %. At a quarter of that,
 * 6 % more memory is held, half of it for repeats. */
enum { PACE_ONE = 4, PACE_MOST = 4 * PACE_ONE };

/* So many shards are swept together, or none, so that workers share the work: a state of ten million events grows in an epoch by less
 * than a fifth of a shard, and with one shard at each, one worker swept five times as much as was due while the others waited. At the
 * latest after WAIT_MOST epochs, and in each while a shard is full. */
enum { TOGETHER = 2, WAIT_MOST = 16 };

static uint32_t pace_for(uint64_t work, uint64_t gone)
{
    uint64_t gone_milli = gone * 1000 / (work ? work : 1), pace = gone_milli * gone_milli * PACE_MOST / (125 * 125);
    return pace < 1 ? 1 : pace > PACE_MOST ? PACE_MOST : (uint32_t)pace;
}

int64_t step_slowest(const struct step *step)
{
    int64_t slowest = INT64_MAX;
    for (uint32_t p = 0; p < step->partition_count; p++)
        if (step->partition_newest[p] != INT64_MIN && step->partition_newest[p] < slowest)
            slowest = step->partition_newest[p];
    return slowest == INT64_MAX ? INT64_MIN : slowest;
}

struct sweep {
    struct step *step;
    int64_t horizon_ms;
    uint32_t from, to;
};

static void sweep_shards(void *context, uint32_t worker, uint32_t workers)
{
    const struct sweep *sweep = context;
    struct step *step = sweep->step;
    for (uint32_t index = sweep->from; index < sweep->to; index++) {
        if (shard_owner(index, workers) != worker)
            continue;
        struct shard *shard = state_shard(step->state, index);
        (void)shard_sweep(shard, sweep->horizon_ms, step->sweep.dedup_horizon_ms);
        decide_sweep(step->decide, shard, step->state, step->sweep.horizon_ms);
    }
}

static void sweep_settle(void *context, uint32_t worker, uint32_t workers)
{
    const struct sweep *sweep = context;
    for (uint32_t index = sweep->from; index < sweep->to; index++)
        if (shard_owner(index, workers) == worker)
            (void)shard_settle(state_shard(sweep->step->state, index));
}

static uint64_t work_of(const struct step *step, uint32_t from, uint32_t to)
{
    uint64_t work = 0;
    for (uint32_t index = from; index < to; index++)
        work += shard_work(state_shard(step->state, index));
    return work;
}

/* Sweeps the next shards, at most up to the last of the cycle, where enough is due. */
static void sweep_next(struct step *step, int64_t horizon_ms)
{
    uint64_t total = work_of(step, 0, SHARD_COUNT), grown = total > step->sweep.work ? total - step->sweep.work : 0, work = 0, next;
    uint64_t due = (step->sweep.waited + UINT64_C(1)) * step->settings.sweep_work + step->sweep.pace * grown / PACE_ONE;
    struct sweep sweep = {.step = step, .horizon_ms = horizon_ms, .from = step->sweep.next, .to = step->sweep.next};
    for (uint32_t end; sweep.to < SHARD_COUNT; sweep.to = end, work += next) {
        end = sweep.to + TOGETHER < SHARD_COUNT ? sweep.to + TOGETHER : SHARD_COUNT;
        next = work_of(step, sweep.to, end);
        if (work + next > due && (work || step->sweep.waited < WAIT_MOST))
            break;
    }
    if (sweep.to == sweep.from) {
        step->sweep.waited++;
        return;
    }
    bool alone = work < (uint64_t)step->settings.inline_below * 16;
    crew_run(step->crew, alone, sweep_shards, &sweep);
    crew_run(step->crew, alone, sweep_settle, &sweep);
    uint64_t left = work_of(step, sweep.from, sweep.to);
    step->sweep.pace = pace_for(work, work > left ? work - left : 0);
    step->sweep.work = work_of(step, 0, SHARD_COUNT);
    step->sweep.waited = 0;
    step->sweep.next = sweep.to % SHARD_COUNT;
    if (step->sweep.next == 0)
        state_cycle_set(step->state, ++step->sweep.cycle);
}

void sweep_enter(struct step *step, uint64_t epoch)
{
    int64_t slowest = step_slowest(step);
    step->sweep.epoch = epoch;
    if (slowest != INT64_MIN) {
        int64_t horizon_ms = slowest - step->settings.lateness_ms, dedup_ms = horizon_ms - step->settings.dedup_ms;
        if (dedup_ms > step->sweep.dedup_horizon_ms)
            step->sweep.dedup_horizon_ms = dedup_ms;
        if (horizon_ms > step->sweep.horizon_ms)
            step->sweep.horizon_ms = horizon_ms;
        sweep_next(step, horizon_ms);
    }
    for (uint32_t index = 0; index < SHARD_COUNT; index++)
        if (shard_look(state_shard(step->state, index)))
            step->sweep.waited = WAIT_MOST;
}
