/* A small HTTP server for metrics and health, strict about what it reads. */
#include "connectors/console/http.h"

#include "engine/base/invariant.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CONNECTIONS_MAX = 16, TIMEOUT_S = 5, MEMORY_PER_CONNECTION = 16 * 1024 };

struct http {
    struct MHD_Daemon *daemon;
    struct http_answers answers;
};

/* One request between the calls of the library: kept per connection, freed at its end. */
struct request {
    bool bad_path;   /* the raw path held an encoded NUL */
    bool seen;       /* the headers were looked at */
};

static void *request_begin(void *context, const char *uri, struct MHD_Connection *connection)
{
    (void)context;
    (void)connection;
    struct request *request = calloc(1, sizeof *request);
    invariant(request != NULL);
    request->bad_path = strstr(uri, "%00") != NULL;
    return request;
}

static void request_end(void *context, struct MHD_Connection *connection, void **own, enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    free(*own);
    *own = NULL;
}

struct header_count {
    int hosts, lengths, encodings;
};

static enum MHD_Result count_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct header_count *count = context;
    (void)kind;
    (void)value;
    count->hosts += strcasecmp(name, "Host") == 0;
    count->lengths += strcasecmp(name, "Content-Length") == 0;
    count->encodings += strcasecmp(name, "Transfer-Encoding") == 0;
    return MHD_YES;
}

static bool request_is_odd(struct MHD_Connection *connection, const struct request *request)
{
    struct header_count count = {0};
    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, count_header, &count);
    return request->bad_path || count.hosts > 1 || count.lengths > 1 || (count.lengths && count.encodings);
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *type, char *text, size_t size,
                              enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(size, text, mode);
    invariant(response != NULL);
    (void)MHD_add_response_header(response, "Content-Type", type);
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (status >= 400)
        (void)MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result answer_text(struct MHD_Connection *connection, unsigned status, const char *text)
{
    return answer(connection, status, "text/plain; charset=utf-8", (char *)(uintptr_t)text, strlen(text), MHD_RESPMEM_MUST_COPY);
}

static enum MHD_Result answer_metrics(const struct http *http, struct MHD_Connection *connection)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    invariant(out != NULL);
    http->answers.metrics(http->answers.context, out);
    invariant(fclose(out) == 0);
    return answer(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", text, size, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result serve(void *context, struct MHD_Connection *connection, const char *path, const char *method, const char *version,
                             const char *upload, size_t *upload_size, void **own)
{
    const struct http *http = context;
    struct request *request = *own;
    const char *why = "";
    (void)version;
    (void)upload;
    if (!request->seen) {
        request->seen = true;
        if (request_is_odd(connection, request))
            return answer_text(connection, MHD_HTTP_BAD_REQUEST, "this request could be read in two ways\n");
        return MHD_YES; /* the library then calls again with the body, or without one */
    }
    if (*upload_size) {
        *upload_size = 0; /* nobody asked for a body */
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0)
        return answer_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET\n");
    if (strcmp(path, "/metrics") == 0)
        return answer_metrics(http, connection);
    if (strcmp(path, "/health/live") == 0)
        return answer_text(connection, MHD_HTTP_OK, "live\n");
    if (strcmp(path, "/health/ready") == 0 && http->answers.ready(http->answers.context, &why))
        return answer_text(connection, MHD_HTTP_OK, "ready\n");
    if (strcmp(path, "/health/ready") == 0)
        return answer_text(connection, MHD_HTTP_SERVICE_UNAVAILABLE, why);
    return answer_text(connection, MHD_HTTP_NOT_FOUND, "there is /metrics, /health/live and /health/ready\n");
}

struct http *http_open(uint16_t port, const struct http_answers *answers, struct error *err)
{
    struct http *http = calloc(1, sizeof *http);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    invariant(http != NULL);
    http->answers = *answers;
    http->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL, port, NULL, NULL, serve, http, MHD_OPTION_SOCK_ADDR, &address,
                                    MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S,
                                    MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_CONNECTION, MHD_OPTION_STRICT_FOR_CLIENT, 1,
                                    MHD_OPTION_URI_LOG_CALLBACK, request_begin, NULL, MHD_OPTION_NOTIFY_COMPLETED, request_end, NULL,
                                    MHD_OPTION_END);
    if (!http->daemon) {
        error_set(err, ERROR_FATAL, "cannot listen on 127.0.0.1:%u: the port is taken (http_port: 0 takes a free one, -1 none)", port);
        free(http);
        return NULL;
    }
    return http;
}

uint16_t http_port(const struct http *http)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : 0;
}

void http_close(struct http *http)
{
    if (!http)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}
