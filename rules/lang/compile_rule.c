/* Builds one rule: its key, stratum, body, streams, aggregates and clock, shared by canonical hash. */
#include "rules/lang/compile.h"

#include "engine/base/invariant.h"

#include <stdlib.h>

/* --- strata --- */

/* Of the legs that it searches: what their filters need. */
static uint8_t graph_stratum(const struct compiler *c, const struct syntax_graph *graph)
{
    uint8_t highest = 0;
    const struct syntax_expr *part[] = {graph->where, graph->first, graph->second};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        uint8_t stratum = expr_stratum(c, part[i], 0);
        highest = stratum > highest ? stratum : highest;
    }
    return highest;
}

/* key: stratum in which the rule's key is known, for `is new` asks a memory of that key. */
uint8_t expr_stratum(const struct compiler *c, const struct syntax_expr *expr, uint8_t key)
{
    uint8_t highest = 0;
    struct memory_path path;
    if (!expr)
        return 0;
    if (expr->form == EXPR_NAME && name_memory(c, expr->name.text, &path))
        return (uint8_t)(c->memory[path.memory].stratum + 1);
    const struct syntax_expr *part[4] = {expr->a, expr->b, expr->c, expr->aggregate ? expr->aggregate->source.where : NULL};
    for (int i = 0; i < 4; i++) {
        uint8_t stratum = expr_stratum(c, part[i], key);
        highest = stratum > highest ? stratum : highest;
    }
    if (expr->form == EXPR_GRAPH) {
        uint8_t legs = graph_stratum(c, expr->graph), own = path_stratum(c, expr->graph->key.text);
        return (uint8_t)((legs + 1) > own ? legs + 1 : own);
    }
    if (expr->form == EXPR_NEW)
        return (uint8_t)((highest > key ? highest : key) + 1);
    return highest;
}

uint8_t path_stratum(const struct compiler *c, struct slice word)
{
    struct memory_path path;
    return name_memory(c, word, &path) ? (uint8_t)(c->memory[path.memory].stratum + 1) : 0;
}

static uint8_t rule_stratum(const struct compiler *c, const struct syntax_rule *rule)
{
    uint8_t highest = 0;
#define RAISE(value) do { uint8_t s = (value); highest = s > highest ? s : highest; } while (0)
    for (const struct syntax_key *key = rule->key; key; key = key->next)
        RAISE(path_stratum(c, key->path.text));
    uint8_t of_key = highest;
    RAISE(expr_stratum(c, rule->when, of_key));
    for (const struct syntax_step *then = rule->then; then; then = then->next)
        RAISE(expr_stratum(c, then->condition, of_key));
    RAISE(expr_stratum(c, rule->unless, of_key));
    for (const struct syntax_let *let = rule->let; let; let = let->next)
        RAISE(expr_stratum(c, let->is_source ? let->source.where : let->value, of_key));
    for (const struct syntax_points *points = rule->points; points; points = points->next)
        RAISE(path_stratum(c, points->subject.text));
    for (const struct syntax_say *say = rule->say; say; say = say->next)
        RAISE(path_stratum(c, say->name.text));
    for (const struct syntax_except *except = rule->except; except; except = except->next)
        RAISE(expr_stratum(c, except->condition, of_key));
#undef RAISE
    return highest;
}

/* --- the rule --- */

static void check_params(struct emitter *em, const struct syntax_rule *rule)
{
    struct diagnostics *ds = em->c->diagnostics;
    for (const struct syntax_param *param = rule->param; param; param = param->next) {
        if (!param->value || !param->low || !param->high)
            continue;
        struct emitter *sub = arena_alloc(&em->c->of_rule, sizeof *sub);
        *sub = (struct emitter){.c = em->c, .scope = SCOPE_FILTER, .key = em->key};
        struct typed value = emit(sub, param->value, TYPE_POISON);
        struct typed low = emit(sub, param->low, TYPE_POISON), high = emit(sub, param->high, TYPE_POISON);
        if (value.type == TYPE_POISON || low.type == TYPE_POISON || high.type == TYPE_POISON)
            continue;
        if (value.type != low.type || value.type != high.type) {
            struct diagnostic *d = diagnostic_add(ds, DIAG_TYPE_PARAM, value.type != low.type ? param->low->span : param->high->span,
                                                  "the range is of another type than the value");
            diagnostic_second(ds, d, param->value->span, "%s", type_says((enum value_type)value.type));
            continue;
        }
        int64_t number = sub->node[value.node].imm, least = sub->node[low.node].imm, most = sub->node[high.node].imm;
        if (least > most)
            diagnostic_add(ds, DIAG_RANGE_ORDER, param->low->span, "this range is the wrong way round");
        else if (number < least || number > most)
            diagnostic_add(ds, DIAG_PARAM_RANGE, param->value->span, "the value lies outside its range");
    }
}

static void check_names(struct compiler *c, const struct syntax_rule *rule)
{
    struct name seen[LIMIT_LETS + LIMIT_PARAMS + KEY_WIDTH_MAX];
    size_t count = 0, room = sizeof seen / sizeof *seen;
    for (const struct syntax_key *key = rule->key; key && count < KEY_WIDTH_MAX; key = key->next)
        if (key->alias.text.size)
            seen[count++] = key->alias;
    const struct syntax_param *param = rule->param;
    const struct syntax_let *let = rule->let;
    while ((param || let) && count < room) {
        struct name name = param ? param->name : let->name;
        size_t i = 0;
        while (i < count && !slice_equal(seen[i].text, name.text))
            i++;
        if (i < count) {
            struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_NAME_TWICE, name.span, "`%.*s` is declared twice",
                                                  (int)name.text.size, name.text.data);
            diagnostic_second(c->diagnostics, d, seen[i].span, "the first one");
        } else if (name_field(name.text) >= 0) {
            diagnostic_add(c->diagnostics, DIAG_NAME_TWICE, name.span, "`%.*s` is the name of a field", (int)name.text.size, name.text.data);
        }
        seen[count++] = name;
        if (param)
            param = param->next;
        else
            let = let->next;
    }
}

static void rule_lets(struct emitter *em, const struct syntax_rule *rule, struct rule *out)
{
    struct compiler *c = em->c;
    struct let_def *def = ARENA_ARRAY(c->arena, struct let_def, LIMIT_LETS);
    for (const struct syntax_let *let = rule->let; let; let = let->next) {
        if (let->is_source) {
            struct expr filter;
            bool relative;
            if (!let->source.is_name)
                (void)source_filter(em, &let->source, let, &filter, &relative);
            continue;
        }
        if (!let->value || out->let_count == LIMIT_LETS)
            continue;
        struct typed value = emit_path(em, &let->name, TYPE_POISON);
        if (value.type == TYPE_POISON)
            continue;
        struct let_def *at = &def[out->let_count++];
        *at = (struct let_def){.name = arena_copy(c->arena, let->name.text), .node = value.node, .type = (enum value_type)value.type};
    }
    out->let = def;
}

/* `each FIELD of SOURCE`: within the widest window that the rule uses on that source (RULES 21). */
static bool points_each(struct emitter *em, const struct syntax_points *points, struct subject_def *def)
{
    static const char *const flows[] = {"in", "out", "transfers", "refunds", "reversals"};
    struct compiler *c = em->c;
    struct syntax_source named = {.is_name = true, .name = points->source, .span = points->source.span};
    for (int i = 0; i < 5; i++) {
        if (slice_equal(points->source.text, slice_of(flows[i]))) {
            named.is_name = false;
            named.flow = (enum stream_flow)i;
        }
    }
    const struct syntax_let *limit;
    const struct syntax_source *source = source_resolve(em, &named, &limit);
    uint8_t type;
    struct window_use *use = &def->use;
    if (!source || !stream_intern(em, source, limit, &use->stream) ||
        !stream_column(em, use->stream, &points->subject, &def->column, &type))
        return false;
    def->type = (enum value_type)type;
    int64_t widest = 0;
    for (uint16_t i = 0; i < em->input_count; i++) {
        const struct aggregate *aggregate = &em->input[i];
        if (aggregate->stream != use->stream || aggregate->span_ms <= widest)
            continue;
        widest = aggregate->span_ms;
        use->span_ms = aggregate->span_ms;
        use->days = aggregate->days;
        use->since = aggregate->since;
        use->step = em->input_step[i] < em->steps ? em->input_step[i] : 0;
    }
    struct stream *stream = &c->stream[use->stream];
    if (use->days && stream->keep_ms < stream->widest_ms)
        stream->keep_ms = (int64_t)(use->days + 1) * MS_PER_DAY; /* days do not remember who: the records do */
    if (widest)
        return true;
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_EACH_WINDOW, points->source.span, "no window of this rule reads this source");
    diagnostic_help(c->diagnostics, d, "for example `let n = distinct %.*s of %.*s over 30d`", (int)points->subject.text.size,
                    points->subject.text.data, (int)points->source.text.size, points->source.text.data);
    return false;
}

static void points_role(struct compiler *c, const struct name *word, struct subject_def *def)
{
    struct suggestion s = {.wrong = word->text};
    for (int role = 0; role < ROLE_COUNT; role++) {
        struct slice says = slice_of(role_word((enum role)role));
        if (slice_equal(word->text, says)) {
            def->role = (enum role)role;
            return;
        }
        suggest_offer(&s, says);
    }
    if (slice_equal(word->text, SLICE("victim")))
        s.best = SLICE("possible_victim");
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_ROLE_UNKNOWN, word->span, "there is no role `%.*s`", (int)word->text.size,
                                          word->text.data);
    help_suggestion(c, d, &s);
}

static void rule_points(struct emitter *em, const struct syntax_rule *rule, struct rule *out)
{
    struct compiler *c = em->c;
    struct subject_def *all = ARENA_ARRAY(c->arena, struct subject_def, LIMIT_POINTS);
    for (const struct syntax_points *points = rule->points; points && out->subject_count < LIMIT_POINTS; points = points->next) {
        struct subject_def *def = &all[out->subject_count];
        *def = (struct subject_def){.points = (int32_t)points->points, .each = points->each};
        points_role(c, &points->role, def);
        if (points->each) {
            if (!points_each(em, points, def))
                continue;
        } else if (points->member) {
            if (!graph_members(em, &points->source, &def->node))
                continue;
            def->each = EACH_MEMBER;
            def->type = TYPE_ACCOUNT;
        } else {
            struct typed value = emit_path(em, &points->subject, TYPE_POISON);
            if (value.type == TYPE_POISON)
                continue;
            def->node = value.node;
            def->type = (enum value_type)value.type;
        }
        if (def->type != TYPE_ACCOUNT && def->type != TYPE_PARTY) {
            struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_TYPE_SUBJECT, points->subject.span, "points go to accounts and parties");
            diagnostic_label(c->diagnostics, d, "%s", type_says(def->type));
            continue;
        }
        out->subject_count++;
    }
    out->subject = all;
}

static void rule_say(struct emitter *em, const struct syntax_rule *rule, struct rule *out)
{
    struct say_part *part = ARENA_ARRAY(em->c->arena, struct say_part, LIMIT_SAY_PARTS + 1);
    for (const struct syntax_say *say = rule->say; say && out->say_count <= LIMIT_SAY_PARTS; say = say->next) {
        struct say_part *at = &part[out->say_count++];
        at->text = arena_copy(em->c->arena, say->text);
        if (!say->name.text.size)
            continue;
        struct typed value = emit_path(em, &say->name, TYPE_POISON);
        at->has_value = true;
        at->node = value.node;
        at->type = (enum value_type)value.type;
    }
    out->say = part;
}

static void rule_excepts(struct emitter *em, const struct syntax_rule *rule, struct rule *out)
{
    struct compiler *c = em->c;
    struct except_def *all = ARENA_ARRAY(c->arena, struct except_def, LIMIT_EXCEPTS);
    for (const struct syntax_except *except = rule->except; except && out->except_count < LIMIT_EXCEPTS; except = except->next) {
        struct emitter *sub = arena_alloc(&c->of_rule, sizeof *sub);
        *sub = *em;
        sub->count = sub->part_from = sub->comparison_count = 0;
        sub->comparison = NULL;
        sub->aside = true;
        memset(sub->let_done, 0, sizeof sub->let_done);
        uint16_t root;
        bool good = emit_condition(sub, except->condition, "`except`", &root);
        memcpy(em->input, sub->input, sizeof em->input);
        em->filter = sub->filter;
        em->input_count = sub->input_count;
        em->filter_count = sub->filter_count;
        em->part_inputs = sub->part_inputs;
        em->full |= sub->full;
        if (!good)
            continue;
        all[out->except_count++] = (struct except_def){.condition = emitted(sub, root), .until_day = except->until_day,
                                                       .because = arena_copy(c->arena, except->because.text),
                                                       .by = arena_copy(c->arena, except->by.text)};
    }
    out->except = all;
}

static int by_number(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Inputs whose streams touch the rule: those of its steps, and of `unless` while an attempt is on. */
static uint32_t rule_inputs_touching(struct rule *out)
{
    uint32_t inputs = 0;
    for (uint8_t s = 0; s < out->step_count; s++) {
        const struct rule_part *unless = out->unless && s > 0 ? &out->unless[s] : NULL;
        inputs |= out->step[s].part.inputs | (unless ? unless->inputs : 0);
        out->touched_by_all |= out->step[s].part.touched_by_all || (unless && unless->touched_by_all);
    }
    return inputs;
}

/* Whether nothing but settled payments of the key touch the rule, and each of them does. Of one thing that an event names both ends agree on
 * whether a first report named it before; of other keys they need not. */
static bool touched_by_payments(const struct emitter *em, const struct rule *rule, const uint16_t *stream)
{
    bool settled = rule->touched_by_all && key_is_entity(em->key->form);
    for (uint16_t i = 0; settled && i < rule->stream_count; i++) {
        uint8_t flow = em->c->stream[stream[i]].flow;
        settled = flow == STREAM_IN || flow == STREAM_OUT || flow == STREAM_TRANSFERS;
    }
    return settled;
}

/* The streams that its parts read touch the rule; rules touched alike share a clock (RULES 2). Those that every payment touches are, whatever
 * they read. */
static void rule_touch(struct emitter *em, struct rule *out)
{
    struct compiler *c = em->c;
    uint16_t *stream = ARENA_ARRAY(c->arena, uint16_t, RULE_INPUT_MAX);
    uint64_t hash[RULE_INPUT_MAX];
    uint32_t inputs = rule_inputs_touching(out);
    for (uint16_t i = 0; i < em->input_count; i++) {
        if (!(inputs >> i & 1))
            continue;
        uint16_t of = em->input[i].stream, j = 0;
        while (j < out->stream_count && stream[j] != of)
            j++;
        if (j < out->stream_count)
            continue;
        hash[out->stream_count] = c->stream[of].hash;
        stream[out->stream_count++] = of;
    }
    out->stream = stream;
    if (em->key->form == KEY_TRANSFER)
        return;
    qsort(hash, out->stream_count, sizeof *hash, by_number);
    uint64_t clock = hash_number(em->key->hash, out->touched_by_all);
    if (!touched_by_payments(em, out, stream))
        clock = hash_bytes(clock, hash, sizeof *hash * out->stream_count);
    for (out->clock = 0; out->clock < c->clock_count; out->clock++)
        if (c->clock[out->clock].hash == clock)
            return;
    c->clock[c->clock_count++] = (struct clock_def){em->keyspace, clock};
}

/* Aggregates belong to their rule's clock: once it is known, each is interned under it. */
static void rule_inputs(struct emitter *em, struct rule *out)
{
    struct compiler *c = em->c;
    uint16_t *input = ARENA_ARRAY(c->arena, uint16_t, em->input_count + 1);
    for (uint16_t i = 0; i < em->input_count; i++) {
        struct aggregate aggregate = em->input[i];
        aggregate.clock = em->key->form == KEY_TRANSFER ? 0 : out->clock;
        input[i] = aggregate_intern(c, &aggregate);
    }
    out->input = input;
    out->input_count = em->input_count;
}

static uint64_t rule_hash(const struct compiler *c, const struct emitter *em, const struct rule *rule)
{
    uint64_t hash = hash_expr(c, &rule->body, hash_number(em->key->hash, rule->typology));
    for (uint16_t i = 0; i < rule->input_count; i++)
        hash = hash_number(hash, (int64_t)input_hash(c, &c->aggregate[rule->input[i]]));
    hash = hash_number(hash, (int64_t)rule->attempt_hash);
    for (uint8_t i = 0; i < rule->subject_count; i++) {
        const struct subject_def *def = &rule->subject[i];
        hash = hash_number(hash_number(hash_number(hash, def->points), def->role), def->node);
        hash = hash_number(hash_number(hash, def->each), def->each == EACH_FIELD ? (int64_t)c->stream[def->use.stream].hash : 0);
        hash = hash_number(hash, def->column);
    }
    for (uint8_t i = 0; i < rule->except_count; i++)
        hash = hash_number(hash_expr(c, &rule->except[i].condition, hash), rule->except[i].until_day);
    return hash_number(hash, rule->once_ms);
}

static int typology_index(const struct compiler *c, struct slice word)
{
    for (uint16_t i = 0; i < c->out->program.typology_count; i++)
        if (slice_equal(c->out->program.typology[i].name, word))
            return i;
    return -1;
}

static void rule_head(struct compiler *c, const struct syntax_rule *rule, struct rule *out)
{
    out->id = arena_copy(c->arena, rule->id.text);
    out->title = arena_copy(c->arena, rule->title.text);
    out->why = arena_copy(c->arena, rule->why.text);
    out->owner = arena_copy(c->arena, rule->owner.text);
    out->source = arena_copy(c->arena, rule->source.text);
    out->version = (uint32_t)rule->version;
    bool live = c->options->for_tests || (c->options->live.size && slice_equal(c->options->live, rule->id.text));
    out->status = live ? RULE_LIVE : rule->status;
    out->evidence = rule->evidence;
    out->once_ms = rule->once_ms;
    int typology = typology_index(c, rule->typology.text);
    if (typology < 0 && rule->typology.text.size) {
        struct suggestion s = {.wrong = rule->typology.text};
        for (const struct syntax_typology *at = c->syntax->typology; at; at = at->next)
            suggest_offer(&s, at->name.text);
        struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_TYPOLOGY_UNKNOWN, rule->typology.span, "there is no typology `%.*s`",
                                              (int)rule->typology.text.size, rule->typology.text.data);
        help_suggestion(c, d, &s);
    }
    out->typology = (uint16_t)(typology < 0 ? 0 : typology);
    for (uint16_t i = 0; i < FAMILY_COUNT; i++) {
        if (slice_equal(rule->family.text, slice_of(family_words[i]))) {
            out->family = i;
            return;
        }
    }
    if (!rule->family.text.size)
        return;
    struct suggestion s = {.wrong = rule->family.text};
    for (uint16_t i = 0; i < FAMILY_COUNT; i++)
        suggest_offer(&s, slice_of(family_words[i]));
    struct diagnostic *d = diagnostic_add(c->diagnostics, DIAG_FAMILY_UNKNOWN, rule->family.span, "there is no family `%.*s`",
                                          (int)rule->family.text.size, rule->family.text.data);
    help_suggestion(c, d, &s);
}

static void rule_key_names(struct compiler *c, const struct syntax_rule *rule, const struct keyspace *key, struct rule *out)
{
    size_t i = 0;
    if (key->form == KEY_PAIR) {
        out->key_name[0] = SLICE("sender");
        out->key_name[1] = SLICE("receiver");
        return;
    }
    for (const struct syntax_key *at = rule->key; at && i < KEY_WIDTH_MAX; at = at->next)
        out->key_name[i++] = arena_copy(c->arena, at->alias.text.size ? at->alias.text : at->path.text);
}

void compile_rule(struct compiler *c, const struct syntax_rule *rule)
{
    struct rule out = {0};
    arena_reset(&c->of_rule);
    struct keyspace *key = ARENA_NEW(&c->of_rule, struct keyspace);
    rule_head(c, rule, &out);
    check_names(c, rule);
    if (!key_of_rule(c, rule, key))
        return;
    struct emitter *em = arena_alloc(&c->of_rule, sizeof *em);
    *em = (struct emitter){.c = c, .scope = SCOPE_RULE, .rule = rule, .key = key, .stratum = rule_stratum(c, rule)};
    if (em->stratum >= STRATUM_MAX) {
        diagnostic_add(c->diagnostics, DIAG_STRATA, rule->id.span, "this rule reads memories upon memories, more than %d deep", STRATUM_MAX - 1);
        return;
    }
    out.stratum = em->stratum;
    if (!keyspace_intern(c, key, rule->key->path.span, &em->keyspace))
        return;
    out.keyspace = em->keyspace;
    rule_key_names(c, rule, key, &out);
    check_params(em, rule);
    if (!steps_open(em))
        return;
    emit_steps(em, &out);
    part_open(em, em->steps, 0, &out.hit);
    rule_lets(em, rule, &out);
    rule_points(em, rule, &out);
    rule_say(em, rule, &out);
    rule_excepts(em, rule, &out);
    part_close(em, &out.hit);
    if (em->full)
        diagnostic_add(c->diagnostics, DIAG_LIMIT, rule->id.span, "a rule has at most %d parts", EXPR_NODE_MAX);
    out.body = emitted(em, out.step[0].part.root);
    struct rule_filter *filter = ARENA_ARRAY(c->arena, struct rule_filter, em->filter_count + 1u);
    if (em->filter_count)
        memcpy(filter, em->filter, sizeof *filter * em->filter_count);
    out.filter = filter;
    out.filter_count = em->filter_count;
    rule_uses(em, &out);
    rule_graphs(em, &out);
    rule_touch(em, &out);
    rule_inputs(em, &out);
    out.attempt_hash = attempt_hash(c, &out);
    out.hash = rule_hash(c, em, &out);
    c->rule[c->rule_count++] = out;
}
