/* Metrics and health over a real socket; every odd request is answered with 400 and closed. */
#include "connectors/console/http.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const struct {
    const char *request, *begins;
} rows[] = {
    {"GET /metrics HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK"},
    {"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK"},
    {"GET /health/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 503"},
    {"GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"},
    {"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "HTTP/1.1 405"},
    {"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\nabcde", "HTTP/1.1 400"},
    {"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400"},
    {"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400"},
    {"GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 400"},
    {"GET /metrics%00x HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400"},
};

static void metrics(void *context, FILE *out)
{
    (void)context;
    fputs("muster_up 1\n", out);
}

static bool ready(void *context, const char **why)
{
    (void)context;
    *why = "not yet\n";
    return false;
}

/* Sends the bytes and reads what comes until the other side closes. */
static size_t ask(uint16_t port, const char *request, char *answer, size_t room)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t got = 0;
    cr_assert(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    for (ssize_t n; got + 1 < room && (n = recv(fd, answer + got, room - got - 1, 0)) > 0;)
        got += (size_t)n;
    answer[got] = '\0';
    close(fd);
    return got;
}

Test(http, answers_and_refuses)
{
    struct error err = {0};
    struct http *http = http_open(0, &(struct http_answers){.metrics = metrics, .ready = ready}, &err);
    cr_assert_not_null(http, "%s", err.text);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char answer[4096];
        (void)ask(http_port(http), rows[i].request, answer, sizeof answer);
        cr_expect(strncmp(answer, rows[i].begins, strlen(rows[i].begins)) == 0, "%s\n-> %s", rows[i].request, answer);
        /* the library itself says 400 twice where Host is missing; what must never be is a second 200 */
        const char *second = strstr(answer + 1, "HTTP/1.1 2");
        cr_expect_null(second, "a second request was read out of: %s\n-> %s", rows[i].request, answer);
    }
    http_close(http);
}

Test(http, says_when_the_port_is_taken)
{
    struct error err = {0};
    struct http *first = http_open(0, &(struct http_answers){.metrics = metrics, .ready = ready}, &err);
    cr_assert_not_null(first);
    cr_expect_null(http_open(http_port(first), &(struct http_answers){.metrics = metrics, .ready = ready}, &err));
    cr_expect(strstr(err.text, "the port is taken"));
    http_close(first);
}
