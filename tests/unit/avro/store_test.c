/* Schemas by id: what a registry may answer, what is kept of it, and messages that name one. */
#include "connectors/avro/avro.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA "{\\\"type\\\":\\\"record\\\",\\\"name\\\":\\\"R\\\",\\\"fields\\\":[{\\\"name\\\":\\\"id\\\",\\\"type\\\":\\\"string\\\"}]}"
#define PLAIN "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"id\",\"type\":\"string\"}]}"
#define OK(body) "HTTP/1.0 200 OK\r\n\r\n" body

/* What the registry of this test says of each id; NULL text: it hangs up. */
static const struct answer {
    const char *text;
    bool good;                 /* the registry has spoken; else ERROR_RETRY */
    enum reject_reason reason; /* NONE: a schema */
    const char *said;
} answers[] = {
    {OK("{\"schema\":\"" SCHEMA "\"}"), true, REJECT_NONE, ""},
    {OK("{\"schemaType\":\"AVRO\",\"references\":[],\"schema\":\"" SCHEMA "\"}"), true, REJECT_NONE, ""},
    {"HTTP/1.0 404 Not Found\r\n\r\n{\"error_code\":40403,\"message\":\"Schema not found\"}", true, REJECT_SCHEMA_UNKNOWN, "schema id 2"},
    {OK("{\"schemaType\":\"PROTOBUF\",\"schema\":\"x\"}"), true, REJECT_SCHEMA_REFUSED, "it is not Avro"},
    {OK("{\"references\":[{\"name\":\"a\"}],\"schema\":\"x\"}"), true, REJECT_SCHEMA_REFUSED, "refers to other entries"},
    {OK("{\"schema\":\"\\\"string\\\"\"}"), true, REJECT_SCHEMA_REFUSED, "the schema is no record"},
    {OK("{\"schema\":\"{\"}"), true, REJECT_SCHEMA_REFUSED, "not valid JSON"},
    {"huge", true, REJECT_SCHEMA_REFUSED, "longer than 262144 bytes"},
    {OK("<html>"), false, REJECT_NONE, "holds no schema; is the address right?"},
    {OK("{\"schema\":17}"), false, REJECT_NONE, "holds no schema"},
    {OK(""), false, REJECT_NONE, "holds no schema"},
    {"HTTP/1.0 404 Not Found\r\n\r\n<html>", false, REJECT_NONE, "answers 404 without saying that there is no such schema"},
    {"HTTP/1.0 500 Oh\r\n\r\n{\"error_code\":50001}", false, REJECT_NONE, "answers 500"},
    {"HTTP/1.0 401 No\r\n\r\n", false, REJECT_NONE, "answers 401; does it want auth=FILE?"},
    {"HTTP/1.0 302 There\r\nLocation: /schemas/ids/0\r\n\r\n", false, REJECT_NONE, "answers 302; redirects are not followed"},
    {NULL, false, REJECT_NONE, "returned nothing"},
    {"slow", false, REJECT_NONE, "Timeout"},
    {"nonsense", false, REJECT_NONE, "the schema registry"},
};
enum { ANSWERS = sizeof answers / sizeof answers[0] };

/* --- the registry --- */

struct server {
    int listening;
    char url[64];
    uint32_t asked; /* read after the thread has ended, or between requests */
    pthread_t thread;
};

static void say(int peer, const char *text, size_t size)
{
    while (size) {
        ssize_t sent = send(peer, text, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        text += sent;
        size -= (size_t)sent;
    }
}

static void say_huge(int peer)
{
    static char piece[1 << 16];
    memset(piece, 'x', sizeof piece);
    say(peer, "HTTP/1.0 200 OK\r\n\r\n{\"schema\":\"", 29);
    for (int i = 0; i < 40; i++)
        say(peer, piece, sizeof piece);
}

static void *serve(void *context)
{
    struct server *server = context;
    int peer;
    while ((peer = accept(server->listening, NULL, NULL)) >= 0) {
        char request[1024] = "";
        unsigned id = 0;
        ssize_t size = recv(peer, request, sizeof request - 1, 0);
        if (size > 0 && sscanf(request, "GET /schemas/ids/%u ", &id) == 1 && id < ANSWERS && answers[id].text) {
            __atomic_add_fetch(&server->asked, 1, __ATOMIC_SEQ_CST);
            if (strcmp(answers[id].text, "huge") == 0)
                say_huge(peer);
            else if (strcmp(answers[id].text, "slow") == 0)
                (void)recv(peer, request, sizeof request, 0); /* until the other end gives up */
            else
                say(peer, answers[id].text, strlen(answers[id].text));
        }
        close(peer);
    }
    return NULL;
}

static void server_start(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *server = (struct server){.listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    cr_assert(bind(server->listening, (struct sockaddr *)&address, size) == 0 && listen(server->listening, 8) == 0 &&
              getsockname(server->listening, (struct sockaddr *)&address, &size) == 0);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%u/", ntohs(address.sin_port));
    cr_assert_eq(pthread_create(&server->thread, NULL, serve, server), 0);
}

static void server_stop(struct server *server)
{
    shutdown(server->listening, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->listening);
}

/* --- helpers --- */

static struct schema_store *open_store(const char *url, const char *folder, const char *parent)
{
    struct error err = {0};
    struct registry *registry = registry_open(&(struct registry_settings){.url = url, .folder = folder}, &err);
    cr_assert_not_null(registry, "%s", err.text);
    return schema_store_open(registry, parent, "here");
}

static const char *new_folder(char path[64])
{
    snprintf(path, 64, "/tmp/muster-avro-XXXXXX");
    cr_assert_not_null(mkdtemp(path));
    return path;
}

static int remove_entry(const char *path, const struct stat *seen, int kind, struct FTW *place)
{
    (void)seen, (void)kind, (void)place;
    return remove(path);
}

static void remove_folder(const char *path)
{
    cr_expect_eq(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0, "%s", path);
}

static void write_file(const char *folder, const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    cr_assert(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void remove_file(const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(remove(path), 0, "%s", path);
}

/* "SCHEMA", the reason and its words, or "RETRY" and its words. */
static const char *get(struct schema_store *store, uint32_t id, char said[1024])
{
    struct error err = {0};
    const struct schema_node *schema;
    enum reject_reason reason;
    struct slice wrong;
    if (!schema_store_get(store, id, &schema, &reason, &wrong, &err)) {
        cr_expect_eq(err.class, ERROR_RETRY);
        snprintf(said, 1024, "RETRY %s", err.text);
    } else if (schema) {
        cr_expect(schema->type == SCHEMA_RECORD && schema->member_count == 1 && reason == REJECT_NONE);
        snprintf(said, 1024, "SCHEMA");
    } else {
        snprintf(said, 1024, "%s %.*s", reject_code(reason), (int)wrong.size, wrong.data);
    }
    return said;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* --- tests --- */

Test(avro_store, tells_answers_for_good_from_a_world_that_fails, .timeout = 60)
{
    struct server server;
    char said[1024];
    server_start(&server);
    struct schema_store *store = open_store(server.url, NULL, NULL);
    for (uint32_t id = 0; id < ANSWERS; id++) {
        const struct answer *answer = &answers[id];
        get(store, id, said);
        cr_expect(begins(said, !answer->good ? "RETRY" : answer->reason ? reject_code(answer->reason) : "SCHEMA"), "%u: %s", id, said);
        cr_expect(strstr(said, answer->said) != NULL, "%u: `%s` does not say `%s`", id, said, answer->said);
    }
    server_stop(&server);
    get(store, 1000, said);
    cr_expect(begins(said, "RETRY"), "%s", said);
    cr_expect_str_eq(get(store, 0, said), "SCHEMA"); /* it is in memory */
    schema_store_close(store);
}

Test(avro_store, never_asks_again_what_it_was_told, .timeout = 60)
{
    struct server server;
    char said[1024], folder[64], schemas[128];
    server_start(&server);
    snprintf(schemas, sizeof schemas, "%s/schemas", new_folder(folder));
    struct schema_store *store = open_store(server.url, NULL, schemas);
    for (int round = 0; round < 2; round++)
        for (uint32_t id = 0; id < 8; id++)
            (void)get(store, id, said);
    cr_expect_eq(__atomic_load_n(&server.asked, __ATOMIC_SEQ_CST), 8);
    schema_store_close(store);
    server_stop(&server);
    store = open_store(server.url, NULL, schemas); /* nobody answers now */
    for (uint32_t id = 0; id < 8; id++) {
        get(store, id, said);
        cr_expect(begins(said, answers[id].reason ? reject_code(answers[id].reason) : "SCHEMA"), "%u: %s", id, said);
        cr_expect(strstr(said, answers[id].said) != NULL, "%u: `%s` does not say `%s`", id, said, answers[id].said);
    }
    cr_expect(begins(get(store, 8, said), "RETRY"), "%s", said);
    schema_store_close(store);
    remove_folder(folder);
}

Test(avro_store, keeps_what_a_folder_said)
{
    char said[1024], from[64], parent[64], schemas[128], notes[256];
    new_folder(from);
    snprintf(schemas, sizeof schemas, "%s/schemas", new_folder(parent));
    write_file(from, "7.avsc", PLAIN);
    struct schema_store *first = open_store(NULL, from, schemas), *second = open_store(NULL, from, schemas);
    cr_expect_str_eq(get(first, 7, said), "SCHEMA");
    cr_expect_str_eq(get(first, 9, said), "SCHEMA_UNKNOWN schema id 9");
    write_file(from, "9.avsc", PLAIN); /* too late: messages were refused for it, and must be again in recovery */
    remove_file(from, "7.avsc");
    cr_expect_str_eq(get(second, 9, said), "SCHEMA_UNKNOWN schema id 9");
    cr_expect_str_eq(get(second, 7, said), "SCHEMA");
    snprintf(notes, sizeof notes, "%s/here", schemas);
    write_file(notes, "refused.ids", "9 unknown\n12 unkn"); /* a crash in the middle of a line */
    schema_store_close(first);
    first = open_store(NULL, from, schemas);
    cr_expect_str_eq(get(first, 11, said), "SCHEMA_UNKNOWN schema id 11");
    schema_store_close(first);
    write_file(from, "11.avsc", PLAIN);
    first = open_store(NULL, from, schemas);
    cr_expect_str_eq(get(first, 11, said), "SCHEMA_UNKNOWN schema id 11");
    remove_file(notes, "refused.ids"); /* what an operator does once the schema is there */
    schema_store_close(first);
    first = open_store(NULL, from, schemas);
    cr_expect_str_eq(get(first, 11, said), "SCHEMA");
    schema_store_close(first);
    schema_store_close(second);
    remove_folder(from);
    remove_folder(parent);
}

Test(avro_store, holds_the_schemas_used_last)
{
    char said[1024], name[32], from[64];
    new_folder(from);
    for (uint32_t id = 0; id < 2 * STORE_SCHEMAS; id++) {
        snprintf(name, sizeof name, "%u.avsc", id);
        write_file(from, name, PLAIN);
    }
    struct schema_store *store = open_store(NULL, from, NULL);
    for (uint32_t id = 0; id < 2 * STORE_SCHEMAS; id++) {
        cr_expect_str_eq(get(store, id, said), "SCHEMA");
        cr_expect_str_eq(get(store, 0, said), "SCHEMA");
    }
    remove_folder(from); /* what is in memory is still there; what is not, nobody can say */
    cr_expect_str_eq(get(store, 0, said), "SCHEMA");
    for (uint32_t id = STORE_SCHEMAS + 1; id < 2 * STORE_SCHEMAS; id++)
        cr_expect_str_eq(get(store, id, said), "SCHEMA", "%u", id);
    cr_expect(begins(get(store, STORE_SCHEMAS, said), "RETRY"), "%s", said);
    schema_store_close(store);
}

Test(avro_store, refuses_nothing_while_the_disk_does_not_keep_it)
{
    char said[1024], from[64], parent[64], blocked[128];
    new_folder(from);
    write_file(from, "7.avsc", PLAIN);
    write_file(new_folder(parent), "schemas", "a file, where a folder should be");
    snprintf(blocked, sizeof blocked, "%s/schemas", parent);
    struct schema_store *store = open_store(NULL, from, blocked);
    for (int round = 0; round < 2; round++) {
        cr_expect(begins(get(store, 7, said), "RETRY"), "%s", said);
        cr_expect(begins(get(store, 8, said), "RETRY"), "%s", said);
    }
    schema_store_close(store);
    remove_folder(from);
    remove_folder(parent);
}

Test(avro_store, has_a_bound_on_ids_that_nobody_knows, .timeout = 60)
{
    char said[1024], from[64], many[256];
    new_folder(from);
    write_file(from, "70000.avsc", PLAIN);
    struct schema_store *store = open_store(NULL, from, NULL);
    for (uint32_t id = 0; id < STORE_NOTES_MAX; id++)
        (void)get(store, id ^ 0x5555, said);
    cr_expect(begins(get(store, 70000, said), "SCHEMA_UNKNOWN"), "%s", said);
    schema_store_close(store);
    snprintf(many, sizeof many, "%s/none", from);
    struct error err = {0};
    cr_expect_null(registry_open(&(struct registry_settings){.folder = many}, &err));
    remove_folder(from);
}

Test(avro_store, refuses_addresses_that_are_none)
{
    static const struct {
        struct registry_settings settings;
        const char *said;
    } wrong[] = {
        {{.url = NULL}, "name one of them"},
        {{.url = "http://a", .folder = "/tmp"}, "name one of them"},
        {{.url = "ftp://a"}, "takes http://HOST:PORT"},
        {{.url = "file:///etc/passwd"}, "takes http://HOST:PORT"},
        {{.url = "http://user:secret@a"}, "a password goes into auth=FILE"},
        {{.url = "http://a", .auth_file = "/no/such/file"}, "auth=/no/such/file"},
        {{.url = "https://a", .ca_file = "/no/such/file"}, "ca=/no/such/file"},
        {{.folder = "/tmp", .ca_file = "/dev/null"}, "go with registry="},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct error err = {0};
        cr_expect_null(registry_open(&wrong[i].settings, &err));
        cr_expect(strstr(err.text, wrong[i].said) && !strstr(err.text, "secret"), "%zu: %s", i, err.text);
    }
}

Test(avro_store, takes_passwords_from_closed_files_over_https_only)
{
    char folder[64], path[128];
    struct error err = {0};
    new_folder(folder);
    write_file(folder, "auth", "bank:secret\n");
    snprintf(path, sizeof path, "%s/auth", folder);
    chmod(path, 0644);
    cr_expect_null(registry_open(&(struct registry_settings){.url = "https://a", .auth_file = path}, &err));
    cr_expect(strstr(err.text, "may be read by others") != NULL);
    chmod(path, 0600);
    cr_expect_null(registry_open(&(struct registry_settings){.url = "http://a", .auth_file = path}, &err));
    cr_expect(strstr(err.text, "https only") != NULL);
    struct registry *registry = registry_open(&(struct registry_settings){.url = "https://a", .auth_file = path}, &err);
    cr_assert_not_null(registry, "%s", err.text);
    registry_close(registry);
    remove_folder(folder);
}

/* --- messages --- */

#define MESSAGE(literal) {literal, sizeof(literal) - 1}
#define SIDES FIELD("sender", "{\"type\":\"record\",\"name\":\"S\",\"fields\":[{\"name\":\"account\",\"type\":\"string\"}]}")
#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"

static const struct {
    struct slice bytes;
    const char *said;
} messages[] = {
    {MESSAGE("\0\0\0\0\7\4e1\4" "5.\2X\0"), "AMOUNT_FORM amount"},
    {MESSAGE("\0\0\0\0\7\4e1\2" "5\2X\0"), "{\"id\":\"e1\",\"amount\":\"5\",\"sender\":{\"account\":\"X\"}}"},
    {MESSAGE("\0\0\0\0\7\4e1\2" "5\2X\2\2y"), "{\"id\":\"e1\",\"amount\":\"5\",\"sender\":{\"account\":\"X\"}} unknown odd"},
    {MESSAGE("\0\0\0\0\7\4e1\4-5\2X\0"), "BAD_AMOUNT amount"},
    {MESSAGE("\0\0\0\0\7\4e1\6" "5,0\2X\0"), "AMOUNT_FORM amount"},
    {MESSAGE("\0\0\0\0\7\4e1\2" "5\2\xFF\0"), "BAD_UTF8 sender.account"},
    {MESSAGE("\0\0\0\0\7\4e1\2" "5\2X\0\0"), "AVRO_TRAILING "},
    {MESSAGE("\0\0\0\0\7\4e1\2" "5\2X"), "AVRO_BROKEN odd"},
    {MESSAGE("\0\0\0\0\7"), "AVRO_BROKEN id"},
    {MESSAGE("\0\0\0\0"), "AVRO_FRAMING "},
    {MESSAGE("\1\0\0\0\7\4e1"), "AVRO_FRAMING "},
    {MESSAGE("Obj\1\0\0"), "AVRO_FRAMING "},
    {MESSAGE("{\"id\":1}"), "AVRO_FRAMING "},
    {MESSAGE(""), "EMPTY "},
    {MESSAGE("\0\7\0\0\0\4e1"), "SCHEMA_UNKNOWN schema id 117440512"},
    {MESSAGE("\0\xFF\xFF\xFF\xFF\4e1"), "SCHEMA_UNKNOWN schema id 4294967295"},
    {MESSAGE("\0\0\0\0\10\0\0\0\0"), "MONEY_AS_FLOAT amount"},
    {MESSAGE("\0\0\0\0\11\2"), "MONEY_AS_FLOAT amount"},
    {MESSAGE("\0\0\0\0\12\0\0\0\0\0\0\0\0"), "TIME_AS_FLOAT time"},
    {MESSAGE("\0\0\0\0\13\2x"), "WRONG_TYPE id"},
    {MESSAGE("\0\0\0\0\14"), "SCHEMA_REFUSED schema id 12: the schema names a type that it does not define: strung"},
};

static void translate(const struct format *format, struct slice bytes, char said[1024])
{
    struct arena arena;
    struct format_output out;
    struct format_unknowns unknowns = {0};
    struct error err = {0};
    arena_init(&arena);
    format_output_init(&out);
    out.arena = &arena;
    out.unknowns = &unknowns;
    out.most = 10;
    cr_assert(format_translate(format, bytes, 65536, &out, &err), "%s", err.text);
    cr_assert_eq(out.count, 1);
    const struct translated *made = out.item[0].translated;
    struct slice text = made->reason ? made->field : out.item[0].text;
    snprintf(said, 1024, "%s%s%.*s%s%s", made->reason ? reject_code(made->reason) : "", made->reason ? " " : "", (int)text.size, text.data,
             unknowns.count ? " unknown " : "", unknowns.count ? unknowns.entry[0].name : "");
    cr_expect(slice_equal(made->raw, bytes));
    format_output_fini(&out);
    arena_fini(&arena);
}

Test(avro_store, translates_messages_by_the_schema_they_name)
{
    char folder[64], said[1024];
    new_folder(folder);
    write_file(folder, "7.avsc",
               "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" FIELD("id", "\"string\"") "," FIELD("amount", "\"string\"") "," SIDES
               "," FIELD("odd", "[\"null\",\"string\"]") "]}");
    write_file(folder, "8.avsc", "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" FIELD("amount", "\"float\"") "]}");
    write_file(folder, "9.avsc", "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" FIELD("amount", "\"long\"") "]}");
    write_file(folder, "10.avsc", "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" FIELD("time", "\"double\"") "]}");
    write_file(folder, "11.avsc", "{\"type\":\"record\",\"name\":\"R\",\"fields\":[" FIELD("id", "\"bytes\"") "]}");
    write_file(folder, "12.avsc", "\"strung\"");
    struct format *format = avro_format_open(&(struct avro_settings){.store = open_store(NULL, folder, NULL)});
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        translate(format, messages[i].bytes, said);
        cr_expect_str_eq(said, messages[i].said, "%zu: got %s, wanted %s", i, said, messages[i].said);
    }
    format->close(format->self);
    remove_folder(folder);
}
