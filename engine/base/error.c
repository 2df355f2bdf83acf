/* Fills and decorates error values. */
#include "engine/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_set(struct error *err, enum error_class class, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err->class = class;
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return false;
}

bool error_errno(struct error *err, enum error_class class, const char *format, ...)
{
    int number = errno;
    char reason[128];
    const char *said = strerror_r(number, reason, sizeof reason);
    va_list args;
    va_start(args, format);
    err->class = class;
    int used = vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof err->text)
        (void)snprintf(err->text + used, sizeof err->text - (size_t)used, ": %s", said);
    return false;
}

bool error_context(struct error *err, const char *format, ...)
{
    char phrase[ERROR_TEXT_MAX];
    char old[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(phrase, sizeof phrase, format, args);
    va_end(args);
    memcpy(old, err->text, sizeof old);
    int used = snprintf(err->text, sizeof err->text, "%s: ", phrase);
    if (used >= 0 && (size_t)used < sizeof err->text) {
        size_t room = sizeof err->text - (size_t)used - 1;
        size_t size = strnlen(old, room);
        memcpy(err->text + used, old, size);
        err->text[(size_t)used + size] = '\0';
    }
    return false;
}
