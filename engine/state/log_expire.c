/* Ends the log's old days: the key first, so that every copy of the day is unreadable, then its segments. */
#include "engine/state/log_private.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Days before `day` go, but not `kept`. */
struct expiry {
    int32_t day, kept;
};

static bool expiry_due(const struct expiry *expiry, int32_t day)
{
    return day < expiry->day && day != expiry->kept;
}

/* "YYYY-MM-DD.key", or that with ".tmp" behind: one that a crash left half made. */
static bool key_parse(const char *name, int32_t *day)
{
    int year, month, dom, used = 0;
    if (sscanf(name, "%4d-%2d-%2d.key%n", &year, &month, &dom, &used) != 3 || used != 14)
        return false;
    *day = civil_day(year, month, dom);
    return name[used] == '\0' || strcmp(name + used, ".tmp") == 0;
}

static bool file_destroy(const char *dir, const char *name, struct error *err)
{
    char path[LOG_PATH_MAX];
    return log_path(path, dir, name, err) &&
           (unlink(path) == 0 || errno == ENOENT || error_errno(err, ERROR_FATAL, "cannot destroy %s", path));
}

static bool keys_destroy(const char *dir, const struct expiry *expiry, int *days, struct error *err)
{
    bool good = true;
    int32_t day;
    DIR *folder = opendir(dir);
    if (!folder)
        return errno == ENOENT || error_errno(err, ERROR_FATAL, "cannot open the folder of day keys %s", dir);
    for (struct dirent *entry; good && (entry = readdir(folder));) {
        if (!key_parse(entry->d_name, &day) || !expiry_due(expiry, day))
            continue;
        good = file_destroy(dir, entry->d_name, err);
        *days += good && entry->d_name[14] == '\0';
    }
    (void)closedir(folder);
    return good && (log_folder_sync(dir) || error_errno(err, ERROR_FATAL, "cannot sync the folder of day keys %s", dir));
}

/* A segment, and the copy that a take-over may have left half made. */
static bool segment_destroy(const char *dir, const struct log_segment *segment, struct error *err)
{
    char copy[64];
    (void)snprintf(copy, sizeof copy, "%s.tmp", segment->name);
    return file_destroy(dir, segment->name, err) && file_destroy(dir, copy, err);
}

bool log_expire(const struct log_settings *settings, int32_t day, int *days, struct error *err)
{
    struct log_segment *segments;
    int count = log_segments(settings->dir, &segments, err);
    *days = 0;
    if (count < 0)
        return false;
    struct expiry expiry = {day, count ? segments[count - 1].day : INT32_MAX};
    bool good = keys_destroy(settings->key_dir, &expiry, days, err);
    for (int i = 0; good && i < count; i++)
        if (expiry_due(&expiry, segments[i].day))
            good = segment_destroy(settings->dir, &segments[i], err);
    free(segments);
    return good && (log_folder_sync(settings->dir) || error_errno(err, ERROR_FATAL, "cannot sync the log's folder %s", settings->dir));
}
