/* Stages and inserts what a commit holds, and notices when a key is there with another body. */
#include "connectors/postgres/rows.h"

#include "connectors/postgres/sink.h"
#include "engine/model/encode.h"
#include "engine/model/zone.h"

#include <sodium.h>
#include <stdio.h>

void rows_fini(struct rows *rows)
{
    copy_fini(&rows->copy);
    json_writer_fini(&rows->json);
    json_writer_fini(&rows->other);
}

void rows_rolled_back(struct rows *rows)
{
    rows->month_count = 0;
}

bool rows_stage(struct session *session, struct error *err)
{
    return session_run(session,
                       "create temp table stage_hit (like muster.hit) on commit delete rows;"
                       "create temp table stage_shadow_hit (like muster.shadow_hit) on commit delete rows;"
                       "create temp table stage_alert (like muster.alert) on commit delete rows;"
                       "create temp table stage_alert_revision (like muster.alert_revision) on commit delete rows;"
                       "create temp table stage_alert_hit (like muster.alert_hit) on commit delete rows;"
                       "create temp table stage_rejection (like muster.rejection) on commit delete rows;"
                       "create temp table stage_arrival (like muster.arrival) on commit delete rows;"
                       "create temp table stage_journal (like muster.journal) on commit delete rows;"
                       "create temp table stage_position (topic text, partition int, was bigint, next bigint) on commit delete rows;"
                       /* the table's own default says when a row ends */
                       "alter table stage_hit drop column expires_at; alter table stage_shadow_hit drop column expires_at;"
                       "alter table stage_alert drop column expires_at; alter table stage_alert_revision drop column expires_at;"
                       "alter table stage_rejection drop column expires_at, drop column number; alter table stage_arrival drop column expires_at",
                       err);
}

/* --- hits --- */

static struct slice json_of(struct json_writer *json)
{
    return (struct slice){json->text, json->size};
}

static void copy_hash(struct copy *copy, struct slice body)
{
    unsigned char hash[32];
    crypto_generichash(hash, sizeof hash, (const unsigned char *)body.data, body.size, NULL, 0);
    copy_bytes(copy, (struct slice){(const char *)hash, sizeof hash});
}

typedef void (*encode_fn)(struct json_writer *writer, const char *name, const struct hit *hit);

static void copy_encoded(struct rows *rows, encode_fn encode, const struct hit *hit)
{
    json_writer_reset(&rows->json);
    encode(&rows->json, NULL, hit);
    copy_json(&rows->copy, json_of(&rows->json));
}

static void copy_hit(struct rows *rows, const struct partition_table *partitions, const unsigned char rule_set[32], const struct hit *hit)
{
    struct copy *copy = &rows->copy;
    char key[600];
    size_t size = 0;
    for (uint32_t i = 0; i < hit->key_count && size < sizeof key; i++)
        size += (size_t)snprintf(key + size, sizeof key - size, "%s%.*s", i ? " | " : "", (int)hit->key[i].size, hit->key[i].data);
    copy_row(copy, 18);
    copy_int8(copy, (int64_t)hit->seq);
    copy_bytes(copy, hit->rule_id);
    copy_bytes(copy, (struct slice){key, size < sizeof key ? size : sizeof key - 1});
    copy_time(copy, hit->time_ms);
    copy_int4(copy, (int32_t)hit->rule_version);
    copy_bytes(copy, hit->source);
    copy_bytes(copy, hit->id);
    copy_bytes(copy, slice_of(partitions->partition[hit->position.partition].topic));
    copy_int4(copy, partitions->partition[hit->position.partition].number);
    copy_int8(copy, hit->position.offset);
    copy_bytes(copy, hit->say);
    copy_encoded(rows, encode_lets, hit);
    copy_encoded(rows, encode_subjects, hit);
    copy_encoded(rows, encode_evidence, hit);
    copy_int4(copy, (int32_t)hit->evidence_total);
    copy_bytes(copy, (struct slice){(const char *)rule_set, 32});
    json_writer_reset(&rows->other);
    encode_hit(&rows->other, hit);
    copy_hash(copy, json_of(&rows->other));
    copy_int4(copy, (int32_t)hit->position.item);
}

static bool month_ensure(struct rows *rows, struct session *session, int64_t time_ms, struct error *err)
{
    int year, month, dom;
    char sql[96], text[TIME_TEXT_MAX];
    civil_date((int32_t)(time_ms / MS_PER_DAY - (time_ms % MS_PER_DAY < 0)), &year, &month, &dom);
    int32_t key = year * 12 + month;
    for (uint32_t i = 0; i < rows->month_count; i++)
        if (rows->months[i] == key)
            return true;
    time_format(time_ms, text);
    (void)snprintf(sql, sizeof sql, "select muster.ensure_month('%s')", text);
    if (!session_run(session, sql, err))
        return false;
    rows->months[rows->month_count % 64] = key;
    rows->month_count += rows->month_count < 64;
    return true;
}

/* --- staging, inserting, comparing --- */

/* COPY the builder's rows into stage_TABLE. */
static bool stage_send(struct rows *rows, struct session *session, const char *table, struct error *err)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql, "copy stage_%s from stdin (format binary)", table);
    return session_copy(session, sql, copy_end(&rows->copy), err);
}

/* Moves stage_TABLE into TABLE; rows whose key is there must have the same body. */
static bool stage_insert(struct session *session, const char *table, const char *key, uint32_t count, struct error *err)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql, "insert into muster.%s select * from stage_%s on conflict do nothing", table, table);
    int inserted = session_touch(session, sql, err);
    if (inserted < 0)
        return false;
    if ((uint32_t)inserted == count)
        return true;
    (void)snprintf(sql, sizeof sql, "select count(*) from stage_%s s join muster.%s t using (%s) where t.body_hash <> s.body_hash", table,
                   table, key);
    PGresult *result = session_query(session, sql, err);
    if (!result)
        return false;
    int64_t different = session_int64(result, 0, 0);
    PQclear(result);
    return different == 0 || error_set(err, ERROR_FATAL,
                                       "%lld rows of %s are in PostgreSQL with another body: the same events gave other results; "
                                       "nothing was written", (long long)different, table);
}

static bool write_hits(struct rows *rows, struct session *session, const struct partition_table *partitions,
                       const struct commit_block *blocks, uint32_t count, bool shadow, struct error *err)
{
    const char *table = shadow ? "shadow_hit" : "hit";
    copy_begin(&rows->copy);
    for (uint32_t b = 0; b < count; b++) {
        for (uint32_t h = 0; h < blocks[b].output->hit_count; h++) {
            const struct hit *hit = &blocks[b].output->hit[h];
            if ((hit->shadow != 0) != shadow || !hit_is_kept(hit))
                continue;
            if (!shadow && !month_ensure(rows, session, hit->time_ms, err))
                return false;
            copy_hit(rows, partitions, blocks[b].journal.rule_set, hit);
        }
    }
    uint32_t staged = rows->copy.rows;
    return staged == 0 || (stage_send(rows, session, table, err) &&
                           stage_insert(session, table, "seq, rule_id, hit_key, event_time", staged, err));
}

static void copy_revision(struct rows *rows, const unsigned char rule_set[32], const struct alert_revision *revision)
{
    struct copy *copy = &rows->copy;
    copy_row(copy, 12);
    copy_bytes(copy, (struct slice){(const char *)revision->id, sizeof revision->id});
    copy_int4(copy, (int32_t)revision->revision);
    copy_int8(copy, (int64_t)revision->seq);
    copy_time(copy, revision->time_ms);
    copy_int8(copy, revision->score_milli);
    copy_int4(copy, (int32_t)revision->roles);
    copy_bool(copy, revision->victim);
    copy_bytes(copy, slice_of(revision_reason_word((enum revision_reason)revision->reason)));
    json_writer_reset(&rows->json);
    encode_indicators(&rows->json, NULL, revision);
    copy_json(copy, json_of(&rows->json));
    copy_int4(copy, (int32_t)revision->hit_total);
    copy_bytes(copy, (struct slice){(const char *)rule_set, 32});
    json_writer_reset(&rows->json);
    encode_revision(&rows->json, revision);
    copy_hash(copy, json_of(&rows->json));
}

static bool write_revisions(struct rows *rows, struct session *session, const struct commit_block *blocks, uint32_t count, struct error *err)
{
    copy_begin(&rows->copy);
    for (uint32_t b = 0; b < count; b++)
        for (uint32_t r = 0; r < blocks[b].output->revision_count; r++)
            copy_revision(rows, blocks[b].journal.rule_set, &blocks[b].output->revision[r]);
    uint32_t staged = rows->copy.rows;
    return staged == 0 || (stage_send(rows, session, "alert_revision", err) &&
                           stage_insert(session, "alert_revision", "alert_id, revision", staged, err));
}

static void copy_alert(struct copy *copy, const struct alert_revision *revision)
{
    copy_row(copy, 11);
    copy_bytes(copy, (struct slice){(const char *)revision->id, sizeof revision->id});
    copy_bytes(copy, revision->typology);
    copy_bytes(copy, revision->typology_title);
    copy_bytes(copy, revision->offence);
    copy_bytes(copy, revision->subject_kind == ENTITY_PARTY ? SLICE("party") : SLICE("account"));
    copy_bytes(copy, revision->subject);
    copy_bytes(copy, revision->first_source);
    copy_bytes(copy, revision->first_id);
    copy_time(copy, revision->first_time_ms);
    copy_bool(copy, revision->urgent);
    copy_int8(copy, (int64_t)revision->seq);
}

static bool write_alerts(struct rows *rows, struct session *session, const struct commit_block *blocks, uint32_t count, struct error *err)
{
    copy_begin(&rows->copy);
    for (uint32_t b = 0; b < count; b++)
        for (uint32_t r = 0; r < blocks[b].output->revision_count; r++)
            if (blocks[b].output->revision[r].revision == 1)
                copy_alert(&rows->copy, &blocks[b].output->revision[r]);
    return rows->copy.rows == 0 ||
           (stage_send(rows, session, "alert", err) &&
            session_run(session, "insert into muster.alert select * from stage_alert on conflict do nothing", err));
}

static void copy_alert_hit(struct copy *copy, const uint8_t id[16], uint64_t seq, struct slice rule_id)
{
    copy_row(copy, 3);
    copy_bytes(copy, (struct slice){(const char *)id, 16});
    copy_int8(copy, (int64_t)seq);
    copy_bytes(copy, rule_id);
}

/* The rule ids of alert hits come from the revision itself, so rows need no program. */
static bool write_alert_hits(struct rows *rows, struct session *session, const struct commit_block *blocks, uint32_t count, struct error *err)
{
    copy_begin(&rows->copy);
    for (uint32_t b = 0; b < count; b++) {
        const struct output *output = blocks[b].output;
        for (uint32_t r = 0; r < output->revision_count; r++)
            for (uint32_t h = 0; h < output->revision[r].hit_count; h++)
                copy_alert_hit(&rows->copy, output->revision[r].id, output->revision[r].hit_seq[h], output->revision[r].hit_rule_id[h]);
        for (uint32_t h = 0; h < output->alert_hit_count; h++)
            copy_alert_hit(&rows->copy, output->alert_hit[h].alert_id, output->alert_hit[h].seq, output->alert_hit[h].rule_id);
    }
    return rows->copy.rows == 0 ||
           (stage_send(rows, session, "alert_hit", err) &&
            session_run(session, "insert into muster.alert_hit select distinct * from stage_alert_hit on conflict do nothing", err));
}

/* --- rejections --- */

static bool copy_rejection(struct rows *rows, const struct partition_table *partitions, const struct rejection *rejection,
                           struct error *err)
{
    const struct partition *partition = &partitions->partition[rejection->position.partition];
    struct copy *copy = &rows->copy;
    struct slice body = rejection->body;
    unsigned char sealed[REJECTION_BYTES_MAX + SEAL_ROOM];
    size_t size = 0;
    int32_t day = 0;
    if (body.size > REJECTION_BYTES_MAX)
        body.size = REJECTION_BYTES_MAX;
    if (rows->seal && !rows->seal(rows->seal_context, body, sealed, &size, &day, err))
        return false;
    copy_row(copy, 12);
    copy_bytes(copy, slice_of(partition->topic));
    copy_int4(copy, partition->number);
    copy_int8(copy, rejection->position.offset);
    copy_bytes(copy, slice_of(partition->source));
    copy_bytes(copy, slice_of(reject_code(rejection->reason)));
    copy_bytes(copy, rejection->field);
    copy_bytes(copy, (struct slice){(const char *)sealed, size});
    copy_int4(copy, (int32_t)rejection->body.size);
    copy_int4(copy, (int32_t)rejection->position.item);
    copy_int4(copy, day);
    if (rejection->arrived_ms == MISSING_I64)
        copy_null(copy);
    else
        copy_time(copy, rejection->arrived_ms);
    copy_bytes(copy, rejection->id);
    return true;
}

static bool write_rejections(struct rows *rows, struct session *session, const struct partition_table *partitions,
                             const struct commit_block *blocks, uint32_t count, struct error *err)
{
    copy_begin(&rows->copy);
    for (uint32_t b = 0; b < count; b++) {
        for (uint32_t r = 0; r < blocks[b].rejection_count; r++)
            if (!copy_rejection(rows, partitions, &blocks[b].rejection[r], err))
                return false;
        for (uint32_t r = 0; r < blocks[b].output->rejection_count; r++)
            if (!copy_rejection(rows, partitions, &blocks[b].output->rejection[r], err))
                return false;
    }
    return rows->copy.rows == 0 ||
           (stage_send(rows, session, "rejection", err) &&
            session_run(session, "insert into muster.rejection (topic, partition, kafka_offset, source, reason, field, body, body_size, item, "
                                 "sealed_day, arrived_at, event_id) select * from stage_rejection on conflict do nothing", err));
}

/* --- arrivals --- */

static void copy_arrival(struct copy *copy, const struct partition_table *partitions, const struct arrival *arrival)
{
    const struct partition *partition = &partitions->partition[arrival->partition];
    copy_row(copy, 4 + ARRIVAL_COUNT);
    copy_bytes(copy, slice_of(partition->topic));
    copy_int4(copy, partition->number);
    copy_date(copy, arrival->day);
    copy_bytes(copy, slice_of(partition->source));
    for (int kind = 0; kind < ARRIVAL_COUNT; kind++)
        copy_int8(copy, arrival->count[kind]);
}

static bool write_arrivals(struct rows *rows, struct session *session, const struct partition_table *partitions,
                           const struct commit_block *blocks, uint32_t count, struct error *err)
{
    copy_begin(&rows->copy);
    for (uint32_t b = 0; b < count; b++)
        for (uint32_t a = 0; a < blocks[b].arrival_count; a++)
            copy_arrival(&rows->copy, partitions, &blocks[b].arrival[a]);
    return rows->copy.rows == 0 ||
           (stage_send(rows, session, "arrival", err) &&
            session_run(session,
                        "insert into muster.arrival as a (topic, partition, day, source, accepted, joined, repeated, refused, heartbeats, gaps, unknown) "
                        "select topic, partition, day, min(source), sum(accepted), sum(joined), sum(repeated), sum(refused), sum(heartbeats), "
                        "sum(gaps), sum(unknown) from stage_arrival group by topic, partition, day "
                        "on conflict (topic, partition, day) do update set accepted = a.accepted + excluded.accepted, "
                        "joined = a.joined + excluded.joined, repeated = a.repeated + excluded.repeated, refused = a.refused + excluded.refused, "
                        "heartbeats = a.heartbeats + excluded.heartbeats, gaps = a.gaps + excluded.gaps, unknown = a.unknown + excluded.unknown", err));
}

/* --- journal and positions --- */

static void copy_journal(struct rows *rows, const struct partition_table *partitions, int64_t epoch, const struct journal_block *block)
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
    copy_row(&rows->copy, 7);
    copy_int8(&rows->copy, (int64_t)block->block);
    copy_int8(&rows->copy, (int64_t)block->first_seq);
    copy_int8(&rows->copy, (int64_t)block->last_seq);
    copy_json(&rows->copy, json_of(json));
    copy_int8(&rows->copy, epoch);
    copy_bytes(&rows->copy, (struct slice){(const char *)block->rule_set, sizeof block->rule_set});
    copy_int8(&rows->copy, (int64_t)block->warm_from);
}

static bool write_journal(struct rows *rows, struct session *session, const struct partition_table *partitions, int64_t epoch,
                          const struct commit_block *blocks, uint32_t count, struct error *err)
{
    copy_begin(&rows->copy);
    for (uint32_t b = 0; b < count; b++)
        copy_journal(rows, partitions, epoch, &blocks[b].journal);
    return stage_send(rows, session, "journal", err) &&
           session_run(session, "insert into muster.journal select * from stage_journal", err);
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

/* Compare-and-set: every touched position must be as we left it, exactly one row each. */
static bool write_positions(struct rows *rows, struct session *session, const struct partition_table *partitions, const int64_t *stored,
                            const struct commit_block *blocks, uint32_t count, struct error *err)
{
    uint32_t until = moved_until(blocks, count);
    copy_begin(&rows->copy);
    for (uint32_t p = 0; p < until; p++) {
        int64_t next = -1;
        for (uint32_t b = 0; b < count; b++)
            for (uint32_t r = 0; r < blocks[b].journal.range_count; r++)
                if (blocks[b].journal.range[r].partition == p)
                    next = blocks[b].journal.range[r].next;
        if (next < 0)
            continue;
        copy_row(&rows->copy, 4);
        copy_bytes(&rows->copy, slice_of(partitions->partition[p].topic));
        copy_int4(&rows->copy, partitions->partition[p].number);
        copy_int8(&rows->copy, stored[p]);
        copy_int8(&rows->copy, next);
    }
    uint32_t staged = rows->copy.rows;
    if (staged == 0)
        return true;
    if (!stage_send(rows, session, "position", err))
        return false;
    int moved = session_touch(session,
                              "update muster.position p set next_offset = s.next from stage_position s "
                              "where p.topic = s.topic and p.partition = s.partition and p.next_offset = s.was and s.next >= s.was", err);
    int made = moved < 0 ? -1 : session_touch(session,
                                              "insert into muster.position select topic, partition, next from stage_position where was < 0 "
                                              "on conflict do nothing", err);
    if (made < 0)
        return false;
    return (uint32_t)(moved + made) == staged ||
           error_set(err, ERROR_FATAL, "%u of %u positions in PostgreSQL are not where this engine left them; nothing was written",
                     staged - (uint32_t)(moved + made), staged);
}

bool rows_write(struct rows *rows, struct session *session, const struct partition_table *partitions, const int64_t *stored,
                int64_t epoch, const struct commit_block *blocks, uint32_t count, struct error *err)
{
    return session_step(session, FAIL_SINK_HITS, err) &&
           write_hits(rows, session, partitions, blocks, count, false, err) &&
           write_hits(rows, session, partitions, blocks, count, true, err) &&
           session_step(session, FAIL_SINK_ALERTS, err) && write_alerts(rows, session, blocks, count, err) &&
           session_step(session, FAIL_SINK_REVISIONS, err) && write_revisions(rows, session, blocks, count, err) &&
           session_step(session, FAIL_SINK_ALERT_HITS, err) && write_alert_hits(rows, session, blocks, count, err) &&
           session_step(session, FAIL_SINK_REJECTIONS, err) && write_rejections(rows, session, partitions, blocks, count, err) &&
           session_step(session, FAIL_SINK_ARRIVALS, err) && write_arrivals(rows, session, partitions, blocks, count, err) &&
           session_step(session, FAIL_SINK_JOURNAL, err) && write_journal(rows, session, partitions, epoch, blocks, count, err) &&
           session_step(session, FAIL_SINK_POSITIONS, err) &&
           write_positions(rows, session, partitions, stored, blocks, count, err);
}
