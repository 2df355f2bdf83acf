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
void explain_put(const struct explanation *ex, struct slice text, FILE *out)
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

void explain_moment_put(const struct explanation *ex, int64_t time_ms, FILE *out)
{
    int year, month, dom;
    civil_date(zone_day(ex->program->zone, time_ms), &year, &month, &dom);
    int second = (int)(zone_clock_ms(ex->program->zone, time_ms) / 1000);
    (void)fprintf(out, "%04d-%02d-%02d %02d:%02d:%02d", year, month, dom, second / 3600, second / 60 % 60, second % 60);
}

/* The source text of a condition on one line, padded where its values follow. */
void explain_condition_put(const struct explanation *ex, uint16_t rule, const struct inquiry_look *look, uint16_t node, bool pad, FILE *out)
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

uint64_t explain_last_turned(const struct inquiry_look *look)
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
    explain_condition_put(ex, rule, look, condition->node, condition->values.size || condition->turned_seq, out);
    if (condition->values.size) {
        (void)fputs("  (", out);
        explain_put(ex, condition->values, out);
        (void)fputc(')', out);
    }
    if (condition->turned_seq) {
        (void)fputs("  since ", out);
        explain_moment_put(ex, condition->turned_ms, out);
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
    explain_put(ex, lets, out);
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
    uint64_t last = explain_last_turned(look);
    for (uint16_t c = 0; c < look->condition_count; c++)
        print_condition(ex, look->index, look, &look->condition[c], last, out);
}

/* --- one rule and key --- */

bool explain_keys_alike(const struct inquiry_look *a, const struct inquiry_look *b)
{
    return a->seq == b->seq && a->index == b->index && a->width == b->width && a->side == b->side &&
           memcmp(a->key, b->key, a->width * sizeof *a->key) == 0;
}

const struct explain_hit *explain_hit_of(const struct explanation *ex, const struct inquiry_look *look)
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

void explain_outcome_put(const struct explanation *ex, const struct inquiry_look *look, uint32_t count, const struct explain_hit *hit, FILE *out)
{
    const struct rule *rule = &ex->program->rule[look->index];
    if (hit && hit->shadow)
        (void)fputs("hit, in shadow: it gives no points", out);
    else if (hit)
        (void)fputs(hit->counted ? "hit" : "hit inside `once per`: it gave its points before", out);
    else if (look[count - 1].part == WITNESS_EXCEPT && look[count - 1].truth)
        (void)fputs("silenced by its exception", out);
    else if (look[count - 1].part == WITNESS_UNLESS && look[count - 1].truth)
        (void)fputs("stopped by `unless`", out);
    else if (rule->step_count > 1 && look[0].truth)
        (void)fprintf(out, "step %u of %u holds, the next is awaited", look[0].number, rule->step_count);
    else if (rule->step_count > 1 && look[0].in_hand)
        (void)fprintf(out, "no hit, %u of %u steps hold", look[0].in_hand, rule->step_count);
    else
        (void)fputs("no hit", out);
}

/* The looks [0, count) are of one rule and key. */
static void print_key(const struct explanation *ex, const struct inquiry_look *look, uint32_t count, FILE *out)
{
    const struct rule *rule = &ex->program->rule[look->index];
    const struct explain_hit *hit = explain_hit_of(ex, look);
    (void)fprintf(out, "\n%.*s", (int)rule->id.size, rule->id.data);
    for (uint8_t w = 0; w < look->width; w++) {
        (void)fprintf(out, "%s%.*s ", w ? ", " : " for ", (int)rule->key_name[w].size, rule->key_name[w].data);
        explain_put(ex, look->key_text[w], out);
    }
    (void)fputs(": ", out);
    explain_outcome_put(ex, look, count, hit, out);
    (void)fputc('\n', out);
    for (uint32_t i = 0; i < count; i++)
        print_look(ex, &look[i], out);
    print_lets(ex, hit ? hit->lets : look[0].lets, out);
    if (!hit)
        return;
    (void)fputs("  says \"", out);
    explain_put(ex, hit->say, out);
    (void)fputs("\"\n", out);
    explain_put(ex, hit->points, out);
}

/* --- one event --- */

bool explain_is_asked(const struct explanation *ex, uint64_t seq, uint16_t rule)
{
    for (uint32_t t = 0; t < ex->target_count; t++)
        if (ex->target[t].seq == seq && ex->target[t].rule == rule)
            return true;
    return ex->target_count == 0;
}

bool explain_is_look(const struct inquiry_look *look, uint64_t seq)
{
    return look->seq == seq && look->part != WITNESS_STREAM && look->part != WITNESS_MEMORY;
}

/* The rule's first filter that kept the event out; NULL when it read none of it. */
const struct inquiry_look *explain_kept_out(const struct explanation *ex, uint16_t index, const struct inquiry_look *look, uint32_t count, uint64_t seq)
{
    const struct rule *rule = &ex->program->rule[index];
    for (uint16_t s = 0; s < rule->stream_count; s++)
        for (uint32_t i = 0; i < count; i++)
            if (look[i].seq == seq && look[i].part == WITNESS_STREAM && look[i].index == rule->stream[s] && inquiry_culprit(&look[i]))
                return &look[i];
    return NULL;
}

bool explain_looked(const struct inquiry_look *look, uint32_t count, uint64_t seq, uint16_t rule)
{
    for (uint32_t i = 0; i < count; i++)
        if (explain_is_look(&look[i], seq) && look[i].index == rule)
            return true;
    return false;
}

/* Of an `or` every part. */
static void print_kept_out(const struct explanation *ex, uint16_t index, const struct inquiry_look *filter, FILE *out)
{
    struct slice name = ex->program->rule[index].id;
    for (uint16_t c = 0; c < filter->condition_count; c++) {
        if (!filter->condition[c].culprit)
            continue;
        (void)fprintf(out, "  %-9.*s", (int)name.size, name.data);
        print_condition(ex, index, filter, &filter->condition[c], 0, out);
        name = SLICE(" or");
    }
}

static void print_not_looked(const struct explanation *ex, const struct inquiry_look *look, uint32_t count, uint64_t seq, FILE *out)
{
    uint32_t told = 0, silent = 0;
    for (uint16_t r = 0; r < ex->program->rule_count; r++) {
        if (explain_looked(look, count, seq, r))
            continue;
        const struct inquiry_look *filter = explain_kept_out(ex, r, look, count, seq);
        if (told + silent == 0)
            (void)fputs("\nNot looked at, for a source's filter:\n", out);
        if (filter)
            print_kept_out(ex, r, filter, out);
        told += filter != NULL;
        silent += filter == NULL;
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
        while (to < count && explain_is_look(&look[to], seq) && explain_keys_alike(&look[from], &look[to]))
            to++;
        if (explain_is_look(&look[from], seq) && look[from].index == rule)
            print_key(ex, &look[from], to - from, out);
        from = to;
    }
}

const char *explain_event_outcome(uint8_t outcome)
{
    static const char *const outcomes[OUTCOME_COUNT] = {"scored", "joined to an earlier report", "a repeat, not scored", "refused"};
    return outcomes[outcome];
}

static void print_event(const struct explanation *ex, const struct explain_event *event, FILE *out)
{
    uint32_t count;
    uint64_t more;
    const struct inquiry_look *look = inquiry_looks(ex->inquiry, &count, &more);
    explain_put(ex, event->text, out);
    (void)fprintf(out, ": %s%s\n", explain_event_outcome(event->outcome), event->late ? ", too late for windows and memories" : "");
    for (uint16_t r = 0; r < ex->program->rule_count; r++)
        if (explain_is_asked(ex, event->seq, r))
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
    if (ex->looks_more)
        (void)fprintf(out, "\n%llu more looks are not shown: an explanation holds %d.\n", (unsigned long long)ex->looks_more, INQUIRY_LOOKS_MAX);
    if (ex->hits_more)
        (void)fprintf(out, "\n%llu more hits are not told, and what led to them reads `no hit`: an explanation holds %d.\n",
                      (unsigned long long)ex->hits_more, EXPLAIN_HIT_MAX);
    if (ex->alert_more)
        (void)fprintf(out, "\nMore hits formed this alert; the first %d are shown.\n", EXPLAIN_TARGET_MAX);
}
