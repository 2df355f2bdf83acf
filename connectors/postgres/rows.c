/* Sends what a commit holds as one batch of statements, and notices when a key is there with another body. */
#include "connectors/postgres/rows.h"

#include "connectors/postgres/sink.h"
#include "engine/base/invariant.h"
#include "engine/model/encode.h"
#include "engine/model/zone.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { BYTES_MAX = 8 << 20 }; /* of the rows in one statement, and one row more */

/* What is prepared once per connection. _OTHER counts the rows whose key is there with another body. */
static const struct {
    const char *name, *sql;
} statements[ROWS_STATEMENTS] = {
    [ROWS_BEGIN] = {"begin", "begin"},
    [ROWS_LEASE] = {"lease", "select epoch from muster.lease where id = 1 and epoch = $1 for share"},
    [ROWS_MONTH] = {"month", "select muster.ensure_month($1)"},
#define HIT_ARRAYS                                                                                                               \
    "unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[], $5::int[], $6::text[], $7::text[], $8::text[], $9::int[], " \
    "$10::bigint[], $11::text[], $12::jsonb[], $13::jsonb[], $14::jsonb[], $15::int[], $16::bytea[], $17::bytea[], $18::int[])"
#define HIT_COLUMNS                                                                                                              \
    "(seq, rule_id, hit_key, event_time, rule_version, source, event_id, topic, partition, kafka_offset, say, lets, subjects, "  \
    "evidence, evidence_total, rule_set, body_hash, item)"
#define HIT_OTHER " t using (seq, rule_id, hit_key, event_time) where t.body_hash <> s.body_hash"
    [ROWS_HIT] = {"hit", "insert into muster.hit " HIT_COLUMNS " select * from " HIT_ARRAYS " on conflict do nothing"},
    [ROWS_SHADOW_HIT] = {"shadow_hit", "insert into muster.shadow_hit " HIT_COLUMNS " select * from " HIT_ARRAYS " on conflict do nothing"},
    [ROWS_HIT_OTHER] = {"hit_other", "select count(*) from " HIT_ARRAYS " s " HIT_COLUMNS " join muster.hit" HIT_OTHER},
    [ROWS_SHADOW_HIT_OTHER] = {"shadow_hit_other", "select count(*) from " HIT_ARRAYS " s " HIT_COLUMNS " join muster.shadow_hit" HIT_OTHER},
    [ROWS_ALERT] = {"alert", "insert into muster.alert (alert_id, typology, title, offence, subject_kind, subject, first_source, first_event_id, "
                             "first_time, urgent, seq) select * from unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], "
                             "$7::text[], $8::text[], $9::timestamptz[], $10::boolean[], $11::bigint[]) on conflict do nothing"},
#define REVISION_ARRAYS                                                                                                          \
    "unnest($1::bytea[], $2::int[], $3::bigint[], $4::timestamptz[], $5::bigint[], $6::int[], $7::boolean[], $8::text[], "       \
    "$9::jsonb[], $10::int[], $11::bytea[], $12::bytea[])"
#define REVISION_COLUMNS \
    "(alert_id, revision, seq, event_time, score_milli, roles, victim, reason, indicators, hit_total, rule_set, body_hash)"
    [ROWS_REVISION] = {"revision", "insert into muster.alert_revision " REVISION_COLUMNS " select * from " REVISION_ARRAYS " on conflict do nothing"},
    [ROWS_REVISION_OTHER] = {"revision_other", "select count(*) from " REVISION_ARRAYS " s " REVISION_COLUMNS " join muster.alert_revision t "
                                               "using (alert_id, revision) where t.body_hash <> s.body_hash"},
    [ROWS_ALERT_HIT] = {"alert_hit", "insert into muster.alert_hit (alert_id, seq, rule_id) select distinct * from "
                                     "unnest($1::bytea[], $2::bigint[], $3::text[]) on conflict do nothing"},
    [ROWS_REJECTION] = {"rejection", "insert into muster.rejection (topic, partition, kafka_offset, source, reason, field, body, body_size, item, "
                                     "sealed_day, arrived_at, event_id) select * from unnest($1::text[], $2::int[], $3::bigint[], $4::text[], "
                                     "$5::text[], $6::text[], $7::bytea[], $8::int[], $9::int[], $10::int[], $11::timestamptz[], $12::text[]) "
                                     "on conflict do nothing"},
    [ROWS_ARRIVAL] = {"arrival",
                      "insert into muster.arrival as a (topic, partition, day, source, accepted, joined, repeated, refused, heartbeats, gaps, unknown) "
                      "select topic, partition, day, min(source), sum(accepted), sum(joined), sum(repeated), sum(refused), sum(heartbeats), "
                      "sum(gaps), sum(unknown) from unnest($1::text[], $2::int[], $3::date[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], "
                      "$8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[]) s (topic, partition, day, source, accepted, joined, repeated, refused, "
                      "heartbeats, gaps, unknown) group by topic, partition, day "
                      "on conflict (topic, partition, day) do update set accepted = a.accepted + excluded.accepted, "
                      "joined = a.joined + excluded.joined, repeated = a.repeated + excluded.repeated, refused = a.refused + excluded.refused, "
                      "heartbeats = a.heartbeats + excluded.heartbeats, gaps = a.gaps + excluded.gaps, unknown = a.unknown + excluded.unknown"},
    [ROWS_JOURNAL] = {"journal", "insert into muster.journal (block, first_seq, last_seq, ranges, epoch, rule_set, warm_from) select * from "
                                 "unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::jsonb[], $5::bigint[], $6::bytea[], $7::bigint[])"},
    /* The two halves of compare-and-set: every touched position must be as we left it, exactly one row each. */
#define POSITION_ARRAYS "unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[]) s (topic, partition, was, next)"
    [ROWS_MOVED] = {"moved", "update muster.position p set next_offset = s.next from " POSITION_ARRAYS " "
                             "where p.topic = s.topic and p.partition = s.partition and p.next_offset = s.was and s.next >= s.was"},
    [ROWS_MADE] = {"made", "insert into muster.position (topic, partition, next_offset) select topic, partition, next from " POSITION_ARRAYS
                           " where was < 0 on conflict do nothing"},
};

void rows_fini(struct rows *rows)
{
    columns_fini(&rows->columns);
    json_writer_fini(&rows->json);
    json_writer_fini(&rows->other);
    free(rows->sent);
    rows->sent = NULL;
}

void rows_rolled_back(struct rows *rows)
{
    rows->month_count = 0;
}

bool rows_prepare(struct session *session, struct error *err)
{
    for (int i = 0; i < ROWS_STATEMENTS; i++)
        if (!session_prepare(session, statements[i].name, statements[i].sql, err))
            return false;
    return true;
}

/* --- the batch --- */

static bool batch_add(struct rows *rows, enum rows_statement statement, int count, const char *const *value, const int *length,
                      const int *format, struct error *err)
{
    if (rows->sent_count == rows->sent_room) {
        rows->sent_room = rows->sent_room ? rows->sent_room * 2 : 64;
        rows->sent = realloc(rows->sent, rows->sent_room * sizeof *rows->sent);
        invariant(rows->sent);
    }
    rows->sent[rows->sent_count++] = (uint8_t)statement;
    return session_batch_add(rows->session, statements[statement].name, count, value, length, format, err);
}

/* Sends the rows built so far as one statement, if there are any. */
static bool rows_send(struct rows *rows, enum rows_statement statement, struct error *err)
{
    struct columns *columns = &rows->columns;
    if (columns->rows == 0)
        return true;
    columns_end(columns);
    rows->staged[statement] += columns->rows;
    return batch_add(rows, statement, columns->width, columns->value, columns->length, columns->format, err);
}

/* Begins a row; what is too much for one statement goes as several. */
static bool row_begin(struct rows *rows, enum rows_statement statement, struct error *err)
{
    struct columns *columns = &rows->columns;
    if (columns->bytes >= BYTES_MAX) {
        if (!rows_send(rows, statement, err))
            return false;
        columns_begin(columns, columns->width);
    }
    columns_row(columns);
    return true;
}

/* One statement's answer. */
static bool take_answer(void *context, uint32_t index, const PGresult *result, struct error *err)
{
    struct rows *rows = context;
    enum rows_statement statement = rows->sent[index];
    if (statement == ROWS_LEASE && PQntuples(result) != 1)
        return error_set(err, ERROR_FENCED, "another engine has taken the lease");
    if (PQresultStatus(result) == PGRES_COMMAND_OK)
        rows->touched[statement] += (uint32_t)strtoul(PQcmdTuples((PGresult *)(uintptr_t)result), NULL, 10);
    else if (PQntuples(result) == 1)
        rows->touched[statement] += (uint32_t)session_int64(result, 0, 0);
    return true;
}

static bool batch_begin(struct rows *rows, struct session *session, struct error *err)
{
    rows->session = session;
    rows->sent_count = 0;
    memset(rows->staged, 0, sizeof rows->staged);
    memset(rows->touched, 0, sizeof rows->touched);
    return session_batch_begin(session, err);
}

/* `sent`: all was; else err says why not, and what was sent is let pass. */
static bool batch_end(struct rows *rows, bool sent, struct error *err)
{
    struct error ignored;
    bool good = session_batch_end(rows->session, sent ? take_answer : NULL, rows, sent ? err : &ignored);
    return sent && good;
}

/* --- hits --- */

static struct slice json_of(struct json_writer *json)
{
    return (struct slice){json->text, json->size};
}

static void add_hash(struct columns *columns, struct slice body)
{
    unsigned char hash[32];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)body.data, body.size, NULL, 0);
    columns_bytes(columns, (struct slice){(const char *)hash, sizeof hash});
}

typedef void (*encode_fn)(struct json_writer *writer, const char *name, const struct hit *hit);

static void add_encoded(struct rows *rows, encode_fn encode, const struct hit *hit)
{
    json_writer_reset(&rows->json);
    encode(&rows->json, NULL, hit);
    columns_json(&rows->columns, json_of(&rows->json));
}

static void add_hit(struct rows *rows, const struct partition_table *partitions, const unsigned char rule_set[32], const struct hit *hit)
{
    struct columns *columns = &rows->columns;
    char key[600];
    size_t size = 0;
    for (uint32_t i = 0; i < hit->key_count && size < sizeof key; i++)
        size += (size_t)snprintf(key + size, sizeof key - size, "%s%.*s", i ? " | " : "", (int)hit->key[i].size, hit->key[i].data);
    columns_int8(columns, (int64_t)hit->seq);
    columns_text(columns, hit->rule_id);
    columns_text(columns, (struct slice){key, size < sizeof key ? size : sizeof key - 1});
    columns_time(columns, hit->time_ms);
    columns_int4(columns, (int32_t)hit->rule_version);
    columns_text(columns, hit->source);
    columns_text(columns, hit->id);
    columns_text(columns, slice_of(partitions->partition[hit->position.partition].topic));
    columns_int4(columns, partitions->partition[hit->position.partition].number);
    columns_int8(columns, hit->position.offset);
    columns_text(columns, hit->say);
    add_encoded(rows, encode_lets, hit);
    add_encoded(rows, encode_subjects, hit);
    add_encoded(rows, encode_evidence, hit);
    columns_int4(columns, (int32_t)hit->evidence_total);
    columns_bytes(columns, (struct slice){(const char *)rule_set, 32});
    json_writer_reset(&rows->other);
    encode_hit(&rows->other, hit);
    add_hash(columns, json_of(&rows->other));
    columns_int4(columns, (int32_t)hit->position.item);
}

static bool month_ensure(struct rows *rows, int64_t time_ms, struct error *err)
{
    int year, month, dom;
    char text[TIME_TEXT_MAX];
    const char *const value[] = {text};
    civil_date((int32_t)(time_ms / MS_PER_DAY - (time_ms % MS_PER_DAY < 0)), &year, &month, &dom);
    int32_t key = year * 12 + month;
    for (uint32_t i = 0; i < rows->month_count; i++)
        if (rows->months[i] == key)
            return true;
    time_format(time_ms, text);
    if (!batch_add(rows, ROWS_MONTH, 1, value, NULL, NULL, err))
        return false;
    rows->months[rows->month_count % 64] = key;
    rows->month_count += rows->month_count < 64;
    return true;
}

static bool write_hits(struct rows *rows, const struct partition_table *partitions, const struct commit_block *blocks, uint32_t count,
                       enum rows_statement statement, struct error *err)
{
    bool shadow = statement == ROWS_SHADOW_HIT || statement == ROWS_SHADOW_HIT_OTHER;
    columns_begin(&rows->columns, 18);
    for (uint32_t b = 0; b < count; b++) {
        for (uint32_t h = 0; h < blocks[b].output->hit_count; h++) {
            const struct hit *hit = &blocks[b].output->hit[h];
            if ((hit->shadow != 0) != shadow || !hit_is_kept(hit))
                continue;
            if ((!shadow && !month_ensure(rows, hit->time_ms, err)) || !row_begin(rows, statement, err))
                return false;
            add_hit(rows, partitions, blocks[b].journal.rule_set, hit);
        }
    }
    return rows_send(rows, statement, err);
}

static void add_revision(struct rows *rows, const unsigned char rule_set[32], const struct alert_revision *revision)
{
    struct columns *columns = &rows->columns;
    columns_bytes(columns, (struct slice){(const char *)revision->id, sizeof revision->id});
    columns_int4(columns, (int32_t)revision->revision);
    columns_int8(columns, (int64_t)revision->seq);
    columns_time(columns, revision->time_ms);
    columns_int8(columns, revision->score_milli);
    columns_int4(columns, (int32_t)revision->roles);
    columns_bool(columns, revision->victim);
    columns_text(columns, slice_of(revision_reason_word((enum revision_reason)revision->reason)));
    json_writer_reset(&rows->json);
    encode_indicators(&rows->json, NULL, revision);
    columns_json(columns, json_of(&rows->json));
    columns_int4(columns, (int32_t)revision->hit_total);
    columns_bytes(columns, (struct slice){(const char *)rule_set, 32});
    json_writer_reset(&rows->json);
    encode_revision(&rows->json, revision);
    add_hash(columns, json_of(&rows->json));
}

static bool write_revisions(struct rows *rows, const struct commit_block *blocks, uint32_t count, enum rows_statement statement, struct error *err)
{
    columns_begin(&rows->columns, 12);
    for (uint32_t b = 0; b < count; b++) {
        for (uint32_t r = 0; r < blocks[b].output->revision_count; r++) {
            if (!row_begin(rows, statement, err))
                return false;
            add_revision(rows, blocks[b].journal.rule_set, &blocks[b].output->revision[r]);
        }
    }
    return rows_send(rows, statement, err);
}

static void add_alert(struct columns *columns, const struct alert_revision *revision)
{
    columns_bytes(columns, (struct slice){(const char *)revision->id, sizeof revision->id});
    columns_text(columns, revision->typology);
    columns_text(columns, revision->typology_title);
    columns_text(columns, revision->offence);
    columns_text(columns, revision->subject_kind == ENTITY_PARTY ? SLICE("party") : SLICE("account"));
    columns_text(columns, revision->subject);
    columns_text(columns, revision->first_source);
    columns_text(columns, revision->first_id);
    columns_time(columns, revision->first_time_ms);
    columns_bool(columns, revision->urgent);
    columns_int8(columns, (int64_t)revision->seq);
}

static bool write_alerts(struct rows *rows, const struct commit_block *blocks, uint32_t count, struct error *err)
{
    columns_begin(&rows->columns, 11);
    for (uint32_t b = 0; b < count; b++) {
        for (uint32_t r = 0; r < blocks[b].output->revision_count; r++) {
            if (blocks[b].output->revision[r].revision != 1)
                continue;
            if (!row_begin(rows, ROWS_ALERT, err))
                return false;
            add_alert(&rows->columns, &blocks[b].output->revision[r]);
        }
    }
    return rows_send(rows, ROWS_ALERT, err);
}

static bool add_alert_hit(struct rows *rows, const uint8_t id[16], uint64_t seq, struct slice rule_id, struct error *err)
{
    if (!row_begin(rows, ROWS_ALERT_HIT, err))
        return false;
    columns_bytes(&rows->columns, (struct slice){(const char *)id, 16});
    columns_int8(&rows->columns, (int64_t)seq);
    columns_text(&rows->columns, rule_id);
    return true;
}

/* The rule ids of alert hits come from the revision itself, so rows need no program. */
static bool write_alert_hits(struct rows *rows, const struct commit_block *blocks, uint32_t count, struct error *err)
{
    columns_begin(&rows->columns, 3);
    for (uint32_t b = 0; b < count; b++) {
        const struct output *output = blocks[b].output;
        for (uint32_t r = 0; r < output->revision_count; r++) {
            const struct alert_revision *revision = &output->revision[r];
            for (uint32_t h = 0; h < revision->hit_count; h++)
                if (!add_alert_hit(rows, revision->id, revision->hit_seq[h], revision->hit_rule_id[h], err))
                    return false;
        }
        for (uint32_t h = 0; h < output->alert_hit_count; h++)
            if (!add_alert_hit(rows, output->alert_hit[h].alert_id, output->alert_hit[h].seq, output->alert_hit[h].rule_id, err))
                return false;
    }
    return rows_send(rows, ROWS_ALERT_HIT, err);
}

/* --- rejections --- */

static bool add_rejection(struct rows *rows, const struct partition_table *partitions, const struct rejection *rejection,
                          struct error *err)
{
    const struct partition *partition = &partitions->partition[rejection->position.partition];
    struct columns *columns = &rows->columns;
    struct slice body = rejection->body;
    unsigned char sealed[REJECTION_BYTES_MAX + SEAL_ROOM];
    size_t size = 0;
    int32_t day = 0;
    if (body.size > REJECTION_BYTES_MAX)
        body.size = REJECTION_BYTES_MAX;
    if (rows->seal && !rows->seal(rows->seal_context, body, sealed, &size, &day, err))
        return false;
    if (!row_begin(rows, ROWS_REJECTION, err))
        return false;
    columns_text(columns, slice_of(partition->topic));
    columns_int4(columns, partition->number);
    columns_int8(columns, rejection->position.offset);
    columns_text(columns, slice_of(partition->source));
    columns_text(columns, slice_of(reject_code(rejection->reason)));
    columns_text(columns, rejection->field);
    columns_bytes(columns, (struct slice){(const char *)sealed, size});
    columns_int4(columns, (int32_t)rejection->body.size);
    columns_int4(columns, (int32_t)rejection->position.item);
    columns_int4(columns, day);
    columns_time(columns, rejection->arrived_ms);
    columns_text(columns, rejection->id);
    return true;
}

static bool write_rejections(struct rows *rows, const struct partition_table *partitions, const struct commit_block *blocks, uint32_t count,
                             struct error *err)
{
    columns_begin(&rows->columns, 12);
    for (uint32_t b = 0; b < count; b++) {
        for (uint32_t r = 0; r < blocks[b].rejection_count; r++)
            if (!add_rejection(rows, partitions, &blocks[b].rejection[r], err))
                return false;
        for (uint32_t r = 0; r < blocks[b].output->rejection_count; r++)
            if (!add_rejection(rows, partitions, &blocks[b].output->rejection[r], err))
                return false;
    }
    return rows_send(rows, ROWS_REJECTION, err);
}

/* --- arrivals --- */

static void add_arrival(struct columns *columns, const struct partition_table *partitions, const struct arrival *arrival)
{
    const struct partition *partition = &partitions->partition[arrival->partition];
    columns_text(columns, slice_of(partition->topic));
    columns_int4(columns, partition->number);
    columns_date(columns, arrival->day);
    columns_text(columns, slice_of(partition->source));
    for (int kind = 0; kind < ARRIVAL_COUNT; kind++)
        columns_int8(columns, arrival->count[kind]);
}

static bool write_arrivals(struct rows *rows, const struct partition_table *partitions, const struct commit_block *blocks, uint32_t count,
                           struct error *err)
{
    columns_begin(&rows->columns, 4 + ARRIVAL_COUNT);
    for (uint32_t b = 0; b < count; b++) {
        for (uint32_t a = 0; a < blocks[b].arrival_count; a++) {
            if (!row_begin(rows, ROWS_ARRIVAL, err))
                return false;
            add_arrival(&rows->columns, partitions, &blocks[b].arrival[a]);
        }
    }
    return rows_send(rows, ROWS_ARRIVAL, err);
}

/* --- journal and positions --- */

static void add_journal(struct rows *rows, const struct partition_table *partitions, int64_t epoch, const struct journal_block *block)
{
    struct json_writer *json = &rows->json;
    json_writer_reset(json);
    json_open_array(json, NULL);
    for (uint32_t r = 0; r < block->range_count; r++) {
        const struct partition *partition = &partitions->partition[block->range[r].partition];
        json_open_array(json, NULL);
        json_text(json, NULL, slice_of(partition->topic));
        json_number(json, NULL, partition->number);
        json_number(json, NULL, block->range[r].first);
        json_number(json, NULL, block->range[r].next);
        if (block->range[r].aside_count)
            json_open_array(json, NULL);
        for (uint32_t i = 0; i < block->range[r].aside_count; i++)
            json_number(json, NULL, block->range[r].aside[i]);
        if (block->range[r].aside_count)
            json_close_array(json);
        json_close_array(json);
    }
    json_close_array(json);
    columns_int8(&rows->columns, (int64_t)block->block);
    columns_int8(&rows->columns, (int64_t)block->first_seq);
    columns_int8(&rows->columns, (int64_t)block->last_seq);
    columns_json(&rows->columns, json_of(json));
    columns_int8(&rows->columns, epoch);
    columns_bytes(&rows->columns, (struct slice){(const char *)block->rule_set, sizeof block->rule_set});
    columns_int8(&rows->columns, (int64_t)block->warm_from);
}

static bool write_journal(struct rows *rows, const struct partition_table *partitions, int64_t epoch, const struct commit_block *blocks,
                          uint32_t count, struct error *err)
{
    columns_begin(&rows->columns, 7);
    for (uint32_t b = 0; b < count; b++) {
        if (!row_begin(rows, ROWS_JOURNAL, err))
            return false;
        add_journal(rows, partitions, epoch, &blocks[b].journal);
    }
    return rows_send(rows, ROWS_JOURNAL, err);
}

/* Behind the last partition that these blocks move. */
static uint32_t moved_until(const struct commit_block *blocks, uint32_t count)
{
    uint32_t until = 0;
    for (uint32_t b = 0; b < count; b++)
        for (uint32_t r = 0; r < blocks[b].journal.range_count; r++)
            if (blocks[b].journal.range[r].partition >= until)
                until = blocks[b].journal.range[r].partition + 1;
    return until;
}

static bool write_positions(struct rows *rows, const struct partition_table *partitions, const int64_t *stored,
                            const struct commit_block *blocks, uint32_t count, struct error *err)
{
    struct columns *columns = &rows->columns;
    uint32_t until = moved_until(blocks, count);
    columns_begin(columns, 4);
    for (uint32_t p = 0; p < until; p++) {
        int64_t next = -1;
        for (uint32_t b = 0; b < count; b++)
            for (uint32_t r = 0; r < blocks[b].journal.range_count; r++)
                if (blocks[b].journal.range[r].partition == p)
                    next = blocks[b].journal.range[r].next;
        if (next < 0)
            continue;
        columns_row(columns);
        columns_text(columns, slice_of(partitions->partition[p].topic));
        columns_int4(columns, partitions->partition[p].number);
        columns_int8(columns, stored[p]);
        columns_int8(columns, next);
    }
    return rows_send(rows, ROWS_MOVED, err) &&
           (columns->rows == 0 || batch_add(rows, ROWS_MADE, columns->width, columns->value, columns->length, columns->format, err));
}

/* --- the whole --- */

static bool write_all(struct rows *rows, const struct partition_table *partitions, const int64_t *stored, int64_t epoch,
                      const struct commit_block *blocks, uint32_t count, struct error *err)
{
    struct session *session = rows->session;
    char number[32];
    const char *const value[] = {number};
    (void)snprintf(number, sizeof number, "%lld", (long long)epoch);
    return session_step(session, FAIL_SINK_BEGIN, err) && batch_add(rows, ROWS_BEGIN, 0, NULL, NULL, NULL, err) &&
           session_step(session, FAIL_SINK_LEASE, err) && batch_add(rows, ROWS_LEASE, 1, value, NULL, NULL, err) &&
           session_step(session, FAIL_SINK_HITS, err) &&
           write_hits(rows, partitions, blocks, count, ROWS_HIT, err) &&
           write_hits(rows, partitions, blocks, count, ROWS_SHADOW_HIT, err) &&
           session_step(session, FAIL_SINK_ALERTS, err) && write_alerts(rows, blocks, count, err) &&
           session_step(session, FAIL_SINK_REVISIONS, err) && write_revisions(rows, blocks, count, ROWS_REVISION, err) &&
           session_step(session, FAIL_SINK_ALERT_HITS, err) && write_alert_hits(rows, blocks, count, err) &&
           session_step(session, FAIL_SINK_REJECTIONS, err) && write_rejections(rows, partitions, blocks, count, err) &&
           session_step(session, FAIL_SINK_ARRIVALS, err) && write_arrivals(rows, partitions, blocks, count, err) &&
           session_step(session, FAIL_SINK_JOURNAL, err) && write_journal(rows, partitions, epoch, blocks, count, err) &&
           session_step(session, FAIL_SINK_POSITIONS, err) && write_positions(rows, partitions, stored, blocks, count, err);
}

static bool no_other(const struct rows *rows, enum rows_statement statement, const char *table, struct error *err)
{
    return rows->touched[statement] == 0 ||
           error_set(err, ERROR_FATAL, "%u rows of %s are in PostgreSQL with another body: the same events gave other results; "
                     "nothing was written", rows->touched[statement], table);
}

/* Some keys were there already: have they the same body? */
static bool compare_bodies(struct rows *rows, const struct partition_table *partitions, const struct commit_block *blocks, uint32_t count,
                           struct error *err)
{
    if (!batch_begin(rows, rows->session, err))
        return false;
    bool sent = write_hits(rows, partitions, blocks, count, ROWS_HIT_OTHER, err) &&
                write_hits(rows, partitions, blocks, count, ROWS_SHADOW_HIT_OTHER, err) &&
                write_revisions(rows, blocks, count, ROWS_REVISION_OTHER, err);
    return batch_end(rows, sent, err) && no_other(rows, ROWS_HIT_OTHER, "hit", err) &&
           no_other(rows, ROWS_SHADOW_HIT_OTHER, "shadow_hit", err) && no_other(rows, ROWS_REVISION_OTHER, "alert_revision", err);
}

static bool all_new(const struct rows *rows)
{
    static const enum rows_statement bodies[] = {ROWS_HIT, ROWS_SHADOW_HIT, ROWS_REVISION};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        if (rows->touched[bodies[i]] != rows->staged[bodies[i]])
            return false;
    return true;
}

bool rows_write(struct rows *rows, struct session *session, const struct partition_table *partitions, const int64_t *stored,
                int64_t epoch, const struct commit_block *blocks, uint32_t count, struct error *err)
{
    if (!batch_begin(rows, session, err))
        return false;
    bool sent = write_all(rows, partitions, stored, epoch, blocks, count, err);
    if (!batch_end(rows, sent, err))
        return false;
    uint32_t staged = rows->staged[ROWS_MOVED], moved = rows->touched[ROWS_MOVED] + rows->touched[ROWS_MADE];
    if (moved != staged)
        return error_set(err, ERROR_FATAL, "%u of %u positions in PostgreSQL are not where this engine left them; nothing was written",
                         staged - moved, staged);
    return all_new(rows) || compare_bodies(rows, partitions, blocks, count, err);
}
