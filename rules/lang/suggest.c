/* Finds the nearest word by edit distance. */
#include "rules/lang/suggest.h"

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Optimal string alignment without case, three rows. */
static unsigned edit_distance(struct slice a, struct slice b)
{
    unsigned row[3][SUGGEST_WORD_MAX + 1];
    for (unsigned j = 0; j <= b.size; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a.size; i++) {
        unsigned *now = row[i % 3], *before = row[(i + 2) % 3], *two_before = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.size; j++) {
            bool same = lower(a.data[i - 1]) == lower(b.data[j - 1]);
            now[j] = least(least(before[j] + 1, now[j - 1] + 1), before[j - 1] + !same);
            if (i > 1 && j > 1 && lower(a.data[i - 1]) == lower(b.data[j - 2]) && lower(a.data[i - 2]) == lower(b.data[j - 1]))
                now[j] = least(now[j], two_before[j - 2] + 1);
        }
    }
    return row[a.size % 3][b.size];
}

void suggest_offer(struct suggestion *suggestion, struct slice candidate)
{
    struct slice wrong = suggestion->wrong;
    if (wrong.size > SUGGEST_WORD_MAX || candidate.size > SUGGEST_WORD_MAX || candidate.size == 0)
        return;
    unsigned distance = edit_distance(wrong, candidate);
    unsigned limit = wrong.size <= 3 ? 1 : (unsigned)(wrong.size + candidate.size + 3) / 6;
    if (distance > limit || (suggestion->best.size && distance >= suggestion->distance))
        return;
    suggestion->best = candidate;
    suggestion->distance = distance;
}
