/* Lists: what a CSV file may hold, what is said when it does not, and membership. */
#include "rules/lang/list.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Writes bytes to a file of its own and loads it; the message is kept for the caller. */
static struct list *load_bytes(enum value_type of, const char *bytes, size_t size, char message[256], uint32_t *line)
{
    char path[] = "/tmp/muster-list-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    (void)close(fd);
    message[0] = '\0';
    struct list *list = list_load(SLICE("test"), of, path, message, line);
    (void)unlink(path);
    return list;
}

static struct list *load(enum value_type of, const char *text)
{
    char message[256];
    uint32_t line;
    struct list *list = load_bytes(of, text, strlen(text), message, &line);
    cr_assert(list != NULL, "line %u: %s", line, message);
    return list;
}

static int64_t corridor(const char *from, const char *to)
{
    return (int64_t)country_parse(slice_of(from)) << 16 | country_parse(slice_of(to));
}

Test(list, mcc_codes_and_ranges)
{
    struct list *list = load(TYPE_MCC, "# hotels\nmcc,description\n3501-3999,\"Hotels, by chain\"\n7011,Hotels\n\n3990-4000,overlaps\n");
    static const struct {
        int64_t mcc;
        bool in;
    } want[] = {{3500, false}, {3501, true}, {3999, true}, {4000, true}, {4001, false}, {7010, false}, {7011, true}, {7012, false}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        cr_expect_eq(list_has_number(list, want[i].mcc), want[i].in, "%ld", (long)want[i].mcc);
    cr_expect_eq(list_count(list), 2u);
    cr_expect_not(list_has_text(list, SLICE("7011")));
    list_free(list);
}

Test(list, accounts_with_quotes_crlf_and_byte_order_mark)
{
    struct list *list = load(TYPE_ACCOUNT, "\xef\xbb\xbf" "account,why\r\n\"BANK:1,2\",\"two\nlines\"\r\n  BANK:3  ,x\r\n\"say \"\"x\"\"\"\r\nBANK:3\n");
    cr_expect(list_has_text(list, SLICE("BANK:1,2")));
    cr_expect(list_has_text(list, SLICE("BANK:3")));
    cr_expect(list_has_text(list, SLICE("say \"x\"")));
    cr_expect_not(list_has_text(list, SLICE("account")));
    cr_expect_not(list_has_text(list, SLICE("BANK:")));
    cr_expect_eq(list_count(list), 3u);
    cr_expect(slice_equal(list_name(list), SLICE("test")));
    cr_expect_eq(list_type(list), TYPE_ACCOUNT);
    list_free(list);
}

Test(list, codes)
{
    struct list *list = load(TYPE_CORRIDOR, "corridor\nKE->SO\nLY->IT\n");
    cr_expect(list_has_number(list, corridor("KE", "SO")));
    cr_expect_not(list_has_number(list, corridor("SO", "KE")));
    list_free(list);
    list = load(TYPE_COUNTRY, "country\nKE\n");
    cr_expect(list_has_number(list, country_parse(SLICE("KE"))));
    cr_expect_not(list_has_number(list, country_parse(SLICE("SO"))));
    list_free(list);
    list = load(TYPE_CURRENCY, "code\nUSD\n");
    cr_expect(list_has_number(list, currency_parse(SLICE("USD"))));
    list_free(list);
    list = load(TYPE_PURPOSE, "code\nSALA\n");
    cr_expect(list_has_number(list, 'S' << 24 | 'A' << 16 | 'L' << 8 | 'A'));
    list_free(list);
}

Test(list, routes_keep_the_order_of_their_countries)
{
    struct list *list = load(TYPE_ROUTE, "route,note\nKE>ET>KE,there and back\nET>KE>TZ\nET>KE>TZ\n");
    int64_t stage[LIST_STAGE_MAX];
    cr_expect_eq(list_count(list), 2, "no two are equal");
    cr_expect_not(list_holds_numbers(list));
    cr_assert_eq(list_route(list, 0, stage), 3);
    cr_expect_eq(stage[0], country_parse(SLICE("ET")));
    cr_expect_eq(stage[2], country_parse(SLICE("TZ")));
    cr_assert_eq(list_route(list, 1, stage), 3);
    cr_expect_eq(stage[0], stage[2]);
    cr_expect_eq(list_route(list, 2, stage), 0, "there is no third");
    struct list *copy = list_copy(list);
    cr_expect_eq(list_route(copy, 1, stage), 3);
    list_free(copy);
    list_free(list);
}

Test(list, the_longest_route_has_sixteen_countries)
{
    int64_t stage[LIST_STAGE_MAX];
    struct list *list = load(TYPE_ROUTE, "route\nKE>ET\nET>KE>ET>KE>ET>KE>ET>KE>ET>KE>ET>KE>ET>KE>ET>KE\n");
    cr_expect_eq(list_route(list, 0, stage), LIST_STAGE_MAX);
    cr_expect_eq(list_route(list, 1, stage), 2);
    list_free(list);
}

Test(list, an_empty_list_holds_nothing)
{
    struct list *list = load(TYPE_ACCOUNT, "account\n");
    cr_expect_not(list_has_text(list, SLICE("")));
    list_free(list);
    list = list_new(SLICE("given"), TYPE_MCC);
    cr_expect_not(list_has_number(list, 0));
    cr_expect_not(list_add_text(list, SLICE("70")));
    cr_expect(list_add_text(list, SLICE("7011")));
    cr_expect(list_has_number(list, 7011));
    list_free(list);
}

Test(list, what_is_wrong_is_said_with_its_line)
{
    static const struct {
        enum value_type of;
        const char *text;
        uint32_t line;
        const char *says;
    } wrong[] = {
        {TYPE_ACCOUNT, "", 0, "empty"},
        {TYPE_ACCOUNT, "# only words\n", 0, "empty"},
        {TYPE_ACCOUNT, "BANK:1\n", 1, "header"},
        {TYPE_MCC, "7011\n", 1, "header"},
        {TYPE_COUNTRY, "KE\n", 1, "header"},
        {TYPE_MCC, "mcc\n7011\n701\n", 3, "four digits"},
        {TYPE_MCC, "mcc\n3999-3501\n", 2, "four digits"},
        {TYPE_MCC, "mcc\n0000\n", 2, "four digits"},
        {TYPE_CORRIDOR, "c\nKE->SO\n\nKE-SO\n", 4, "KE->SO"},
        {TYPE_CORRIDOR, "c\nKE->XQ\n", 2, "KE->SO"},
        {TYPE_COUNTRY, "c\nke\n", 2, "KE"},
        {TYPE_ROUTE, "ET>KE\n", 1, "header"},
        {TYPE_ROUTE, "c\nKE\n", 2, "2 to 16"},
        {TYPE_ROUTE, "c\nET>KE>\n", 2, "2 to 16"},
        {TYPE_ROUTE, "c\nET>KE>T\n", 2, "2 to 16"},
        {TYPE_ROUTE, "c\nET->KE\n", 2, "2 to 16"},
        {TYPE_ROUTE, "c\nET>ke\n", 2, "2 to 16"},
        {TYPE_ROUTE, "c\nET>XQ\n", 2, "2 to 16"},
        {TYPE_ROUTE, "c\nET>KE>ET>KE>ET>KE>ET>KE>ET>KE>ET>KE>ET>KE>ET>KE>ET\n", 2, "2 to 16"},
        {TYPE_PURPOSE, "c\nSALAR\n", 2, "SALA"},
        {TYPE_ACCOUNT, "a\n\"BANK:1\"x\n", 2, "follows"},
        {TYPE_ACCOUNT, "a,b\nBANK:1,\"open\n", 2, "not closed"},
        {TYPE_ACCOUNT, "a,b\n,x\n", 2, "1 to 200"},
        {TYPE_ACCOUNT, "a\n\"\"\n", 2, "1 to 200"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char message[256];
        uint32_t line = 99;
        struct list *list = load_bytes(wrong[i].of, wrong[i].text, strlen(wrong[i].text), message, &line);
        cr_expect_null(list, "%s", wrong[i].text);
        cr_expect_eq(line, wrong[i].line, "%s: line %u", wrong[i].text, line);
        cr_expect_not_null(strstr(message, wrong[i].says), "%s: %s", wrong[i].text, message);
        list_free(list);
    }
    char message[256], longest[300] = "a\n";
    uint32_t line;
    memset(longest + 2, 'x', 201);
    cr_expect_null(load_bytes(TYPE_ACCOUNT, longest, strlen(longest), message, &line), "a value of 201 bytes");
    longest[202] = '\0';
    list_free(load(TYPE_ACCOUNT, longest));
    cr_expect_null(load_bytes(TYPE_ACCOUNT, "a\nb\0c\n", 6, message, &line));
    cr_expect_not_null(strstr(message, "NUL"));
    cr_expect_null(list_load(SLICE("x"), TYPE_ACCOUNT, "/nonexistent/list.csv", message, &line));
    cr_expect_not_null(strstr(message, "cannot be opened"));
}

Test(list, the_hash_tells_contents_not_layout)
{
    struct list *list[] = {load(TYPE_ACCOUNT, "account\nA\nB\n"), load(TYPE_ACCOUNT, "a,why\nB,x\nA,y\nA,z\n"),
                           load(TYPE_ACCOUNT, "account\nA\nC\n"), load(TYPE_PARTY, "account\nA\nB\n")};
    unsigned char hash[4][32];
    for (int i = 0; i < 4; i++)
        list_hash(list[i], hash[i]);
    cr_expect_arr_eq(hash[0], hash[1], 32);
    cr_expect_arr_neq(hash[0], hash[2], 32);
    cr_expect_arr_neq(hash[0], hash[3], 32);
    for (int i = 0; i < 4; i++)
        list_free(list[i]);
}

Test(list, a_copy_is_its_own)
{
    struct list *list = load(TYPE_ACCOUNT, "account\nA\n"), *copy = list_copy(list);
    unsigned char a[32], b[32];
    list_hash(list, a);
    list_hash(copy, b);
    cr_expect_arr_eq(a, b, 32);
    cr_expect(list_add_text(copy, SLICE("B")));
    cr_expect(list_has_text(copy, SLICE("A")) && list_has_text(copy, SLICE("B")));
    cr_expect_not(list_has_text(list, SLICE("B")));
    list_free(list);
    cr_expect(list_has_text(copy, SLICE("A")));
    list_free(copy);
}

/* A list from outside is bounded: entries, and bytes whatever is in them. */
Test(list, what_is_too_long_or_too_large_is_refused, .timeout = 120)
{
    enum { ENTRIES_MAX = 2000000, ROW = 8, BYTES_MAX = 64 * 1024 * 1024 };
    char message[256];
    uint32_t line;
    size_t size = (size_t)BYTES_MAX + 1;
    char *bytes = malloc(size);
    memcpy(bytes, "account\n", ROW);
    for (int i = 1; i <= ENTRIES_MAX + 1; i++)
        (void)sprintf(bytes + (size_t)i * ROW, "%07d\n", i);
    struct list *list = load_bytes(TYPE_ACCOUNT, bytes, (size_t)(ENTRIES_MAX + 1) * ROW, message, &line);
    cr_expect(list != NULL, "%s", message);
    list_free(list);
    list = load_bytes(TYPE_ACCOUNT, bytes, (size_t)(ENTRIES_MAX + 2) * ROW, message, &line);
    cr_expect(list == NULL && strstr(message, "more than 2000000 entries") && line == ENTRIES_MAX + 2, "line %u: %s", line, message);
    list_free(list);
    memset(bytes, '#', size);
    list = load_bytes(TYPE_ACCOUNT, bytes, size, message, &line);
    cr_expect(list == NULL && strstr(message, "larger than 64 MiB"), "%s", message);
    list_free(list);
    free(bytes);
}
