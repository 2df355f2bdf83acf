/* What a checkpoint file holds, for people and for comparing two of them. Any thread; a second state in memory. */
#ifndef ENGINE_STREAM_CHECKPOINT_VIEW_H
#define ENGINE_STREAM_CHECKPOINT_VIEW_H

#include "engine/stream/step.h"

struct checkpoint_view {
    uint64_t block, seq;
    bool same_rules;         /* made with exactly this rule set */
    uint32_t partitions;
    struct state_stats stats;
    unsigned char hash[STATE_HASH_BYTES];
};
/* False when the file is not sound or was made with other rules. The file is only read. */
bool checkpoint_view_file(const char *path, const struct program *program, const struct step_settings *settings,
                          struct checkpoint_view *view, struct error *err) must_check;

#endif
