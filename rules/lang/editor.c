/* Prints syntax files for editors, made from the tables of words, fields, entities and functions. */
#include "engine/base/json_writer.h"
#include "rules/lang/compile.h"
#include "rules/lang/language.h"

enum word_group { GROUP_BLOCK, GROUP_CLAUSE, GROUP_SOURCE, GROUP_OPERATOR, GROUP_CONSTANT, GROUP_FIELD, GROUP_FUNCTION, GROUP_COUNT };

static const struct {
    enum word_group group;
    const char *word;
} words[] = {
#define WORD(group, word) {GROUP_##group, word},
#include "rules/lang/word.def"
#undef WORD
#define FIELD(name, word, type, help) {GROUP_FIELD, word},
#include "rules/lang/field.def"
#undef FIELD
#define KEY_ENTITY(name, word, sender, receiver, type, field, flows, help) {GROUP_FIELD, word},
#include "rules/lang/key_entity.def"
#undef KEY_ENTITY
    {GROUP_FIELD, "pair"},
    {GROUP_FIELD, "transfer"},
#define AGGREGATE(name, word, help) {GROUP_FUNCTION, word},
#include "rules/lang/aggregate_fn.def"
#undef AGGREGATE
};

enum { WORD_COUNT = sizeof words / sizeof words[0] };

static bool said_before(size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (words[i].group == words[at].group && strcmp(words[i].word, words[at].word) == 0)
            return true;
    return false;
}

/* How each group is called in the two kinds of file. */
static const struct {
    const char *vim, *link, *scope;
} groups[GROUP_COUNT] = {
    [GROUP_BLOCK] = {"musterBlock", "Structure", "keyword.declaration.muster"},
    [GROUP_CLAUSE] = {"musterClause", "Statement", "keyword.control.muster"},
    [GROUP_SOURCE] = {"musterSource", "Type", "support.type.muster"},
    [GROUP_OPERATOR] = {"musterOperator", "Operator", "keyword.operator.word.muster"},
    [GROUP_CONSTANT] = {"musterConstant", "Constant", "constant.language.muster"},
    [GROUP_FIELD] = {"musterField", "Identifier", "variable.language.muster"},
    [GROUP_FUNCTION] = {"musterFunction", "Function", "support.function.muster"},
};

/* Words that the lexer tells by their form, the more particular first: TextMate takes the first that fits, Vim
 * the last. Its "very magic" patterns and Oniguruma's agree in what is used here, but for the edges of words. */
static const struct {
    const char *vim, *link, *scope, *vim_pattern, *pattern;
} forms[] = {
    {"musterDate", "Number", "constant.other.date.muster", "<[0-9]{4}-[0-9]{2}-[0-9]{2}>", "\\b[0-9]{4}-[0-9]{2}-[0-9]{2}\\b"},
    {"musterClock", "Number", "constant.other.clock.muster", "<[0-9]{1,2}:[0-9]{2}>", "\\b[0-9]{1,2}:[0-9]{2}\\b"},
    {"musterNumber", "Number", "constant.numeric.muster", "<[0-9][0-9_]*(\\.[0-9]+)?(\\%|[smhd]>)?", "\\b[0-9][0-9_]*(\\.[0-9]+)?(%|[smhd]\\b)?"},
    {"musterId", "Tag", "entity.name.tag.muster", "<[A-Z][A-Z0-9]*(-[A-Z0-9]+)+>", "\\b[A-Z][A-Z0-9]*(-[A-Z0-9]+)+\\b"},
    {"musterCode", "Constant", "constant.other.code.muster", "<[A-Z][A-Z0-9_]+>", "\\b[A-Z][A-Z0-9_]+\\b"},
};

enum { FORM_COUNT = sizeof forms / sizeof forms[0] };

void editor_print_vim(FILE *out)
{
    fputs("\" Syntax of Muster's rule files. Made by `muster reference vim` from rules/lang/*.def.\n"
          "\" Copy it to ~/.vim/syntax/muster.vim, and into ~/.vim/filetype.vim:\n"
          "\"   au BufRead,BufNewFile *.rules setfiletype muster\n"
          "if exists(\"b:current_syntax\")\n  finish\nendif\n"
          "setlocal iskeyword=@,48-57,_,.\nsetlocal commentstring=#\\ %s\nsetlocal expandtab shiftwidth=2\n\n", out);
    for (int i = (int)FORM_COUNT - 1; i >= 0; i--)
        fprintf(out, "syntax match %s /\\v%s/\n", forms[i].vim, forms[i].vim_pattern);
    for (int group = 0; group < GROUP_COUNT; group++) {
        fprintf(out, "syntax keyword %s", groups[group].vim);
        for (size_t i = 0; i < WORD_COUNT; i++)
            if (words[i].group == (enum word_group)group && !said_before(i))
                fprintf(out, " %s", words[i].word);
        fputc('\n', out);
    }
    fputs("syntax match musterHole /{\\w\\+}/ contained\n"
          "syntax region musterString start=/\"/ end=/\"/ oneline contains=musterHole\n"
          "syntax match musterPattern /\\v(any|never|,)\\s*\\zs\\/[^\\/]*(\\\\.[^\\/]*)*\\/i?/\n"
          "syntax match musterComment /#.*$/\n\n", out);
    for (int i = 0; i < (int)FORM_COUNT; i++)
        fprintf(out, "highlight default link %s %s\n", forms[i].vim, forms[i].link);
    for (int group = 0; group < GROUP_COUNT; group++)
        fprintf(out, "highlight default link %s %s\n", groups[group].vim, groups[group].link);
    fputs("highlight default link musterString String\nhighlight default link musterHole Special\n"
          "highlight default link musterPattern SpecialChar\nhighlight default link musterComment Comment\n"
          "let b:current_syntax = \"muster\"\n", out);
}

/* --- TextMate --- */

static void pattern_match(struct json_writer *json, const char *scope, const char *match)
{
    json_open_object(json, NULL);
    json_text(json, "name", slice_of(scope));
    json_text(json, "match", slice_of(match));
    json_close_object(json);
}

static void pattern_words(struct json_writer *json, enum word_group group)
{
    char match[4096] = "(?<![\\w.])(";
    size_t size = strlen(match);
    bool first = true;
    for (size_t i = 0; i < WORD_COUNT; i++) {
        if (words[i].group != group || said_before(i))
            continue;
        if (!first)
            match[size++] = '|';
        first = false;
        for (const char *c = words[i].word; *c && size + 16 < sizeof match; c++) {
            if (*c == '.')
                match[size++] = '\\';
            match[size++] = *c;
        }
    }
    (void)snprintf(match + size, sizeof match - size, ")(?![\\w.])");
    pattern_match(json, groups[group].scope, match);
}

void editor_print_textmate(FILE *out)
{
    struct json_writer json;
    json_writer_init(&json);
    json_open_object(&json, NULL);
    json_text(&json, "comment", SLICE("Made by `muster reference textmate` from rules/lang/*.def."));
    json_text(&json, "name", SLICE("Muster rules"));
    json_text(&json, "scopeName", SLICE("source.muster"));
    json_open_array(&json, "fileTypes");
    json_text(&json, NULL, SLICE("rules"));
    json_close_array(&json);
    json_open_array(&json, "patterns");
    pattern_match(&json, "comment.line.number-sign.muster", "#.*$");
    json_open_object(&json, NULL);
    json_text(&json, "name", SLICE("string.quoted.double.muster"));
    json_text(&json, "begin", SLICE("\""));
    json_text(&json, "end", SLICE("\"|$"));
    json_open_array(&json, "patterns");
    pattern_match(&json, "constant.character.escape.muster", "\\{\\w+\\}");
    json_close_array(&json);
    json_close_object(&json);
    pattern_match(&json, "string.regexp.muster", "(?<=any |never |, |any  |never  )/([^/\\\\]|\\\\.)*/i?");
    for (int i = 0; i < (int)FORM_COUNT; i++)
        pattern_match(&json, forms[i].scope, forms[i].pattern);
    for (int group = 0; group < GROUP_COUNT; group++)
        pattern_words(&json, (enum word_group)group);
    json_close_array(&json);
    json_close_object(&json);
    json_line(&json);
    fwrite(json.text, 1, json.size, out);
    json_writer_fini(&json);
}
