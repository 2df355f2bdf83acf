/* Prints rules/LANGUAGE.md and rules/DIAGNOSTICS.md. */
#include "rules/lang/language.h"

#include "rules/lang/compile.h"

static const char grammar[] =
    "## Grammar\n\n"
    "`[ ]` optional, `{ }` repeated, `|` or. `#` begins a remark. Clauses of a block may stand in any order.\n\n"
    "```\n"
    "file       = { ruleset | list | text | memory | fact | typology | rule | test }\n"
    "ruleset    = \"ruleset\" NAME \"{\" \"timezone\" STRING  \"base\" CURRENCY \"}\"\n"
    "list       = \"list\" NAME \"of\" TYPE \"from\" STRING [ \"stale\" \"after\" SPAN ]\n"
    "text       = \"text\" NAME \"{\" { (\"any\" | \"never\") PATTERN { \",\" PATTERN } } \"}\"\n"
    "memory     = \"memory\" NAME \"for\" \"each\" (ENTITY | \"pair\") \"{\"\n"
    "               \"from\" source  \"keep\" value [\"as\" NAME] { \",\" value [\"as\" NAME] }  \"for\" SPAN \"}\"\n"
    "fact       = \"fact\" NAME \"for\" \"each\" (\"account\" | \"party\") \"{\" FIELD TYPE { FIELD TYPE } \"}\" \"from\" STRING\n"
    "typology   = \"typology\" NAME STRING \"{\" \"offence\" OFFENCE\n"
    "               \"alert\" \"at\" N \"points\" [\"from\" N \"indicators\"] [\"in\" N \"families\"] [\"including\" FAMILY]\n"
    "               [\"half_life\" SPAN] [\"cap\" N \"points\" \"per\" \"family\"] [\"urgent\"] \"}\"\n"
    "rule       = \"rule\" ID STRING \"{\" { clause } \"}\"\n"
    "clause     = \"version\" N | \"status\" (\"draft\" | \"shadow\" | \"live\" | \"retired\")\n"
    "           | \"typology\" NAME | \"family\" FAMILY | \"evidence\" (\"act\" | \"means\" | \"purpose\") { \",\" … }\n"
    "           | \"source\" STRING [\"V\" | \"V2\" | \"M\" | \"P\"] | \"why\" STRING | \"owner\" STRING | \"review\" \"by\" DATE\n"
    "           | \"param\" NAME \"=\" literal \"in\" literal \"..\" literal\n"
    "           | \"for\" \"each\" key [\"as\" NAME] { \",\" key [\"as\" NAME] }\n"
    "           | \"let\" NAME \"=\" (source | value) | \"when\" value\n"
    "           | \"then\" \"within\" (SPAN | PARAM) value | \"unless\" value\n"
    "           | \"points\" N \"to\" subject \"as\" ROLE { \",\" N \"to\" subject \"as\" ROLE }\n"
    "           | \"once\" \"per\" SPAN | \"say\" STRING\n"
    "           | \"except\" value \"until\" DATE \"because\" STRING \"by\" STRING\n"
    "key        = ENTITY | \"pair\" | \"transfer\" | FIELD | memory read\n"
    "subject    = NAME | FIELD | \"each\" FIELD \"of\" (LET | flow) | \"each\" \"member\" \"of\" LET\n"
    "source     = flow [\"where\" value]\n"
    "flow       = \"in\" | \"out\" | \"transfers\" | \"refunds\" | \"reversals\"\n"
    "aggregate  = FUNCTION [FIELD] \"of\" (LET | source) (\"over\" (SPAN | PARAM) | \"since\" \"step\" N)\n"
    "value      = and { \"or\" and } ;  and = not { \"and\" not } ;  not = [\"not\"] comparison\n"
    "comparison = sum [ (\"=\"|\"!=\"|\"<\"|\"<=\"|\">\"|\">=\") sum | \"in\" sum \"..\" sum | \"in\" LIST\n"
    "               | \"matches\" TEXT | \"is\" [\"not\"] (\"known\" | \"missing\")\n"
    "               | \"is\" [\"not\"] \"new\" \"over\" (SPAN | PARAM) ]\n"
    "sum        = product { (\"+\"|\"-\") product } ;  product = unary { (\"*\"|\"/\") unary }\n"
    "unary      = \"-\" unary | primary { \"default\" primary }\n"
    "primary    = literal | NAME | memory read | graph | [\"usual\"] aggregate | \"usual\" LET | \"age\" \"(\" memory read | FIELD \")\" | \"(\" value \")\"\n"
    "graph      = (\"cycle\" \"through\" K | \"chain\" \"into\" K) \"hops\" N \"..\" N | \"pass_through\" \"of\" K | \"gather_scatter\" \"of\" K\n"
    "           | \"scatter_gather\" \"into\" K \"from\" N \"middle\" [\"first\" \"where\" value] [\"second\" \"where\" value]\n"
    "           | \"sharing\" \"of\" ENTITY \"by\" K | \"hops\" \"from\" K \"to\" LIST \"within\" N | \"route\" \"of\" K \"along\" LIST ;\n"
    "             and to each, in any order: \"over\" SPAN [\"keep\" PERCENT \"..\" PERCENT] [\"where\" value] [\"hub\" N] [\"budget\" N]\n"
    "memory read = (\"sender\"|\"receiver\"|\"account\"|\"other\"|\"pair\"|\"terminal\") \".\" MEMORY [ \".\" KEPT ]\n"
    "literal    = 8 | 300 USD | 1_500.50 USD | 15% | 30s 6m 12h 35d | 22:00 | SALA | KE | KE->SO | monday | yes | no\n"
    "test       = \"test\" STRING [\"for\" ID { \",\" ID }] \"{\" \"start\" DATE CLOCK\n"
    "               { \"given\" A \"in\" LIST | \"given\" FACT \"of\" A \"{\" FIELD value [\",\"] … \"}\" [\"from\" DATE]\n"
    "               | [\"after\" SPAN] [\"every\" SPAN \"x\" N] end \"->\" end AMOUNT [\"{\" { WORD value [\",\"] } \"}\"] }\n"
    "               { \"expect\" (\"hit\" \"on\" A [\"as\" ROLE] [\"with\" LET \"=\" literal { \",\" … }]\n"
    "                          | \"alert\" TYPOLOGY \"on\" A | \"nothing\") } \"}\"\n"
    "end        = A | S\"*\" (a fresh account each time) | \"CASH\"\n"
    "```\n\n"
    "Fields of a test's payment: channel, kind, purpose, narrative, mcc, place, place_country, terminal, status, id,\n"
    "end_to_end, refers_to, and for each end sender_… and receiver_…: country, device, phone, address, party; and late \"3h\": it\n"
    "happened 3 hours before the clock of the test and arrives now.\n\n"
    "A product of a percentage and another quantity is that part of the quantity (`50% * 8` is 4). Like divided by like is a\n"
    "percentage. Windows up to 30d are exact; longer ones are whole calendar days, at most 400d, and keep one bucket a day.\n\n"
    "A rule of several steps follows each key by one attempt. `when` true arms it. Each `then within D` needs a later event, less than\n"
    "D after the step before was last true; until then that step may be true again, which moves its deadline and renews its values,\n"
    "not its beginning. An event older than the last true step does nothing to the attempt. D or more after it the attempt is\n"
    "closed, and the same event may arm a new one. `unless` comes first on each event, when its own windows are touched or a step\n"
    "comes true: true, it ends the attempt or prevents arming. Then the next step is asked, and only if that fails the step in hand.\n"
    "After a hit, or an `except` that silenced it, the attempt is over; the event that completed it does not arm the next.\n"
    "Each step, and `unless`, is asked only at events of the sources that it reads itself; a step that reads fields of the event,\n"
    "or no window at all, at every movement of the key.\n"
    "`since step N` is a window of what came after the first event at which step N was true, less than the next step's D ago.\n"
    "A `let` is computed at the first step that names it and keeps that value until its step is true again; one that no step names,\n"
    "at the hit. `unless` sees the values that the attempt has, others as they are now, and nothing since a step that was not yet\n"
    "true. Fields of the event in `say` and `points` are the last event's; `each FIELD of SOURCE` and the evidence are what the step\n"
    "saw in its window. Without `then`, a hit is `when` and not `unless`.\n\n"
    "`usual X`, X a window of 7d or more, is the median of X as it stood at the end of each of the key's last 26 full weeks\n"
    "(Monday to Sunday in the zone), missing before 8 of them. A week is looked at when the first later event of X's source\n"
    "arrives, and not again; the week of the first event does not count, nor what lies before a silence of more than 26 weeks.\n"
    "`V is new over W`: no earlier event of the key carried the value V since W before this event; V is a field that can be part\n"
    "of a key, such as `other`, `other.country`, `channel`, `place` or `account.device`. It is settled when the event is seen, so a\n"
    "source may be filtered by it: `out where other is new over 90d`.\n\n"
    "A `fact` is read like a memory, `receiver.income.monthly`: the newest row not after the event, without end. It comes from a\n"
    "file beside the rules (its name ends in `.csv`; columns subject, valid_from and the fields) or over a topic of facts. Types:\n"
    "count, money, percent, time, flag, country, currency, purpose, mcc and, over a topic, account, party, device, phone, address\n"
    "and terminal. A key keeps its 16 newest rows.\n\n"
    "A key of `for each device` (phone, address) may stand on either side of a payment, or on both: then it is one event of the\n"
    "key, seen from the sender's side. `account` is the account on the key's side, `other` the one across.\n\n";

static void print_keys(FILE *out)
{
    static const struct {
        const char *word, *help;
        bool flows;
    } entities[] = {
#define KEY_ENTITY(name, word, sender, receiver, type, field, flows, help) {word, help, flows},
#include "rules/lang/key_entity.def"
#undef KEY_ENTITY
    };
    static const struct {
        const char *word, *help;
    } functions[] = {
#define AGGREGATE(name, word, help) {word, help},
#include "rules/lang/aggregate_fn.def"
#undef AGGREGATE
    };
    fputs("## Entities\n\n| `for each` | one key for | sources |\n|---|---|---|\n", out);
    for (size_t i = 0; i < sizeof entities / sizeof *entities; i++)
        fprintf(out, "| `%s` | %s | %s`transfers` `refunds` `reversals` |\n", entities[i].word, entities[i].help,
                entities[i].flows ? "`in` `out` " : "");
    fputs("\n## Functions\n\n| function | of the events in the window |\n|---|---|\n", out);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        fprintf(out, "| `%s` | %s |\n", functions[i].word, functions[i].help);
    fputs("\nFields that are missing are skipped. Over nothing, `count`, `sum` and `distinct` are 0, the others missing.\n\n", out);
}

static void print_graphs(FILE *out)
{
    fputs("## Graph operators\n\n`K` is an account: the key, an alias or a field. A search looks at payments between two known, different accounts "
          "that pass `where`, not younger than the event; of an account with more than `hub` of them (256 unless given, 8 to 5000) "
          "at the newest, and at `budget` in all (20000 unless given, 100 to 1000000). Where that cut something off, the hit says "
          "`at least` (`hops`: `at most`). Windows reach at most 90 days. An operator reads the event itself, so every event of the "
          "key looks; it is searched only where the rest of the condition is not false already, and a pattern that the event must end only where its ends have had the payments without which there is none. A condition that hangs on "
          "what `account` shares, or on its route, is not even looked at where the account never carried anything, or stopped nowhere. `sharing` and `route` "
          "look at payments from and to cash too, but at none to oneself. What an account carried is the party, device, phone, address "
          "or terminal at its own end of a payment. A stage of a route is the country of the other end, else of the place.\n\n| operator | yields | costs |\n|---|---|---|\n", out);
    for (int i = 0; i < GRAPH_OPERATOR_COUNT; i++)
        fprintf(out, "| `%s %s` | %s | %s |\n", graph_pages[i].word, graph_pages[i].behind, graph_pages[i].help, graph_pages[i].cost);
    fputs("\n", out);
}

static void print_fields(FILE *out)
{
    static const struct {
        const char *word, *help;
        enum value_type type;
    } fields[] = {
#define FIELD(name, word, type, help) {word, help, TYPE_##type},
#include "rules/lang/field.def"
#undef FIELD
    };
    fputs("## Fields\n\n| field | is | meaning |\n|---|---|---|\n", out);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        fprintf(out, "| `%s` | %s | %s |\n", fields[i].word, type_says(fields[i].type), fields[i].help);
}

static void print_words(FILE *out)
{
    fputs("\n## Words\n\nFamilies:", out);
    for (int i = 0; i < FAMILY_COUNT; i++)
        fprintf(out, " `%s`", family_words[i]);
    fputs("\n\nRoles:", out);
    for (int i = 0; i < ROLE_COUNT; i++)
        fprintf(out, " `%s`", role_word((enum role)i));
    fputs("\n\nKinds:", out);
    for (int i = 1; i < KIND_COUNT; i++)
        fprintf(out, " `%s`", event_kind_name((enum event_kind)i));
    fputs("\n\nChannels:", out);
    for (int i = 1; i < CHANNEL_COUNT; i++)
        fprintf(out, " `%s`", event_channel_name((enum event_channel)i));
    fputs("\n\nOffences: `trafficking` `smuggling` `child_exploitation` `laundering`\n\n"
          "Lists hold: `account` `party` `device` `phone` `address` `terminal` `country` `mcc` `corridor` `purpose` `currency`, and `route`: "
          "2 to 16 countries in the order in which they are passed, `ET>KE>TZ`, at most 64 routes; only `along` asks such a list\n", out);
}

void language_print_page(FILE *out)
{
    fputs("# The rule language\n\nMade by `muster reference language` from `rules/lang/*.def` and the grammar in `rules/lang/language.c`.\n\n", out);
    fputs(grammar, out);
    print_keys(out);
    print_graphs(out);
    print_fields(out);
    print_words(out);
    fprintf(out, "\n## Limits\n\nA rule: %d steps, %d lets, %d params, %d `points`, %d windows, %d parts. A rule set: %d rules, %d typologies, %d lists, %d texts, %d memories, "
                 "%d different keys, %d sources. A file: %d KiB. Memories read each other at most %d deep.\n",
            LIMIT_STEPS, LIMIT_LETS, LIMIT_PARAMS, LIMIT_POINTS, RULE_INPUT_MAX, EXPR_NODE_MAX, LIMIT_RULES, LIMIT_TYPOLOGIES, LIMIT_LISTS, LIMIT_TEXTS, LIMIT_MEMORIES,
            LIMIT_KEYS, LIMIT_STREAMS, LIMIT_FILE_BYTES / 1024, STRATUM_MAX - 1);
}

/* In a cell of a table a bar would end the cell. */
static void print_cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

void diagnostics_print_page(FILE *out)
{
    fputs("# What can be wrong with a rule file\n\nMade by `muster reference diagnostics` from `rules/lang/diagnostic.def`. "
          "R1.. are warnings.\n\n| code | what | avoid | prefer | why |\n|---|---|---|---|---|\n", out);
    for (int code = 0; code < DIAG_COUNT; code++) {
        const struct diagnostic_page *page = diagnostic_page((enum diagnostic_code)code);
        const char *cells[] = {page->code, page->title, page->avoid, page->prefer, page->why};
        for (size_t i = 0; i < 5; i++) {
            fputs("| ", out);
            print_cell(out, cells[i]);
            fputc(' ', out);
        }
        fputs("|\n", out);
    }
}
