/* Asks with libcurl; tells an answer for good from a world that fails. */
#include "connectors/avro/registry.h"

#include "connectors/avro/schema.h"
#include "engine/base/invariant.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { ANSWER_BYTES_MAX = 1 << 20, CONNECT_MS = 2000, WHOLE_MS = 5000, PATH_MAX_BYTES = 4096, AUTH_BYTES_MAX = 512 };

struct registry {
    char *url, *folder; /* one of them; the url without a slash at its end */
    char *ca_file, *auth;
    CURL *curl;
    char *answer;
    size_t size;
    bool overflowed;
};

/* --- the folder --- */

static bool fetch_file(const struct registry *registry, uint32_t id, struct arena *arena, enum registry_word *word, struct slice *text,
                       struct error *err)
{
    char path[PATH_MAX_BYTES];
    struct stat seen;
    snprintf(path, sizeof path, "%s/%u.avsc", registry->folder, id);
    FILE *file = fopen(path, "rb");
    if (!file) {
        int why = errno;
        *word = REGISTRY_UNKNOWN;
        if (why == ENOENT && stat(registry->folder, &seen) == 0)
            return true;
        errno = why;
        return error_errno(err, ERROR_RETRY, "the schema file %s", path);
    }
    char *data = arena_bytes(arena, SCHEMA_BYTES_MAX + 1);
    size_t size = fread(data, 1, SCHEMA_BYTES_MAX + 1, file);
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    if (failed)
        return error_set(err, ERROR_RETRY, "the schema file %s cannot be read", path);
    *text = (struct slice){data, size};
    *word = size > SCHEMA_BYTES_MAX ? REGISTRY_TOO_LARGE : REGISTRY_SCHEMA;
    return true;
}

/* --- asking --- */

static size_t take_answer(char *data, size_t one, size_t size, void *context)
{
    struct registry *registry = context;
    (void)one;
    if (registry->size + size > ANSWER_BYTES_MAX) {
        registry->overflowed = true;
        return 0; /* ends the transfer */
    }
    memcpy(registry->answer + registry->size, data, size);
    registry->size += size;
    return size;
}

static bool set_options(struct registry *registry)
{
    CURL *curl = registry->curl;
    bool ok = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK && curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)WHOLE_MS) == CURLE_OK && curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_WRITEDATA, registry) == CURLE_OK && curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK;
    if (ok && registry->ca_file)
        ok = curl_easy_setopt(curl, CURLOPT_CAINFO, registry->ca_file) == CURLE_OK;
    if (ok && registry->auth)
        ok = curl_easy_setopt(curl, CURLOPT_USERPWD, registry->auth) == CURLE_OK &&
             curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) == CURLE_OK;
    return ok;
}

/* An answer of 200. */
static bool take_schema(const struct registry *registry, const json_t *json, struct arena *arena, enum registry_word *word, struct slice *text,
                        struct error *err)
{
    const json_t *schema = json_object_get(json, "schema"), *type = json_object_get(json, "schemaType");
    if (!json_is_string(schema))
        return error_set(err, ERROR_RETRY, "the schema registry %s answers with something that holds no schema; is the address right?", registry->url);
    struct slice held = {json_string_value(schema), json_string_length(schema)};
    if (json_is_string(type) && strcmp(json_string_value(type), "AVRO") != 0)
        *word = REGISTRY_NOT_AVRO;
    else if (json_array_size(json_object_get(json, "references")) > 0)
        *word = REGISTRY_REFERS;
    else if (held.size > SCHEMA_BYTES_MAX)
        *word = REGISTRY_TOO_LARGE;
    else
        *word = REGISTRY_SCHEMA;
    if (*word == REGISTRY_SCHEMA)
        *text = arena_copy(arena, held);
    return true;
}

/* A web server that is no registry says 404 too: only one that says "schema not found" is believed. */
static bool says_not_found(const json_t *json)
{
    json_int_t code = json_integer_value(json_object_get(json, "error_code"));
    return code / 100 == 404;
}

static const char *advice(long status)
{
    if (status >= 300 && status < 400)
        return "; redirects are not followed: name the address that it redirects to";
    if (status == 401 || status == 403)
        return "; does it want auth=FILE?";
    return status == 404 ? " without saying that there is no such schema; is the address right?" : "";
}

static bool judge(const struct registry *registry, long status, struct arena *arena, enum registry_word *word, struct slice *text, struct error *err)
{
    json_error_t fault;
    bool ok;
    json_t *json = registry->overflowed ? NULL : json_loadb(registry->answer, registry->size, JSON_REJECT_DUPLICATES, &fault);
    if (status == 200 && registry->overflowed) {
        *word = REGISTRY_TOO_LARGE;
        ok = true;
    } else if (status == 200) {
        ok = take_schema(registry, json, arena, word, text, err);
    } else if (status == 404 && says_not_found(json)) {
        *word = REGISTRY_UNKNOWN;
        ok = true;
    } else {
        ok = error_set(err, ERROR_RETRY, "the schema registry %s answers %ld%s", registry->url, status, advice(status));
    }
    json_decref(json);
    return ok;
}

bool registry_fetch(struct registry *registry, uint32_t id, struct arena *arena, enum registry_word *word, struct slice *text, struct error *err)
{
    char address[PATH_MAX_BYTES];
    long status = 0;
    *text = SLICE("");
    if (registry->folder)
        return fetch_file(registry, id, arena, word, text, err);
    registry->size = 0;
    registry->overflowed = false;
    snprintf(address, sizeof address, "%s/schemas/ids/%u", registry->url, id);
    CURLcode code = curl_easy_setopt(registry->curl, CURLOPT_URL, address);
    if (code == CURLE_OK)
        code = curl_easy_perform(registry->curl);
    if (curl_easy_getinfo(registry->curl, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK)
        status = 0;
    if (code != CURLE_OK && !(registry->overflowed && status == 200))
        return error_set(err, ERROR_RETRY, "the schema registry %s: %s", registry->url, curl_easy_strerror(code));
    return judge(registry, status, arena, word, text, err);
}

/* --- opening and closing --- */

static char *copy(const char *text)
{
    char *made = text ? strdup(text) : NULL;
    invariant(!text || made);
    return made;
}

static bool check_url(struct registry *registry, struct error *err)
{
    char *url = registry->url;
    size_t size = strlen(url);
    bool https = strncmp(url, "https://", 8) == 0;
    if (!https && strncmp(url, "http://", 7) != 0)
        return error_set(err, ERROR_FATAL, "registry= takes http://HOST:PORT or https://HOST:PORT");
    if (strpbrk(url, "@?# ") || size > 1024)
        return error_set(err, ERROR_FATAL, "the registry's address holds @, ?, # or a space; a password goes into auth=FILE");
    while (size && url[size - 1] == '/')
        url[--size] = '\0';
    if (registry->auth && !https)
        return error_set(err, ERROR_FATAL, "auth= goes with https only: a password must not cross the network in the clear");
    return true;
}

/* The first line of the file. */
static bool read_auth(struct registry *registry, const char *path, struct error *err)
{
    struct stat seen;
    char line[AUTH_BYTES_MAX] = "";
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_errno(err, ERROR_FATAL, "auth=%s", path);
    bool open_to_others = fstat(fileno(file), &seen) != 0 || (seen.st_mode & 077) != 0;
    bool ok = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    line[strcspn(line, "\r\n")] = '\0';
    if (open_to_others)
        return error_set(err, ERROR_FATAL, "auth=%s may be read by others: chmod 0600 %s", path, path);
    if (!ok || !strchr(line, ':'))
        return error_set(err, ERROR_FATAL, "auth=%s holds no line USER:PASSWORD", path);
    registry->auth = copy(line);
    explicit_bzero(line, sizeof line);
    return true;
}

static bool open_checked(struct registry *registry, const struct registry_settings *settings, struct error *err)
{
    struct stat seen;
    if ((settings->url != NULL) == (settings->folder != NULL))
        return error_set(err, ERROR_FATAL, "schemas come from registry=URL or from folder=DIR: name one of them");
    if (settings->folder && (settings->ca_file || settings->auth_file))
        return error_set(err, ERROR_FATAL, "ca= and auth= go with registry=");
    if (settings->folder && (strlen(settings->folder) > PATH_MAX_BYTES - 32 || stat(settings->folder, &seen) != 0 || !S_ISDIR(seen.st_mode)))
        return error_set(err, ERROR_FATAL, "folder=%s is no folder", settings->folder);
    if (settings->ca_file && stat(settings->ca_file, &seen) != 0)
        return error_errno(err, ERROR_FATAL, "ca=%s", settings->ca_file);
    if (settings->auth_file && !read_auth(registry, settings->auth_file, err))
        return false;
    if (!settings->url)
        return true;
    if (!check_url(registry, err))
        return false;
    registry->answer = malloc(ANSWER_BYTES_MAX);
    registry->curl = curl_easy_init();
    invariant(registry->answer && registry->curl);
    return set_options(registry) || error_set(err, ERROR_FATAL, "libcurl does not take the settings of the registry; is it built with https?");
}

struct registry *registry_open(const struct registry_settings *settings, struct error *err)
{
    struct registry *registry = calloc(1, sizeof *registry);
    invariant(registry);
    registry->url = copy(settings->url);
    registry->folder = copy(settings->folder);
    registry->ca_file = copy(settings->ca_file);
    if (open_checked(registry, settings, err))
        return registry;
    registry_close(registry);
    return NULL;
}

void registry_close(struct registry *registry)
{
    if (registry->auth)
        explicit_bzero(registry->auth, strlen(registry->auth));
    if (registry->curl)
        curl_easy_cleanup(registry->curl);
    free(registry->url);
    free(registry->folder);
    free(registry->ca_file);
    free(registry->auth);
    free(registry->answer);
    free(registry);
}
