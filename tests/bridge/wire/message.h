/* Client messages for tests, as a ROUTER would hand them over. */
#ifndef IPMPI_TESTS_BRIDGE_WIRE_MESSAGE_H
#define IPMPI_TESTS_BRIDGE_WIRE_MESSAGE_H

#include "runtime/message/compose.h"
#include "tests/check.h"

#define TEST_HEADER                                           \
    "{\"msg_id\": \"a_1\", \"msg_type\": \"apply_request\", " \
    "\"username\": \"u\", \"session\": \"a\", "               \
    "\"date\": \"2026-01-02T03:04:05.000006Z\", \"version\": \"5.3\"}"
#define TEST_DATE_US (1767323045LL * 1000000 + 6)

struct test_message {
    const char *ident;                                /* NULL: none */
    const char *header, *parent, *metadata, *content; /* NULL: {} */
    size_t nbuffers;
};

static inline void add_text(struct ipmpi_frames *frames, const char *text)
{
    CHECK_EQ(ipmpi_frames_add_copy(frames, text, strlen(text)), 0);
}

/* Appends the message, signed. Routing id: 00 01 02 03 04. */
static inline void make_message(const struct test_message *m,
                                const struct ipmpi_key *key,
                                struct ipmpi_frames *out)
{
    struct ipmpi_frames parts = {0};
    char sig[IPMPI_SIG_LEN];

    add_text(&parts, m->header != NULL ? m->header : TEST_HEADER);
    add_text(&parts, m->parent != NULL ? m->parent : "{}");
    add_text(&parts, m->metadata != NULL ? m->metadata : "{}");
    add_text(&parts, m->content != NULL ? m->content : "{}");
    CHECK_EQ(ipmpi_frames_add_copy(out, "\0\1\2\3\4", 5), 0);
    if (m->ident != NULL)
        add_text(out, m->ident);
    add_text(out, IPMPI_DELIM);
    CHECK_EQ(ipmpi_frames_add_copy(out, sig, ipmpi_sign(key, parts.at, sig)),
             0);
    CHECK_EQ(ipmpi_frames_add_from(out, &parts, 0, parts.n), 0);
    for (size_t i = 0; i < m->nbuffers; i++)
        add_text(out, i == 0 ? "" : "buffer");
    ipmpi_frames_clear(&parts);
}

#endif
