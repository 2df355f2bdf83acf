/* The words for roles and for what made a revision. */
#include "engine/model/hit.h"

static const char *const role_words[ROLE_COUNT] = {
    "undetermined",
#define ROLE(name, word) word,
#include "engine/model/role.def"
#undef ROLE
};

const char *role_word(enum role role)
{
    return role < ROLE_COUNT ? role_words[role] : role_words[0];
}

const char *revision_reason_word(enum revision_reason reason)
{
    switch (reason) {
    case REVISION_FIRST:
        return "first";
    case REVISION_INDICATOR:
        return "new indicator";
    case REVISION_ROLE:
        return "new role";
    case REVISION_SCORE:
        return "higher score";
    }
    return "unknown";
}
