/* Subjects by number: their texts are kept once, so that whoever counts them holds four bytes each.
 *
 * And a set of numbers, for what was counted already. Both grow as needed up to SUBJECT_MAX and
 * NUMBER_MAX; beyond, they take nothing new and say so. One owner at a time. */
#ifndef ENGINE_STREAM_SUBJECT_TABLE_H
#define ENGINE_STREAM_SUBJECT_TABLE_H

#include "engine/model/hit.h"

enum { SUBJECT_MAX = 8 * 1000 * 1000, NUMBER_MAX = 64 * 1000 * 1000 };
#define SUBJECT_NONE UINT32_MAX

struct subject_table;
struct subject_table *subject_table_new(void);
void subject_table_free(struct subject_table *table);
/* The subject's number, a new one where it has none; SUBJECT_NONE when the table is full. */
uint32_t subject_number(struct subject_table *table, enum entity_kind kind, struct slice text);
/* The text lives as long as the table. */
struct slice subject_text(const struct subject_table *table, uint32_t number, enum entity_kind *kind);

struct number_set {
    uint64_t *slot;   /* 0: empty */
    uint64_t count, room;
    bool full;        /* something was turned away */
};
/* True when it was not there yet; number is not 0. A full set says false. */
bool number_add(struct number_set *set, uint64_t number);
void number_set_fini(struct number_set *set);

#endif
