/* The syntax tree of a rule set: what the author wrote, with the place of every part.
 *
 * Made by parser.c, read by check.c, compile.c and the test runner. All nodes live in the arena of
 * struct syntax; lists are chains by `next`, in the order of the files (sorted by name) and of the
 * text. Names are slices into the sources, which live as long as the tree. A part that could not be
 * read is NULL and its owner marked `broken` (its error stands in the diagnostics); in a tree without
 * errors every node is complete. */
#ifndef RULES_LANG_SYNTAX_H
#define RULES_LANG_SYNTAX_H

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "engine/model/event.h"
#include "engine/model/hit.h"
#include "rules/lang/program.h"

struct name {
    struct slice text;
    struct span span;
};

struct source_file {
    struct slice name; /* as given to the reader: "labour.rules" */
    struct slice text;
};

enum expr_form {
    EXPR_NUMBER,    /* value: a plain number */
    EXPR_MONEY,     /* value: minor units of `currency` */
    EXPR_PERCENT,   /* value: millionths */
    EXPR_DURATION,  /* value: ms */
    EXPR_CLOCK,     /* value: ms since midnight */
    EXPR_NAME,      /* name: a path such as sender.wage.amount, a let, a param or a code */
    EXPR_NOT, EXPR_NEG,          /* a */
    EXPR_AND, EXPR_OR,           /* a, b */
    EXPR_EQ, EXPR_NE, EXPR_LT, EXPR_LE, EXPR_GT, EXPR_GE,
    EXPR_ADD, EXPR_SUB, EXPR_MUL, EXPR_DIV,
    EXPR_BETWEEN,   /* a in b..c */
    EXPR_IN_LIST,   /* a in name */
    EXPR_MATCHES,   /* a matches name */
    EXPR_IS_KNOWN, EXPR_IS_MISSING, /* a */
    EXPR_DEFAULT,   /* a default b */
    EXPR_AGE,       /* age(a) */
    EXPR_AGGREGATE, /* fn field of source over window */
    EXPR_USUAL,     /* usual a: an aggregate or the name of one */
    EXPR_NEW,       /* a is new over window (b) */
    EXPR_GRAPH,     /* a graph operator */
};

struct syntax_expr {
    enum expr_form form;
    struct span span;         /* the whole */
    struct span sign;         /* the operator, where there is one */
    int64_t value;
    currency_code currency;
    struct name name;
    struct syntax_expr *a, *b, *c;
    struct syntax_aggregate *aggregate;
    struct syntax_graph *graph;
};

/* in|out|transfers|refunds|reversals [where …], or the name of a let that is one. */
struct syntax_source {
    struct span span;
    bool is_name;
    struct name name;         /* is_name */
    enum stream_flow flow;    /* else */
    struct syntax_expr *where; /* NULL: all */
};

struct syntax_aggregate {
    enum aggregate_fn fn;
    struct name field;        /* empty for count */
    struct syntax_source source;
    struct syntax_expr *over; /* EXPR_DURATION, or EXPR_NAME of a param; NULL where `since` */
    int64_t since;            /* `since step N`; 0: none */
    struct span since_span;
};

struct syntax_graph {
    enum graph_operator op;
    struct span span;         /* of its words */
    struct name key;          /* the account it starts from */
    struct name list;         /* hops, route; else empty */
    struct name attribute;    /* sharing */
    int64_t middles;          /* scatter_gather */
    int64_t hops_low, hops_high;
    int64_t hub, budget;      /* 0: the usual */
    struct syntax_expr *over, *keep_low, *keep_high, *where, *first, *second; /* NULL: not given */
};

struct syntax_list {
    struct syntax_list *next;
    struct name name, of, path; /* path without its quotes */
    enum value_type type;       /* set by check.c */
    int64_t stale_ms;           /* 0: never */
};

struct syntax_pattern {
    struct syntax_pattern *next;
    struct span span;           /* with slashes or quotes */
    struct span body_span;
    bool regex, caseless, never;
    struct slice body;
};
struct syntax_text {
    struct syntax_text *next;
    struct name name;
    struct syntax_pattern *pattern;
    uint32_t pattern_count;
    bool broken;
};

struct syntax_keep {
    struct syntax_keep *next;
    struct syntax_expr *value;
    struct name name;           /* the alias, or the field as written */
};
struct syntax_fact_field {
    struct syntax_fact_field *next;
    struct name name, type;
};
struct syntax_memory {          /* a memory or a fact: both are read by the same paths */
    struct syntax_memory *next;
    bool fact;
    struct syntax_fact_field *field; /* fact */
    struct name from;           /* fact: a topic, or a file that ends in .csv */
    struct name name, key;      /* key: "account", "party" …, or "pair" */
    struct syntax_source source;
    struct syntax_keep *keep;
    int64_t for_ms;
    struct span for_span;
    bool broken;
};

struct syntax_typology {
    struct syntax_typology *next;
    struct name name, title, offence;
    int64_t points, indicators, families;
    struct name including;      /* empty: none */
    bool urgent;
    int64_t half_life_ms, cap;  /* 0: none */
    bool broken;
};

struct syntax_param {
    struct syntax_param *next;
    struct name name;
    struct syntax_expr *value, *low, *high; /* literals */
};

struct syntax_key {             /* one element of `for each` */
    struct syntax_key *next;
    struct name path, alias;    /* alias may be empty */
};

struct syntax_let {
    struct syntax_let *next;
    struct name name;
    bool is_source;
    struct syntax_source source; /* is_source */
    struct syntax_expr *value;   /* else */
};

struct syntax_step {            /* `then within SPAN condition` */
    struct syntax_step *next;
    struct span span;           /* the word `then` */
    struct syntax_expr *within; /* EXPR_DURATION, or EXPR_NAME of a param */
    struct syntax_expr *condition;
};

struct syntax_points {
    struct syntax_points *next;
    struct span span;
    int64_t points;
    bool each, member;          /* each FIELD of SOURCE; each member of GRAPHLET */
    struct name subject;        /* path; each: the field */
    struct name source;         /* each, member: the let */
    struct name role;
};

struct syntax_say {             /* literal text, then {name} unless last */
    struct syntax_say *next;
    struct slice text;
    struct name name;           /* empty: only text */
};

struct syntax_except {
    struct syntax_except *next;
    struct span span, until_span;
    struct syntax_expr *condition;
    int32_t until_day;
    struct name because, by;
};

struct syntax_rule {
    struct syntax_rule *next;
    struct name id, title;
    struct span span;           /* from `rule` to `}` */
    int64_t version;
    enum rule_status status;
    struct name typology, family;
    uint8_t evidence;           /* bit 0 act, 1 means, 2 purpose */
    struct name source, why, owner; /* empty when absent */
    char source_grade[4];       /* "V", "V2", "M", "P" or "" */
    int32_t review_day;         /* 0: none */
    struct syntax_param *param;
    struct syntax_key *key;
    struct syntax_let *let;
    struct syntax_expr *when;
    struct syntax_step *then;
    struct syntax_expr *unless; /* NULL: none */
    struct syntax_points *points;
    int64_t once_ms;            /* 0: none */
    struct syntax_say *say;
    struct syntax_except *except;
    bool broken;
};

/* --- test blocks --- */
struct test_end {
    struct name name;           /* "A"; "S" for S*; empty for CASH */
    bool fresh;                 /* S*: a new account at every event */
    bool cash;
};
/* Fields as written: channel, kind, purpose, narrative, mcc, place, place_country, terminal, status, id,
 * end_to_end, sender_country, receiver_country, sender_device … receiver_party. */
struct test_field {
    struct test_field *next;
    struct name name;
    struct name value;          /* the word, or the string without quotes */
};
struct test_step {
    struct test_step *next;
    struct span span;
    int64_t after_ms;           /* moves the clock before the first event */
    int64_t every_ms;           /* with times > 1: between events */
    int64_t times;              /* 1 unless `every D x N` */
    struct test_end sender, receiver;
    int64_t amount_minor;
    currency_code currency;
    struct test_field *field;
};
struct test_given {
    struct test_given *next;
    struct name account, list;
};
/* `given FACT of A { field value … } [from DATE]`: known before the first event. */
struct test_fact {
    struct test_fact *next;
    struct span span;
    struct name fact, subject;
    struct test_field *field;
    int32_t from_day;           /* local day; has_day */
    bool has_day;
};
struct test_let {
    struct test_let *next;
    struct name name;
    struct syntax_expr *value;  /* a literal or a code */
};
enum expect_form { EXPECT_HIT, EXPECT_ALERT, EXPECT_NOTHING };
struct test_expect {
    struct test_expect *next;
    enum expect_form form;
    struct span span;
    struct name subject;        /* hit, alert: the account */
    enum role role;             /* hit; has_role */
    bool has_role;
    struct test_let *with;      /* hit */
    struct name typology;       /* alert */
};
struct syntax_test {
    struct syntax_test *next;
    struct name title;
    struct span span;
    struct syntax_key *rule;    /* `for COLL-01, WAGE-02`: path holds the rule id; NULL: all rules */
    int32_t start_day;          /* local day and clock of `start` */
    int64_t start_clock_ms;
    struct test_given *given;
    struct test_fact *fact;
    struct test_step *step;
    struct test_expect *expect;
    bool broken;
};

struct syntax {
    struct arena arena;
    struct source_file *file;   /* sorted by name */
    uint16_t file_count;
    struct name name, timezone, base; /* of the one ruleset block; empty when absent */
    struct syntax_list *list;
    struct syntax_text *text;
    struct syntax_memory *memory;
    struct syntax_typology *typology;
    struct syntax_rule *rule;
    struct syntax_test *test;
};

struct diagnostics;

/* Reads every *.rules file of dir into a tree; errors of the text go to diagnostics. NULL only when the
 * world failed (err). Freed by syntax_free. */
struct syntax *syntax_load(const char *dir, struct diagnostics *diagnostics, struct error *err) must_check;
/* The same from sources in memory (file names and texts are copied). */
struct syntax *syntax_parse(const struct source_file *file, uint16_t count, struct diagnostics *diagnostics);
void syntax_free(struct syntax *syntax);

#endif
