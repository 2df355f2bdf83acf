/* Loads a checkpoint file into a step of its own and takes its measure. */
#include "engine/stream/checkpoint_view.h"

#include "engine/base/invariant.h"
#include "engine/stream/checkpoint_words.h"
#include "engine/stream/crew.h"

#include <stdlib.h>

/* A table of the checkpoint's own partitions, and the map that leaves every index where it is. */
static bool own_table(const struct checkpoint_words *words, struct partition_table *table, uint32_t **same, struct error *err)
{
    if (words->partitions > PARTITION_MAX)
        return error_set(err, ERROR_FATAL, "it names %u partitions, more than there can be", words->partitions);
    table->partition = calloc(words->partitions + 1u, sizeof *table->partition);
    *same = calloc(words->partitions + 1u, sizeof **same);
    invariant(table->partition && *same);
    table->count = words->partitions;
    for (uint32_t i = 0; i < table->count; i++) {
        struct slice topic = checkpoint_words_partition(words, i, &table->partition[i].number);
        if (topic.size == TOPIC_NAME_MAX)
            return error_set(err, ERROR_FATAL, "a topic's name in it does not end");
        memcpy(table->partition[i].topic, topic.data, topic.size);
        (*same)[i] = i;
    }
    return true;
}

static bool view_state(struct step *step, struct state *state, const struct checkpoint_head *head, struct checkpoint_view *view,
                       struct error *err)
{
    struct checkpoint_words words;
    struct partition_table table = {0};
    uint32_t *same = NULL;
    bool ok = checkpoint_words_read(head, &words) || error_set(err, ERROR_FATAL, "its partition times are cut short");
    ok = ok && own_table(&words, &table, &same, err);
    ok = ok && step_restore(step, state, words.step, same, words.partitions, err);
    if (!ok)
        state_free(state);
    if (ok) {
        view->partitions = words.partitions;
        step_hash(step, &table, head->seq, view->hash);
        state_stats(step_state(step), &view->stats);
    }
    free(table.partition);
    free(same);
    return ok;
}

static bool view_with(struct step *step, const char *path, const struct program *program, struct checkpoint_view *view, struct error *err)
{
    struct checkpoint_head head = {0};
    struct state *state = NULL;
    if (!checkpoint_load_file(path, step_layout(step), &state, &head, err))
        return false;
    *view = (struct checkpoint_view){.block = head.block, .seq = head.seq};
    view->same_rules = memcmp(head.program_hash, program->hash, sizeof head.program_hash) == 0;
    bool ok = !head.mapping.changed || error_set(err, ERROR_FATAL, "it was made with other rules: name those (--rules)");
    if (!ok)
        state_free(state);
    ok = ok && view_state(step, state, &head, view, err);
    free((void *)(uintptr_t)head.extra);
    return ok;
}

bool checkpoint_view_file(const char *path, const struct program *program, const struct step_settings *settings,
                          struct checkpoint_view *view, struct error *err)
{
    static const unsigned char key[16]; /* the checkpoint brings its own */
    struct step_settings own = *settings;
    own.partition_max = PARTITION_MAX;
    struct crew *crew = crew_new(1, err);
    struct step *step = crew ? step_new(program, &own, crew, key, err) : NULL;
    bool ok = step && view_with(step, path, program, view, err);
    step_free(step);
    if (crew)
        crew_free(crew);
    return ok || error_context(err, "%s", path);
}
