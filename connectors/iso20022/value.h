/* How the text of an element becomes a canonical value; what no row of a table can say by itself.
 *
 * Pure; results live in the arena. An empty result: nothing is given. */
#ifndef CONNECTORS_ISO20022_VALUE_H
#define CONNECTORS_ISO20022_VALUE_H

#include "connectors/iso20022/xml.h"
#include "engine/model/reject.h"
#include "engine/model/zone.h"

enum { ISO_PARTS_MAX = 4 };

/* ISODateTime or ISODate to RFC 3339; what has no offset is in `zone`, a date alone is its first moment. */
enum reject_reason iso_time(struct slice text, const struct zone *zone, struct arena *arena, struct slice *made);
enum reject_reason iso_iban(struct slice text);
/* In small letters. */
enum reject_reason iso_uetr(struct slice text, struct arena *arena, struct slice *made);
/* The two letters at `at`, when they are a country. */
struct slice iso_country(struct slice text, size_t at);
/* Of FinInstnId: BIC without its branch, else clearing member, else LEI. */
struct slice iso_institution(const struct xml_node *institution, struct arena *arena);
/* Of Othr: "SCHEME:ISSUER:ID"; empty without an issuer. */
struct slice iso_scheme(const struct xml_node *other, struct arena *arena);
/* Of PstlAdr: its lines, else street, number, post box, post code, town; empty without any but a town. */
struct slice iso_address(const struct xml_node *address, struct arena *arena);
/* "A=X,B=Y": what text stands for. */
struct slice iso_word(struct slice table, struct slice text);

#endif
