/* Wilson's interval against published values, and labels that name one account in several ways. */
#include "engine/stream/labels.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void near(double is, double want)
{
    cr_assert(fabs(is - want) < 0.00006, "%.6f is not %.4f", is, want);
}

/* Newcombe 1998, table I, method 3. */
Test(labels, intervals_as_published)
{
    struct share share = share_wilson(81, 263);
    near(share.low, 0.2553);
    near(share.high, 0.3662);
    share = share_wilson(15, 148);
    near(share.low, 0.0624);
    near(share.high, 0.1605);
    share = share_wilson(0, 20);
    near(share.low, 0);
    near(share.high, 0.1611);
    share = share_wilson(1, 29);
    near(share.low, 0.0061);
    near(share.high, 0.1718);
}

Test(labels, nothing_of_nothing_is_unknown)
{
    cr_assert(!share_wilson(0, 0).known);
    struct share all = share_wilson(7, 7);
    cr_assert(all.known && all.is >= 1 && all.high >= 1 && all.low < 1);
}

static struct labels *labels_of(const char *text, struct error *err)
{
    char path[] = "/tmp/muster-labels-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    struct labels *labels = labels_load(path, err);
    unlink(path);
    return labels;
}

/* W is a possible victim of one scheme and a collector of another; V a possible victim only; P pays. */
Test(labels, roles)
{
    struct error err = {0};
    struct labels *labels = labels_of("account,role,scheme,typology\n"
                                      "B,controller,k,labour\nW,possible_victim,k,labour\nV,possible_victim,k,labour\n"
                                      "C,controller,n,other\nW,collector,k,labour\nP,payer,k,labour\n", &err);
    cr_assert(labels != NULL, "%s", err.text);
    cr_assert(labels_rows(labels) == 6);
    struct measuring *measuring = measuring_new(labels, SLICE("labour"));
    const char *const named[] = {"W", "V", "P", "C", "X"};
    for (int i = 0; i < 5; i++)
        measuring_subject(measuring, ENTITY_ACCOUNT, slice_of(named[i]));
    measuring_subject(measuring, ENTITY_PARTY, SLICE("B"));
    struct measure measure = measuring_end(measuring);
    cr_assert(measure.subjects == 5 && measure.caught == 1 && measure.elsewhere == 1 && measure.victims == 1);
    cr_assert(measure.suspects == 2 && measure.schemes == 2 && measure.schemes_caught == 1);
    cr_assert(measure.precision.all == 5 && measure.recall.all == 2 && measure.scheme_recall.all == 2);
    labels_free(labels);
}

Test(labels, refused_with_the_line)
{
    struct error err = {0};
    cr_assert(labels_of("account,role,scheme,typology\nA,controller,k,labour\n\n,controller,k,labour\n", &err) == NULL);
    cr_assert(strstr(err.text, "line 4"), "%s", err.text);
}
