/* HMAC-SHA256 over the four signed frames of a Jupyter message.
 *
 * Threads: a key is immutable after creation and may be used by any thread. */
#ifndef IPMPI_MESSAGE_SIGN_H
#define IPMPI_MESSAGE_SIGN_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/frames.h"

#define IPMPI_SIG_LEN 64 /* lower-case hex of SHA-256 */
#define IPMPI_SIGNED  4  /* header, parent header, metadata, content */

struct ipmpi_key; /* opaque; never logged */

/* `text` is the key as the connection file has it (text, not hex to decode);
 * lent. An empty text makes the key that signs nothing and accepts anything.
 * IPMPI_ENOMEM. */
int ipmpi_key_create(const char *text, size_t len, struct ipmpi_key **key_out);
void ipmpi_key_destroy(struct ipmpi_key **key); /* wipes it */
bool ipmpi_key_is_empty(const struct ipmpi_key *key);

/* Writes the signature of parts[0..3] (not NUL-terminated) and returns its
 * length: IPMPI_SIG_LEN, or 0 with the empty key. */
size_t ipmpi_sign(const struct ipmpi_key *key,
                  const struct ipmpi_frame parts[IPMPI_SIGNED],
                  char sig_out[IPMPI_SIG_LEN]);

/* 0, or IPMPI_EAUTH. Compares in constant time. */
int ipmpi_verify(const struct ipmpi_key *key, const struct ipmpi_frame *sig,
                 const struct ipmpi_frame parts[IPMPI_SIGNED]);

#endif
