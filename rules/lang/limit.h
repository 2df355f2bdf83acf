/* The bounds of the language: rule files come from outside, so everything they can make grow ends here. */
#ifndef RULES_LANG_LIMIT_H
#define RULES_LANG_LIMIT_H

enum {
    LIMIT_FILES = 1000,             /* *.rules files of one rule set */
    LIMIT_FILE_BYTES = 1024 * 1024, /* of one file */
    LIMIT_SET_BYTES = 16 * 1024 * 1024,
    LIMIT_DEPTH = 60,               /* nesting of one expression */
    LIMIT_LETS = 16,                /* of one rule: HIT_LET_MAX */
    LIMIT_PARAMS = 32,              /* of one rule */
    LIMIT_STEPS = 8,                /* of one rule: STEP_MAX */
    LIMIT_POINTS = 16,              /* `points` entries of one rule */
    LIMIT_HOPS = 12,                /* of one path */
    LIMIT_MIDDLES = 1000,
    LIMIT_GRAPH_DAYS = 90,          /* the widest window of a graph operator */
    LIMIT_HUB_LEAST = 8, LIMIT_HUB = 5000,
    LIMIT_BUDGET_LEAST = 100, LIMIT_BUDGET = 1000000,
    LIMIT_HUB_USUAL = 256, LIMIT_BUDGET_USUAL = 20000,
    LIMIT_SAY_PARTS = 32,
    LIMIT_EXCEPTS = 16,
    LIMIT_TEXTS = 64,               /* bits of event.text_true */
    LIMIT_LISTS = 64,               /* bits of an identity's lists */
    LIMIT_PATTERNS = 500,           /* of one text */
    LIMIT_PATTERN_BYTES = 1000,
    LIMIT_MEMORIES = 64,
    LIMIT_KEYS = 256,               /* different keys of rules and memories, those of `is new` among them */
    LIMIT_STREAMS = 4000,           /* with the memories: the bits of engine/stream's masks */
    LIMIT_RULES = 2000,
    LIMIT_TYPOLOGIES = 64,
    LIMIT_DAYS = 400,               /* the widest span */
    LIMIT_EXACT_DAYS = 30,          /* above: whole calendar days */
    LIMIT_POINT_VALUE = 1000,
    LIMIT_TEST_EVENTS = 100000,     /* times of one `every` */
    LIMIT_DIAGNOSTICS = 50,         /* errors shown per file, and warnings; the rest is counted */
    LIMIT_WORD = 128,               /* bytes of one name */
    LIMIT_STRING = 2000,
};

#endif
