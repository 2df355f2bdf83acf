/* A list is a named set of accounts, parties, countries, merchant categories, corridors, routes …, from a
 * CSV file beside the rules; immutable once loaded.
 *
 * The first column holds the value (for mcc also ranges 3501-3999; for corridor KE->SO; for
 * route the countries in their order, ET>KE>TZ); other
 * columns are for people. '#' comments and one header line. Untrusted: bounded size. */
#ifndef RULES_LANG_LIST_H
#define RULES_LANG_LIST_H

#include "engine/base/arena.h"
#include "engine/base/error.h"
#include "rules/lang/program.h"

enum { LIST_STAGE_MAX = 16, LIST_ROUTE_MAX = 64 }; /* countries of one route, routes of one list */

struct list;
/* NULL: message says what is wrong, line is 1-based or 0. */
struct list *list_load(struct slice name, enum value_type of, const char *path, char message[256], uint32_t *line);
/* An empty list of that type, for tests to fill. */
struct list *list_new(struct slice name, enum value_type of);
/* list_copy gives a list of its own with the same entries, for tests to add to. */
struct list *list_copy(const struct list *list);
bool list_add_text(struct list *list, struct slice text);
void list_free(struct list *list);
struct slice list_name(const struct list *list);
enum value_type list_type(const struct list *list);
uint32_t list_count(const struct list *list);
/* Whether it holds numbers (codes), not texts; the i-th run of them, ascending, false behind the last. */
bool list_holds_numbers(const struct list *list);
bool list_range(const struct list *list, uint32_t i, int64_t *from, int64_t *to);
bool list_has_number(const struct list *list, int64_t number); /* country, mcc, corridor, purpose, currency */
bool list_has_text(const struct list *list, struct slice text);/* entities */
/* The countries of a route, in order of the list's texts; returns how many, 2 to LIST_STAGE_MAX. */
uint8_t list_route(const struct list *list, uint32_t i, int64_t stage[LIST_STAGE_MAX]);
void list_hash(const struct list *list, unsigned char out[32]);

#endif
