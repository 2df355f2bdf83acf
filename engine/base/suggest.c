/* The edit distance behind "did you mean". */
#include "engine/base/suggest.h"

enum { FAR = 1 << 20, CHANGE = 2, CASE = 1 };

static int lower(char c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

static int cost_of(char a, char b)
{
    if (a == b)
        return 0;
    return lower(a) == lower(b) ? CASE : CHANGE;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

int suggest_distance(struct slice a, struct slice b)
{
    int row[3][SUGGEST_BYTES_MAX + 1];
    if (a.size > SUGGEST_BYTES_MAX || b.size > SUGGEST_BYTES_MAX)
        return FAR;
    for (size_t j = 0; j <= b.size; j++)
        row[0][j] = (int)j * CHANGE;
    for (size_t i = 1; i <= a.size; i++) {
        int *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
        now[0] = (int)i * CHANGE;
        for (size_t j = 1; j <= b.size; j++) {
            now[j] = least(least(last[j], now[j - 1]) + CHANGE, last[j - 1] + cost_of(a.data[i - 1], b.data[j - 1]));
            bool swap = i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1];
            if (swap)
                now[j] = least(now[j], before[j - 2] + CHANGE);
        }
    }
    return row[a.size % 3][b.size];
}

int suggest_nearest(struct slice word, const struct slice *candidates, int count)
{
    int best = -1, best_distance = FAR;
    if (count > SUGGEST_CANDIDATES_MAX)
        return -1;
    for (int i = 0; i < count; i++) {
        int limit = (int)(word.size + candidates[i].size + 3) * 2 / 6;
        int distance = suggest_distance(word, candidates[i]);
        if (distance <= limit && distance < best_distance) {
            best = i;
            best_distance = distance;
        }
    }
    return best;
}
