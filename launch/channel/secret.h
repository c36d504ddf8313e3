/* Keys: how a job's secret is read and what is derived from it. Nothing that
 * is derived tells anything about what it was derived from (HKDF-SHA256, RFC
 * 5869).
 *
 * Any thread; nothing blocks but the file. */
#ifndef IPMPI_LAUNCH_CHANNEL_SECRET_H
#define IPMPI_LAUNCH_CHANNEL_SECRET_H

#include <stddef.h>
#include <stdint.h>

enum { IPMPI_SECRET_LEN = 32, IPMPI_SECRET_HEX = 2 * IPMPI_SECRET_LEN + 1 };

struct ipmpi_secret {
    uint8_t byte[IPMPI_SECRET_LEN];
};

/* Fresh random bytes. IPMPI_ESYS: the system has none. */
int ipmpi_secret_make(struct ipmpi_secret *secret_out);

/* Derives the secret of job `job` from a file of at least 16 bytes (a site's
 * key, or one job's own). White space at its end does not count.
 * IPMPI_ENOENT: no such file; IPMPI_EINVAL: too short; IPMPI_EAUTH: others
 * than its owner and group may read it; IPMPI_ETOOBIG: over 4 KiB. */
int ipmpi_secret_read(const char *path, const char *job,
                      struct ipmpi_secret *secret_out);

/* The same from a text, as a store of secrets gives it. IPMPI_EINVAL. */
int ipmpi_secret_from_text(const char *text, const char *job,
                           struct ipmpi_secret *secret_out);

/* A key for one purpose. `info` may be NULL if `info_len` is 0. */
void ipmpi_secret_derive(const struct ipmpi_secret *secret, const char *label,
                         const void *info, size_t info_len,
                         struct ipmpi_secret *key_out);

/* SHA-256 of some bytes. */
void ipmpi_secret_digest(const void *data, size_t len,
                         struct ipmpi_secret *digest_out);

/* Hexadecimal text and back; IPMPI_EINVAL if `hex` is not 64 digits. */
void ipmpi_secret_to_hex(const struct ipmpi_secret *secret,
                         char hex_out[IPMPI_SECRET_HEX]);
int ipmpi_secret_from_hex(const char *hex, struct ipmpi_secret *secret_out);

/* X25519: the public half of a private key, and the shared secret. IPMPI_EAUTH:
 * the peer's half is one that makes every secret zero. */
void ipmpi_secret_public(const struct ipmpi_secret *mine,
                         struct ipmpi_secret *public_out);
int ipmpi_secret_agree(const struct ipmpi_secret *mine,
                       const struct ipmpi_secret *theirs,
                       struct ipmpi_secret *shared_out);

/* Forgets it; the compiler cannot leave this out. */
void ipmpi_secret_wipe(struct ipmpi_secret *secret);

#endif
