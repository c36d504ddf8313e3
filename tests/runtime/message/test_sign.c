/* HMAC: the vector of the compatibility notes, and what must not verify. */
#include "runtime/message/sign.h"

#include "runtime/base/error.h"
#include "tests/check.h"

#define KEY "5be6d19a-ad0a0d4b453be6c64b3b282e"
#define HEADER                                                     \
    "{\"msg_id\": \"a_1\", \"msg_type\": \"connection_request\", " \
    "\"username\": \"u\", \"session\": \"a\", "                    \
    "\"date\": \"2026-01-02T03:04:05.000006Z\", \"version\": \"5.3\"}"
#define SIG "0493eac852360beee17c92fbb9dede1ecea41c137581a3adb5c4a1beefa2725b"

static struct ipmpi_frame frame(const char *text)
{
    return (struct ipmpi_frame){(const uint8_t *)text, strlen(text), NULL};
}

static void the_known_vector(void **state)
{
    const struct ipmpi_frame parts[IPMPI_SIGNED] = {frame(HEADER), frame("{}"),
                                                    frame("{}"), frame("{}")};
    const struct ipmpi_frame sig = frame(SIG);
    struct ipmpi_key *key;
    char got[IPMPI_SIG_LEN];

    (void)state;
    CHECK_EQ(strlen(HEADER), 141);
    CHECK_EQ(ipmpi_key_create(KEY, strlen(KEY), &key), 0);
    CHECK(!ipmpi_key_is_empty(key));
    for (int again = 0; again < 2; again++) { /* a key is not used up */
        CHECK_EQ(ipmpi_sign(key, parts, got), IPMPI_SIG_LEN);
        CHECK_MEM(got, SIG, IPMPI_SIG_LEN);
    }
    CHECK_EQ(ipmpi_verify(key, &sig, parts), 0);
    ipmpi_key_destroy(&key);
    CHECK(key == NULL);
}

static void what_must_not_verify(void **state)
{
    static const struct {
        const char *name, *sig, *header, *content;
    } rows[] = {
        {"other content", SIG, HEADER, "{ }"},
        {"other header", SIG, "{}", "{}"},
        {"one digit off",
         "1493eac852360beee17c92fbb9dede1ecea41c137581a3adb5c4a1beefa2725b",
         HEADER, "{}"},
        {"upper case",
         "0493EAC852360BEEE17C92FBB9DEDE1ECEA41C137581A3ADB5C4A1BEEFA2725B",
         HEADER, "{}"},
        {"short", "0493", HEADER, "{}"},
        {"long", SIG "0", HEADER, "{}"},
        {"empty", "", HEADER, "{}"},
    };
    struct ipmpi_key *key;

    (void)state;
    CHECK_EQ(ipmpi_key_create(KEY, strlen(KEY), &key), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct ipmpi_frame sig = frame(rows[i].sig);
        const struct ipmpi_frame parts[IPMPI_SIGNED] = {
            frame(rows[i].header), frame("{}"), frame("{}"),
            frame(rows[i].content)};

        if (ipmpi_verify(key, &sig, parts) != IPMPI_EAUTH)
            fail_msg("%s verified", rows[i].name);
    }
    ipmpi_key_destroy(&key);
}

static void the_empty_key_signs_nothing(void **state)
{
    const struct ipmpi_frame parts[IPMPI_SIGNED] = {{0}};
    const struct ipmpi_frame sig = frame(""), any = frame("abc");
    struct ipmpi_key *key;
    char got[IPMPI_SIG_LEN];

    (void)state;
    CHECK_EQ(ipmpi_key_create("", 0, &key), 0);
    CHECK(ipmpi_key_is_empty(key));
    CHECK_EQ(ipmpi_sign(key, parts, got), 0);
    CHECK_EQ(ipmpi_verify(key, &sig, parts), 0);
    CHECK_EQ(ipmpi_verify(key, &any, parts), 0);
    ipmpi_key_destroy(&key);
    ipmpi_key_destroy(&key); /* NULL is fine */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_known_vector),
        cmocka_unit_test(what_must_not_verify),
        cmocka_unit_test(the_empty_key_signs_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
