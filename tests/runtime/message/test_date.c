/* Dates: what we write, what we read, what we refuse. */
#include "runtime/message/date.h"

#include <stdlib.h>
#include <time.h>

#include "runtime/base/error.h"
#include "tests/check.h"

#define S 1000000LL

static void dates_are_written_in_utc(void **state)
{
    static const struct {
        int64_t us;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000000Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {-86400 * S, "1969-12-31T00:00:00.000000Z"},
        {1767323045 * S + 6, "2026-01-02T03:04:05.000006Z"},
        {951782400 * S, "2000-02-29T00:00:00.000000Z"},
        {4107542400 * S, "2100-03-01T00:00:00.000000Z"},
        {-62135596800 * S, "0001-01-01T00:00:00.000000Z"},
        {253402300799 * S + 999999, "9999-12-31T23:59:59.999999Z"},
    };
    char text[IPMPI_DATE_LEN + 1];
    int64_t us;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ipmpi_date_format(rows[i].us, text);
        CHECK_STR(text, rows[i].text);
        CHECK_EQ(ipmpi_date_parse(text, strlen(text), &us), 0);
        CHECK(us == rows[i].us);
    }
}

static void no_number_overruns_the_text(void **state)
{
    static const int64_t rows[] = {INT64_MIN, INT64_MAX, -62135596801 * S,
                                   253402300800 * S};
    char text[IPMPI_DATE_LEN + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ipmpi_date_format(rows[i], text);
        CHECK_EQ(strlen(text), IPMPI_DATE_LEN);
    }
}

/* A walk over 400 years, one full turn of the calendar, against libc. */
static void the_calendar_agrees_with_libc(void **state)
{
    char mine[IPMPI_DATE_LEN + 1], theirs[64];

    (void)state;
    for (int64_t day = -100000; day < 50000; day += 7) {
        const time_t t = day * 86400 + 12345;
        struct tm tm;
        int64_t us;

        gmtime_r(&t, &tm);
        strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%S.000000Z", &tm);
        ipmpi_date_format(t * S, mine);
        CHECK_STR(mine, theirs);
        CHECK_EQ(ipmpi_date_parse(mine, strlen(mine), &us), 0);
        CHECK(us == t * S);
    }
}

static void dates_that_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } rows[] = {
        {"2026-01-02T03:04:05Z", 1767323045 * S},
        {"2026-01-02T03:04:05.5Z", 1767323045 * S + 500000},
        {"2026-01-02T03:04:05.123456Z", 1767323045 * S + 123456},
        {"2026-01-02T05:04:05+02:00", 1767323045 * S},
        {"2026-01-02T05:04:05+0200", 1767323045 * S},
        {"2026-01-01T21:34:05.000001-05:30", 1767323045 * S + 1},
        /* without a zone: local time, here five hours behind UTC */
        {"2026-01-01T22:04:05.000007", 1767323045 * S + 7},
        {"2026-01-01T22:04:05", 1767323045 * S},
        {"1969-12-31T18:59:59", -1 * S},
    };

    (void)state;
    setenv("TZ", "XXX5", 1);
    tzset();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t us = 42;

        if (ipmpi_date_parse(rows[i].text, strlen(rows[i].text), &us) != 0 ||
            us != rows[i].us)
            fail_msg("%s read as %lld", rows[i].text, (long long)us);
    }
}

static void dates_that_are_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "2026",
        "2026-01-02",
        "2026-01-02 03:04:05Z",
        "2026-01-02T03:04Z",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05.1234567Z",
        "2026-01-02T03:04:05Zulu",
        "2026-01-02T03:04:05+2:00",
        "2026-01-02T03:04:05+02",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05+02:60",
        "2026-13-02T03:04:05Z",
        "2026-00-02T03:04:05Z",
        "2026-02-29T03:04:05Z",
        "2026-01-00T03:04:05Z",
        "2026-01-02T24:04:05Z",
        "2026-01-02T03:60:05Z",
        "2026-01-02T03:04:60Z",
        "0000-01-02T03:04:05Z",
        "-026-01-02T03:04:05Z",
        "2026-01-02T03:04:05 Z",
        " 2026-01-02T03:04:05Z",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int64_t us = 42;

        if (ipmpi_date_parse(rows[i], strlen(rows[i]), &us) != IPMPI_EINVAL)
            fail_msg("%s was read", rows[i]);
        CHECK(us == 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_written_in_utc),
        cmocka_unit_test(no_number_overruns_the_text),
        cmocka_unit_test(the_calendar_agrees_with_libc),
        cmocka_unit_test(dates_that_are_read),
        cmocka_unit_test(dates_that_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
