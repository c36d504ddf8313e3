/* Sessions: the handshake and the records.
 *
 * Invariant: nothing of a peer's record is shown before its tag was checked,
 * and no record is taken or made before both proofs.
 * Threads:   one. */
#include "launch/channel/session.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/chacha-poly1305.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>

#include "runtime/base/error.h"

enum {
    NONCE_LEN = 32,
    TAG_LEN = CHACHA_POLY1305_DIGEST_SIZE,
    MAGIC_LEN = 8,
    /* magic, role, mode, 2 unused, -, generation, job, nonce, ephemeral */
    HELLO_LEN =
        MAGIC_LEN + 8 + 8 + IPMPI_JOB_CAP + NONCE_LEN + IPMPI_SECRET_LEN,
    ANSWER_SAID = MAGIC_LEN + NONCE_LEN + IPMPI_SECRET_LEN,
    ANSWER_LEN = ANSWER_SAID + IPMPI_SECRET_LEN,
    HEAD_LEN = 4,
    INPUT_MAX = HEAD_LEN + IPMPI_RECORD_MAX + TAG_LEN + 65536,
};

static const uint8_t magic[MAGIC_LEN] = {'I', 'P', 'M', 'P', 'I', 0, 0, 1};

enum state { WANT_HELLO, WANT_ANSWER, WANT_PROOF, OPEN, DEAD };

struct bytes {
    uint8_t *data;
    size_t at, len, cap; /* data[at, len) waits */
};

struct direction {
    struct chacha_poly1305_ctx cipher;
    uint64_t count;
};

struct ipmpi_session {
    enum state state;
    struct ipmpi_hello hello;
    struct ipmpi_credentials credentials;
    ipmpi_credentials_fn *find;
    void *arg;
    struct ipmpi_secret ephemeral;
    uint8_t said[HELLO_LEN + ANSWER_SAID]; /* the transcript */
    struct ipmpi_secret want;              /* the proof that the peer owes */
    struct direction in, out;
    struct bytes input, output;
    uint8_t *opened; /* the record last shown */
    size_t opened_cap;
};

/* -- bytes ---------------------------------------------------------------- */

static int reserve(struct bytes *bytes, size_t more)
{
    size_t cap = bytes->cap ? bytes->cap : 1024;
    uint8_t *data;

    if (bytes->at > 0) {
        memmove(bytes->data, bytes->data + bytes->at, bytes->len - bytes->at);
        bytes->len -= bytes->at;
        bytes->at = 0;
    }
    while (cap < bytes->len + more)
        cap *= 2;
    if (cap == bytes->cap)
        return 0;
    data = realloc(bytes->data, cap);
    if (data == NULL)
        return IPMPI_ENOMEM;
    bytes->data = data;
    bytes->cap = cap;
    return 0;
}

static int append(struct bytes *bytes, const void *data, size_t len)
{
    const int err = reserve(bytes, len);

    if (err != 0)
        return err;
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
    return 0;
}

/* -- handshake ------------------------------------------------------------ */

static void write_hello(struct ipmpi_session *session, const uint8_t *nonce,
                        const struct ipmpi_secret *public)
{
    const uint64_t generation = htobe64(session->hello.generation);
    uint8_t *p = session->said;

    memset(p, 0, HELLO_LEN);
    memcpy(p, magic, MAGIC_LEN);
    p[MAGIC_LEN] = (uint8_t)session->hello.role;
    p[MAGIC_LEN + 1] = (uint8_t)session->hello.mode;
    p += MAGIC_LEN + 8;
    memcpy(p, &generation, sizeof(generation));
    p += sizeof(generation);
    memcpy(p, session->hello.job, strlen(session->hello.job));
    p += IPMPI_JOB_CAP;
    memcpy(p, nonce, NONCE_LEN);
    memcpy(p + NONCE_LEN, public->byte, IPMPI_SECRET_LEN);
}

/* Reads what write_hello wrote. */
static int read_hello(struct ipmpi_session *session,
                      struct ipmpi_secret *public_out)
{
    struct ipmpi_hello *hello = &session->hello;
    const uint8_t *p = session->said;
    uint64_t generation;

    if (memcmp(p, magic, MAGIC_LEN - 1) != 0)
        return IPMPI_EFRAME;
    if (p[MAGIC_LEN - 1] != magic[MAGIC_LEN - 1])
        return IPMPI_EVERSION;
    hello->role = p[MAGIC_LEN];
    hello->mode = p[MAGIC_LEN + 1];
    if (hello->role < IPMPI_ROLE_LAUNCHER || hello->role > IPMPI_ROLE_LEADER ||
        hello->mode < IPMPI_MODE_SECRET || hello->mode > IPMPI_MODE_PUBLIC)
        return IPMPI_EFRAME;
    p += MAGIC_LEN + 8;
    memcpy(&generation, p, sizeof(generation));
    hello->generation = be64toh(generation);
    p += sizeof(generation);
    if (p[IPMPI_JOB_CAP - 1] != 0)
        return IPMPI_EFRAME;
    memcpy(hello->job, p, IPMPI_JOB_CAP);
    p += IPMPI_JOB_CAP + NONCE_LEN;
    memcpy(public_out->byte, p, IPMPI_SECRET_LEN);
    return 0;
}

/* Note [keys]. All keys come from: the shared secret (or zeros), the
 * ephemeral agreement, the agreement of the initiator's lasting key with the
 * responder's ephemeral one (or zeros), and the hash of the transcript. The
 * transcript holds role, job, generation and both nonces, so a proof made for
 * one purpose, or once before, fits no other. */
static int make_keys(struct ipmpi_session *session, bool initiator,
                     const struct ipmpi_secret *peer_ephemeral)
{
    struct ipmpi_secret part[3] = {0}, material, key, digest;
    struct ipmpi_secret mine_proof;
    struct sha256_ctx sha;
    int err;

    err = ipmpi_secret_agree(&session->ephemeral, peer_ephemeral, &part[1]);
    if (err == 0 && session->hello.mode == IPMPI_MODE_PUBLIC)
        err = initiator
                  ? ipmpi_secret_agree(&session->credentials.key,
                                       peer_ephemeral, &part[2])
                  : ipmpi_secret_agree(&session->ephemeral,
                                       &session->credentials.key, &part[2]);
    else
        part[0] = session->credentials.key;
    if (err != 0)
        return err;
    sha256_init(&sha);
    sha256_update(&sha, sizeof(part), part[0].byte);
    sha256_digest(&sha, sizeof(material.byte), material.byte);
    sha256_init(&sha);
    sha256_update(&sha, sizeof(session->said), session->said);
    sha256_digest(&sha, sizeof(digest.byte), digest.byte);

    ipmpi_secret_derive(&material, "initiator to responder", digest.byte,
                        sizeof(digest.byte), &key);
    chacha_poly1305_set_key(
        initiator ? &session->out.cipher : &session->in.cipher, key.byte);
    ipmpi_secret_derive(&material, "responder to initiator", digest.byte,
                        sizeof(digest.byte), &key);
    chacha_poly1305_set_key(
        initiator ? &session->in.cipher : &session->out.cipher, key.byte);
    ipmpi_secret_derive(&material,
                        initiator ? "initiator proof" : "responder proof",
                        digest.byte, sizeof(digest.byte), &mine_proof);
    ipmpi_secret_derive(&material,
                        initiator ? "responder proof" : "initiator proof",
                        digest.byte, sizeof(digest.byte), &session->want);
    ipmpi_secret_wipe(&material);
    ipmpi_secret_wipe(&key);
    explicit_bzero(part, sizeof(part));
    /* The responder proves itself first: its answer costs a stranger's HELLO
     * one X25519 and tells nothing. */
    return append(&session->output, mine_proof.byte, IPMPI_SECRET_LEN);
}

static int answer_hello(struct ipmpi_session *session)
{
    struct ipmpi_secret theirs, public;
    uint8_t *answer = session->said + HELLO_LEN;
    struct ipmpi_secret nonce;
    int err;

    err = read_hello(session, &theirs);
    if (err == 0)
        err =
            session->find(session->arg, &session->hello, &session->credentials);
    if (err == 0)
        err = ipmpi_secret_make(&nonce);
    if (err != 0)
        return err;
    ipmpi_secret_public(&session->ephemeral, &public);
    memcpy(answer, magic, MAGIC_LEN);
    memcpy(answer + MAGIC_LEN, nonce.byte, NONCE_LEN);
    memcpy(answer + MAGIC_LEN + NONCE_LEN, public.byte, IPMPI_SECRET_LEN);
    err = append(&session->output, answer, ANSWER_SAID);
    if (err == 0)
        err = make_keys(session, false, &theirs);
    if (err == 0)
        session->state = WANT_PROOF;
    return err;
}

/* Is the proof at `p` the one that only the right peer can make? */
static bool proved(const struct ipmpi_session *session, const uint8_t *p)
{
    return memeql_sec(p, session->want.byte, IPMPI_SECRET_LEN) != 0;
}

static int check_answer(struct ipmpi_session *session, const uint8_t *answer)
{
    struct ipmpi_secret theirs;
    int err;

    if (memcmp(answer, magic, MAGIC_LEN) != 0)
        return IPMPI_EFRAME;
    memcpy(session->said + HELLO_LEN, answer, ANSWER_SAID);
    memcpy(theirs.byte, answer + MAGIC_LEN + NONCE_LEN, IPMPI_SECRET_LEN);
    err = make_keys(session, true, &theirs);
    if (err != 0)
        return err;
    if (!proved(session, answer + ANSWER_SAID)) {
        session->output.len = session->output.at; /* keep ours back */
        return IPMPI_EAUTH;
    }
    session->state = OPEN;
    return 0;
}

/* One step of the handshake if its bytes are there; IPMPI_EEMPTY if not. */
static int shake(struct ipmpi_session *session)
{
    struct bytes *in = &session->input;
    const uint8_t *data = in->data + in->at;
    const size_t have = in->len - in->at;

    switch (session->state) {
    case WANT_HELLO:
        if (have < HELLO_LEN)
            return IPMPI_EEMPTY;
        memcpy(session->said, data, HELLO_LEN);
        in->at += HELLO_LEN;
        return answer_hello(session);
    case WANT_ANSWER:
        if (have < ANSWER_LEN)
            return IPMPI_EEMPTY;
        in->at += ANSWER_LEN;
        return check_answer(session, data);
    case WANT_PROOF:
        if (have < IPMPI_SECRET_LEN)
            return IPMPI_EEMPTY;
        if (!proved(session, data))
            return IPMPI_EAUTH;
        in->at += IPMPI_SECRET_LEN;
        session->state = OPEN;
        return 0;
    case OPEN:
        return IPMPI_EEMPTY;
    case DEAD:
        break;
    }
    return IPMPI_ESTATE;
}

/* -- records -------------------------------------------------------------- */

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

/* -- public --------------------------------------------------------------- */

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
    struct ipmpi_secret nonce, public;
    int err;

    if (hello->job[0] == 0 ||
        strnlen(hello->job, IPMPI_JOB_CAP) == IPMPI_JOB_CAP)
        return IPMPI_EINVAL;
    err = create(&session);
    if (err != 0)
        return err;
    session->hello = *hello;
    session->credentials = *credentials;
    session->state = WANT_ANSWER;
    err = ipmpi_secret_make(&nonce);
    if (err == 0) {
        ipmpi_secret_public(&session->ephemeral, &public);
        write_hello(session, nonce.byte, &public);
        err = append(&session->output, session->said, HELLO_LEN);
    }
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
    err = append(&session->input, data, len);
    while (err == 0 && session->state != OPEN)
        err = shake(session);
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
    err = reserve(out, HEAD_LEN + 1 + len + TAG_LEN);
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
