/* A program is a checked rule set in the form the engine runs: immutable, shared by all threads.
 *
 * Made by rules/lang/compile.c, owned by whoever called program_load, freed by program_free.
 * It knows nothing of state or threads: it says which keys exist, which streams, memories and
 * aggregates each key keeps, what each rule reads and in which stratum everything runs.
 * engine/stream binds it to state and calls rules/lang/eval.h with the values it asks for.
 *
 * Strata (DESIGN, phase 5): a memory, stream or rule is in stratum 0 if its key, filter and kept
 * fields read only the event and lists, else one above the highest stratum of the memories it
 * reads; at most STRATUM_MAX; a cycle is a compile error. `READ` of a memory happens in the
 * memory's own stratum, strictly before this event's update of it. A stream stands in the stratum
 * of the rules that read it (else a rule would see later events of the batch), so all rules of one
 * key, but those of single transfers, stand in the highest that one of them needs: what they count
 * is then kept once, and its identity does not hang on what else a rule reads.
 *
 * Graph operators search streams of KEY_LEGS to KEY_STOPS, of any account. Such a stream stands in the stratum that its filter
 * needs, in a keyspace of that stratum alone; a rule that searches it, one above: while it is evaluated nobody
 * changes what it may read, and all of the batch has entered. */
#ifndef RULES_LANG_PROGRAM_H
#define RULES_LANG_PROGRAM_H

#include "engine/base/slice.h"
#include "engine/model/event.h"
#include "engine/model/hit.h"
#include "engine/model/zone.h"

enum {
    STRATUM_MAX = 4,
    KEY_WIDTH_MAX = 4,
    RULE_INPUT_MAX = 32,   /* aggregates one rule may read */
    MEMORY_KEEP_MAX = 8,
    STEP_MAX = 8,          /* steps of one rule, the first among them */
    KEPT_MAX = 16,         /* values that one attempt keeps: lets of a rule */
    STREAM_EXTRA_MAX = 4,
    RULE_GRAPH_MAX = 8,    /* graph operators of one rule */
    STREAM_ABSENT = UINT16_MAX,
    EXPR_NODE_MAX = 256,   /* nodes of one expression or rule body */
    READ_TIME = 255,       /* OPCODE MEMORY, c: the record's own time */
};

enum value_type {
#define TYPE(name, says) TYPE_##name,
#include "rules/lang/value_type.def"
#undef TYPE
    TYPE_COUNT_OF_TYPES
};

enum field {
#define FIELD(name, word, type, help) FIELD_##name,
#include "rules/lang/field.def"
#undef FIELD
    FIELD_COUNT
};

enum graph_operator {
#define GRAPH(name, word, behind, hops, keep, cost, help) GRAPH_##name,
#include "rules/lang/graph_operator.def"
#undef GRAPH
    GRAPH_OPERATOR_COUNT
};

enum opcode {
#define OPCODE(name, says) OP_##name,
#include "rules/lang/opcode.def"
#undef OPCODE
    OP_COUNT
};

struct value {
    int64_t number;
    bool known;
};

/* One node; its value is stored under its own index. Nodes stand in evaluation order. */
struct node {
    uint8_t op;      /* enum opcode */
    uint8_t type;    /* enum value_type of the result */
    uint16_t a, b, c;
    int64_t imm;
};

/* A piece of one source file. */
struct span {
    uint32_t at, size; /* bytes */
    uint16_t file;     /* index into struct syntax.file */
};

/* Where a comparison was written; the same text may have given several nodes, and a node several texts. */
struct comparison_place {
    uint16_t node;
    struct span span;
};

struct expr {
    const struct node *node; /* count nodes; operands index from 0 within this expression */
    uint16_t count;          /* 0: no expression, always true */
    uint16_t root;
    uint16_t comparison_count;
    const struct comparison_place *comparison; /* for people: no hash and no evaluation reads it */
};

/* What a key is made of. */
enum key_form {
    KEY_TRANSFER,  /* no state: the event alone */
#define KEY_ENTITY(name, word, sender, receiver, type, field, flows, help) KEY_##name,
#include "rules/lang/key_entity.def"
#undef KEY_ENTITY
    KEY_PAIR,      /* (sender, receiver) */
    KEY_COMPOSITE, /* listed fields or memory fields; only if all are known */
    KEY_SEEN,      /* another key and one value seen with it: what `is new` asks (RULES 14) */
    /* what graph operators search; no rule is kept for these */
    KEY_LEGS,      /* accounts, with the payments between them */
    KEY_CARRIED,   /* accounts, with the payments at which each carried something: a device, a phone … */
    KEY_CARRIERS,  /* what was carried, with these payments */
    KEY_STOPS,     /* accounts, with all their payments */
    KEY_FORM_COUNT
};

static inline bool key_is_entity(enum key_form form)
{
    return form > KEY_TRANSFER && form < KEY_PAIR;
}

/* Facts of an entity key; its row of key_entity.def. */
struct key_entity {
    const char *word;
    enum event_ref ref[2];    /* by side; REF_COUNT: no such side */
    enum value_type type;
    enum field field;         /* the key itself, as a field of the event */
    bool flows;               /* `in` and `out` exist (RULES 7) */
};
const struct key_entity *key_entity(enum key_form form);

/* An element of a composite key: a one-value expression over the event and the slots. */
struct keyspace {
    enum key_form form;
    uint8_t width;                            /* key words: 1, 2 or the number of elements */
    bool sided;                               /* visited for each side of the event that names it */
    bool mutual;                              /* KEY_SEEN: an account with the other one of its payments: the same key from both ends */
    uint16_t base;                            /* KEY_SEEN: the keyspace whose words come first; KEY_CARRIERS: key_form of what is carried */
    struct expr element[KEY_WIDTH_MAX];       /* KEY_COMPOSITE: its parts; KEY_SEEN: [0] is the value seen */
    enum value_type type[KEY_WIDTH_MAX];      /* of every word of the key */
    uint32_t joined_refs[2];                  /* by side: bits of enum event_ref that name this key (RULES 7) */
    uint8_t stratum;                          /* composite: lowest stratum in which the key is known */
    uint64_t hash;                            /* of the definition: checkpoint sections carry it */
    const char *label;                        /* "account", "receiver, sender.wage.employer" */
};

enum stream_flow { STREAM_IN, STREAM_OUT, STREAM_TRANSFERS, STREAM_REFUNDS, STREAM_REVERSALS, STREAM_NONE /* facts */ };

/* What only graph operators keep: no field of the language. */
enum stream_extra {
    EXTRA_RECEIVES = FIELD_COUNT, /* 1: the key is the receiver's, else 0 */
    EXTRA_STOP                    /* country of the other end, else of the place */
};

/* Equal (keyspace, flow, filter) is one stream, however many rules read it. A record of it keeps
 * time, seq, amount, sender, receiver and the extra fields that some rule asks for. */
struct stream {
    uint16_t keyspace;
    uint8_t flow;            /* enum stream_flow */
    uint8_t stratum;
    struct expr filter;      /* of the event, evaluated once per event and side */
    uint8_t extra_count;
    uint8_t extra[STREAM_EXTRA_MAX]; /* enum field or stream_extra */
    bool side_relative;      /* the filter or an extra reads account/other: evaluate per side */
    bool legs;               /* of KEY_LEGS to KEY_STOPS: kept by the slowest partition's time, not by the key's own */
    int64_t keep_ms;         /* records are kept so long: the widest exact span; for windows by day what
                                evidence names, or all of it where `each` walks it */
    int64_t widest_ms;       /* widest span anything of it needs, calendar days rounded up, habits too */
    uint64_t hash;
    const char *label;       /* the source text of the let that first made it, for people */
};

/* What a window yields; engine/state knows the same functions by the same numbers. */
enum aggregate_fn {
#define AGGREGATE(name, word, help) AGGREGATE_##name,
#include "rules/lang/aggregate_fn.def"
#undef AGGREGATE
    AGGREGATE_FN_COUNT
};

/* The columns of a stream's record that aggregates read. */
enum { COLUMN_AMOUNT, COLUMN_SENDER, COLUMN_RECEIVER, COLUMN_OTHER /* by side */, COLUMN_EXTRA /* + i */ };

/* A clock is shared by the rules of one keyspace and stratum that read the same set of streams: RULES 2. */
struct clock_def {
    uint16_t keyspace;
    uint64_t hash;
};

struct aggregate {
    uint16_t stream;
    uint16_t clock;
    uint8_t fn;       /* enum aggregate_fn */
    uint8_t column;   /* COLUMN_…; unused for count */
    bool usual;       /* the median of its last 26 weeks instead (RULES 14) */
    uint8_t since;    /* only events after the first at which this step of the attempt was true (RULES 16); 0: all */
    int64_t span_ms;  /* window (clock - span, clock]; used when days is 0; since: the next step's `within` */
    int32_t days;     /* above 30 days: whole calendar days of the zone, today and days - 1 before */
    uint64_t hash;
    uint64_t base_hash; /* of the aggregate itself: differs from hash where `usual`; `since` is of one rule only */
};

struct fact_file;            /* rules/lang/fact.h */
struct memory {
    struct slice name;
    uint16_t keyspace;       /* of an entity, KEY_PAIR, or KEY_SEEN */
    uint8_t flow;            /* enum stream_flow of its source */
    uint8_t stratum;
    struct expr filter;
    uint8_t keep_count;
    struct slice keep_name[MEMORY_KEEP_MAX];
    struct expr keep[MEMORY_KEEP_MAX];
    enum value_type keep_type[MEMORY_KEEP_MAX];
    int64_t for_ms;          /* known while 0 <= t(e) - t(record) < for_ms */
    bool fact;               /* dated rows without end, read by date (RULES 19); no flow, filter or for_ms */
    struct fact_file *file;  /* fact: where its rows stand; NULL: they come over a topic */
    struct slice topic;      /* fact: of its messages; empty for a file */
    bool seen;               /* of KEY_SEEN: its time is given whatever its age, for OP_NEW to judge */
    uint64_t hash;
};

/* Something on an event asks what a memory held for one of the event's own keys: one slot per read.
 * Slot values: READ_TIME's value first (index 0), then keep_count values. A memory of KEY_SEEN gives
 * its time whatever its age: how new is new is judged by who asks. */
enum read_side { READ_SENDER, READ_RECEIVER, READ_WHOLE, READ_SIDES };
struct memory_read {
    uint16_t memory;
    uint8_t side;            /* enum read_side: which end of the event is the key; WHOLE where it has no sides */
    uint16_t slot;           /* first value in the event's slot row */
};

/* Events behind a hit: those in one of the rule's windows, as a step saw it. */
struct window_use {
    uint16_t stream;
    uint8_t step;            /* as it was when this step of the attempt was last true; 0: as it is at the hit */
    uint8_t since;           /* as in struct aggregate */
    int64_t span_ms;
    int32_t days;
    struct slice name;       /* for people: of the let, or the source as written */
};

enum subject_each { EACH_NONE /* one subject, from `node` */, EACH_FIELD /* of a source */, EACH_MEMBER /* of a graph operator's proof */ };
struct subject_def {         /* one `points N to X as ROLE` */
    int32_t points;
    enum role role;
    uint8_t each;            /* enum subject_each */
    uint16_t node;           /* of the rule's body: the entity; EACH_MEMBER: number of the graph operator */
    enum value_type type;    /* TYPE_ACCOUNT or TYPE_PARTY */
    uint8_t column;          /* each: COLUMN_… of the entity */
    struct window_use use;   /* each: the widest window of this rule on the stream to walk */
};

struct say_part {            /* literal text, then a value (node of the body) unless last */
    struct slice text;
    bool has_value;
    uint16_t node;
    enum value_type type;
};

struct except_def {
    struct expr condition;   /* over the event, key and lists; INPUTs as in the rule's body */
    int32_t until_day;       /* local days since 1970-01-01; holds while the event's day <= it */
    struct slice because, by;
};

struct let_def {
    struct slice name;
    uint16_t node;           /* of the rule's body */
    enum value_type type;
};

/* A run of the body's nodes that needs no other: what is evaluated together. */
struct rule_part {
    uint16_t from, to;       /* nodes [from, to) of the body */
    uint16_t root;           /* its condition */
    uint32_t inputs;         /* bit i: it reads input i, so its stream touches the part (RULES 9) */
    bool touched_by_all;     /* it reads event fields directly: every settled event of the key touches it */
    bool searches;           /* some node of it is a graph operator */
    bool barren;             /* it is not true where each operator of which graph_excludable is true is 0 */
};

/* One step of a rule: `when`, or a `then within`. Values of lets that it is the first to name are kept
 * in the attempt (RULES 18): later parts read them by OP_KEPT. */
struct kept_let {
    uint16_t node;           /* of the step's part */
    uint8_t slot;            /* in the attempt; the slots of earlier steps come first */
};
struct rule_step {
    struct rule_part part;
    int64_t within_ms;       /* since the step before was last true; 0 for the first */
    uint8_t kept_count;
    const struct kept_let *kept;
};

/* A stream's filter as this rule wrote it: rules that share a stream may have written it differently. */
struct rule_filter {
    uint16_t stream;
    uint16_t comparison_count;
    const struct comparison_place *comparison; /* nodes of the stream's filter */
};

/* A graph operator as a rule uses it; of draft rules for `rules check` to show. */
struct graph_use {
    struct slice rule_id, name; /* name: of the let, or the operator's word */
    enum graph_operator op;
    uint8_t hops_low, hops_high; /* 0: none */
    uint32_t middles;
    bool keep;                /* its node's b..c are asked for */
    bool of_key;              /* its account is the rule's key */
    int64_t span_ms;          /* as of struct aggregate */
    int32_t days;
    uint16_t list;            /* hops, route */
    uint32_t hub_max, legs_max;
    uint16_t in[3], out[3];   /* streams of legs by enum leg_role; STREAM_ABSENT: not asked for. Of sharing, in[0] holds who
                                 carried a value, out[0] what an account carried; of route, out[0] an account's stops */
};

/* Whether only an event that ends the pattern gives the operator a value above 0, and not any event of the account. */
static inline bool graph_completed(enum graph_operator op)
{
    return op != GRAPH_HOPS && op != GRAPH_SHARING && op != GRAPH_ROUTE;
}

/* Whether it is known before a search that the operator is 0 at most events: the event completes nothing, or the key never carried
 * anything (sharing), never stopped anywhere (route). */
static inline bool graph_excludable(const struct graph_use *use)
{
    return graph_completed(use->op) || (use->of_key && (use->op == GRAPH_SHARING || use->op == GRAPH_ROUTE));
}

enum rule_status { RULE_DRAFT, RULE_SHADOW, RULE_LIVE, RULE_RETIRED };

struct rule {
    struct slice id;         /* "WAGE-02" */
    struct slice title, why, owner, source;
    uint32_t version;
    enum rule_status status;
    uint16_t typology;
    uint16_t family;         /* index into program.family */
    uint8_t evidence;        /* bit 0 act, 1 means, 2 purpose */
    uint16_t keyspace;
    struct slice key_name[KEY_WIDTH_MAX]; /* alias, or the field as written */
    uint8_t stratum;
    uint16_t clock;          /* unused for KEY_TRANSFER */
    bool touched_by_all;     /* some step or `unless` is touched by every settled event of the key */
    uint16_t stream_count;
    const uint16_t *stream;  /* streams whose update evaluates the rule: those of all its steps and of `unless` */
    uint16_t input_count;
    const uint16_t *input;   /* aggregates, in the order of OP_INPUT's imm */
    struct expr body;        /* nodes of the steps, unless, lets, points, say; root is `when` */
    uint8_t step_count;      /* 1: `when` alone; of several steps each part stands for itself, of one they share nodes */
    const struct rule_step *step;
    const struct rule_part *unless; /* NULL: none; else one per count of steps true before: what is kept then differs */
    struct rule_part hit;    /* what lets, points, say and except need besides */
    uint8_t kept_count;      /* values that the attempt holds between steps: slots [0, kept_count) */
    int64_t within_ms;       /* all `within` together */
    uint64_t attempt_hash;   /* of all that gives an attempt its meaning */
    uint8_t watched;         /* rule tests: every look at this step is noted as a hit, without consequences; 0: none */
    uint8_t use_count;
    const struct window_use *use; /* evidence: lets' windows in their order, then those of steps without a name */
    uint8_t let_count;
    const struct let_def *let;
    uint8_t graph_count;
    const struct graph_use *graph; /* in the order of OP_GRAPH's imm */
    uint8_t filter_count;
    const struct rule_filter *filter; /* of its sources that have one, in the order in which they are first read */
    uint8_t subject_count;
    const struct subject_def *subject;
    uint8_t say_count;
    const struct say_part *say;
    uint8_t except_count;
    const struct except_def *except;
    int64_t once_ms;         /* 0: no `once per` */
    uint64_t hash;
};


struct typology {
    struct slice name, title, offence; /* offence: "trafficking" … */
    int32_t alert_points;
    uint16_t indicators_least, families_least;
    int16_t including_family; /* -1: none */
    bool urgent;
    int64_t half_life_ms;     /* 0: no decay; the episode then ends after 90d */
    int32_t family_cap;       /* points; 0: none */
};

struct family {
    struct slice name;        /* one of the closed set of twelve */
};

struct list;                  /* rules/lang/list.h */
struct text;                  /* rules/lang/text.h */

struct program {
    struct slice name;        /* of the rule set */
    uint8_t hash[32];         /* BLAKE2b of sources, lists and the PCRE2 mode: its identity */
    const struct zone *zone;
    struct slice zone_name;
    currency_code base;
    uint8_t stratum_count;
    uint16_t keyspace_count;
    const struct keyspace *keyspace;
    uint16_t stream_count;
    const struct stream *stream;
    uint16_t clock_count;
    const struct clock_def *clock;
    uint16_t aggregate_count;
    const struct aggregate *aggregate;
    uint16_t memory_count;
    const struct memory *memory;
    uint16_t read_count;
    const struct memory_read *read;
    uint16_t slot_count;      /* values per event */
    uint16_t rule_count;
    const struct rule *rule;  /* in byte order of id; draft and retired ones are not in it,
                                 except when loaded for tests */
    uint16_t typology_count;
    const struct typology *typology; /* in byte order of name */
    uint16_t family_count;
    const struct family *family;
    uint16_t list_count;
    struct list *const *list;
    uint16_t text_count;      /* at most 64 */
    struct text *const *text;
    const uint64_t *text_hash; /* equal texts have equal ones */
    uint16_t graph_count;
    const struct graph_use *graph; /* first those of rules that do not run */
    uint16_t graph_drafts;
    int64_t widest_ms;        /* the widest span any stream, memory or attempt needs */
    uint16_t file_count;      /* everything the set was made from: rule files, lists, files of facts */
    const struct slice *file; /* paths inside its folder, no two equal */
};

#endif
