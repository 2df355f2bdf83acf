/* Reads the files and signatures of a rule set's folder. */
#include "engine/cli/rule_files.h"

#include "engine/cli/rule_set.h"
#include "rules/lang/csv.h"
#include "rules/lang/signature.h"

#include <stdlib.h>

static bool read_files(const char *dir, const struct program *program, struct arena *arena, struct rule_load *load, struct error *err)
{
    struct rule_load_file *file = ARENA_ARRAY(arena, struct rule_load_file, program->file_count + 1);
    size_t total = 0;
    for (uint16_t i = 0; i < program->file_count; i++) {
        struct slice path = arena_format(arena, "%s/%.*s", dir, (int)program->file[i].size, program->file[i].data);
        char message[256] = "";
        uint32_t at = 0;
        size_t size = 0;
        char *text = csv_file_read(arena_text(arena, path), &size, (struct csv_problem){message, &at});
        if (!text)
            return error_set(err, ERROR_FATAL, "%.*s: %s", (int)path.size, path.data, message);
        file[i] = (struct rule_load_file){arena_copy(arena, program->file[i]), arena_copy(arena, (struct slice){text, size})};
        free(text);
        total += size;
        if (total > RULE_LOAD_BYTES_MAX)
            return error_set(err, ERROR_FATAL, "the files of the set are larger than %d MiB together", RULE_LOAD_BYTES_MAX >> 20);
    }
    load->file = file;
    load->file_count = program->file_count;
    return true;
}

static bool read_signatures(const char *dir, struct arena *arena, struct rule_load *load, struct error *err)
{
    struct signature signature[SIGNATURES_MAX];
    uint32_t count;
    if (!signatures_read(dir, signature, &count, err))
        return false;
    struct rule_load_mark *mark = ARENA_ARRAY(arena, struct rule_load_mark, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        memcpy(mark[i].key, signature[i].key, sizeof mark[i].key);
        memcpy(mark[i].mark, signature[i].mark, sizeof mark[i].mark);
    }
    load->mark = mark;
    load->mark_count = count;
    return true;
}

bool rule_files_read(const char *dir, const struct program *program, struct arena *arena, struct json_writer *description, struct rule_load *load,
                     struct error *err)
{
    *load = (struct rule_load){0};
    if (!read_files(dir, program, arena, load, err) || !read_signatures(dir, arena, load, err))
        return false;
    rule_set_describe(description, program);
    load->name = program->name;
    load->description = (struct slice){description->text, description->size};
    memcpy(load->hash, program->hash, sizeof load->hash);
    return true;
}
