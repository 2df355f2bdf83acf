/* What the files of the compiler share: the tables being filled, and the emitter of one expression.
 *
 * compile.c lays out the program, names.c resolves names, emit.c checks types and emits nodes,
 * compile_source.c shares keys, streams and windows, compile_habit.c does `usual` and `is new`,
 * compile_rule.c builds rules, compile_step.c their steps, warn.c says what is legal but doubtful. Checking
 * and emitting are one pass: a wrong part gets the type POISON, which silences whatever uses it. */
#ifndef RULES_LANG_COMPILE_H
#define RULES_LANG_COMPILE_H

#include "rules/lang/diagnostic.h"
#include "rules/lang/limit.h"
#include "rules/lang/eval.h"
#include "rules/lang/load.h"

/* The program and the memory behind it. */
struct compiled {
    struct program program; /* first: program_free finds its owner by it */
    struct arena arena;
};

enum { WINDOWS_MAX = 8192, READ_MAX = 256, FAMILY_COUNT = 12, COMPARISON_MAX = 2 * EXPR_NODE_MAX,
       FILTER_MAX = 2 * RULE_INPUT_MAX };

/* One link of a chain of hash_number, kept: rules of one pattern hash the same beginnings again and again. */
struct hash_link {
    uint64_t seed, hash; /* hash 0: an empty place */
    int64_t number;
};

enum { HASH_LINK_BITS = 12, HASH_LINK_COUNT = 1 << HASH_LINK_BITS };

struct compiler {
    struct compiled *out;
    struct arena *arena;            /* of the program */
    struct arena scratch;           /* until all is compiled */
    struct arena of_rule;           /* until the next rule: its emitters and what they note */
    struct diagnostics *diagnostics;
    const struct syntax *syntax;
    const struct load_options *options;
    const char *dir;                /* of the lists; "" for none */
    currency_code base;
    struct keyspace *keyspace;
    struct stream *stream;
    struct clock_def *clock;
    struct aggregate *aggregate;
    struct memory *memory;
    struct memory_read *read;
    struct list **list;
    struct text **text;
    uint64_t *text_hash;
    enum value_type *list_type;
    struct rule *rule;
    struct graph_use *graph;
    uint16_t graph_count, graph_drafts;
    uint16_t keyspace_count, stream_count, clock_count, aggregate_count, read_count, rule_count, slot_count;
    uint16_t memory_count, list_count, text_count;
    uint16_t memory_named;          /* those that authors wrote; behind them what `is new` keeps */
    const struct syntax_memory **memory_syntax; /* by program index */
    uint8_t *memory_state;                      /* 0 new, 1 being measured, 2 done */
    struct hash_link *hash_link;                /* HASH_LINK_COUNT of them */
};

/* The nearest word so far to a wrong one: candidates are offered one by one. */
struct suggestion {
    struct slice wrong, best; /* best is empty while nothing is near enough */
    int distance;
};

/* A path that names a memory: sender.wage, sender.wage.amount. */
struct memory_path {
    uint16_t memory;
    struct slice base;       /* sender, receiver, account, other, pair */
    struct slice keep;       /* empty: the record itself */
};

enum emit_scope { SCOPE_RULE, SCOPE_FILTER };

struct typed {
    uint16_t node;
    uint8_t type; /* enum value_type */
};

struct emitter {
    struct compiler *c;
    enum emit_scope scope;
    const struct syntax_rule *rule;     /* NULL in memories */
    const struct keyspace *key;
    uint16_t keyspace;
    const struct syntax_let *let_limit; /* only lets before this one are visible; NULL: all */
    struct node node[EXPR_NODE_MAX];
    uint16_t count;
    struct comparison_place *comparison;      /* room for COMPARISON_MAX from the first on */
    uint16_t comparison_count;
    struct rule_filter *filter;         /* SCOPE_RULE: as written; room for FILTER_MAX from the first on */
    uint8_t filter_count;
    bool full;
    bool reads_event;                   /* some node reads a field that is not the key's own */
    bool side_relative;
    uint8_t stratum;                    /* SCOPE_RULE: of the rule */
    struct aggregate input[RULE_INPUT_MAX]; /* in the order of OP_INPUT's imm; their clock comes last */
    uint16_t input_count;
    bool let_done[LIMIT_LETS];          /* in the part that is built */
    struct typed let_value[LIMIT_LETS];
    uint16_t let_input[LIMIT_LETS];     /* 1 + the input that the let is, 0: none */

    /* SCOPE_RULE: the steps, and the part that is built */
    uint8_t steps;                      /* of the rule; 1: `when` alone */
    int64_t within_ms[STEP_MAX];        /* [s]: of step s + 1, since the step before */
    uint8_t in_hand, homing;            /* as part_open was told */
    uint16_t part_from;                 /* nodes before it are not shared with this part */
    uint32_t part_inputs;               /* bits of inputs that it reads */
    bool of_param;                      /* a param's value is emitted */
    bool aside;                         /* an `except`: nodes of an expression of their own */
    struct graph_use graph[RULE_GRAPH_MAX]; /* in the order of OP_GRAPH's imm */
    const struct syntax_graph *graph_syntax[RULE_GRAPH_MAX];
    uint8_t graph_count;
    uint8_t input_step[RULE_INPUT_MAX]; /* first step that reads the input; 0: none */
    uint8_t let_home[LIMIT_LETS];       /* step that is the first to name the let: there its value is kept; 0: none */
    uint8_t let_slot[LIMIT_LETS], let_type[LIMIT_LETS];
    struct kept_let kept[KEPT_MAX];     /* by slot */
    uint8_t kept_count;
};

/* names.c */
bool name_memory(const struct compiler *c, struct slice path, struct memory_path *out);
int name_field(struct slice path);               /* enum field, or -1 */
const struct syntax_key *name_key(const struct syntax_rule *rule, struct slice word);
const struct syntax_let *name_let(const struct emitter *em, struct slice word);
const struct syntax_param *name_param(const struct syntax_rule *rule, struct slice word);
int name_list(const struct compiler *c, struct slice word);
int name_text(const struct compiler *c, struct slice word);
/* True when word is a code of the type; *number is its value. */
bool code_value(enum value_type type, struct slice word, int64_t *number);
bool type_has_codes(enum value_type type);
const char *type_says(enum value_type type);
void code_offer(enum value_type type, struct suggestion *suggestion);
void suggest_offer(struct suggestion *suggestion, struct slice candidate);
void report_unknown(struct emitter *em, const struct name *name);
void report_code(struct compiler *c, enum value_type type, const struct name *name);
void help_suggestion(struct compiler *c, struct diagnostic *d, const struct suggestion *suggestion);

/* emit.c */
uint16_t read_intern(struct compiler *c, uint16_t memory, enum read_side side);
struct typed emit(struct emitter *em, const struct syntax_expr *expr, enum value_type want);
struct typed emit_path(struct emitter *em, const struct name *name, enum value_type want);
bool emit_condition(struct emitter *em, const struct syntax_expr *expr, const char *where, uint16_t *root);
uint16_t emit_node(struct emitter *em, struct node node);
struct expr emitted(struct emitter *em, uint16_t root); /* copies the nodes into the program */
uint64_t hash_expr(const struct compiler *c, const struct expr *expr, uint64_t seed);
uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t size);
uint64_t hash_slice(uint64_t seed, struct slice text);
uint64_t hash_number(uint64_t seed, int64_t number);
struct slice list_word(const struct compiler *c, int64_t index); /* the list's name */

/* compile_source.c */
/* False, and said at the span, when there are too many: then *index is 0. */
bool keyspace_intern(struct compiler *c, const struct keyspace *key, struct span span, uint16_t *index);
struct keyspace plain_key(enum key_form form);
enum key_form key_form_of(struct slice word);  /* KEY_FORM_COUNT when it is none */
bool key_of_rule(struct compiler *c, const struct syntax_rule *rule, struct keyspace *key);
bool type_is_key(uint8_t type);                /* values of it fit a word of a key */
uint32_t path_refs(const struct compiler *c, struct slice word); /* bits of enum event_ref */
bool source_fits(struct compiler *c, const struct keyspace *key, const struct syntax_source *source);
bool source_filter(struct emitter *em, const struct syntax_source *source, const struct syntax_let *limit, struct expr *filter,
                   bool *side_relative);
const struct syntax_source *source_resolve(struct emitter *em, const struct syntax_source *source, const struct syntax_let **limit);
bool stream_intern(struct emitter *em, const struct syntax_source *source, const struct syntax_let *limit, uint16_t *index);
bool legs_intern(struct emitter *em, const struct keyspace *key, const struct expr *filter, enum stream_flow flow, struct span span,
                 uint16_t *index);
bool stream_column(struct emitter *em, uint16_t stream, const struct name *name, uint8_t *column, uint8_t *type);
/* What an aggregate means, whichever rule asks. */
uint64_t input_hash(const struct compiler *c, const struct aggregate *aggregate);
uint16_t aggregate_intern(struct compiler *c, const struct aggregate *aggregate);
struct typed emit_aggregate(struct emitter *em, const struct syntax_expr *expr);
/* The window, whose param must be legal over its whole range. */
bool window_span(struct emitter *em, const struct syntax_expr *over, int64_t *span_ms, int32_t *days);
struct typed input_intern(struct emitter *em, const struct syntax_expr *expr, const struct aggregate *aggregate, uint8_t type);

/* compile_habit.c */
struct typed emit_usual(struct emitter *em, const struct syntax_expr *expr);
struct typed emit_new(struct emitter *em, const struct syntax_expr *expr);

/* compile_graph.c */
struct graph_page {
    const char *word, *behind, *cost, *help;
};
extern const struct graph_page graph_pages[GRAPH_OPERATOR_COUNT];
struct typed emit_graph(struct emitter *em, const struct syntax_expr *expr);
/* `each member of LET`: the rule's number of the let's operator. */
bool graph_members(struct emitter *em, const struct name *name, uint16_t *number);
void graph_part(struct emitter *em, struct rule_part *part);   /* whether its nodes search */
void rule_graphs(struct emitter *em, struct rule *out);              /* names, and `rules check` */
uint64_t graph_hash(const struct compiler *c, const struct graph_use *use, uint64_t hash);

/* compile_fact.c */
/* Whether a fact comes from a file beside the rules; else over a topic. */
bool fact_is_file(const struct syntax_memory *at);
void fact_compile(struct compiler *c, const struct syntax_memory *at, struct memory *memory);

/* compile_step.c */
bool steps_open(struct emitter *em);  /* counts the steps, reads their spans; false when one is wrong */
void emit_steps(struct emitter *em, struct rule *out);
void part_open(struct emitter *em, uint8_t in_hand, uint8_t homing, struct rule_part *part);
void part_close(struct emitter *em, struct rule_part *part);
void let_settle(struct emitter *em, size_t index, struct typed value); /* a let was built in this part */
bool since_span(struct emitter *em, const struct syntax_aggregate *at, struct aggregate *aggregate);
void rule_uses(struct emitter *em, struct rule *out);
uint64_t attempt_hash(const struct compiler *c, const struct rule *rule);

/* compile_rule.c */
void compile_rule(struct compiler *c, const struct syntax_rule *rule);
uint8_t path_stratum(const struct compiler *c, struct slice word);
/* key: stratum in which the rule's key is known. */
uint8_t expr_stratum(const struct compiler *c, const struct syntax_expr *expr, uint8_t key);

/* compile.c */
bool path_is_safe(struct slice path); /* of a file beside the rules */
extern const char *const family_words[FAMILY_COUNT + 1];
struct program *compile(const struct syntax *syntax, const char *dir, const struct load_options *options,
                        struct diagnostics *diagnostics, struct error *err) must_check;

/* warn.c */
void warn_comparison(struct emitter *em, const struct syntax_expr *expr, struct node node);
void warn_all(struct compiler *c);

#endif
