/* Writes an explanation as one JSON object: the facts of the page, masked as there. */
#include "engine/cli/explain_private.h"

#include "engine/base/invariant.h"
#include "engine/base/json_writer.h"

#include <stdlib.h>

/* A text that is put piece by piece before it becomes a member. */
struct piece {
    FILE *out;
    char *text;
    size_t size;
};

static FILE *piece_open(struct piece *piece)
{
    *piece = (struct piece){0};
    piece->out = open_memstream(&piece->text, &piece->size);
    invariant(piece->out != NULL);
    return piece->out;
}

static void piece_close(struct piece *piece, struct json_writer *json, const char *name)
{
    invariant(fclose(piece->out) == 0);
    json_text(json, name, (struct slice){piece->text, piece->size});
    free(piece->text);
}

static void write_text(struct json_writer *json, const char *name, const struct explanation *ex, struct slice text)
{
    struct piece piece;
    explain_put(ex, text, piece_open(&piece));
    piece_close(&piece, json, name);
}

/* --- one look --- */

/* last: the event at which the last of the look's conditions turned true; 0: not told. */
static void write_condition(struct json_writer *json, const struct explanation *ex, uint16_t rule, const struct inquiry_look *look,
                            const struct inquiry_condition *condition, uint64_t last)
{
    static const char *const truths[] = {"false", "true", "unknown"};
    struct piece piece;
    json_open_object(json, NULL);
    explain_condition_put(ex, rule, look, condition->node, false, piece_open(&piece));
    piece_close(&piece, json, "condition");
    json_text(json, "truth", slice_of(truths[condition->truth]));
    write_text(json, "values", ex, condition->values);
    json_bool(json, "reached", condition->reached);
    if (condition->turned_seq) {
        explain_moment_put(ex, condition->turned_ms, piece_open(&piece));
        piece_close(&piece, json, "since");
    }
    json_bool(json, "last_to_turn_true", look->truth && last && condition->turned_seq == last);
    json_bool(json, "kept_from_firing", condition->culprit && (look->part == WITNESS_STEP || look->part == WITNESS_STREAM));
    json_close_object(json);
}

static void write_look(struct json_writer *json, const struct explanation *ex, const struct inquiry_look *look)
{
    const struct rule *rule = &ex->program->rule[look->index];
    uint64_t last = explain_last_turned(look);
    json_open_object(json, NULL);
    if (look->part == WITNESS_STEP && rule->step_count > 1) {
        json_text(json, "part", SLICE("step"));
        json_number(json, "step", look->number);
        json_number(json, "steps", rule->step_count);
    } else {
        json_text(json, "part", slice_of(look->part == WITNESS_STEP ? "when" : look->part == WITNESS_UNLESS ? "unless" : "except"));
    }
    json_bool(json, "true", look->truth);
    json_open_array(json, "conditions");
    for (uint16_t c = 0; c < look->condition_count; c++)
        write_condition(json, ex, look->index, look, &look->condition[c], last);
    json_close_array(json);
    json_close_object(json);
}

/* --- one rule and key --- */

static void write_points(struct json_writer *json, const struct explanation *ex, struct slice lines)
{
    json_open_array(json, "points");
    while (lines.size) {
        const char *end = memchr(lines.data, '\n', lines.size);
        size_t size = end ? (size_t)(end - lines.data) : lines.size, indent = 0;
        while (indent < size && lines.data[indent] == ' ')
            indent++;
        write_text(json, NULL, ex, (struct slice){lines.data + indent, size - indent});
        size += end != NULL;
        lines = (struct slice){lines.data + size, lines.size - size};
    }
    json_close_array(json);
}

/* The looks [0, count) are of one rule and key. */
static void write_key(struct json_writer *json, const struct explanation *ex, const struct inquiry_look *look, uint32_t count)
{
    const struct rule *rule = &ex->program->rule[look->index];
    const struct explain_hit *hit = explain_hit_of(ex, look);
    struct piece piece;
    json_open_object(json, NULL);
    json_text(json, "rule", rule->id);
    json_open_array(json, "key");
    for (uint8_t w = 0; w < look->width; w++) {
        json_open_object(json, NULL);
        json_text(json, "name", rule->key_name[w]);
        write_text(json, "value", ex, look->key_text[w]);
        json_close_object(json);
    }
    json_close_array(json);
    json_bool(json, "hit", hit != NULL);
    explain_outcome_put(ex, look, count, hit, piece_open(&piece));
    piece_close(&piece, json, "outcome");
    json_open_array(json, "parts");
    for (uint32_t i = 0; i < count; i++)
        write_look(json, ex, &look[i]);
    json_close_array(json);
    write_text(json, "with", ex, hit ? hit->lets : look[0].lets);
    if (hit) {
        write_text(json, "says", ex, hit->say);
        write_points(json, ex, hit->points);
    }
    json_close_object(json);
}

/* --- one event --- */

/* Looks at one key stand together. */
static void write_rule(struct json_writer *json, const struct explanation *ex, const struct inquiry_look *look, uint32_t count, uint16_t rule, uint64_t seq)
{
    for (uint32_t from = 0; from < count;) {
        uint32_t to = from + 1;
        while (to < count && explain_is_look(&look[to], seq) && explain_keys_alike(&look[from], &look[to]))
            to++;
        if (explain_is_look(&look[from], seq) && look[from].index == rule)
            write_key(json, ex, &look[from], to - from);
        from = to;
    }
}

static void write_not_looked(struct json_writer *json, const struct explanation *ex, const struct inquiry_look *look, uint32_t count, uint64_t seq)
{
    uint32_t silent = 0;
    json_open_array(json, "filtered_out");
    for (uint16_t r = 0; r < ex->program->rule_count; r++) {
        const struct inquiry_look *filter = NULL;
        if (explain_looked(look, count, seq, r))
            continue;
        filter = explain_kept_out(ex, r, look, count, seq);
        silent += filter == NULL;
        if (!filter)
            continue;
        json_open_object(json, NULL);
        json_text(json, "rule", ex->program->rule[r].id);
        json_open_array(json, "conditions");
        for (uint16_t c = 0; c < filter->condition_count; c++)
            if (filter->condition[c].culprit)
                write_condition(json, ex, r, filter, &filter->condition[c], 0);
        json_close_array(json);
        json_close_object(json);
    }
    json_close_array(json);
    json_number(json, "rules_that_read_none", silent);
}

static void write_event(struct json_writer *json, const struct explanation *ex, const struct explain_event *event)
{
    uint32_t count;
    uint64_t more;
    const struct inquiry_look *look = inquiry_looks(ex->inquiry, &count, &more);
    json_open_object(json, NULL);
    write_text(json, "event", ex, event->text);
    json_text(json, "outcome", slice_of(explain_event_outcome(event->outcome)));
    json_bool(json, "late", event->late);
    json_open_array(json, "looks");
    for (uint16_t r = 0; r < ex->program->rule_count; r++)
        if (explain_is_asked(ex, event->seq, r))
            write_rule(json, ex, look, count, r, event->seq);
    json_close_array(json);
    if (ex->whole && event->outcome <= OUTCOME_JOINED)
        write_not_looked(json, ex, look, count, event->seq);
    json_close_object(json);
}

void explain_json(const struct explanation *ex, FILE *out)
{
    struct json_writer json;
    json_writer_init(&json);
    json_open_object(&json, NULL);
    json_open_array(&json, "events");
    for (uint32_t e = 0; e < ex->event_count; e++)
        write_event(&json, ex, &ex->event[e]);
    json_close_array(&json);
    json_number(&json, "looks_not_told", (int64_t)ex->looks_more);
    json_number(&json, "hits_not_told", (int64_t)ex->hits_more);
    json_bool(&json, "more_hits_formed_the_alert", ex->alert_more);
    json_close_object(&json);
    json_line(&json);
    (void)fwrite(json.text, 1, json.size, out);
    json_writer_fini(&json);
}
