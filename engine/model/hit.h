/* What the step function gives out: hits, alert revisions and rejections, in the world's order.
 *
 * All texts live in the batch's arena. Order: by (seq, then RULES 20), the same for any number of
 * threads and any cut into batches. Sinks (PostgreSQL, NDJSON files, tests) read, never change. */
#ifndef ENGINE_MODEL_HIT_H
#define ENGINE_MODEL_HIT_H

#include "engine/model/reject.h"

enum role {
    ROLE_UNDETERMINED,
#define ROLE(name, word) ROLE_##name,
#include "engine/model/role.def"
#undef ROLE
    ROLE_COUNT
};
const char *role_word(enum role role); /* "possible_victim" */

enum { HIT_KEY_MAX = 4, HIT_LET_MAX = 16, HIT_SUBJECT_MAX = 200, EVIDENCE_MAX = 200 };

/* A let of a hit, already formatted as the rule language writes it: "9", "1_800.00 USD", "45%". */
enum let_bound { LET_EXACT, LET_AT_LEAST, LET_AT_MOST /* a graph search met a bound: RULES 35 */ };
struct hit_let {
    struct slice name, value; /* "at least 9" where it is a bound */
    uint8_t bound;            /* enum let_bound */
};

/* An event that a hit rests on, from the windows its lets read. */
struct evidence {
    uint64_t seq;
    int64_t time_ms;
    int64_t amount_base;  /* MISSING_I64 when not known */
    struct slice other;   /* the account at the other end; empty when none; the sender where `to` is given */
    struct slice to;      /* the receiver, of a payment of a graph operator's proof that does not touch the key; else empty */
    struct slice stream;  /* the let or stream it stands in */
    uint8_t incoming;     /* 1: came in to the key, 0: went out or neither */
};

/* Points that a hit gives to one subject in one role. */
struct hit_subject {
    entity_id entity;
    enum entity_kind kind;
    struct slice text;  /* the account or party as the bank wrote it */
    enum role role;
    int32_t points;     /* as the rule says; negative: counter-indicator; 0: a role only */
    uint8_t given;      /* 1 when these points were applied, 0 inside `once per`, shadow, or 0 points */
};

struct hit {
    uint64_t seq;            /* of the event that completed it */
    int64_t time_ms;         /* of that event */
    struct position position;
    struct slice source, id; /* of that event */
    uint16_t rule;           /* index into the program's rules, in order of rule id */
    uint16_t typology;       /* index into the program's typologies, in order of name */
    uint8_t shadow;
    uint8_t lower_bound;     /* RULES 35: a graph search met a bound, at an earlier step too: what it found is the least there is */
    uint8_t upper_bound;     /* likewise `hops`: the most */
    uint8_t key_count;
    uint8_t let_count;
    uint8_t subject_count;
    struct slice rule_id;
    uint32_t rule_version;
    struct slice key[HIT_KEY_MAX];     /* key fields as text */
    struct slice say;                  /* the rendered sentence */
    const struct hit_let *let;         /* let_count, in the rule's order */
    struct hit_subject *subject;       /* subject_count, in the rule's order */
    const struct evidence *evidence;   /* oldest first, at most EVIDENCE_MAX, the event itself last */
    uint32_t evidence_count;
    uint32_t evidence_total;           /* how many there were before the cut */
};

/* One indicator's standing in an alert revision. */
struct alert_indicator {
    struct slice rule_id;
    uint32_t rule_version;
    struct slice family;
    int64_t points_milli; /* after decay, before the cap */
    uint64_t last_seq;    /* newest hit */
    bool lower_bound, upper_bound; /* RULES 35: some hit that still counts came of a search that met a bound */
};

struct alert_revision {
    uint8_t id[16];          /* BLAKE2b of subject, typology, (source, id) of the episode's first event */
    uint32_t revision;       /* from 1 */
    uint64_t seq;            /* the event that made this revision */
    int64_t time_ms;
    struct slice typology;   /* name */
    struct slice typology_title;
    struct slice offence;
    enum entity_kind subject_kind;
    struct slice subject;    /* text of the subject */
    struct slice first_source, first_id; /* the event that began the episode */
    int64_t first_time_ms;
    int64_t score_milli;
    uint32_t roles;          /* bit per enum role held by the subject in this episode */
    uint8_t urgent;          /* the typology is urgent */
    uint8_t victim;          /* the subject holds the role possible_victim: protected lane */
    uint8_t reason;          /* enum revision_reason */
    uint32_t indicator_count;
    const struct alert_indicator *indicator; /* by rule id */
    uint32_t hit_total;      /* hits with points in this episode so far */
    const uint64_t *hit_seq; /* NULL, or for revision 1: the hits that formed it, as (seq, rule) pairs */
    const uint16_t *hit_rule;
    const struct slice *hit_rule_id;
    uint32_t hit_count;
};

enum revision_reason { REVISION_FIRST, REVISION_INDICATOR, REVISION_ROLE, REVISION_SCORE };
const char *revision_reason_word(enum revision_reason reason);

/* A later hit that belongs to an open alert (RULES 25: stored with it when it gives points). */
struct alert_hit {
    uint8_t alert_id[16];
    uint64_t seq;
    struct slice rule_id;
    uint16_t rule;
};

/* One batch's results, in order. */
struct output {
    const struct hit *hit;
    uint32_t hit_count;
    const struct alert_revision *revision;
    uint32_t revision_count;
    const struct alert_hit *alert_hit;
    uint32_t alert_hit_count;
    const struct rejection *rejection;
    uint32_t rejection_count;
    uint64_t outcome[OUTCOME_COUNT]; /* events of this batch per outcome */
    uint64_t late;                   /* scored, but beyond lateness */
    uint64_t facts, facts_odd; /* facts among the scored; those with a value of another type than declared */
    uint64_t first_seq, last_seq;    /* 0, 0 for an empty batch */
    uint64_t accepted_seq;           /* of the newest event that was scored or joined, as the log keeps them; 0: none was */
};

#endif
