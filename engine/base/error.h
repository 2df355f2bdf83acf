/* An error says that the world failed: disk, Kafka, PostgreSQL, memory, a file that is not there.
 *
 * A function that can fail so takes a `struct error *` last and returns false (or NULL); the error
 * then has a class and a text. Callers may put one phrase of context in front on the way up. Only
 * the pipeline and the commands decide to retry, stop or degrade. A zeroed error is "no error".
 * The texts carry no personal data: never put event content into one. */
#ifndef ENGINE_BASE_ERROR_H
#define ENGINE_BASE_ERROR_H

#include <stdbool.h>

#define must_check __attribute__((warn_unused_result))

enum error_class {
    ERROR_NONE,
    ERROR_RETRY,  /* may pass by itself: wait and try again */
    ERROR_FATAL,  /* will not pass: stop and tell the operator */
    ERROR_FENCED, /* another engine holds the lease: stop without writing */
};

enum { ERROR_TEXT_MAX = 512 };

struct error {
    enum error_class class;
    char text[ERROR_TEXT_MAX];
};

/* error_set fills err and returns false, so that `return error_set(...)` reads well. */
bool error_set(struct error *err, enum error_class class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* error_errno is error_set with ": strerror(errno)" behind the text. */
bool error_errno(struct error *err, enum error_class class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* error_context puts "phrase: " before the text; cuts at the end where it grows too long. */
bool error_context(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
