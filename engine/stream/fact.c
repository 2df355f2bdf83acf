/* Binds facts to the rule set that reads them. */
#include "engine/stream/fact.h"

#include "rules/lang/fact.h"

/* Which ref carries an entity of a fact: the sender's side holds the subject. */
static enum event_ref value_ref(enum value_type type)
{
    switch (type) {
    case TYPE_ACCOUNT:
        return REF_RECEIVER;
    case TYPE_PARTY:
        return REF_RECEIVER_PARTY;
    case TYPE_DEVICE:
        return REF_SENDER_DEVICE;
    case TYPE_PHONE:
        return REF_SENDER_PHONE;
    case TYPE_ADDRESS:
        return REF_SENDER_ADDRESS;
    case TYPE_TERMINAL:
        return REF_TERMINAL;
    default:
        return REF_COUNT;
    }
}

static void name_entity(entity_hash_fn hash, const struct decoder *decoder, struct event *event, enum event_ref ref, struct slice text)
{
    event_name(event, ref, text, hash(decoder, ref_kind(ref), text));
}

/* True when the sent value is one of the declared type. */
static bool value_fits(const struct fact_field *field, enum value_type type, const struct program *program, int64_t *number)
{
    switch (field->form) {
    case FACT_INTEGER:
        *number = field->number;
        return type == TYPE_COUNT;
    case FACT_FLAG:
        *number = field->number;
        return type == TYPE_BOOL;
    case FACT_TEXT:
        break;
    }
    return fact_value_parse(type, field->text, program->base, program->zone, number);
}

static const struct fact_field *field_of(const struct fact *fact, struct slice name)
{
    for (uint32_t i = 0; i < fact->field_count; i++)
        if (slice_equal(fact->field[i].name, name))
            return &fact->field[i];
    return NULL;
}

void fact_bind(const struct program *program, entity_hash_fn hash, const struct decoder *decoder, struct event *event)
{
    struct fact *fact = event->fact;
    uint16_t m = 0;
    while (m < program->memory_count && !(program->memory[m].fact && !program->memory[m].file && slice_equal(program->memory[m].name, fact->name)))
        m++;
    if (m == program->memory_count)
        return;
    const struct memory *memory = &program->memory[m];
    fact->memory = m;
    fact->subject_ref = program->keyspace[memory->keyspace].form == KEY_PARTY ? REF_SENDER_PARTY : REF_SENDER;
    name_entity(hash, decoder, event, (enum event_ref)fact->subject_ref, fact->subject);
    for (uint8_t v = 0; v < memory->keep_count; v++) {
        const struct fact_field *field = field_of(fact, memory->keep_name[v]);
        enum event_ref ref = value_ref(memory->keep_type[v]);
        fact->value[v] = MISSING_I64;
        fact->value_ref[v] = REF_COUNT;
        if (!field)
            continue;
        if (ref != REF_COUNT && field->form == FACT_TEXT) {
            fact->value_ref[v] = (uint8_t)ref;
            name_entity(hash, decoder, event, ref, field->text);
        } else if (ref != REF_COUNT || !value_fits(field, memory->keep_type[v], program, &fact->value[v])) {
            fact->value[v] = MISSING_I64;
            event->flags |= EVENT_FACT_ODD;
        }
    }
}
