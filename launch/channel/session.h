/* A session between two of our programs: who is who is proved first, then
 * every record is encrypted and authenticated. No sockets here: bytes in,
 * bytes out, so that a test can lose, repeat, swap and change any of them.
 *
 *     initiator (launcher, rsh)                responder (agent)
 *     HELLO: role, mode, job, generation,
 *            nonce, ephemeral key    ------->
 *                                    <-------  nonce, ephemeral key, proof
 *     proof                          ------->
 *     records                        <------>  records
 *
 * Both proofs and both record keys (one a direction) come by HKDF from the
 * secret the two share, an ephemeral X25519 agreement and all bytes said so
 * far. A recording is worthless even to one who learns the secret later. In
 * the mode IPMPI_MODE_PUBLIC there is no shared secret: the responder knows
 * the initiator's public key, and the initiator knows where it dials.
 *
 * A record is length (4 bytes), then type and body under ChaCha20-Poly1305
 * with its position in the stream as nonce: a lost, repeated, swapped,
 * reflected or changed record ends the session.
 *
 * Threads: a session belongs to one thread. Nothing blocks. */
#ifndef IPMPI_LAUNCH_CHANNEL_SESSION_H
#define IPMPI_LAUNCH_CHANNEL_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "launch/channel/secret.h"

enum {
    IPMPI_JOB_CAP = 64,                  /* a job's name with its 0 */
    IPMPI_RECORD_MAX = 1024 * 1024,      /* type and body */
    IPMPI_OUTPUT_MAX = 16 * 1024 * 1024, /* waiting to be sent */
};

enum ipmpi_role { IPMPI_ROLE_LAUNCHER = 1, IPMPI_ROLE_LEADER };
enum ipmpi_mode { IPMPI_MODE_SECRET = 1, IPMPI_MODE_PUBLIC };

/* What an initiator says about itself; proved by what it can compute. */
struct ipmpi_hello {
    enum ipmpi_role role;
    enum ipmpi_mode mode;
    uint64_t generation; /* 0 from a launcher */
    char job[IPMPI_JOB_CAP];
};

/* The keys of one side. In IPMPI_MODE_SECRET `key` is the shared secret; in
 * IPMPI_MODE_PUBLIC it is the initiator's private key, on the responder's
 * side the initiator's public key. */
struct ipmpi_credentials {
    struct ipmpi_secret key;
};

/* The responder's question: which key has this initiator to prove? Anything
 * but 0 ends the session without a word to the stranger. */
typedef int ipmpi_credentials_fn(void *arg, const struct ipmpi_hello *hello,
                                 struct ipmpi_credentials *credentials_out);

struct ipmpi_session; /* opaque */

/* IPMPI_ENOMEM, IPMPI_ESYS (no randomness), IPMPI_EINVAL (job name too long
 * or empty). Both keep copies of what they are lent. */
int ipmpi_session_initiate(const struct ipmpi_hello *hello,
                           const struct ipmpi_credentials *credentials,
                           struct ipmpi_session **session_out);
int ipmpi_session_respond(ipmpi_credentials_fn *find, void *arg,
                          struct ipmpi_session **session_out);
void ipmpi_session_destroy(struct ipmpi_session **session);

/* True once the peer has proved itself (and, for a responder, not before the
 * initiator's proof came). */
bool ipmpi_session_open(const struct ipmpi_session *session);

/* What the initiator said; meaningful on an open session. */
const struct ipmpi_hello *
ipmpi_session_hello(const struct ipmpi_session *session);

/* Takes bytes from the peer. IPMPI_EAUTH (proof or record is wrong),
 * IPMPI_EFRAME, IPMPI_EVERSION, IPMPI_ETOOBIG, IPMPI_ENOMEM: the session is
 * dead, close it. */
int ipmpi_session_feed(struct ipmpi_session *session, const void *data,
                       size_t len);

struct ipmpi_record {
    uint8_t type;
    const uint8_t *body; /* valid until the next call on the session;
                          * followed by a 0 that len does not count */
    size_t len;
};

/* The next whole record; IPMPI_EEMPTY if there is none yet, otherwise the
 * errors of feed. */
int ipmpi_session_next(struct ipmpi_session *session,
                       struct ipmpi_record *record_out);

/* Puts a record at the end of what is to be sent. IPMPI_ESTATE: not open;
 * IPMPI_ETOOBIG; IPMPI_EFULL: the peer does not read; IPMPI_ENOMEM. */
int ipmpi_session_put(struct ipmpi_session *session, uint8_t type,
                      const void *body, size_t len);

/* Bytes for the peer, and how many of them have been sent. */
size_t ipmpi_session_output(const struct ipmpi_session *session,
                            const uint8_t **data_out);
void ipmpi_session_sent(struct ipmpi_session *session, size_t len);

#endif
