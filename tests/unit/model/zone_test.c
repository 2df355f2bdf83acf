/* Zones, dates and RFC 3339 against instants known from the tz database. */
#include "engine/model/zone.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct zone *zone(const char *name)
{
    struct error err = {0};
    struct zone *zone = zone_load(slice_of(name), &err);
    cr_assert_not_null(zone, "%s", err.text);
    return zone;
}

static int64_t at(const char *text)
{
    int64_t ms;
    cr_assert(time_parse(slice_of(text), &ms), "%s", text);
    return ms;
}

Test(zone, knows_offsets_of_past_and_future)
{
    static const struct {
        const char *zone, *time;
        int offset_minutes;
    } rows[] = {
        {"UTC", "2026-03-02T10:00:00Z", 0},
        {"Africa/Nairobi", "2026-03-02T10:00:00Z", 180},
        {"Europe/Berlin", "2026-03-29T00:59:59Z", 60},
        {"Europe/Berlin", "2026-03-29T01:00:00Z", 120},
        {"Europe/Berlin", "2026-10-25T00:59:59Z", 120},
        {"Europe/Berlin", "2026-10-25T01:00:00Z", 60},
        {"Europe/Berlin", "2150-07-01T00:00:00Z", 120},
        {"America/New_York", "2026-03-08T06:59:59Z", -300},
        {"America/New_York", "2026-03-08T07:00:00Z", -240},
        {"Asia/Kathmandu", "2026-01-01T00:00:00Z", 345},
        {"Australia/Lord_Howe", "2026-01-01T00:00:00Z", 660},
        {"Australia/Lord_Howe", "2026-07-01T00:00:00Z", 630},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct zone *z = zone(rows[i].zone);
        cr_expect_eq(zone_offset_ms(z, at(rows[i].time)), rows[i].offset_minutes * 60000, "%s %s", rows[i].zone, rows[i].time);
        zone_free(z);
    }
}

Test(zone, begins_days_where_they_begin)
{
    struct zone *berlin = zone("Europe/Berlin"), *nairobi = zone("Africa/Nairobi");
    cr_expect_eq(zone_day_start_ms(nairobi, civil_day(2026, 3, 2)), at("2026-03-01T21:00:00Z"));
    cr_expect_eq(zone_day_start_ms(berlin, civil_day(2026, 3, 30)), at("2026-03-29T22:00:00Z"));
    cr_expect_eq(zone_day(nairobi, at("2026-03-01T20:59:59.999Z")), civil_day(2026, 3, 1));
    cr_expect_eq(zone_clock_ms(nairobi, at("2026-03-01T19:10:00Z")), (22 * 60 + 10) * 60000);
    cr_expect_eq(zone_weekday(nairobi, at("2026-03-01T21:00:00Z")), 1); /* a Monday there, still Sunday in UTC */
    zone_free(berlin);
    zone_free(nairobi);
}

/* Sao Paulo skipped midnights, Apia a whole day. */
Test(zone, begins_each_day_at_its_first_moment)
{
    static const char *const names[] = {"UTC", "Africa/Nairobi", "Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Pacific/Apia"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct zone *z = zone(names[i]);
        for (int32_t day = civil_day(1965, 1, 1); day < civil_day(2040, 1, 1); day++) {
            int64_t start = zone_day_start_ms(z, day);
            cr_assert(zone_day(z, start) >= day && zone_day(z, start - 1) < day, "%s, day %d", names[i], day);
        }
        zone_free(z);
    }
}

Test(zone, finds_the_moment_of_a_wall_clock)
{
    struct zone *berlin = zone("Europe/Berlin"), *utc = zone("UTC");
    cr_expect_eq(zone_utc_ms(utc, at("2026-03-02T10:00:00Z")), at("2026-03-02T10:00:00Z"));
    cr_expect_eq(zone_utc_ms(berlin, at("2026-07-02T10:00:00Z")), at("2026-07-02T08:00:00Z"));
    cr_expect_eq(zone_utc_ms(berlin, at("2026-03-29T01:59:59Z")), at("2026-03-29T00:59:59Z"));
    cr_expect_eq(zone_utc_ms(berlin, at("2026-03-29T03:00:00Z")), at("2026-03-29T01:00:00Z"));
    cr_expect_eq(zone_utc_ms(berlin, at("2026-03-29T02:30:00Z")), at("2026-03-29T01:30:00Z")); /* skipped */
    cr_expect_eq(zone_utc_ms(berlin, at("2026-10-25T02:30:00Z")), at("2026-10-25T00:30:00Z")); /* comes twice */
    cr_expect_eq(zone_utc_ms(berlin, at("2026-10-25T03:00:00Z")), at("2026-10-25T02:00:00Z"));
    zone_free(berlin);
    zone_free(utc);
}

Test(zone, reads_the_days_that_there_are)
{
    for (int year = 1895; year <= 2205; year++)
        for (int month = 0; month <= 13; month++)
            for (int day = 0; day <= 32; day++) {
                int y, m, d;
                int64_t ms;
                char text[32];
                int size = snprintf(text, sizeof text, "%04d-%02d-%02dT01:02:03Z", year, month, day);
                civil_date(civil_day(year, month, day), &y, &m, &d);
                bool is_day = y == year && m == month && d == day && year >= 1900 && year <= 2200;
                bool read = time_parse((struct slice){text, (size_t)size}, &ms);
                cr_assert(read == is_day && (!read || ms == civil_day(year, month, day) * (int64_t)86400000 + 3723000), "%s", text);
            }
}

Test(zone, refuses_names_that_are_none)
{
    static const char *const names[] = {"", "/etc/passwd", "../passwd", "Africa/Atlantis", "Africa/Nairobi\n", "a b"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct error err = {0};
        cr_expect_null(zone_load(slice_of(names[i]), &err), "%s", names[i]);
        cr_expect(err.text[0]);
    }
}

Test(zone, writes_and_reads_moments)
{
    char text[TIME_TEXT_MAX];
    time_format(at("2024-02-29T23:59:59.9999+05:45"), text);
    cr_expect_str_eq(text, "2024-02-29T18:14:59.999Z");
    time_format(-1, text);
    cr_expect_str_eq(text, "1969-12-31T23:59:59.999Z");
}

Test(zone, counts_days_both_ways)
{
    for (int32_t day = -25567; day < 84000; day += 13) { /* 1900 to 2199 */
        int y, m, d;
        civil_date(day, &y, &m, &d);
        cr_assert_eq(civil_day(y, m, d), day);
    }
}
