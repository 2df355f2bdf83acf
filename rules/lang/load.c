/* Loads a rule set: reads the files of a folder, parses, checks and compiles them. */
#include "rules/lang/load.h"

#include "engine/base/invariant.h"
#include "rules/lang/compile.h"
#include "rules/lang/fact.h"
#include "rules/lang/list.h"
#include "rules/lang/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>

static int by_name(const void *left, const void *right)
{
    return slice_compare(((const struct source_file *)left)->name, ((const struct source_file *)right)->name);
}

/* At most one byte more than a rule file may have: then the parser refuses it. */
static bool read_file(struct arena *arena, const char *path, struct slice *text, struct error *err)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_errno(err, ERROR_FATAL, "cannot open %s", path);
    char *bytes = arena_bytes(arena, LIMIT_FILE_BYTES + 1);
    *text = (struct slice){bytes, fread(bytes, 1, LIMIT_FILE_BYTES + 1, file)};
    bool failed = ferror(file) != 0;
    fclose(file);
    return !failed || error_errno(err, ERROR_FATAL, "cannot read %s", path);
}

bool is_rule_file(const char *name)
{
    size_t size = strlen(name);
    return size > 6 && name[0] != '.' && memcmp(name + size - 6, ".rules", 6) == 0;
}

/* The names, sorted; `instead` among them, with its text. */
static bool read_names(struct arena *arena, const char *dir, const struct source_file *instead, struct source_file *file, uint16_t *count,
                       struct error *err)
{
    DIR *folder = opendir(dir);
    const struct dirent *entry;
    if (!folder)
        return error_errno(err, ERROR_FATAL, "cannot open the rule folder %s", dir);
    while ((entry = readdir(folder)) && *count < LIMIT_FILES)
        if (is_rule_file(entry->d_name) && !(instead && slice_equal(slice_of(entry->d_name), instead->name)))
            file[(*count)++].name = arena_copy(arena, slice_of(entry->d_name));
    closedir(folder);
    if (instead && *count < LIMIT_FILES)
        file[(*count)++] = *instead;
    if (*count == LIMIT_FILES)
        return error_set(err, ERROR_FATAL, "more than %d rule files in %s", LIMIT_FILES - 1, dir);
    if (*count == 0)
        return error_set(err, ERROR_FATAL, "no *.rules file in %s", dir);
    qsort(file, *count, sizeof *file, by_name);
    return true;
}

static struct syntax *load_files(const char *dir, const struct source_file *instead, struct diagnostics *diagnostics, struct error *err)
{
    struct arena arena;
    struct syntax *syntax = NULL;
    uint16_t count = 0;
    size_t total = 0;
    arena_init(&arena);
    struct source_file *file = ARENA_ARRAY(&arena, struct source_file, LIMIT_FILES);
    bool good = read_names(&arena, dir, instead, file, &count, err);
    for (uint16_t i = 0; good && i < count; i++) {
        struct slice path = arena_format(&arena, "%s/%.*s", dir, (int)file[i].name.size, file[i].name.data);
        if (!file[i].text.data)
            good = read_file(&arena, arena_text(&arena, path), &file[i].text, err);
        total += file[i].text.size;
        if (good && total > LIMIT_SET_BYTES)
            good = error_set(err, ERROR_FATAL, "the rule files of %s are larger than 16 MiB together", dir);
    }
    if (good)
        syntax = syntax_parse(file, count, diagnostics);
    arena_fini(&arena);
    return syntax;
}

struct syntax *syntax_load(const char *dir, struct diagnostics *diagnostics, struct error *err)
{
    return load_files(dir, NULL, diagnostics, err);
}

/* The literal of a rule's param; NULL when there is no such rule, no such param, or it is broken. */
static struct syntax_expr *param_literal(const struct syntax *syntax, const struct param_value *param)
{
    for (const struct syntax_rule *rule = syntax->rule; rule; rule = rule->next)
        for (const struct syntax_param *at = rule->param; at; at = at->next)
            if (slice_equal(rule->id.text, param->rule) && slice_equal(at->name.text, param->param))
                return at->value;
    return NULL;
}

/* Puts the values of the options in the place of those written, before anything is compiled. */
static bool set_params(struct syntax *syntax, const struct load_options *options, struct error *err)
{
    for (uint16_t i = 0; i < options->param_count; i++) {
        const struct param_value *param = &options->param[i];
        struct syntax_expr *literal = param_literal(syntax, param);
        if (!literal)
            return error_set(err, ERROR_FATAL, "no rule %.*s has a param `%.*s`", (int)param->rule.size, param->rule.data,
                             (int)param->param.size, param->param.data);
        literal->value = param->value;
    }
    return true;
}

static struct program *compile_tree(struct syntax *syntax, const char *dir, const struct load_options *options,
                                    struct diagnostics *diagnostics, struct error *err)
{
    static const struct load_options plain = {0};
    options = options ? options : &plain;
    bool good = options->param_count == 0 || set_params(syntax, options, err);
    struct program *program = good ? compile(syntax, dir, options, diagnostics, err) : NULL;
    syntax_free(syntax);
    return program;
}

struct program *program_load(const char *dir, const struct load_options *options, struct diagnostics *diagnostics, struct error *err)
{
    struct syntax *syntax = load_files(dir, options ? options->instead : NULL, diagnostics, err);
    return syntax ? compile_tree(syntax, dir, options, diagnostics, err) : NULL;
}

struct program *program_parse(const struct source_file *file, uint16_t count, const char *list_dir, const struct load_options *options,
                              struct diagnostics *diagnostics, struct error *err)
{
    return compile_tree(syntax_parse(file, count, diagnostics), list_dir, options, diagnostics, err);
}

void program_free(struct program *program)
{
    if (!program)
        return;
    struct compiled *owner = (struct compiled *)program;
    for (uint16_t i = 0; i < program->list_count; i++)
        list_free(program->list[i]);
    for (uint16_t i = 0; i < program->text_count; i++)
        text_free(program->text[i]);
    for (uint16_t i = 0; i < program->memory_count; i++)
        fact_file_free(program->memory[i].file);
    if (program->zone)
        zone_free((struct zone *)program->zone);
    arena_fini(&owner->arena);
    free(owner);
}

uint64_t program_list_lookup(const void *context, enum entity_kind kind, struct slice text)
{
    static const uint8_t types[ENTITY_KIND_COUNT] = {TYPE_ACCOUNT, TYPE_PARTY,    TYPE_DEVICE, TYPE_PHONE,
                                                     TYPE_ADDRESS, TYPE_TERMINAL, TYPE_PLACE};
    const struct program *program = context;
    uint64_t bits = 0;
    for (uint16_t i = 0; i < program->list_count; i++)
        if (list_type(program->list[i]) == types[kind] && list_has_text(program->list[i], text))
            bits |= (uint64_t)1 << i;
    return bits;
}
