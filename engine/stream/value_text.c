/* Writes values as the rule language writes them. */
#include "engine/stream/value_text.h"

#include "engine/model/money.h"

#include <stdio.h>

/* "1_234": digits in groups of three, as the language writes numbers. */
static struct slice format_count(struct arena *arena, int64_t number)
{
    char digits[24];
    char out[32];
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)left);
    int at = 0;
    if (number < 0)
        out[at++] = '-';
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0)
            out[at++] = '_';
        out[at++] = digits[i];
    }
    return arena_copy(arena, (struct slice){out, (size_t)at});
}

/* Millionths as "45%" or "33.3333%", without trailing zeros. */
static struct slice format_percent(struct arena *arena, int64_t millionths)
{
    uint64_t size = millionths < 0 ? 0 - (uint64_t)millionths : (uint64_t)millionths;
    char fraction[8];
    (void)snprintf(fraction, sizeof fraction, ".%04llu", (unsigned long long)(size % 10000));
    size_t keep = strlen(fraction);
    while (keep && (fraction[keep - 1] == '0' || fraction[keep - 1] == '.'))
        keep--;
    return arena_format(arena, "%s%llu%.*s%%", millionths < 0 ? "-" : "", (unsigned long long)(size / 10000), (int)keep,
                        fraction);
}

/* The largest unit that divides it, else days, hours, minutes … joined: "4d", "1d2h". */
static struct slice format_duration(struct arena *arena, int64_t ms)
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{MS_PER_DAY, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}};
    char out[96];
    size_t at = 0;
    if (ms < 0)
        out[at++] = '-';
    uint64_t left = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        uint64_t count = left / (uint64_t)units[i].ms;
        left %= (uint64_t)units[i].ms;
        if (count)
            at += (size_t)snprintf(out + at, sizeof out - at, "%llu%s", (unsigned long long)count, units[i].unit);
    }
    if (left || at == 0 || (at == 1 && out[0] == '-'))
        at += (size_t)snprintf(out + at, sizeof out - at, left ? "%llums" : "%llus", (unsigned long long)left);
    return arena_copy(arena, (struct slice){out, at});
}

static struct slice format_code(const struct state *state, struct arena *arena, int64_t number, enum value_type type)
{
    char a[3], b[3];
    switch (type) {
    case TYPE_COUNTRY:
        country_name((country_code)number, a);
        return arena_format(arena, "%s", a);
    case TYPE_CORRIDOR:
        country_name((country_code)(number >> 16), a);
        country_name((country_code)(number & 0xffff), b);
        return arena_format(arena, "%s->%s", a, b);
    case TYPE_CURRENCY:
        return slice_of(currency_name((currency_code)number));
    case TYPE_KIND:
        return slice_of(event_kind_name((enum event_kind)number));
    case TYPE_CHANNEL:
        return slice_of(event_channel_name((enum event_channel)number));
    case TYPE_PURPOSE:
        return arena_format(arena, "%c%c%c%c", (int)(number >> 24 & 0xff), (int)(number >> 16 & 0xff),
                            (int)(number >> 8 & 0xff), (int)(number & 0xff));
    case TYPE_MCC:
        return arena_format(arena, "%04d", (int)number);
    default:
        return arena_copy(arena, ident_text(state, (entity_id)number));
    }
}

struct slice value_text(const struct program *program, const struct state *state, struct arena *arena, struct value value,
                        enum value_type type)
{
    char text[MONEY_TEXT_MAX];
    char time[TIME_TEXT_MAX];
    static const char *const weekdays[] = {"monday", "tuesday",  "wednesday", "thursday",
                                             "friday", "saturday", "sunday"};
    if (!value.known)
        return SLICE("unknown");
    switch (type) {
    case TYPE_BOOL:
        return value.number ? SLICE("yes") : SLICE("no");
    case TYPE_COUNT:
        return format_count(arena, value.number);
    case TYPE_MONEY:
        return arena_copy(arena, (struct slice){text, (size_t)money_format(value.number, program->base, text)});
    case TYPE_PERCENT:
        return format_percent(arena, value.number);
    case TYPE_DURATION:
        return format_duration(arena, value.number);
    case TYPE_TIME:
        time_format(value.number, time);
        return arena_copy(arena, slice_of(time));
    case TYPE_CLOCK:
        return arena_format(arena, "%02d:%02d", (int)(value.number / 3600000), (int)(value.number / 60000 % 60));
    case TYPE_WEEKDAY:
        return value.number >= 1 && value.number <= 7 ? slice_of(weekdays[value.number - 1]) : SLICE("unknown");
    default:
        return format_code(state, arena, value.number, type);
    }
}
