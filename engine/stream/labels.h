/* Labels say who of a recorded stream really took part in what, and how well a set of subjects agrees.
 *
 * From a CSV with the header account,role,scheme,typology, as `muster gen --labels` writes it. Rows of one
 * scheme stand together: a scheme is a run of rows with equal scheme and typology. A suspect is who holds
 * a role in a scheme that someone answers for (controller, collector, facilitator …); a possible victim, a
 * payer and whoever has no role never is: to name one as a suspect is an error of the rules, not a catch.
 * Immutable once loaded; texts are the labels' own. Shares come with Wilson's interval at 95 %. */
#ifndef ENGINE_STREAM_LABELS_H
#define ENGINE_STREAM_LABELS_H

#include "engine/base/error.h"
#include "engine/model/hit.h"

struct labels;

/* NULL when the file cannot be read or a row is wrong: err says which line and why. */
struct labels *labels_load(const char *path, struct error *err) must_check;
void labels_free(struct labels *labels);
uint32_t labels_rows(const struct labels *labels);

/* A share with its interval; of nothing: unknown. */
struct share {
    uint64_t of, all;
    bool known;            /* all > 0 */
    double is, low, high;
};
struct share share_wilson(uint64_t of, uint64_t all);

/* Subjects that were put forward, measured against the labels of one typology. */
struct measure {
    uint64_t subjects;     /* put forward, accounts only: labels name no parties */
    uint64_t caught;       /* of them suspects of this typology */
    uint64_t elsewhere;    /* suspects of another typology only */
    uint64_t victims;      /* possible victims, and suspects of nothing */
    uint64_t suspects;     /* of this typology, in all */
    uint64_t schemes, schemes_caught; /* of this typology; caught: a suspect of it was put forward */
    struct share precision, recall, scheme_recall;
};

/* Begin, put each subject forward once, end. Typologies by name; one measuring at a time per struct. */
struct measuring;
struct measuring *measuring_new(const struct labels *labels, struct slice typology);
void measuring_subject(struct measuring *measuring, enum entity_kind kind, struct slice subject);
struct measure measuring_end(struct measuring *measuring); /* and frees it */

#endif
