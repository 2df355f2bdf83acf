/* Replay of several files against a slow model: whatever the sizes of batches and of the portions in
 * which lines arrive, and however many threads, the sequence is that of the whole files. */
#include "engine/state/log.h"
#include "engine/stream/replay.h"
#include "tests/simulation/model_step.h"

enum { FILES = 5, LINES = 600, ROUNDS = 60, LANES = 3 };

struct file {
    struct chance *chance;
    uint32_t count, read;
    uint32_t id[LINES];
    int64_t time_ms[LINES];
    bool nonsense[LINES];
};

struct outcome {
    uint64_t hit[FILES * LINES]; /* hashes, in the order given */
    uint32_t hit_count, decoded;
};

/* The log is not part of this test, but replay.o asks for it. */
struct log_reader *log_reader_open(const struct log_settings *settings, uint64_t from_seq, struct error *err)
{
    (void)settings, (void)from_seq;
    error_set(err, ERROR_FATAL, "no log here");
    return NULL;
}

void log_reader_ahead(struct log_reader *log)
{
    (void)log;
}

int log_reader_next(struct log_reader *log, struct log_record *record, struct error *err)
{
    (void)log, (void)record, (void)err;
    return 0;
}

void log_reader_close(struct log_reader *log)
{
    (void)log;
}

static bool file_read(void *self, struct arena *arena, struct message *messages, uint32_t max, uint32_t *count,
                      struct error *err)
{
    struct file *file = self;
    uint32_t portion = 1 + chance_below(file->chance, 50);
    (void)err;
    for (*count = 0; *count < portion && *count < max && file->read < file->count; file->read++) {
        uint32_t i = file->read;
        struct slice body = file->nonsense[i] ? arena_copy(arena, SLICE("nonsense"))
                                              : arena_format(arena, "%u %lld", file->id[i], (long long)file->time_ms[i]);
        messages[(*count)++] = (struct message){.body = body, .position.offset = i + 1};
    }
    return true;
}

static bool keep_results(void *context, const struct output *output, const struct rejection *decoded,
                         uint32_t decoded_count, struct error *err)
{
    struct outcome *outcome = context;
    (void)decoded, (void)err;
    for (uint32_t i = 0; i < output->hit_count; i++)
        outcome->hit[outcome->hit_count++] = (uint64_t)output->hit[i].time_ms;
    outcome->decoded += decoded_count;
    return true;
}

static bool keep_lane(void *context, const struct output *output, struct error *err)
{
    return keep_results(context, output, NULL, 0, err);
}

static void files_make(struct chance *chance, struct file *files)
{
    for (uint32_t f = 0; f < FILES; f++) {
        files[f] = (struct file){.chance = chance, .count = chance_below(chance, LINES)};
        for (uint32_t i = 0; i < files[f].count; i++) {
            files[f].id[i] = f * LINES + i;
            files[f].time_ms[i] = (int64_t)i * 5 + chance_below(chance, 200);
            files[f].nonsense[i] = chance_below(chance, 25) == 0;
        }
    }
}

/* Of the first untaken good line of each file, the earliest; the first file among equals. */
static void model(const struct file *files, struct outcome *outcome)
{
    uint32_t next[FILES] = {0};
    struct state *state = calloc(1, sizeof *state);
    for (uint64_t seq = 1;; seq++) {
        uint32_t best = FILES;
        for (uint32_t f = 0; f < FILES; f++) {
            for (; next[f] < files[f].count && files[f].nonsense[next[f]]; next[f]++)
                outcome->decoded++;
            if (next[f] < files[f].count &&
                (best == FILES || files[f].time_ms[next[f]] < files[best].time_ms[next[best]]))
                best = f;
        }
        if (best == FILES)
            break;
        if (hash_event(state, files[best].id[next[best]++], seq))
            outcome->hit[outcome->hit_count++] = state->hash;
    }
    free(state);
}

static bool same_hits(const struct outcome *a, const struct outcome *b)
{
    return a->hit_count == b->hit_count && memcmp(a->hit, b->hit, b->hit_count * sizeof *b->hit) == 0;
}

/* Every lane sees what a replay of its own would see. */
static bool round_agrees(struct chance *chance)
{
    static const struct program program;
    struct replay_lane lane[LANES];
    struct outcome *lane_got = calloc(LANES, sizeof *lane_got);
    for (uint32_t i = 0; i < LANES; i++)
        lane[i] = (struct replay_lane){.program = &program, .context = &lane_got[i], .results = keep_lane};
    struct file *files = calloc(FILES, sizeof *files);
    struct outcome *expected = calloc(1, sizeof *expected), *got = calloc(1, sizeof *got);
    struct replay_input input[FILES];
    struct replay_summary summary;
    struct error err = {0};
    files_make(chance, files);
    model(files, expected);
    for (uint32_t f = 0; f < FILES; f++)
        input[f] = (struct replay_input){.self = &files[f], .read = file_read};
    const struct replay_settings settings = {
        .threads = 1 + chance_below(chance, 4),
        .batch_max = 1 + chance_below(chance, 700),
        .program = &program,
        .step = {.inline_below = chance_below(chance, 100)},
        .context = got,
        .results = keep_results,
        .state = true,
        .lane = lane,
        .lane_count = chance_below(chance, LANES + 1),
    };
    bool ok = replay_files(&settings, input, FILES, &summary, &err) && expected->decoded == got->decoded && same_hits(expected, got);
    for (uint32_t i = 0; i < settings.lane_count; i++)
        ok = ok && same_hits(expected, &lane_got[i]) && lane[i].state.identities == summary.state.identities;
    free(lane_got);
    free(files);
    free(expected);
    free(got);
    return ok;
}

int main(void)
{
    struct chance chance = {7};
    uint32_t passed = 0, failed = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        bool ok = round_agrees(&chance);
        passed += ok;
        failed += !ok;
        if (!ok)
            printf("round %u: the replay differs from the model\n", round);
    }
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? 1 : 0;
}
