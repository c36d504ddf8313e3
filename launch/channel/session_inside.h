/* Inside of a session: shared by its handshake and its records. */
#ifndef IPMPI_LAUNCH_CHANNEL_SESSION_INSIDE_H
#define IPMPI_LAUNCH_CHANNEL_SESSION_INSIDE_H

#include <nettle/chacha-poly1305.h>

#include "launch/channel/bytes.h"
#include "launch/channel/session.h"

enum {
    SESSION_NONCE_LEN = 32,
    SESSION_MAGIC_LEN = 8,
    /* magic, role, mode, 6 unused, generation, job, nonce, ephemeral */
    SESSION_HELLO_LEN = SESSION_MAGIC_LEN + 8 + 8 + IPMPI_JOB_CAP +
                        SESSION_NONCE_LEN + IPMPI_SECRET_LEN,
    SESSION_ANSWER_SAID =
        SESSION_MAGIC_LEN + SESSION_NONCE_LEN + IPMPI_SECRET_LEN,
};

enum session_state { WANT_HELLO, WANT_ANSWER, WANT_PROOF, OPEN, DEAD };

struct direction {
    struct chacha_poly1305_ctx cipher;
    uint64_t count;
};

struct ipmpi_session {
    enum session_state state;
    struct ipmpi_hello hello;
    struct ipmpi_credentials credentials;
    ipmpi_credentials_fn *find;
    void *arg;
    struct ipmpi_secret ephemeral;
    uint8_t said[SESSION_HELLO_LEN + SESSION_ANSWER_SAID]; /* the transcript */
    struct ipmpi_secret want; /* the proof that the peer owes */
    struct direction in, out;
    struct bytes input, output;
    uint8_t *opened; /* the record last shown */
    size_t opened_cap;
};

/* An initiator's first words. */
int ipmpi_handshake_begin(struct ipmpi_session *session);

/* One step of the handshake if its bytes are there; IPMPI_EEMPTY if not.
 * Other errors: the peer is not who it should be. */
int ipmpi_handshake_step(struct ipmpi_session *session);

#endif
