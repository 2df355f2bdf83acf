/* The desk at which the engine takes rule sets that people loaded into PostgreSQL: judges each request once, has the pipeline go over
 * to a sound one between two blocks, and answers.
 *
 * A set is sound when its files stay in their folder, compile, give the hash under which they were loaded, name no topic
 * of facts that the engine does not read, and bear as many signatures as the settings ask for. One that is not changes
 * nothing, and its request says why. The folder STATE_DIR/rules-aside holds a set while it is compiled. A desk has a
 * connection of its own; its thread answers while the engine is live, so that one engine of a pair does. Every set that ran stays in
 * memory until the engine ends: hits on their way may still name it. */
#ifndef ENGINE_CLI_RULE_DESK_H
#define ENGINE_CLI_RULE_DESK_H

#include "connectors/postgres/rule_load.h"
#include "engine/base/settings.h"
#include "engine/cli/notice.h"
#include "rules/lang/load.h"

struct rule_desk;

/* settings, notices and figures outlive the desk. */
struct rule_desk *rule_desk_open(const struct settings *settings, struct notices *notices, const struct pipeline_figures *figures);
/* Ends the thread. */
void rule_desk_end(struct rule_desk *desk);
/* Ends the thread and frees every set that the desk gave out: the pipeline has ended. */
void rule_desk_close(struct rule_desk *desk);

/* Judges one set: the program, or NULL with the reason in err: class ERROR_FATAL, the set is at fault; ERROR_RETRY, the world. */
struct program *rule_desk_judge(const struct settings *settings, const struct rule_load *load, struct error *err) must_check;

/* Answers what waits, then gives the newest accepted set, judged anew; NULL with err. For a start without rules_dir. */
struct program *rule_desk_newest(struct rule_desk *desk, struct error *err) must_check;
/* From now on a thread answers requests while the engine is live. */
bool rule_desk_start(struct rule_desk *desk, struct error *err) must_check;

/* Any thread: reads rules_dir again once the engine is live, and goes over to it where it is sound; says what came of it by a notice. */
void rule_desk_reread(struct rule_desk *desk);

/* The pipeline's side (struct pipeline_world), on its thread. begin: these rules are at work. program: a set by its hash, as PostgreSQL holds
 * it; NULL when it does not. next: the set to go over to, or NULL. swapped: it runs. */
void rule_desk_begin(struct rule_desk *desk, const struct program *program);
const struct program *rule_desk_program(struct rule_desk *desk, const unsigned char hash[32], struct error *err);
const struct program *rule_desk_next(struct rule_desk *desk);
void rule_desk_swapped(struct rule_desk *desk, const struct program *program, const struct swap_report *report);

#endif
