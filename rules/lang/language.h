/* The reference pages of the language, made from the tables that the compiler is made from. */
#ifndef RULES_LANG_LANGUAGE_H
#define RULES_LANG_LANGUAGE_H

#include <stdio.h>

void language_print_page(FILE *out);     /* rules/LANGUAGE.md */
void diagnostics_print_page(FILE *out);  /* rules/DIAGNOSTICS.md */
void editor_print_vim(FILE *out);        /* rules/editors/muster.vim */
void editor_print_textmate(FILE *out);   /* rules/editors/muster.tmLanguage.json */

#endif
