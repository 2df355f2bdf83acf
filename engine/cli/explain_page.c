/* Prints an explanation: rule by rule, key by key, each condition with its values. */
#include "engine/cli/explain_private.h"

#include "engine/model/zone.h"

enum { MASK_KEEP = 4, WIDTH_MAX = 44 };

/* --- masked text --- */

static const struct slice *victim_at(const struct explanation *ex, struct slice text)
{
    for (uint32_t v = 0; v < ex->victim_count; v++)
        if (ex->victim[v].size && ex->victim[v].size <= text.size && memcmp(ex->victim[v].data, text.data, ex->victim[v].size) == 0)
            return &ex->victim[v];
    return NULL;
}

/* Writes text, and of a victim's account only its beginning. */
static void put(const struct explanation *ex, struct slice text, FILE *out)
{
    while (text.size) {
        const struct slice *victim = victim_at(ex, text);
        size_t took = victim ? victim->size : 1;
        if (victim)
            (void)fprintf(out, "%.*s... (masked)", MASK_KEEP, victim->data);
        else
            (void)fputc(text.data[0], out);
        text = (struct slice){text.data + took, text.size - took};
    }
}

static void put_moment(const struct explanation *ex, int64_t time_ms, FILE *out)
{
    int year, month, dom;
    civil_date(zone_day(ex->program->zone, time_ms), &year, &month, &dom);
    int second = (int)(zone_clock_ms(ex->program->zone, time_ms) / 1000);
    (void)fprintf(out, "%04d-%02d-%02d %02d:%02d:%02d", year, month, dom, second / 3600, second / 60 % 60, second % 60);
}

/* The source text of a condition on one line, padded where its values follow. */
static void put_condition(const struct explanation *ex, uint16_t rule, const struct inquiry_look *look, uint16_t node, bool pad, FILE *out)
{
    struct span span;
    int width = 0;
    bool blank = false;
    if (!inquiry_place(ex->program, rule, look, node, &span))
        return;
    const char *text = ex->syntax->file[span.file].text.data + span.at;
    for (uint32_t i = 0; i < span.size; i++) {
        bool space = text[i] == ' ' || text[i] == '\n' || text[i] == '\t' || text[i] == '\r';
        if (!(space && blank)) {
            (void)fputc(space ? ' ' : text[i], out);
            width++;
        }
        blank = space;
    }
    for (; pad && width < WIDTH_MAX; width++)
        (void)fputc(' ', out);
}

/* --- one look --- */

static uint64_t last_turned(const struct inquiry_look *look)
{
    uint64_t last = 0;
    for (uint16_t c = 0; c < look->condition_count; c++)
        if (look->condition[c].reached && look->condition[c].truth == INQUIRY_TRUE && look->condition[c].turned_seq > last)
            last = look->condition[c].turned_seq;
    return last;
}

static void print_condition(const struct explanation *ex, uint16_t rule, const struct inquiry_look *look,
                            const struct inquiry_condition *condition, uint64_t last, FILE *out)
{
    static const char *const truths[] = {"false", "true", "unknown"};
    (void)fprintf(out, "    %-8s ", truths[condition->truth]);
    put_condition(ex, rule, look, condition->node, condition->values.size || condition->turned_seq, out);
    if (condition->values.size) {
        (void)fputs("  (", out);
        put(ex, condition->values, out);
        (void)fputc(')', out);
    }
    if (condition->turned_seq) {
        (void)fputs("  since ", out);
        put_moment(ex, condition->turned_ms, out);
    }
    if (look->truth && last && condition->turned_seq == last)
        (void)fputs(", the last to turn true", out);
    if (condition->culprit)
        (void)fputs(look->part == WITNESS_STEP ? "  <- kept it from firing" : "", out);
    (void)fputc('\n', out);
}

static void print_lets(const struct explanation *ex, struct slice lets, FILE *out)
{
    if (!lets.size)
        return;
    (void)fputs("  with ", out);
    put(ex, lets, out);
    (void)fputc('\n', out);
}

static void print_look(const struct explanation *ex, const struct inquiry_look *look, FILE *out)
{
    const struct rule *rule = &ex->program->rule[look->index];
    if (look->part == WITNESS_STEP && rule->step_count > 1)
        (void)fprintf(out, "  step %u of %u\n", look->number, rule->step_count);
    else if (look->part == WITNESS_STEP)
        (void)fputs("  when\n", out);
    else
        (void)fputs(look->part == WITNESS_UNLESS ? "  unless\n" : "  except\n", out);
    uint64_t last = last_turned(look);
    for (uint16_t c = 0; c < look->condition_count; c++)
        print_condition(ex, look->index, look, &look->condition[c], last, out);
}

/* --- one rule and key --- */

static bool keys_alike(const struct inquiry_look *a, const struct inquiry_look *b)
{
    return a->seq == b->seq && a->index == b->index && a->width == b->width && a->side == b->side &&
           memcmp(a->key, b->key, a->width * sizeof *a->key) == 0;
}

static const struct explain_hit *hit_of(const struct explanation *ex, const struct inquiry_look *look)
{
    for (uint32_t h = 0; h < ex->hit_count; h++) {
        const struct explain_hit *hit = &ex->hit[h];
        bool same = hit->seq == look->seq && hit->rule == look->index && hit->key_count == look->width;
        for (uint8_t k = 0; same && k < look->width; k++)
            same = slice_equal(hit->key[k], look->key_text[k]);
        if (same)
            return hit;
    }
    return NULL;
}

static void print_outcome(const struct explanation *ex, const struct inquiry_look *look, uint32_t count, const struct explain_hit *hit, FILE *out)
{
    const struct rule *rule = &ex->program->rule[look->index];
    if (hit && hit->shadow)
        (void)fputs("hit, in shadow: it gives no points\n", out);
    else if (hit)
        (void)fputs(hit->counted ? "hit\n" : "hit inside `once per`: it gave its points before\n", out);
    else if (look[count - 1].part == WITNESS_EXCEPT && look[count - 1].truth)
        (void)fputs("silenced by its exception\n", out);
    else if (look[count - 1].part == WITNESS_UNLESS && look[count - 1].truth)
        (void)fputs("stopped by `unless`\n", out);
    else if (rule->step_count > 1 && look[0].truth)
        (void)fprintf(out, "step %u of %u holds, the next is awaited\n", look[0].number, rule->step_count);
    else if (rule->step_count > 1 && look[0].in_hand)
        (void)fprintf(out, "no hit, %u of %u steps hold\n", look[0].in_hand, rule->step_count);
    else
        (void)fputs("no hit\n", out);
}

/* The looks [0, count) are of one rule and key. */
static void print_key(const struct explanation *ex, const struct inquiry_look *look, uint32_t count, FILE *out)
{
    const struct rule *rule = &ex->program->rule[look->index];
    const struct explain_hit *hit = hit_of(ex, look);
    (void)fprintf(out, "\n%.*s", (int)rule->id.size, rule->id.data);
    for (uint8_t w = 0; w < look->width; w++) {
        (void)fprintf(out, "%s%.*s ", w ? ", " : " for ", (int)rule->key_name[w].size, rule->key_name[w].data);
        put(ex, look->key_text[w], out);
    }
    (void)fputs(": ", out);
    print_outcome(ex, look, count, hit, out);
    for (uint32_t i = 0; i < count; i++)
        print_look(ex, &look[i], out);
    print_lets(ex, hit ? hit->lets : look[0].lets, out);
    if (!hit)
        return;
    (void)fputs("  says \"", out);
    put(ex, hit->say, out);
    (void)fputs("\"\n", out);
    put(ex, hit->points, out);
}

/* --- one event --- */

static bool is_asked(const struct explanation *ex, uint64_t seq, uint16_t rule)
{
    for (uint32_t t = 0; t < ex->target_count; t++)
        if (ex->target[t].seq == seq && ex->target[t].rule == rule)
            return true;
    return ex->target_count == 0;
}

static bool is_look(const struct inquiry_look *look, uint64_t seq)
{
    return look->seq == seq && look->part != WITNESS_STREAM && look->part != WITNESS_MEMORY;
}

/* The rule's first filter that kept the event out; false when it read none of it. */
static bool print_kept_out(const struct explanation *ex, uint16_t index, const struct inquiry_look *look, uint32_t count, uint64_t seq, FILE *out)
{
    const struct rule *rule = &ex->program->rule[index];
    for (uint16_t s = 0; s < rule->stream_count; s++)
        for (uint32_t i = 0; i < count; i++) {
            const struct inquiry_condition *culprit = inquiry_culprit(&look[i]);
            if (look[i].seq != seq || look[i].part != WITNESS_STREAM || look[i].index != rule->stream[s] || !culprit)
                continue;
            (void)fprintf(out, "  %-9.*s", (int)rule->id.size, rule->id.data);
            print_condition(ex, index, &look[i], culprit, 0, out);
            return true;
        }
    return false;
}

static void print_not_looked(const struct explanation *ex, const struct inquiry_look *look, uint32_t count, uint64_t seq, FILE *out)
{
    uint32_t told = 0, silent = 0;
    for (uint16_t r = 0; r < ex->program->rule_count; r++) {
        bool looked = false;
        for (uint32_t i = 0; i < count && !looked; i++)
            looked = is_look(&look[i], seq) && look[i].index == r;
        if (looked)
            continue;
        if (told + silent == 0)
            (void)fputs("\nNot looked at, for a source's filter:\n", out);
        if (print_kept_out(ex, r, look, count, seq, out))
            told++;
        else
            silent++;
    }
    if (told == 0 && silent)
        (void)fputs("  none\n", out);
    if (silent)
        (void)fprintf(out, "\n%u %s none of it: another direction or flow, or a key that the event does not name.\n", silent,
                      silent == 1 ? "rule reads" : "rules read");
}

/* Looks at one key stand together. */
static void print_rule(const struct explanation *ex, const struct inquiry_look *look, uint32_t count, uint16_t rule, uint64_t seq, FILE *out)
{
    for (uint32_t from = 0; from < count;) {
        uint32_t to = from + 1;
        while (to < count && is_look(&look[to], seq) && keys_alike(&look[from], &look[to]))
            to++;
        if (is_look(&look[from], seq) && look[from].index == rule)
            print_key(ex, &look[from], to - from, out);
        from = to;
    }
}

static void print_event(const struct explanation *ex, const struct explain_event *event, FILE *out)
{
    static const char *const outcomes[OUTCOME_COUNT] = {"scored", "joined to an earlier report", "a repeat, not scored", "refused"};
    uint32_t count;
    uint64_t more;
    const struct inquiry_look *look = inquiry_looks(ex->inquiry, &count, &more);
    put(ex, event->text, out);
    (void)fprintf(out, ": %s%s\n", outcomes[event->outcome], event->late ? ", too late for windows and memories" : "");
    for (uint16_t r = 0; r < ex->program->rule_count; r++)
        if (is_asked(ex, event->seq, r))
            print_rule(ex, look, count, r, event->seq, out);
    if (ex->whole && event->outcome <= OUTCOME_JOINED)
        print_not_looked(ex, look, count, event->seq, out);
}

void explain_print(const struct explanation *ex, FILE *out)
{
    for (uint32_t e = 0; e < ex->event_count; e++) {
        if (e)
            (void)fputc('\n', out);
        print_event(ex, &ex->event[e], out);
    }
}
