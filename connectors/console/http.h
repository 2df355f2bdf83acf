/* Metrics and health over HTTP on loopback: GET /metrics, /health/live, /health/ready; nothing else.
 *
 * Requests are untrusted. What libmicrohttpd 0.9.75 lets through is refused here with 400 and the
 * connection closed: two Content-Length headers, Content-Length beside Transfer-Encoding, two Host
 * headers, an encoded NUL in the path. Runs a thread of its own; the callbacks are called on it. */
#ifndef CONNECTORS_CONSOLE_HTTP_H
#define CONNECTORS_CONSOLE_HTTP_H

#include "engine/base/error.h"

#include <stdint.h>
#include <stdio.h>

struct http_answers {
    void *context;
    /* Prometheus text. */
    void (*metrics)(void *context, FILE *out);
    /* True when the engine scores; why is one fixed sentence. */
    bool (*ready)(void *context, const char **why);
};

struct http;
/* port 0 takes any free one. NULL with ERROR_FATAL when the port is taken. */
struct http *http_open(uint16_t port, const struct http_answers *answers, struct error *err) must_check;
uint16_t http_port(const struct http *http);
void http_close(struct http *http);

#endif
