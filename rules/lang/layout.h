/* The one layout of rule files: what `muster rules fmt` writes.
 *
 * It moves blanks, line ends and comments, and never a word: the compiled program stays the same, and laying
 * out what was laid out changes nothing. Clauses keep the author's order; groups of clauses (who it is, params,
 * what counts, what follows) are parted by one empty line; params, lets and lists stand in columns; long
 * conditions break before `and` and `or`. A comment on a line of its own stays before what it stood before, one
 * behind a clause stays behind it, and one inside a clause moves before it. */
#ifndef RULES_LANG_LAYOUT_H
#define RULES_LANG_LAYOUT_H

#include "rules/lang/diagnostic.h"

enum { LAYOUT_WIDTH = 120 }; /* columns that lines should keep to */

/* The file laid out, in arena; `diagnostics` is new. False, and nothing laid out, when the text has errors of syntax (in diagnostics). */
bool layout_file(struct arena *arena, struct slice name, struct slice text, struct diagnostics *diagnostics, struct slice *out) must_check;

#endif
