/* What the models of the step function share: chance, hits as lines of text, and comparing them. */
#ifndef TESTS_SIMULATION_RANDOM_WORLD_H
#define TESTS_SIMULATION_RANDOM_WORLD_H

#include "engine/base/invariant.h"
#include "engine/model/hit.h"
#include "engine/model/money.h"

#include <stdio.h>
#include <stdlib.h>

enum { LINE = 240 };

struct line {
    char text[LINE];
};
struct lines {
    struct line *line;
    uint32_t count, room;
};

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline int64_t below(uint64_t *state, int64_t bound)
{
    return (int64_t)(next_random(state) % (uint64_t)bound);
}

static inline void lines_add(struct lines *lines, const char *text)
{
    if (lines->count == lines->room) {
        lines->room = lines->room ? lines->room * 2 : 256;
        lines->line = realloc(lines->line, lines->room * sizeof *lines->line);
        invariant(lines->line != NULL);
    }
    (void)snprintf(lines->line[lines->count++].text, LINE, "%s", text);
}

static inline const char *money(int64_t minor, char out[MONEY_TEXT_MAX])
{
    (void)money_format(minor, currency_parse(SLICE("USD")), out);
    return out;
}

static inline struct hash128 hash_text(uint64_t kind, const char *text)
{
    uint64_t state = kind + 1;
    for (const char *c = text; *c; c++)
        state = next_random(&state) ^ (uint64_t)(unsigned char)*c;
    uint64_t lo = next_random(&state);
    return (struct hash128){lo, next_random(&state)};
}

static inline void hit_line(const struct hit *hit, struct lines *out)
{
    char text[LINE];
    int at = snprintf(text, LINE, "%d %.*s", (int)hit->seq, (int)hit->rule_id.size, hit->rule_id.data);
    for (int k = 0; k < hit->key_count && at < LINE; k++)
        at += snprintf(text + at, (size_t)(LINE - at), " %.*s", (int)hit->key[k].size, hit->key[k].data);
    for (int l = 0; l < hit->let_count && at < LINE; l++)
        at += snprintf(text + at, (size_t)(LINE - at), " %.*s=%.*s", (int)hit->let[l].name.size, hit->let[l].name.data,
                       (int)hit->let[l].value.size, hit->let[l].value.data);
    lines_add(out, text);
}

static inline bool lines_equal(const struct lines *model, const struct lines *engine)
{
    uint32_t i = 0;
    while (i < model->count && i < engine->count && strcmp(model->line[i].text, engine->line[i].text) == 0)
        i++;
    if (i == model->count && i == engine->count)
        return true;
    printf("  model says:  %s\n  engine says: %s\n", i < model->count ? model->line[i].text : "(nothing more)",
           i < engine->count ? engine->line[i].text : "(nothing more)");
    return false;
}

#endif
