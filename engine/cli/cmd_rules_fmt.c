/* `muster rules fmt`: the one layout of rule files. */
#include "engine/base/invariant.h"
#include "engine/base/json_writer.h"
#include "engine/cli/command.h"
#include "engine/cli/progress.h"
#include "rules/lang/layout.h"
#include "rules/lang/limit.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

struct formatting {
    const struct command_line *line;
    struct arena arena;
    bool check;
    bool json;
    struct json_writer change, fault; /* with json: the paths, as the elements of two arrays */
    FILE *item;                       /* with json: the diagnostics of all files, as elements of one array, into item_text */
    char *item_text;
    size_t item_size;
    uint32_t files, changed, faulty, errors, warnings, listed;
    struct progress progress;
};

static bool read_all(struct formatting *f, FILE *in, struct slice *text)
{
    char *bytes = arena_bytes(&f->arena, LIMIT_FILE_BYTES + 1);
    *text = (struct slice){bytes, fread(bytes, 1, LIMIT_FILE_BYTES + 1, in)};
    return !ferror(in);
}

static int fail_file(struct formatting *f, const char *what, const char *path)
{
    const char *why = strerror(errno);
    progress_hide(&f->progress);
    return command_fail(f->line, EXIT_WORLD, "cannot %s %s: %s", what, path, why);
}

static void keep_faults(struct formatting *f, const char *name, struct diagnostics *diagnostics)
{
    if (f->listed)
        (void)fputc(',', f->item);
    diagnostics_json_items(diagnostics, f->item);
    json_text(&f->fault, NULL, slice_of(name));
    f->errors += diagnostics_errors(diagnostics);
    f->warnings += diagnostics_warnings(diagnostics);
    f->listed += diagnostics_count(diagnostics);
}

/* The text laid out; false, and what is wrong is said, when it has errors. */
static bool lay_out(struct formatting *f, const char *name, struct slice text, struct slice *out)
{
    struct diagnostics *diagnostics = diagnostics_new();
    bool good = layout_file(&f->arena, slice_of(name), text, diagnostics, out);
    if (!good && f->json) {
        keep_faults(f, name, diagnostics);
    } else if (!good) {
        progress_hide(&f->progress);
        diagnostics_text(diagnostics, stderr);
    }
    f->faulty += !good;
    diagnostics_free(diagnostics);
    return good;
}

/* Whole or not at all, with the mode of the file before. */
static bool replace_file(const char *path, struct slice text)
{
    char fresh[PATH_SIZE];
    struct stat info;
    int size = snprintf(fresh, sizeof fresh, "%s.fmt-%d", path, (int)getpid());
    if (size < 0 || (size_t)size >= sizeof fresh || stat(path, &info) != 0)
        return false;
    FILE *out = fopen(fresh, "we");
    if (!out)
        return false;
    bool good = fwrite(text.data, 1, text.size, out) == text.size && fchmod(fileno(out), info.st_mode & 07777) == 0 && fflush(out) == 0 &&
                fsync(fileno(out)) == 0;
    good = (fclose(out) == 0) && good && rename(fresh, path) == 0;
    if (!good)
        (void)unlink(fresh);
    return good;
}

static int format_path(struct formatting *f, const char *path)
{
    struct slice text, out;
    FILE *in = fopen(path, "rbe");
    if (!in)
        return fail_file(f, "open", path);
    bool good = read_all(f, in, &text);
    (void)fclose(in);
    if (!good)
        return fail_file(f, "read", path);
    f->files++;
    if (!lay_out(f, path, text, &out) || slice_equal(text, out))
        return EXIT_FINE;
    f->changed++;
    progress_hide(&f->progress);
    if (f->json)
        json_text(&f->change, NULL, slice_of(path));
    else
        printf("%s %s\n", f->check ? "would lay out" : "laid out", path);
    if (!f->check && !replace_file(path, out))
        return fail_file(f, "write", path);
    return EXIT_FINE;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_rules(const char *name)
{
    size_t size = strlen(name);
    return size > 6 && name[0] != '.' && strcmp(name + size - 6, ".rules") == 0;
}

static int format_folder(struct formatting *f, const char *dir)
{
    char *name[LIMIT_FILES], path[PATH_SIZE];
    uint32_t count = 0;
    int code = EXIT_FINE;
    DIR *folder = opendir(dir);
    if (!folder)
        return fail_file(f, "open", dir);
    for (const struct dirent *entry; count < LIMIT_FILES && (entry = readdir(folder));)
        if (is_rules(entry->d_name)) {
            name[count] = strdup(entry->d_name);
            invariant(name[count++] != NULL);
        }
    (void)closedir(folder);
    qsort(name, count, sizeof *name, by_name);
    for (uint32_t i = 0; i < count; i++) {
        int size = snprintf(path, sizeof path, "%s/%s", dir, name[i]);
        if (code == EXIT_FINE)
            code = size < 0 || (size_t)size >= sizeof path ? command_fail(f->line, EXIT_USAGE, "the path is too long") : format_path(f, path);
        progress_count(&f->progress, i + 1, count);
        free(name[i]);
    }
    if (count == 0)
        return command_fail(f->line, EXIT_WORLD, "no *.rules file in %s", dir);
    return code;
}

static int format_stdin(struct formatting *f)
{
    struct slice text, out;
    if (!read_all(f, stdin, &text))
        return command_fail(f->line, EXIT_WORLD, "cannot read standard input");
    f->files++;
    if (!lay_out(f, "stdin", text, &out))
        return EXIT_FINE;
    f->changed += !slice_equal(text, out);
    if (!f->check)
        (void)fwrite(out.data, 1, out.size, stdout);
    return EXIT_FINE;
}

static void print_json(struct formatting *f)
{
    json_close_array(&f->change);
    json_close_array(&f->fault);
    invariant(fflush(f->item) == 0);
    printf("{\"files\":%u,\"check\":%s,\"changed\":%.*s,\"with_errors\":%.*s,", f->files, f->check ? "true" : "false", (int)f->change.size,
           f->change.text, (int)f->fault.size, f->fault.text);
    printf("\"errors\":%u,\"warnings\":%u,\"more\":%u,\"diagnostics\":[%.*s]}\n", f->errors, f->warnings, f->errors + f->warnings - f->listed,
           (int)f->item_size, f->item_text);
}

static void print_text(const struct formatting *f)
{
    printf("%u file%s, %u %s%s\n", f->files, f->files == 1 ? "" : "s", f->changed, f->check ? "to be laid out" : "laid out", f->faulty ? ", some with errors left alone" : "");
}

static int format_words(struct formatting *f)
{
    int code = EXIT_FINE;
    for (int i = 0; i < f->line->word_count && code == EXIT_FINE; i++) {
        struct stat info;
        bool folder = stat(f->line->word[i], &info) == 0 && S_ISDIR(info.st_mode);
        code = folder ? format_folder(f, f->line->word[i]) : format_path(f, f->line->word[i]);
    }
    progress_end(&f->progress);
    if (code == EXIT_FINE && f->json)
        print_json(f);
    else if (code == EXIT_FINE)
        print_text(f);
    return code;
}

int cmd_rules_fmt(const struct command_line *line)
{
    struct formatting f = {.line = line, .check = command_option(line, "check") != NULL, .json = command_option(line, "json") != NULL};
    bool from_stdin = command_option(line, "stdin") != NULL;
    if ((line->word_count == 0) != from_stdin)
        return command_fail(line, EXIT_USAGE, "name folders or files of rules, or --stdin alone");
    if (from_stdin && f.json)
        return command_fail(line, EXIT_USAGE, "with --stdin standard output holds the file: --json goes with folders and files");
    f.item = open_memstream(&f.item_text, &f.item_size);
    invariant(f.item != NULL);
    progress_begin_short(&f.progress, "files", "read", command_option(line, "quiet") != NULL);
    arena_init(&f.arena);
    json_writer_init(&f.change);
    json_writer_init(&f.fault);
    json_open_array(&f.change, NULL);
    json_open_array(&f.fault, NULL);
    int code = from_stdin ? format_stdin(&f) : format_words(&f);
    (void)fclose(f.item);
    free(f.item_text);
    json_writer_fini(&f.change);
    json_writer_fini(&f.fault);
    arena_fini(&f.arena);
    if (code != EXIT_FINE)
        return code;
    return f.faulty || (f.check && f.changed) ? EXIT_FINDING : EXIT_FINE;
}
