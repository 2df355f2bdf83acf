/* Rule sets on their way from the people who write them to the engine, through PostgreSQL.
 *
 * Whoever loads one puts its files and signatures into one transaction with a request, and reads the answer later. The
 * engine takes requests in their order and answers each once. What lies there is not to be believed: the hash is what
 * the asker said, files and signatures are whatever the database holds. Belongs to one thread. */
#ifndef CONNECTORS_POSTGRES_RULE_LOAD_H
#define CONNECTORS_POSTGRES_RULE_LOAD_H

#include "engine/base/arena.h"
#include "engine/base/error.h"

#include <stdint.h>

enum { RULE_LOAD_FILES_MAX = 2000, RULE_LOAD_MARKS_MAX = 16, RULE_LOAD_BYTES_MAX = 256 * 1024 * 1024, RULE_ANSWER_MAX = 512 };

struct rule_load_file {
    struct slice name, body; /* the name is a path inside the set's folder */
};
struct rule_load_mark {
    unsigned char key[32], mark[64];
};
struct rule_load {
    int64_t number;          /* of the request; rises */
    unsigned char hash[32];
    struct slice name, description; /* description: JSON, for people; only when asking */
    const struct rule_load_file *file;
    uint32_t file_count;
    const struct rule_load_mark *mark;
    uint32_t mark_count;
};

struct rule_loads; /* a connection */

/* Does not connect yet; each call connects when there is no connection. */
struct rule_loads *pg_rule_loads_open(const char *dsn);
void pg_rule_loads_close(struct rule_loads *loads);

/* Asks the engine to take this set; load->number is set. Files and signatures that lie there under its hash are replaced. */
bool pg_rule_loads_ask(struct rule_loads *loads, struct rule_load *load, struct error *err) must_check;

/* Puts the set there without a request: for an engine that has it from a folder, so that a recovery or a standby finds it. */
bool pg_rule_loads_keep(struct rule_loads *loads, struct rule_load *load, struct error *err) must_check;

enum rule_answer { RULE_ANSWER_WAITING, RULE_ANSWER_ACCEPTED, RULE_ANSWER_REFUSED };
/* What has been answered so far, with the reason as text. */
bool pg_rule_loads_answer(struct rule_loads *loads, int64_t number, enum rule_answer *answer, char text[RULE_ANSWER_MAX],
                          struct error *err) must_check;

/* The oldest request that waits, the newest that was accepted, or the set with load->hash (no request: number 0), in arena; *found false
 * when there is none. */
enum rule_which { RULE_WAITING_OLDEST, RULE_ACCEPTED_NEWEST, RULE_BY_HASH };
bool pg_rule_loads_read(struct rule_loads *loads, enum rule_which which, struct arena *arena, struct rule_load *load, bool *found,
                        struct error *err) must_check;
/* Notes, of a request that waits: a word for whoever waits for the answer; what became of the state (INT64_MIN: nothing is warming). */
bool pg_rule_loads_say(struct rule_loads *loads, int64_t number, const char *text, struct error *err) must_check;
struct rule_outcome {
    uint32_t kept, warmed, cold, gone;
    uint64_t pause_ms;
    int64_t warming_until_ms;
};
bool pg_rule_loads_report(struct rule_loads *loads, int64_t number, const struct rule_outcome *outcome, struct error *err) must_check;
/* Answers a request that waits, and with it its set; nothing when the request has an answer already. */
bool pg_rule_loads_settle(struct rule_loads *loads, int64_t number, bool accepted, const char *reason, struct error *err) must_check;
/* The answer about a set for which there is no request, from the engine's own folder: hash, name and description are needed. */
bool pg_rule_loads_judge(struct rule_loads *loads, const struct rule_load *set, bool accepted, const char *reason, struct error *err) must_check;

#endif
