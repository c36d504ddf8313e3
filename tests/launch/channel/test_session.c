/* Sessions: who may talk, and what a peer or a wire may do to them. */
#include "launch/channel/session.h"

#include <stdlib.h>

#include "runtime/base/error.h"
#include "tests/check.h"

struct ends {
    struct ipmpi_session *initiator, *responder;
    struct ipmpi_credentials here; /* the responder's */
    int refuse;
};

static int find(void *arg, const struct ipmpi_hello *hello,
                struct ipmpi_credentials *credentials_out)
{
    struct ends *ends = arg;

    (void)hello;
    *credentials_out = ends->here;
    return ends->refuse;
}

/* Moves what one has said to the other; the other's verdict. */
static int carry(struct ipmpi_session *from, struct ipmpi_session *to)
{
    const uint8_t *data;
    const size_t len = ipmpi_session_output(from, &data);
    const int err = len > 0 ? ipmpi_session_feed(to, data, len) : 0;

    ipmpi_session_sent(from, len);
    return err;
}

static void begin(struct ends *ends, enum ipmpi_mode mode, bool same_key)
{
    struct ipmpi_hello hello = {.role = IPMPI_ROLE_LAUNCHER,
                                .mode = mode,
                                .generation = 7,
                                .job = "job"};
    struct ipmpi_credentials mine;

    memset(ends, 0, sizeof(*ends));
    CHECK_EQ(ipmpi_secret_make(&mine.key), 0);
    if (mode == IPMPI_MODE_PUBLIC)
        ipmpi_secret_public(&mine.key, &ends->here.key);
    else
        ends->here = mine;
    if (!same_key)
        ends->here.key.byte[3] ^= 1;
    CHECK_EQ(ipmpi_session_initiate(&hello, &mine, &ends->initiator), 0);
    CHECK_EQ(ipmpi_session_respond(find, ends, &ends->responder), 0);
}

static void finish(struct ends *ends)
{
    ipmpi_session_destroy(&ends->initiator);
    ipmpi_session_destroy(&ends->responder);
}

static void shake(struct ends *ends)
{
    CHECK_EQ(carry(ends->initiator, ends->responder), 0);
    CHECK(!ipmpi_session_open(ends->responder));
    CHECK_EQ(carry(ends->responder, ends->initiator), 0);
    CHECK(ipmpi_session_open(ends->initiator));
    CHECK_EQ(carry(ends->initiator, ends->responder), 0);
    CHECK(ipmpi_session_open(ends->responder));
}

static void test_both_modes_carry_records(void **state)
{
    static const enum ipmpi_mode modes[] = {IPMPI_MODE_SECRET,
                                            IPMPI_MODE_PUBLIC};
    struct ipmpi_record record;
    struct ends ends;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        begin(&ends, modes[i], true);
        CHECK_EQ(ipmpi_session_put(ends.initiator, 1, "x", 1), IPMPI_ESTATE);
        shake(&ends);
        CHECK_EQ(ipmpi_session_hello(ends.responder)->generation, 7);
        CHECK_STR(ipmpi_session_hello(ends.responder)->job, "job");
        CHECK_EQ(ipmpi_session_put(ends.initiator, 5, "hello", 5), 0);
        CHECK_EQ(ipmpi_session_put(ends.initiator, 6, NULL, 0), 0);
        CHECK_EQ(carry(ends.initiator, ends.responder), 0);
        CHECK_EQ(ipmpi_session_next(ends.responder, &record), 0);
        CHECK_EQ(record.type, 5);
        CHECK_EQ(record.len, 5);
        CHECK_STR((const char *)record.body, "hello");
        CHECK_EQ(ipmpi_session_next(ends.responder, &record), 0);
        CHECK_EQ(record.type, 6);
        CHECK_EQ(ipmpi_session_next(ends.responder, &record), IPMPI_EEMPTY);
        CHECK_EQ(ipmpi_session_put(ends.responder, 7, "back", 4), 0);
        CHECK_EQ(carry(ends.responder, ends.initiator), 0);
        CHECK_EQ(ipmpi_session_next(ends.initiator, &record), 0);
        CHECK_EQ(record.type, 7);
        finish(&ends);
    }
}

static void test_other_keys_are_refused_on_both_sides(void **state)
{
    struct ends ends;

    (void)state;
    begin(&ends, IPMPI_MODE_SECRET, false);
    CHECK_EQ(carry(ends.initiator, ends.responder), 0);
    CHECK_EQ(carry(ends.responder, ends.initiator), IPMPI_EAUTH);
    finish(&ends);

    begin(&ends, IPMPI_MODE_PUBLIC, false);
    CHECK_EQ(carry(ends.initiator, ends.responder), 0);
    CHECK_EQ(carry(ends.responder, ends.initiator), IPMPI_EAUTH);
    finish(&ends);

    begin(&ends, IPMPI_MODE_SECRET, true);
    ends.refuse = IPMPI_EAUTH; /* another job, an old generation */
    CHECK_EQ(carry(ends.initiator, ends.responder), IPMPI_EAUTH);
    finish(&ends);
}

static void test_responder_wants_the_proof_too(void **state)
{
    static const uint8_t guess[IPMPI_SECRET_LEN];
    struct ipmpi_record record;
    struct ends ends;

    (void)state;
    begin(&ends, IPMPI_MODE_SECRET, true);
    CHECK_EQ(carry(ends.initiator, ends.responder), 0);
    CHECK_EQ(ipmpi_session_feed(ends.responder, guess, sizeof(guess)),
             IPMPI_EAUTH);
    CHECK_EQ(ipmpi_session_next(ends.responder, &record), IPMPI_ESTATE);
    finish(&ends);
}

/* A bit of any byte changed on the way, in any message, ends the session and
 * shows nothing. */
static void test_any_changed_byte_ends_it(void **state)
{
    (void)state;
    for (int message = 0; message < 4; message++) {
        size_t at = 0, len = 1;

        for (; at < len; at++) {
            struct ipmpi_session *from, *to;
            struct ipmpi_record record;
            struct ends ends;
            const uint8_t *data;
            uint8_t copy[4096];
            int err = 0, more = 0;

            begin(&ends, IPMPI_MODE_SECRET, true);
            if (message > 0)
                CHECK_EQ(carry(ends.initiator, ends.responder), 0);
            if (message > 1)
                CHECK_EQ(carry(ends.responder, ends.initiator), 0);
            if (message > 2) {
                CHECK_EQ(carry(ends.initiator, ends.responder), 0);
                CHECK_EQ(ipmpi_session_put(ends.initiator, 1, "body", 4), 0);
            }
            from = message == 1 ? ends.responder : ends.initiator;
            to = message == 1 ? ends.initiator : ends.responder;
            len = ipmpi_session_output(from, &data);
            CHECK(len > 0 && len < sizeof(copy));
            memcpy(copy, data, len);
            copy[at] ^= 0x10;
            ipmpi_session_sent(from, len);
            err = ipmpi_session_feed(to, copy, len);
            if (message == 0 && err == 0) { /* shows at the proofs */
                err = carry(to, from);
            }
            if (message == 3)
                more = ipmpi_session_next(to, &record);
            CHECK(err != 0 || more != 0);
            if (message == 3)
                CHECK(more != 0);
            finish(&ends);
        }
    }
}

/* Lost, repeated, swapped and reflected records. */
static void test_order_is_part_of_the_tag(void **state)
{
    enum { LOST, REPEATED, SWAPPED, REFLECTED, NCASES };

    (void)state;
    for (int what = 0; what < NCASES; what++) {
        uint8_t first[64], second[64];
        struct ipmpi_record record;
        const uint8_t *data;
        struct ends ends;
        size_t len;

        begin(&ends, IPMPI_MODE_SECRET, true);
        shake(&ends);
        ipmpi_session_put(ends.initiator, 1, "one", 3);
        len = ipmpi_session_output(ends.initiator, &data);
        memcpy(first, data, len);
        ipmpi_session_sent(ends.initiator, len);
        ipmpi_session_put(ends.initiator, 2, "two", 3);
        CHECK_EQ(ipmpi_session_output(ends.initiator, &data), len);
        memcpy(second, data, len);
        if (what == REFLECTED) {
            CHECK_EQ(ipmpi_session_feed(ends.initiator, first, len), 0);
            CHECK_EQ(ipmpi_session_next(ends.initiator, &record), IPMPI_EAUTH);
            finish(&ends);
            continue;
        }
        if (what == REPEATED) {
            CHECK_EQ(ipmpi_session_feed(ends.responder, first, len), 0);
            CHECK_EQ(ipmpi_session_next(ends.responder, &record), 0);
            CHECK_EQ(ipmpi_session_feed(ends.responder, first, len), 0);
        } else {
            CHECK_EQ(ipmpi_session_feed(ends.responder, second, len), 0);
        }
        CHECK_EQ(ipmpi_session_next(ends.responder, &record), IPMPI_EAUTH);
        finish(&ends);
    }
}

static void test_a_replayed_handshake_opens_nothing(void **state)
{
    uint8_t hello[512], proof[64];
    size_t hello_len, proof_len;
    const uint8_t *data;
    struct ends ends;
    struct ipmpi_session *again = NULL;

    (void)state;
    begin(&ends, IPMPI_MODE_SECRET, true);
    hello_len = ipmpi_session_output(ends.initiator, &data);
    memcpy(hello, data, hello_len);
    CHECK_EQ(carry(ends.initiator, ends.responder), 0);
    CHECK_EQ(carry(ends.responder, ends.initiator), 0);
    proof_len = ipmpi_session_output(ends.initiator, &data);
    memcpy(proof, data, proof_len);
    CHECK_EQ(ipmpi_session_respond(find, &ends, &again), 0);
    CHECK_EQ(ipmpi_session_feed(again, hello, hello_len), 0);
    CHECK_EQ(ipmpi_session_feed(again, proof, proof_len), IPMPI_EAUTH);
    CHECK(!ipmpi_session_open(again));
    ipmpi_session_destroy(&again);
    finish(&ends);
}

static void test_sizes_are_bounded(void **state)
{
    static const uint8_t huge[4] = {0x7f, 0xff, 0xff, 0xff};
    struct ipmpi_record record;
    struct ends ends;
    uint8_t *big = calloc(1, IPMPI_RECORD_MAX);
    int err = 0;

    (void)state;
    begin(&ends, IPMPI_MODE_SECRET, true);
    shake(&ends);
    CHECK_EQ(ipmpi_session_put(ends.initiator, 1, big, IPMPI_RECORD_MAX),
             IPMPI_ETOOBIG);
    for (int i = 0; i < 64 && err == 0; i++)
        err = ipmpi_session_put(ends.initiator, 1, big, IPMPI_RECORD_MAX - 1);
    CHECK_EQ(err, IPMPI_EFULL);
    CHECK_EQ(ipmpi_session_feed(ends.responder, huge, sizeof(huge)), 0);
    CHECK_EQ(ipmpi_session_next(ends.responder, &record), IPMPI_ETOOBIG);
    free(big);
    finish(&ends);
}

static void test_secrets_have_one_form(void **state)
{
    struct ipmpi_secret secret, same, derived, other;
    char hex[IPMPI_SECRET_HEX];

    (void)state;
    CHECK_EQ(ipmpi_secret_make(&secret), 0);
    ipmpi_secret_to_hex(&secret, hex);
    CHECK_EQ(ipmpi_secret_from_hex(hex, &same), 0);
    CHECK_MEM(&secret, &same, sizeof(secret));
    hex[5] = 'g';
    CHECK_EQ(ipmpi_secret_from_hex(hex, &same), IPMPI_EINVAL);
    CHECK_EQ(ipmpi_secret_from_hex("12", &same), IPMPI_EINVAL);
    ipmpi_secret_derive(&secret, "a", "bc", 2, &derived);
    ipmpi_secret_derive(&secret, "ab", "c", 1, &other);
    CHECK(memcmp(&derived, &other, sizeof(other)) != 0);
    CHECK_EQ(ipmpi_secret_read("/nonexistent", "job", &same), IPMPI_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_modes_carry_records),
        cmocka_unit_test(test_other_keys_are_refused_on_both_sides),
        cmocka_unit_test(test_responder_wants_the_proof_too),
        cmocka_unit_test(test_any_changed_byte_ends_it),
        cmocka_unit_test(test_order_is_part_of_the_tag),
        cmocka_unit_test(test_a_replayed_handshake_opens_nothing),
        cmocka_unit_test(test_sizes_are_bounded),
        cmocka_unit_test(test_secrets_have_one_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
