/* HMAC-SHA256 of message parts.
 *
 * Invariant: `keyed` is the HMAC state after the key alone; signing works on a
 * copy of it, so that a key costs its two hash blocks once and never changes.
 */
#include "runtime/message/sign.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <nettle/hmac.h>
#include <nettle/memops.h>

#include "runtime/base/error.h"

struct ipmpi_key {
    bool is_empty;
    struct hmac_sha256_ctx keyed;
};

int ipmpi_key_create(const char *text, size_t len, struct ipmpi_key **key_out)
{
    struct ipmpi_key *key = calloc(1, sizeof(*key));

    if (key == NULL)
        return IPMPI_ENOMEM;
    key->is_empty = len == 0;
    if (len > 0)
        hmac_sha256_set_key(&key->keyed, len, (const uint8_t *)text);
    *key_out = key;
    return 0;
}

void ipmpi_key_destroy(struct ipmpi_key **key)
{
    if (*key != NULL)
        explicit_bzero(*key, sizeof(**key));
    free(*key);
    *key = NULL;
}

bool ipmpi_key_is_empty(const struct ipmpi_key *key)
{
    return key->is_empty;
}

static void put_hex(const uint8_t *bytes, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
}

size_t ipmpi_sign(const struct ipmpi_key *key,
                  const struct ipmpi_frame parts[IPMPI_SIGNED],
                  char sig_out[IPMPI_SIG_LEN])
{
    struct hmac_sha256_ctx ctx;
    uint8_t digest[SHA256_DIGEST_SIZE];

    if (key->is_empty)
        return 0;
    ctx = key->keyed;
    for (int i = 0; i < IPMPI_SIGNED; i++)
        if (parts[i].len > 0)
            hmac_sha256_update(&ctx, parts[i].len, parts[i].data);
    hmac_sha256_digest(&ctx, sizeof(digest), digest);
    put_hex(digest, sizeof(digest), sig_out);
    explicit_bzero(&ctx, sizeof(ctx));
    return IPMPI_SIG_LEN;
}

int ipmpi_verify(const struct ipmpi_key *key, const struct ipmpi_frame *sig,
                 const struct ipmpi_frame parts[IPMPI_SIGNED])
{
    char want[IPMPI_SIG_LEN];

    if (key->is_empty)
        return 0;
    if (sig->len != IPMPI_SIG_LEN)
        return IPMPI_EAUTH;
    ipmpi_sign(key, parts, want);
    return memeql_sec(want, sig->data, IPMPI_SIG_LEN) ? 0 : IPMPI_EAUTH;
}
