/* Composed messages: frames, header, signature, memory; and JSON escapes. */
#include "runtime/message/compose.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/message/date.h"
#include "tests/check.h"
#include "tests/fault.h"

#define DATE_US (1767323045LL * 1000000 + 6)

struct fixture {
    struct ipmpi_key *key;
    struct ipmpi_composer *composer;
    struct ipmpi_frames out;
};

static int setup(void **state)
{
    static struct fixture f;

    f = (struct fixture){0};
    *state = &f;
    return ipmpi_key_create("k", 1, &f.key) ||
           ipmpi_composer_create(f.key, "ab\"cd", "me\xc3\xa9", &f.composer);
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    ipmpi_frames_clear(&f->out);
    ipmpi_composer_destroy(&f->composer);
    ipmpi_key_destroy(&f->key);
    return 0;
}

static void check_frame(const struct ipmpi_frame *frame, const char *text)
{
    CHECK_EQ(frame->len, strlen(text));
    CHECK_MEM(frame->data, text, frame->len);
}

static struct ipmpi_frame lent(const char *text)
{
    return (struct ipmpi_frame){(const uint8_t *)text, strlen(text), NULL};
}

static void a_message_of_lent_parts(void **state)
{
    struct fixture *f = *state;
    char parent_text[] = "{\"p\":1}", content_text[] = "{\"c\":2}";
    const struct ipmpi_frame parent = lent(parent_text), none = lent("");
    const struct ipmpi_frame content = lent(content_text);

    CHECK_EQ(ipmpi_compose(f->composer, "apply_reply", DATE_US, &parent, &none,
                           &content, &f->out),
             0);
    memset(parent_text, 'x', sizeof(parent_text)); /* only lent */
    memset(content_text, 'x', sizeof(content_text));
    CHECK_EQ(f->out.n, 5);
    check_frame(&f->out.at[1],
                "{\"msg_id\":\"ab\\\"cd_0\",\"msg_type\":\"apply_reply\","
                "\"username\":\"me\xc3\xa9\",\"session\":\"ab\\\"cd\","
                "\"date\":\"2026-01-02T03:04:05.000006Z\","
                "\"version\":\"5.3\"}");
    check_frame(&f->out.at[2], "{\"p\":1}");
    check_frame(&f->out.at[3], "{}");
    check_frame(&f->out.at[4], "{\"c\":2}");
    CHECK_EQ(ipmpi_verify(f->key, &f->out.at[0], &f->out.at[1]), 0);
    CHECK(f->out.at[4].owner == f->out.at[0].owner); /* one allocation */
}

static void a_part_with_an_owner_is_shared(void **state)
{
    struct fixture *f = *state;
    struct ipmpi_frames request = {0};

    CHECK_EQ(ipmpi_frames_add_copy(&request, "{\"big\":0}", 9), 0);
    CHECK_EQ(
        ipmpi_compose(f->composer, "x", 0, &request.at[0], NULL, NULL, &f->out),
        0);
    CHECK(f->out.at[2].data == request.at[0].data);
    ipmpi_frames_clear(&request);
    check_frame(&f->out.at[2], "{\"big\":0}"); /* its own share */
    CHECK_EQ(ipmpi_verify(f->key, &f->out.at[0], &f->out.at[1]), 0);
}

static void the_number_grows_and_the_date_is_now(void **state)
{
    struct fixture *f = *state;
    const int64_t before = ipmpi_clock_wall_us();

    for (int i = 0; i <= 100; i++) {
        char want[64];
        const struct ipmpi_frame *header;
        const char *date;
        int64_t us;

        ipmpi_frames_clear(&f->out);
        CHECK_EQ(
            ipmpi_compose(f->composer, "t\"", 0, NULL, NULL, NULL, &f->out), 0);
        header = &f->out.at[1];
        snprintf(want, sizeof(want),
                 "{\"msg_id\":\"ab\\\"cd_%d\",\"msg_type\":\"t\\\"\",", i);
        CHECK(header->len > strlen(want));
        CHECK_MEM(header->data, want, strlen(want));
        date = memmem(header->data, header->len, "\"date\":\"", 8);
        CHECK(date != NULL);
        CHECK_EQ(ipmpi_date_parse(date + 8, IPMPI_DATE_LEN, &us), 0);
        CHECK(us >= before && us <= ipmpi_clock_wall_us());
    }
}

static void without_a_key_the_signature_is_empty(void **state)
{
    struct fixture *f = *state;
    struct ipmpi_key *none;
    struct ipmpi_composer *composer;

    CHECK_EQ(ipmpi_key_create("", 0, &none), 0);
    CHECK_EQ(ipmpi_composer_create(none, "s", "u", &composer), 0);
    CHECK_EQ(ipmpi_compose(composer, "t", 0, NULL, NULL, NULL, &f->out), 0);
    CHECK_EQ(f->out.n, 5);
    CHECK_EQ(f->out.at[0].len, 0);
    ipmpi_composer_destroy(&composer);
    ipmpi_key_destroy(&none);
}

static void memory_runs_out(void **state)
{
    struct fixture *f = *state;
    const struct ipmpi_frame content = lent("{\"c\":2}");
    struct ipmpi_frames empty = {0};
    unsigned nth = 1;
    bool fired;

    do {
        struct ipmpi_composer *composer = NULL;
        int err;

        fault_arm(nth++);
        err = ipmpi_composer_create(f->key, "s", "u", &composer);
        if (err == 0)
            err = ipmpi_compose(composer, "t", 0, NULL, NULL, &content, &empty);
        fired = fault_disarm();
        CHECK_EQ(err, fired ? IPMPI_ENOMEM : 0);
        CHECK_EQ(empty.n, fired ? 0 : 5);
        ipmpi_frames_clear(&empty);
        ipmpi_composer_destroy(&composer);
    } while (fired);
    CHECK(nth > 5);
}

enum { THREADS = 4, EACH = 1000 };

struct share_of_work {
    struct ipmpi_composer *composer;
    unsigned char seen[THREADS * EACH]; /* by number of the message */
};

static void *compose_some(void *arg)
{
    static const char first[] = "{\"msg_id\":\"ab\\\"cd_";
    struct share_of_work *work = arg;

    for (int i = 0; i < EACH; i++) {
        struct ipmpi_frames out = {0};
        unsigned long number;

        if (ipmpi_compose(work->composer, "t", 0, NULL, NULL, NULL, &out) != 0)
            return NULL;
        number =
            strtoul((const char *)out.at[1].data + strlen(first), NULL, 10);
        work->seen[number % (THREADS * EACH)]++;
        ipmpi_frames_clear(&out);
    }
    return work;
}

static void threads_share_a_composer(void **state)
{
    static struct share_of_work work[THREADS];
    struct fixture *f = *state;
    pthread_t threads[THREADS];

    for (int t = 0; t < THREADS; t++) {
        work[t].composer = f->composer;
        CHECK_EQ(pthread_create(&threads[t], NULL, compose_some, &work[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        void *result;

        CHECK_EQ(pthread_join(threads[t], &result), 0);
        CHECK(result != NULL);
    }
    for (int i = 0; i < THREADS * EACH; i++) { /* each number once */
        int times = 0;

        for (int t = 0; t < THREADS; t++)
            times += work[t].seen[i];
        CHECK_EQ(times, 1);
    }
}

static void text_is_escaped(void **state)
{
    static const struct {
        const char *text;
        size_t len;
        const char *want;
    } rows[] = {
        {"", 0, ""},
        {"plain", 5, "plain"},
        {"a\"b\\c/", 6, "a\\\"b\\\\c/"},
        {"\b\f\n\r\t", 5, "\\b\\f\\n\\r\\t"},
        {"\0\x01\x1f\x7f", 4, "\\u0000\\u0001\\u001f\x7f"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9,
         "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"a\xff"
         "b",
         3,
         "a\xef\xbf\xbd"
         "b"},
        {"\x80\x80", 2, "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x82", 2, "\xef\xbf\xbd"},             /* cut off */
        {"\xe2\x82x", 3, "\xef\xbf\xbdx"},           /* cut short */
        {"\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
        {"\xed\xa0\x80", 3,                          /* a surrogate */
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xf4\x90\x80\x80", 4, /* past the last code point */
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char got[64];
        size_t n = ipmpi_json_escape(rows[i].text, rows[i].len, got);

        CHECK_EQ(n, strlen(rows[i].want));
        CHECK_MEM(got, rows[i].want, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_message_of_lent_parts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_part_with_an_owner_is_shared, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_number_grows_and_the_date_is_now,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_key_the_signature_is_empty,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(memory_runs_out, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_share_a_composer, setup,
                                        teardown),
        cmocka_unit_test(text_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
