/* Pickles as Python writes them, ours, and broken ones. */
#include "bridge/hub/pickle.h"

#include <stdlib.h>

#include "runtime/base/error.h"
#include "tests/check.h"

#define PICKLE(text) text, sizeof(text) - 1

static const struct {
    const char *name, *data;
    size_t len;
    int err;
    const char *joined; /* the buffers, each followed by | */
} rows[] = {
    {"protocol 3",
     PICKLE("\x80\x03]q\0(C\x03"
            "abcq\x01"
            "C\0q\x02"
            "e."),
     0, "abc||"},
    {"protocol 3, one",
     PICKLE("\x80\x03]q\0C\x03"
            "abcq\x01"
            "a."),
     0, "abc|"},
    {"protocol 3, empty", PICKLE("\x80\x03]q\0."), 0, ""},
    {"protocol 5",
     PICKLE("\x80\x05\x95\x0b\0\0\0\0\0\0\0]\x94(C\x01q\x94h\x01"
            "e."),
     0, "q|q|"},
    {"protocol 4, one",
     PICKLE("\x80\x04\x95\x0a\0\0\0\0\0\0\0]\x94"
            "C\x03"
            "abc\x94"
            "a."),
     0, "abc|"},
    {"long lengths", PICKLE("\x80\x04](B\x02\0\0\0xy\x8e\x01\0\0\0\0\0\0\0ze."),
     0, "xy|z|"},
    {"two batches",
     PICKLE("\x80\x03](C\x01"
            "aC\x01"
            "be(C\x01"
            "ce."),
     0, "a|b|c|"},
    {"long get and put",
     PICKLE("\x80\x03]r\0\0\0\0(C\x01"
            "ar\x01\0\0\0j\x01\0\0\0e."),
     0, "a|a|"},
    {"nothing", "", 0, IPMPI_EINVAL, NULL},
    {"no stop", PICKLE("\x80\x03]"), IPMPI_EINVAL, NULL},
    {"no list", PICKLE("\x80\x03."), IPMPI_EINVAL, NULL},
    {"not a list",
     PICKLE("\x80\x03"
            "C\x01"
            "a."),
     IPMPI_EINVAL, NULL},
    {"a list in the list", PICKLE("\x80\x03]]a."), IPMPI_EINVAL, NULL},
    {"bytes past the end",
     PICKLE("\x80\x03](C\x09"
            "abce."),
     IPMPI_EINVAL, NULL},
    {"a huge length", PICKLE("\x80\x04](\x8e\xff\xff\xff\xff\xff\xff\xff\xff."),
     IPMPI_EINVAL, NULL},
    {"a get of the list", PICKLE("\x80\x03]q\0(h\0e."), IPMPI_EINVAL, NULL},
    {"a get of nothing",
     PICKLE("\x80\x03]q\0(h\x05"
            "e."),
     IPMPI_EINVAL, NULL},
    {"code",
     PICKLE("\x80\x03"
            "cposix\nsystem\nq\0."),
     IPMPI_EINVAL, NULL},
    {"text",
     PICKLE("\x80\x03]X\x01\0\0\0"
            "aa."),
     IPMPI_EINVAL, NULL},
    {"left over",
     PICKLE("\x80\x03]C\x01"
            "a."),
     IPMPI_EINVAL, NULL},
    {"append of two",
     PICKLE("\x80\x03](C\x01"
            "aC\x01"
            "aa."),
     IPMPI_EINVAL, NULL},
    {"cut in a number", PICKLE("\x80\x03](B\x01"), IPMPI_EINVAL, NULL},
};

static void join(const struct ipmpi_frames *frames, char *out)
{
    for (size_t i = 0; i < frames->n; i++) {
        memcpy(out, frames->at[i].data, frames->at[i].len);
        out += frames->at[i].len;
        *out++ = '|';
    }
    *out = '\0';
}

static void every_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipmpi_frames frames = {0};
        char joined[64];
        /* A copy without a byte too many, for the sanitizer. */
        char *data = malloc(rows[i].len + 1);

        CHECK(data != NULL);
        memcpy(data + 1, rows[i].data, rows[i].len);
        if (ipmpi_pickle_load(data + 1, rows[i].len, &frames) != rows[i].err)
            fail_msg("%s", rows[i].name);
        free(data);
        CHECK(rows[i].err == 0 || frames.n == 0);
        join(&frames, joined);
        if (rows[i].err == 0)
            CHECK_STR(joined, rows[i].joined);
        ipmpi_frames_clear(&frames);
    }
}

static void ours_comes_back(void **state)
{
    static const size_t lens[] = {0, 1, 255, 256, 70000, 3};
    const size_t n = sizeof(lens) / sizeof(lens[0]);
    struct ipmpi_frames frames = {0}, back = {0};
    char *bytes = malloc(70000);
    void *data;
    size_t len;

    (void)state;
    CHECK(bytes != NULL);
    for (size_t i = 0; i < n; i++) {
        memset(bytes, (int)('a' + i), lens[i]);
        CHECK_EQ(ipmpi_frames_add_copy(&frames, bytes, lens[i]), 0);
    }
    free(bytes);
    CHECK_EQ(ipmpi_pickle_dump(&frames, &data, &len), 0);
    CHECK_EQ(ipmpi_pickle_load(data, len, &back), 0);
    free(data);
    CHECK_EQ(back.n, n);
    for (size_t i = 0; i < n; i++) {
        CHECK_EQ(back.at[i].len, lens[i]);
        if (lens[i] > 0)
            CHECK_MEM(back.at[i].data, frames.at[i].data, lens[i]);
    }
    ipmpi_frames_clear(&frames);
    ipmpi_frames_clear(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(ours_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
