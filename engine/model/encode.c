/* Results as NDJSON. */
#include "engine/model/encode.h"

#include "engine/model/zone.h"

static void put_time(struct json_writer *writer, const char *name, int64_t time_ms)
{
    char text[TIME_TEXT_MAX];
    time_format(time_ms, text);
    json_text(writer, name, slice_of(text));
}

static const char *kind_word(enum entity_kind kind)
{
    return kind == ENTITY_PARTY ? "party" : "account";
}

bool hit_is_kept(const struct hit *hit)
{
    if (hit->shadow)
        return true;
    for (uint32_t i = 0; i < hit->subject_count; i++)
        if (hit->subject[i].given)
            return true;
    return false;
}

static void encode_bounds(struct json_writer *writer, bool lower, bool upper)
{
    if (lower)
        json_bool(writer, "lower_bound", true);
    if (upper)
        json_bool(writer, "upper_bound", true);
}

void encode_lets(struct json_writer *writer, const char *name, const struct hit *hit)
{
    json_open_array(writer, name);
    for (uint32_t i = 0; i < hit->let_count; i++) {
        json_open_object(writer, NULL);
        json_text(writer, "name", hit->let[i].name);
        json_text(writer, "value", hit->let[i].value);
        encode_bounds(writer, hit->let[i].bound == LET_AT_LEAST, hit->let[i].bound == LET_AT_MOST);
        json_close_object(writer);
    }
    json_close_array(writer);
}

void encode_subjects(struct json_writer *writer, const char *name, const struct hit *hit)
{
    json_open_array(writer, name);
    for (uint32_t i = 0; i < hit->subject_count; i++) {
        const struct hit_subject *subject = &hit->subject[i];
        json_open_object(writer, NULL);
        json_text(writer, "kind", slice_of(kind_word(subject->kind)));
        json_text(writer, "subject", subject->text);
        json_text(writer, "role", slice_of(role_word(subject->role)));
        json_number(writer, "points", subject->points);
        json_bool(writer, "given", subject->given);
        json_close_object(writer);
    }
    json_close_array(writer);
}

void encode_evidence(struct json_writer *writer, const char *name, const struct hit *hit)
{
    json_open_array(writer, name);
    for (uint32_t i = 0; i < hit->evidence_count; i++) {
        const struct evidence *evidence = &hit->evidence[i];
        json_open_object(writer, NULL);
        json_number(writer, "seq", (int64_t)evidence->seq);
        put_time(writer, "time", evidence->time_ms);
        if (evidence->amount_base == MISSING_I64)
            json_null(writer, "amount_base");
        else
            json_number(writer, "amount_base", evidence->amount_base);
        json_text(writer, "other", evidence->other);
        if (evidence->to.size)
            json_text(writer, "to", evidence->to);
        json_text(writer, "stream", evidence->stream);
        json_bool(writer, "incoming", evidence->incoming);
        json_close_object(writer);
    }
    json_close_array(writer);
}

void encode_hit(struct json_writer *writer, const struct hit *hit)
{
    json_open_object(writer, NULL);
    json_number(writer, "seq", (int64_t)hit->seq);
    json_text(writer, "rule_id", hit->rule_id);
    json_number(writer, "rule_version", hit->rule_version);
    put_time(writer, "time", hit->time_ms);
    json_text(writer, "source", hit->source);
    json_text(writer, "event_id", hit->id);
    json_bool(writer, "shadow", hit->shadow);
    json_bool(writer, "kept", hit_is_kept(hit));
    json_open_array(writer, "key");
    for (uint32_t i = 0; i < hit->key_count; i++)
        json_text(writer, NULL, hit->key[i]);
    json_close_array(writer);
    json_text(writer, "say", hit->say);
    encode_bounds(writer, hit->lower_bound, hit->upper_bound);
    encode_lets(writer, "lets", hit);
    encode_subjects(writer, "subjects", hit);
    encode_evidence(writer, "evidence", hit);
    json_number(writer, "evidence_total", hit->evidence_total);
    json_close_object(writer);
    json_line(writer);
}

void encode_indicators(struct json_writer *writer, const char *name, const struct alert_revision *revision)
{
    json_open_array(writer, name);
    for (uint32_t i = 0; i < revision->indicator_count; i++) {
        const struct alert_indicator *indicator = &revision->indicator[i];
        json_open_object(writer, NULL);
        json_text(writer, "rule_id", indicator->rule_id);
        json_number(writer, "rule_version", indicator->rule_version);
        json_text(writer, "family", indicator->family);
        json_number(writer, "points_milli", indicator->points_milli);
        json_number(writer, "last_seq", (int64_t)indicator->last_seq);
        encode_bounds(writer, indicator->lower_bound, indicator->upper_bound);
        json_close_object(writer);
    }
    json_close_array(writer);
}

static void encode_roles(struct json_writer *writer, uint32_t roles)
{
    json_open_array(writer, "roles");
    for (int role = 0; role < ROLE_COUNT; role++)
        if (roles >> role & 1)
            json_text(writer, NULL, slice_of(role_word((enum role)role)));
    json_close_array(writer);
}

void encode_revision(struct json_writer *writer, const struct alert_revision *revision)
{
    json_open_object(writer, NULL);
    json_hex(writer, "alert_id", revision->id, sizeof revision->id);
    json_number(writer, "revision", revision->revision);
    json_number(writer, "seq", (int64_t)revision->seq);
    put_time(writer, "time", revision->time_ms);
    json_text(writer, "typology", revision->typology);
    json_text(writer, "offence", revision->offence);
    json_text(writer, "subject_kind", slice_of(kind_word(revision->subject_kind)));
    json_text(writer, "subject", revision->subject);
    json_text(writer, "first_source", revision->first_source);
    json_text(writer, "first_event_id", revision->first_id);
    put_time(writer, "first_time", revision->first_time_ms);
    json_number(writer, "score_milli", revision->score_milli);
    json_number(writer, "roles_mask", revision->roles);
    encode_roles(writer, revision->roles);
    json_bool(writer, "urgent", revision->urgent);
    json_bool(writer, "victim", revision->victim);
    json_text(writer, "reason", slice_of(revision_reason_word((enum revision_reason)revision->reason)));
    encode_indicators(writer, "indicators", revision);
    json_number(writer, "hit_total", revision->hit_total);
    json_open_array(writer, "formed_by");
    for (uint32_t i = 0; i < revision->hit_count; i++)
        json_number(writer, NULL, (int64_t)revision->hit_seq[i]);
    json_close_array(writer);
    json_close_object(writer);
    json_line(writer);
}

void encode_rejection(struct json_writer *writer, const struct rejection *rejection)
{
    json_open_object(writer, NULL);
    json_number(writer, "partition", rejection->position.partition);
    json_number(writer, "offset", rejection->position.offset);
    json_number(writer, "item", rejection->position.item);
    json_text(writer, "reason", slice_of(reject_code(rejection->reason)));
    json_text(writer, "field", rejection->field);
    json_text(writer, "source", rejection->source);
    json_close_object(writer);
    json_line(writer);
}
