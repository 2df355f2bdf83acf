/* Writing log lines, each whole. */
#include "engine/cli/notice.h"

#include <time.h>

void notices_init(struct notices *notices, FILE *out)
{
    notices->out = out;
    pthread_mutex_init(&notices->lock, NULL);
    json_writer_init(&notices->writer);
}

void notices_fini(struct notices *notices)
{
    json_writer_fini(&notices->writer);
    pthread_mutex_destroy(&notices->lock);
}

static struct slice utc_now(char text[40])
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t size = strftime(text, 40, "%Y-%m-%dT%H:%M:%S", &utc);
    return (struct slice){text, size + (size_t)snprintf(text + size, 40 - size, ".%03ldZ", now.tv_nsec / 1000000)};
}

void notice_say(struct notices *notices, enum notice_level level, const char *event, const char *text)
{
    static const char *const words[] = {"info", "warning", "error"};
    char time[40];
    pthread_mutex_lock(&notices->lock);
    struct json_writer *writer = &notices->writer;
    json_writer_reset(writer);
    json_open_object(writer, NULL);
    json_text(writer, "time", utc_now(time));
    json_text(writer, "level", slice_of(words[level]));
    json_text(writer, "event", slice_of(event));
    json_text(writer, "text", slice_of(text));
    json_close_object(writer);
    json_line(writer);
    (void)fwrite(writer->text, 1, writer->size, notices->out); /* a log that cannot be written stops nothing */
    (void)fflush(notices->out);
    pthread_mutex_unlock(&notices->lock);
}
