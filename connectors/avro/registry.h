/* Where schemas come from: a Confluent-compatible registry over HTTP, or a folder of ID.avsc files.
 *
 * A registry is asked `GET URL/schemas/ids/ID`: one answer of at most 1 MiB within 5 s, from that address
 * alone (no redirect, no proxy), over https with the certificate checked. What an id stands for never
 * changes: registries promise that, and whoever fills a folder must. Used by one thread. */
#ifndef CONNECTORS_AVRO_REGISTRY_H
#define CONNECTORS_AVRO_REGISTRY_H

#include "engine/base/arena.h"
#include "engine/base/error.h"

struct registry_settings {
    const char *url;       /* http://HOST:PORT or https://…; NULL: a folder */
    const char *folder;
    const char *ca_file;   /* PEM, instead of the system's authorities; NULL: those */
    const char *auth_file; /* USER:PASSWORD on one line, mode 0600, with https only; NULL: none */
};

struct registry;

/* What is known of an id for good. */
enum registry_word {
    REGISTRY_SCHEMA,     /* its text */
    REGISTRY_UNKNOWN,    /* there is none */
    REGISTRY_TOO_LARGE,  /* longer than SCHEMA_BYTES_MAX */
    REGISTRY_NOT_AVRO,   /* JSON schema or Protobuf */
    REGISTRY_REFERS,     /* parts of it are other entries of the registry */
    REGISTRY_WORD_COUNT,
};

/* NULL when the settings are wrong, with what to do in err. Asks nobody yet. */
struct registry *registry_open(const struct registry_settings *settings, struct error *err) must_check;
void registry_close(struct registry *registry);

/* False with ERROR_RETRY when nobody answers, or answers with something else than a registry would. */
bool registry_fetch(struct registry *registry, uint32_t id, struct arena *arena, enum registry_word *word, struct slice *text,
                    struct error *err) must_check;

#endif
