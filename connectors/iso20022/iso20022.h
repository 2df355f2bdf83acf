/* ISO 20022 messages, translated: pacs.008, pacs.009 (with COV), pain.001 and camt.054, any version of
 * each, in any envelope; README.md says which element becomes which field.
 *
 * A message may hold many payments, and several Documents. Each payment is an event or refused with
 * the element's path. Reports of one payment meet by their UETR: a pacs.009 COV and a camt.054 join the
 * pacs.008 instead of counting again. Without any floating point; bounded in depth and elements. */
#ifndef CONNECTORS_ISO20022_ISO20022_H
#define CONNECTORS_ISO20022_ISO20022_H

#include "engine/model/format.h"

#include <stdio.h>

/* zone: of times that have no offset, and of dates, such as "Europe/Berlin"; "" is UTC. NULL with err
 * when there is no such zone. */
struct format *iso20022_format_open(const char *zone, struct error *err) must_check;

/* The tables of the page: fields, then what is dropped (`muster reference iso20022`). */
void iso20022_print_page(FILE *out);

#endif
