/* What the files of the compiler share: the tables being filled, and the emitter of one expression.
 *
 * compile.c lays out the program, names.c resolves names, emit.c checks types and emits nodes,
 * compile_rule.c builds rules and shares streams, warn.c says what is legal but doubtful. Checking
 * and emitting are one pass: a wrong part gets the type POISON, which silences whatever uses it. */
#ifndef RULES_LANG_COMPILE_H
#define RULES_LANG_COMPILE_H

#include "rules/lang/diagnostic.h"
#include "rules/lang/limit.h"
#include "rules/lang/load.h"

/* The program and the memory behind it. */
struct compiled {
    struct program program; /* first: program_free finds its owner by it */
    struct arena arena;
};

enum { KEYSPACE_MAX = 256, AGGREGATE_MAX = 4096, READ_MAX = 256, FAMILY_COUNT = 12 };

struct compiler {
    struct compiled *out;
    struct arena *arena;            /* of the program */
    struct arena scratch;
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
    uint16_t keyspace_count, stream_count, clock_count, aggregate_count, read_count, rule_count, slot_count;
    uint16_t memory_count, list_count, text_count;
    const struct syntax_memory **memory_syntax; /* by program index */
    uint8_t *memory_state;                      /* 0 new, 1 being measured, 2 done */
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
    bool full;
    bool reads_event;                   /* some node reads a field that is not the key's own */
    bool side_relative;
    uint8_t stratum;                    /* SCOPE_RULE: of the rule */
    struct aggregate input[RULE_INPUT_MAX]; /* in the order of OP_INPUT's imm; their clock comes last */
    uint16_t input_count;
    bool let_done[LIMIT_LETS];
    struct typed let_value[LIMIT_LETS];
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
struct typed emit(struct emitter *em, const struct syntax_expr *expr, enum value_type want);
struct typed emit_path(struct emitter *em, const struct name *name, enum value_type want);
bool emit_condition(struct emitter *em, const struct syntax_expr *expr, const char *where, uint16_t *root);
uint16_t emit_node(struct emitter *em, struct node node);
struct expr emitted(struct emitter *em, uint16_t root); /* copies the nodes into the program */
uint64_t hash_expr(const struct compiler *c, const struct expr *expr, uint64_t seed);
uint64_t hash_bytes(uint64_t seed, const void *bytes, size_t size);
uint64_t hash_slice(uint64_t seed, struct slice text);
uint64_t hash_number(uint64_t seed, int64_t number);

/* compile_rule.c */
void compile_rule(struct compiler *c, const struct syntax_rule *rule);
struct typed emit_aggregate(struct emitter *em, const struct syntax_expr *expr);
bool source_fits(struct compiler *c, const struct keyspace *key, const struct syntax_source *source);
uint8_t expr_stratum(const struct compiler *c, const struct syntax_expr *expr);
uint16_t keyspace_intern(struct compiler *c, const struct keyspace *key);

/* compile.c */
extern const char *const family_words[FAMILY_COUNT + 1];
struct program *compile(const struct syntax *syntax, const char *dir, const struct load_options *options,
                        struct diagnostics *diagnostics, struct error *err) must_check;

/* warn.c */
void warn_comparison(struct emitter *em, const struct syntax_expr *expr, struct node node);
void warn_all(struct compiler *c);

#endif
