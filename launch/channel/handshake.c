/* The handshake: each side proves what it knows.
 *
 * Invariant: a session is open only after both proofs. */
#include <endian.h>
#include <string.h>

#include <nettle/memops.h>

#include "launch/channel/session_inside.h"
#include "runtime/base/error.h"

enum { ANSWER_LEN = SESSION_ANSWER_SAID + IPMPI_SECRET_LEN };

static const uint8_t magic[SESSION_MAGIC_LEN] = {'I', 'P', 'M', 'P',
                                                 'I', 0,   0,   1};

static void write_hello(struct ipmpi_session *session, const uint8_t *nonce,
                        const struct ipmpi_secret *public)
{
    const uint64_t generation = htobe64(session->hello.generation);
    uint8_t *p = session->said;

    memset(p, 0, SESSION_HELLO_LEN);
    memcpy(p, magic, SESSION_MAGIC_LEN);
    p[SESSION_MAGIC_LEN] = (uint8_t)session->hello.role;
    p[SESSION_MAGIC_LEN + 1] = (uint8_t)session->hello.mode;
    p += SESSION_MAGIC_LEN + 8;
    memcpy(p, &generation, sizeof(generation));
    p += sizeof(generation);
    memcpy(p, session->hello.job, strlen(session->hello.job));
    p += IPMPI_JOB_CAP;
    memcpy(p, nonce, SESSION_NONCE_LEN);
    memcpy(p + SESSION_NONCE_LEN, public->byte, IPMPI_SECRET_LEN);
}

/* Reads what write_hello wrote. */
static int read_hello(struct ipmpi_session *session,
                      struct ipmpi_secret *public_out)
{
    struct ipmpi_hello *hello = &session->hello;
    const uint8_t *p = session->said;
    uint64_t generation;

    if (memcmp(p, magic, SESSION_MAGIC_LEN - 1) != 0)
        return IPMPI_EFRAME;
    if (p[SESSION_MAGIC_LEN - 1] != magic[SESSION_MAGIC_LEN - 1])
        return IPMPI_EVERSION;
    hello->role = p[SESSION_MAGIC_LEN];
    hello->mode = p[SESSION_MAGIC_LEN + 1];
    if (hello->role < IPMPI_ROLE_LAUNCHER || hello->role > IPMPI_ROLE_LEADER ||
        hello->mode < IPMPI_MODE_SECRET || hello->mode > IPMPI_MODE_PUBLIC)
        return IPMPI_EFRAME;
    p += SESSION_MAGIC_LEN + 8;
    memcpy(&generation, p, sizeof(generation));
    hello->generation = be64toh(generation);
    p += sizeof(generation);
    if (p[IPMPI_JOB_CAP - 1] != 0)
        return IPMPI_EFRAME;
    memcpy(hello->job, p, IPMPI_JOB_CAP);
    p += IPMPI_JOB_CAP + SESSION_NONCE_LEN;
    memcpy(public_out->byte, p, IPMPI_SECRET_LEN);
    return 0;
}

/* Note [keys]. All keys come from: the shared secret (or zeros), the
 * ephemeral agreement, the agreement of the initiator's lasting key with the
 * responder's ephemeral one (or zeros), and the hash of the transcript. The
 * transcript holds role, job, generation and both nonces, so a proof made for
 * one purpose, or once before, fits no other. */
static int make_material(struct ipmpi_session *session, bool initiator,
                         const struct ipmpi_secret *peer_ephemeral,
                         struct ipmpi_secret *material_out)
{
    struct ipmpi_secret part[3] = {0};
    const struct ipmpi_secret *lasting = &session->credentials.key;
    int err;

    err = ipmpi_secret_agree(&session->ephemeral, peer_ephemeral, &part[1]);
    if (err == 0 && session->hello.mode == IPMPI_MODE_PUBLIC)
        err = initiator
                  ? ipmpi_secret_agree(lasting, peer_ephemeral, &part[2])
                  : ipmpi_secret_agree(&session->ephemeral, lasting, &part[2]);
    else
        part[0] = *lasting;
    if (err == 0)
        ipmpi_secret_digest(part, sizeof(part), material_out);
    explicit_bzero(part, sizeof(part));
    return err;
}

static void set_key(struct direction *direction,
                    const struct ipmpi_secret *material, const char *label,
                    const struct ipmpi_secret *digest)
{
    struct ipmpi_secret key;

    ipmpi_secret_derive(material, label, digest->byte, sizeof(digest->byte),
                        &key);
    chacha_poly1305_set_key(&direction->cipher, key.byte);
    ipmpi_secret_wipe(&key);
}

/* The keys of both directions, the proof that the peer owes, and our own,
 * which is put at the end of the output. */
static int make_keys(struct ipmpi_session *session, bool initiator,
                     const struct ipmpi_secret *peer_ephemeral)
{
    struct direction *forth = initiator ? &session->out : &session->in;
    struct direction *back = initiator ? &session->in : &session->out;
    struct ipmpi_secret material, digest, by_initiator, by_responder;
    int err = make_material(session, initiator, peer_ephemeral, &material);

    if (err != 0)
        return err;
    ipmpi_secret_digest(session->said, sizeof(session->said), &digest);
    set_key(forth, &material, "initiator to responder", &digest);
    set_key(back, &material, "responder to initiator", &digest);
    ipmpi_secret_derive(&material, "initiator proof", digest.byte,
                        sizeof(digest.byte), &by_initiator);
    ipmpi_secret_derive(&material, "responder proof", digest.byte,
                        sizeof(digest.byte), &by_responder);
    ipmpi_secret_wipe(&material);
    /* The responder proves itself first: its answer costs a stranger's HELLO
     * one X25519 and tells nothing. */
    session->want = initiator ? by_responder : by_initiator;
    return ipmpi_bytes_append(&session->output,
                              (initiator ? by_initiator : by_responder).byte,
                              IPMPI_SECRET_LEN);
}

int ipmpi_handshake_begin(struct ipmpi_session *session)
{
    struct ipmpi_secret nonce, public;
    int err = ipmpi_secret_make(&nonce);

    if (err != 0)
        return err;
    ipmpi_secret_public(&session->ephemeral, &public);
    write_hello(session, nonce.byte, &public);
    session->state = WANT_ANSWER;
    return ipmpi_bytes_append(&session->output, session->said,
                              SESSION_HELLO_LEN);
}

static int answer_hello(struct ipmpi_session *session)
{
    struct ipmpi_secret theirs, public;
    uint8_t *answer = session->said + SESSION_HELLO_LEN;
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
    memcpy(answer, magic, SESSION_MAGIC_LEN);
    memcpy(answer + SESSION_MAGIC_LEN, nonce.byte, SESSION_NONCE_LEN);
    memcpy(answer + SESSION_MAGIC_LEN + SESSION_NONCE_LEN, public.byte,
           IPMPI_SECRET_LEN);
    err = ipmpi_bytes_append(&session->output, answer, SESSION_ANSWER_SAID);
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

    if (memcmp(answer, magic, SESSION_MAGIC_LEN) != 0)
        return IPMPI_EFRAME;
    memcpy(session->said + SESSION_HELLO_LEN, answer, SESSION_ANSWER_SAID);
    memcpy(theirs.byte, answer + SESSION_MAGIC_LEN + SESSION_NONCE_LEN,
           IPMPI_SECRET_LEN);
    err = make_keys(session, true, &theirs);
    if (err != 0)
        return err;
    if (!proved(session, answer + SESSION_ANSWER_SAID)) {
        session->output.len = session->output.at; /* keep ours back */
        return IPMPI_EAUTH;
    }
    session->state = OPEN;
    return 0;
}

int ipmpi_handshake_step(struct ipmpi_session *session)
{
    struct bytes *in = &session->input;
    const uint8_t *data = in->data + in->at;
    const size_t have = in->len - in->at;

    switch (session->state) {
    case WANT_HELLO:
        if (have < SESSION_HELLO_LEN)
            return IPMPI_EEMPTY;
        memcpy(session->said, data, SESSION_HELLO_LEN);
        in->at += SESSION_HELLO_LEN;
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
