/* A rule set's folder as it goes into PostgreSQL: everything the set consists of, and who signed. */
#ifndef ENGINE_CLI_RULE_FILES_H
#define ENGINE_CLI_RULE_FILES_H

#include "connectors/postgres/rule_load.h"
#include "engine/base/json_writer.h"
#include "rules/lang/program.h"

/* Fills in name, hash, description, files and signatures of the set that was loaded from dir; texts are in arena and description's own. */
bool rule_files_read(const char *dir, const struct program *program, struct arena *arena, struct json_writer *description, struct rule_load *load,
                     struct error *err) must_check;

#endif
