/* Sessions: records, once the handshake is done.
 *
 * Invariant: nothing of a peer's record is shown before its tag was checked,
 * and no record is taken or made before both proofs.
 * Threads:   one. */
#include "launch/channel/session.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/memops.h>

#include "launch/channel/session_inside.h"
#include "runtime/base/error.h"

enum {
    TAG_LEN = CHACHA_POLY1305_DIGEST_SIZE,
    HEAD_LEN = 4,
    INPUT_MAX = HEAD_LEN + IPMPI_RECORD_MAX + TAG_LEN + 65536,
};

static void set_nonce(struct direction *direction)
{
    uint8_t nonce[CHACHA_POLY1305_NONCE_SIZE] = {0};
    const uint64_t count = htobe64(direction->count++);

    memcpy(nonce + sizeof(nonce) - sizeof(count), &count, sizeof(count));
    chacha_poly1305_set_nonce(&direction->cipher, nonce);
}

static int open_record(struct ipmpi_session *session,
                       struct ipmpi_record *record_out)
{
    struct bytes *in = &session->input;
    const uint8_t *data = in->data + in->at;
    const size_t have = in->len - in->at;
    uint8_t tag[TAG_LEN], *grown;
    uint32_t len;

    if (have < HEAD_LEN)
        return IPMPI_EEMPTY;
    memcpy(&len, data, sizeof(len));
    len = be32toh(len);
    if (len < 1 || len > IPMPI_RECORD_MAX)
        return IPMPI_ETOOBIG;
    if (have < HEAD_LEN + len + TAG_LEN)
        return IPMPI_EEMPTY;
    if (session->opened_cap < len + 1) {
        grown = realloc(session->opened, len + 1);
        if (grown == NULL)
            return IPMPI_ENOMEM;
        session->opened = grown;
        session->opened_cap = len + 1;
    }
    set_nonce(&session->in);
    chacha_poly1305_update(&session->in.cipher, HEAD_LEN, data);
    chacha_poly1305_decrypt(&session->in.cipher, len, session->opened,
                            data + HEAD_LEN);
    chacha_poly1305_digest(&session->in.cipher, TAG_LEN, tag);
    if (!memeql_sec(tag, data + HEAD_LEN + len, TAG_LEN))
        return IPMPI_EAUTH;
    in->at += HEAD_LEN + len + TAG_LEN;
    session->opened[len] = 0;
    record_out->type = session->opened[0];
    record_out->body = session->opened + 1;
    record_out->len = len - 1;
    return 0;
}

static int create(struct ipmpi_session **session_out)
{
    struct ipmpi_session *session = calloc(1, sizeof(*session));
    int err;

    if (session == NULL)
        return IPMPI_ENOMEM;
    err = ipmpi_secret_make(&session->ephemeral);
    if (err != 0) {
        free(session);
        return err;
    }
    *session_out = session;
    return 0;
}

int ipmpi_session_initiate(const struct ipmpi_hello *hello,
                           const struct ipmpi_credentials *credentials,
                           struct ipmpi_session **session_out)
{
    struct ipmpi_session *session = NULL;
    int err;

    if (hello->job[0] == 0 ||
        strnlen(hello->job, IPMPI_JOB_CAP) == IPMPI_JOB_CAP)
        return IPMPI_EINVAL;
    err = create(&session);
    if (err != 0)
        return err;
    session->hello = *hello;
    session->credentials = *credentials;
    err = ipmpi_handshake_begin(session);
    if (err != 0) {
        ipmpi_session_destroy(&session);
        return err;
    }
    *session_out = session;
    return 0;
}

int ipmpi_session_respond(ipmpi_credentials_fn *find, void *arg,
                          struct ipmpi_session **session_out)
{
    const int err = create(session_out);

    if (err != 0)
        return err;
    (*session_out)->find = find;
    (*session_out)->arg = arg;
    (*session_out)->state = WANT_HELLO;
    return 0;
}

void ipmpi_session_destroy(struct ipmpi_session **session)
{
    if (*session == NULL)
        return;
    free((*session)->input.data);
    free((*session)->output.data);
    if ((*session)->opened != NULL)
        explicit_bzero((*session)->opened, (*session)->opened_cap);
    free((*session)->opened);
    explicit_bzero(*session, sizeof(**session));
    free(*session);
    *session = NULL;
}

bool ipmpi_session_open(const struct ipmpi_session *session)
{
    return session->state == OPEN;
}

const struct ipmpi_hello *
ipmpi_session_hello(const struct ipmpi_session *session)
{
    return &session->hello;
}

int ipmpi_session_feed(struct ipmpi_session *session, const void *data,
                       size_t len)
{
    int err;

    if (session->state == DEAD)
        return IPMPI_ESTATE;
    if (session->input.len - session->input.at + len > INPUT_MAX) {
        session->state = DEAD;
        return IPMPI_ETOOBIG;
    }
    err = ipmpi_bytes_append(&session->input, data, len);
    while (err == 0 && session->state != OPEN)
        err = ipmpi_handshake_step(session);
    if (err == 0 || err == IPMPI_EEMPTY)
        return 0;
    session->state = DEAD;
    return err;
}

int ipmpi_session_next(struct ipmpi_session *session,
                       struct ipmpi_record *record_out)
{
    int err;

    if (session->state == DEAD)
        return IPMPI_ESTATE;
    if (session->state != OPEN)
        return IPMPI_EEMPTY;
    err = open_record(session, record_out);
    if (err != 0 && err != IPMPI_EEMPTY)
        session->state = DEAD;
    return err;
}

int ipmpi_session_put(struct ipmpi_session *session, uint8_t type,
                      const void *body, size_t len)
{
    struct bytes *out = &session->output;
    const uint32_t head = htobe32((uint32_t)len + 1);
    uint8_t *p;
    int err;

    if (session->state != OPEN)
        return IPMPI_ESTATE;
    if (len + 1 > IPMPI_RECORD_MAX)
        return IPMPI_ETOOBIG;
    if (out->len - out->at + len > IPMPI_OUTPUT_MAX)
        return IPMPI_EFULL;
    err = ipmpi_bytes_reserve(out, HEAD_LEN + 1 + len + TAG_LEN);
    if (err != 0)
        return err;
    p = out->data + out->len;
    memcpy(p, &head, HEAD_LEN);
    p[HEAD_LEN] = type;
    if (len > 0)
        memcpy(p + HEAD_LEN + 1, body, len);
    set_nonce(&session->out);
    chacha_poly1305_update(&session->out.cipher, HEAD_LEN, p);
    chacha_poly1305_encrypt(&session->out.cipher, len + 1, p + HEAD_LEN,
                            p + HEAD_LEN);
    chacha_poly1305_digest(&session->out.cipher, TAG_LEN,
                           p + HEAD_LEN + 1 + len);
    out->len += HEAD_LEN + 1 + len + TAG_LEN;
    return 0;
}

size_t ipmpi_session_output(const struct ipmpi_session *session,
                            const uint8_t **data_out)
{
    *data_out = session->output.data + session->output.at;
    return session->output.len - session->output.at;
}

void ipmpi_session_sent(struct ipmpi_session *session, size_t len)
{
    IPMPI_ASSERT(len <= session->output.len - session->output.at);
    session->output.at += len;
    if (session->output.at == session->output.len)
        session->output.at = session->output.len = 0;
}
