/* Replies as one: in whatever order they come together, the same one speaks
 * and the buffers stand in the order of the targets. */
#include "runtime/engine/gathered.h"

#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/error.h"
#include "tests/check.h"
#include "tests/fault.h"

enum { MOST = 6 };

/* A reply of its ref: o(k), e(rror), a(borted) or - (apart), and buffers. */
struct one {
    uint64_t ref;
    char how;
    unsigned nbuffers;
};

static void add_text(struct ipmpi_frames *frames, const char *format,
                     unsigned a, unsigned b)
{
    char text[32];
    const int n = snprintf(text, sizeof(text), format, a, b);

    CHECK_EQ(ipmpi_frames_add_copy(frames, text, (size_t)n), 0);
}

/* It says "m3" and "c3"; its buffers are "3.0", "3.1". */
static int make(const struct one *one, struct ipmpi_gathered *out)
{
    const struct ipmpi_gathered_share share = {
        .ref = one->ref,
        .status = one->how == 'e'   ? IPMPI_STATUS_ERROR
                  : one->how == 'a' ? IPMPI_STATUS_ABORTED
                                    : IPMPI_STATUS_OK,
        .flags = one->how == '-' ? IPMPI_SHARE_APART : 0,
    };
    struct ipmpi_frames speech = {0}, buffers = {0};
    int err;

    add_text(&speech, "m%u", (unsigned)one->ref, 0);
    add_text(&speech, "c%u", (unsigned)one->ref, 0);
    for (unsigned i = 0; i < one->nbuffers; i++)
        add_text(&buffers, "%u.%u", (unsigned)one->ref, i);
    err = ipmpi_gathered_begin(&share, one->how == '-' ? NULL : &speech.at[0],
                               &speech.at[1], &buffers, out);
    ipmpi_frames_clear(&speech);
    ipmpi_frames_clear(&buffers);
    return err;
}

static size_t put_frames(const struct ipmpi_frames *frames, char *out)
{
    size_t at = 0;

    for (size_t i = 0; i < frames->n; i++)
        at += (size_t)sprintf(out + at, " %.*s", (int)frames->at[i].len,
                              (const char *)frames->at[i].data);
    return at;
}

/* As "1o 2e 4-: m2 c2 |" and the buffers. */
static const char *told(const struct ipmpi_gathered *g)
{
    static char text[512];
    size_t at = 0, nbuffers = 0;

    for (size_t i = 0; i < g->n; i++) {
        const struct ipmpi_gathered_share *s = &g->share[i];

        at += (size_t)sprintf(text + at, "%s%u%c", i > 0 ? " " : "",
                              (unsigned)s->ref,
                              s->flags != 0 ? '-' : "oea"[s->status]);
        nbuffers += s->nbuffers;
    }
    CHECK_EQ(nbuffers, g->buffers.n);
    at += (size_t)sprintf(text + at, ":");
    at += put_frames(&g->speech, text + at);
    at += (size_t)sprintf(text + at, " |");
    put_frames(&g->buffers, text + at);
    return text;
}

static const struct row {
    struct one one[MOST];
    size_t n;
    const char *text;
} rows[] = {
    {{{1, 'o', 2}}, 1, "1o: m1 c1 | 1.0 1.1"},
    {{{1, 'o', 1}, {2, 'o', 2}, {9, 'o', 1}},
     3,
     "1o 2o 9o: m1 c1 | 1.0 2.0 2.1 9.0"},
    {{{1, 'o', 0}, {2, 'o', 1}}, 2, "1o 2o: m1 c1 | 2.0"},
    {{{1, 'o', 1}, {2, 'e', 1}, {3, 'o', 1}, {4, 'e', 0}},
     4,
     "1o 2e 3o 4e: m2 c2 |"},
    {{{3, 'o', 1}, {7, 'a', 0}}, 2, "3o 7a: m7 c7 |"},
    {{{1, '-', 0}, {2, 'o', 1}, {3, '-', 0}}, 3, "1- 2o 3-: m2 c2 | 2.0"},
    {{{1, '-', 0}, {2, '-', 0}}, 2, "1- 2-: |"},
    {{{1, '-', 0}, {2, 'o', 1}, {3, 'e', 3}}, 3, "1- 2o 3e: m3 c3 |"},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

/* Those of a row in the order of this number, of n!. */
static void merge(const struct row *row, unsigned order,
                  struct ipmpi_gathered *all)
{
    size_t left[MOST], n = row->n;

    for (size_t i = 0; i < n; i++)
        left[i] = i;
    for (; n > 0; n--) {
        struct ipmpi_gathered one;
        const size_t pick = order % n;

        CHECK_EQ(make(&row->one[left[pick]], &one), 0);
        CHECK_EQ(ipmpi_gathered_merge(all, &one), 0);
        CHECK_EQ(one.n, 0);
        order /= (unsigned)n;
        left[pick] = left[n - 1];
    }
}

static void the_order_of_coming_does_not_matter(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        for (unsigned order = 0; order < 24; order++) {
            struct ipmpi_gathered all = {0};

            merge(&rows[i], order, &all);
            CHECK_STR(told(&all), rows[i].text);
            ipmpi_gathered_clear(&all);
        }
}

/* As trees do: groups first, then these. */
static void groups_combine_alike(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++)
        for (size_t cut = 0; cut <= rows[i].n; cut++) {
            struct row part[2] = {{.n = cut}, {.n = rows[i].n - cut}};
            struct ipmpi_gathered half[2] = {{0}, {0}};

            memcpy(part[0].one, rows[i].one, cut * sizeof(struct one));
            memcpy(part[1].one, rows[i].one + cut,
                   part[1].n * sizeof(struct one));
            merge(&part[0], 0, &half[0]);
            merge(&part[1], 1, &half[1]);
            CHECK_EQ(ipmpi_gathered_merge(&half[1], &half[0]), 0);
            CHECK_STR(told(&half[1]), rows[i].text);
            ipmpi_gathered_clear(&half[1]);
        }
}

static void write_all(const struct ipmpi_gathered *all,
                      struct ipmpi_frames *frames)
{
    CHECK_EQ(ipmpi_frames_add_static(frames, "head", 4), 0);
    CHECK_EQ(ipmpi_gathered_write(all, frames), 0);
}

static void what_is_written_can_be_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct ipmpi_gathered all = {0}, again;
        struct ipmpi_frames frames = {0};

        merge(&rows[i], 0, &all);
        write_all(&all, &frames);
        CHECK_EQ(ipmpi_gathered_read(&frames, &again), 0);
        CHECK_STR(told(&again), rows[i].text);
        ipmpi_frames_clear(&frames);
        ipmpi_gathered_clear(&all);
        ipmpi_gathered_clear(&again);
    }
}

static void read_bad(const struct ipmpi_gathered_share *shares, size_t len,
                     size_t nframes)
{
    struct ipmpi_gathered none = {0};
    struct ipmpi_frames frames = {0};

    CHECK_EQ(ipmpi_frames_add_static(&frames, "head", 4), 0);
    CHECK_EQ(ipmpi_frames_add_copy(&frames, shares, len), 0);
    while (frames.n < nframes)
        CHECK_EQ(ipmpi_frames_add_static(&frames, "{}", 2), 0);
    frames.n = nframes < frames.n ? nframes : frames.n;
    CHECK_EQ(ipmpi_gathered_read(&frames, &none), IPMPI_EFRAME);
    CHECK_EQ(none.n, 0);
    frames.n = 2;
    ipmpi_frames_clear(&frames);
}

static void nonsense_is_refused(void **state)
{
    static const struct {
        struct ipmpi_gathered_share share[2];
        size_t len, nframes;
    } bad[] = {
        {{{1, 0, 0, 0}}, 16, 1},               /* no shares */
        {{{1, 0, 0, 0}}, 16, 3},               /* no content */
        {{{1, 0, 0, 0}}, 0, 4},                /* of nobody */
        {{{1, 0, 0, 0}}, 15, 4},               /* cut */
        {{{1, 2, 0, 0}}, 16, 5},               /* a buffer too few */
        {{{1, 0, 0, 0}}, 16, 5},               /* a buffer too many */
        {{{0, 0, 0, 0}}, 16, 4},               /* no ref */
        {{{2, 0, 0, 0}, {1, 0, 0, 0}}, 32, 4}, /* not upward */
        {{{2, 0, 0, 0}, {2, 0, 0, 0}}, 32, 4}, /* twice */
        {{{1, 0, 77, 0}}, 16, 4},              /* no such status */
        {{{1, 1, 0, 1}}, 16, 5},               /* apart, and here */
        {{{1, 1, 0, 0}, {2, 0, 1, 0}}, 32, 5}, /* failed, with buffers */
        {{{1, UINT32_MAX, 0, 0}, {2, 2, 0, 0}}, 32, 5}, /* wraps */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        read_bad(bad[i].share, bad[i].len, bad[i].nframes);
}

static void without_memory_nothing_changes(void **state)
{
    static const struct one ones[] = {{1, 'o', 20}, {2, 'o', 20}};
    struct ipmpi_gathered all, one;
    unsigned nth = 1;
    int err;

    (void)state;
    CHECK_EQ(make(&ones[1], &all), 0);
    CHECK_EQ(make(&ones[0], &one), 0);
    do {
        fault_arm(nth++);
        err = ipmpi_gathered_merge(&all, &one);
        fault_disarm();
        CHECK_EQ(all.n, err == 0 ? 2 : 1);
        CHECK_EQ(one.n, err == 0 ? 0 : 1);
    } while (err == IPMPI_ENOMEM);
    CHECK_EQ(err, 0);
    CHECK(nth > 3);
    CHECK_EQ(all.buffers.n, 40);
    ipmpi_gathered_clear(&all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_of_coming_does_not_matter),
        cmocka_unit_test(groups_combine_alike),
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(without_memory_nothing_changes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
