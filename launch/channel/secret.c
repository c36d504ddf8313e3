/* Keys. nettle does the arithmetic: it is small, and the program needs no
 * second cryptographic library for HMAC, HKDF, X25519 and the AEAD. */
#include "launch/channel/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nettle/curve25519.h>
#include <nettle/hkdf.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>

#include "runtime/base/error.h"

enum { FILE_CAP = 4096, FILE_LEAST = 16 };

static const char salt[] = "ipmpi launch 1";

int ipmpi_secret_make(struct ipmpi_secret *secret_out)
{
    if (getrandom(secret_out->byte, IPMPI_SECRET_LEN, 0) != IPMPI_SECRET_LEN)
        return IPMPI_ESYS;
    return 0;
}

static void derive(const void *material, size_t material_len, const char *label,
                   const void *info, size_t info_len,
                   struct ipmpi_secret *key_out)
{
    struct hmac_sha256_ctx hmac;
    uint8_t root[SHA256_DIGEST_SIZE];
    uint8_t text[512];
    size_t len = strlen(label) + 1;

    IPMPI_ASSERT(len + info_len <= sizeof(text));
    memcpy(text, label, len);
    if (info_len > 0)
        memcpy(text + len, info, info_len);
    hmac_sha256_set_key(&hmac, sizeof(salt) - 1, (const uint8_t *)salt);
    hkdf_extract(&hmac, (nettle_hash_update_func *)hmac_sha256_update,
                 (nettle_hash_digest_func *)hmac_sha256_digest, sizeof(root),
                 material_len, material, root);
    hmac_sha256_set_key(&hmac, sizeof(root), root);
    hkdf_expand(&hmac, (nettle_hash_update_func *)hmac_sha256_update,
                (nettle_hash_digest_func *)hmac_sha256_digest, sizeof(root),
                len + info_len, text, IPMPI_SECRET_LEN, key_out->byte);
    explicit_bzero(root, sizeof(root));
    explicit_bzero(&hmac, sizeof(hmac));
}

void ipmpi_secret_derive(const struct ipmpi_secret *secret, const char *label,
                         const void *info, size_t info_len,
                         struct ipmpi_secret *key_out)
{
    derive(secret->byte, IPMPI_SECRET_LEN, label, info, info_len, key_out);
}

/* The bytes of a file that only its owner and group may read. */
static int read_private(const char *path, uint8_t *data, size_t *len_out)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t got;
    int err = 0;

    if (fd < 0)
        return errno == ENOENT ? IPMPI_ENOENT : IPMPI_EIO;
    if (fstat(fd, &st) != 0)
        err = IPMPI_EIO;
    else if ((st.st_mode & (S_IROTH | S_IWOTH)) != 0)
        err = IPMPI_EAUTH;
    else if (st.st_size > FILE_CAP)
        err = IPMPI_ETOOBIG;
    if (err == 0) {
        got = read(fd, data, FILE_CAP);
        if (got < 0)
            err = IPMPI_EIO;
        else
            *len_out = (size_t)got;
    }
    close(fd);
    return err;
}

/* White space at the end is an editor's, not the secret's. */
static int from_bytes(const void *data, size_t len, const char *job,
                      struct ipmpi_secret *secret_out)
{
    const char *text = data;

    while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL)
        len--;
    if (len < FILE_LEAST || strlen(job) > 256)
        return IPMPI_EINVAL;
    derive(data, len, "job", job, strlen(job), secret_out);
    return 0;
}

int ipmpi_secret_read(const char *path, const char *job,
                      struct ipmpi_secret *secret_out)
{
    uint8_t data[FILE_CAP];
    size_t len = 0;
    int err = read_private(path, data, &len);

    if (err == 0)
        err = from_bytes(data, len, job, secret_out);
    explicit_bzero(data, sizeof(data));
    return err;
}

int ipmpi_secret_from_text(const char *text, const char *job,
                           struct ipmpi_secret *secret_out)
{
    return from_bytes(text, strlen(text), job, secret_out);
}

void ipmpi_secret_digest(const void *data, size_t len,
                         struct ipmpi_secret *digest_out)
{
    struct sha256_ctx sha;

    sha256_init(&sha);
    sha256_update(&sha, len, data);
    sha256_digest(&sha, IPMPI_SECRET_LEN, digest_out->byte);
}

void ipmpi_secret_to_hex(const struct ipmpi_secret *secret,
                         char hex_out[IPMPI_SECRET_HEX])
{
    for (size_t i = 0; i < IPMPI_SECRET_LEN; i++)
        snprintf(hex_out + 2 * i, 3, "%02x", secret->byte[i]);
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

int ipmpi_secret_from_hex(const char *hex, struct ipmpi_secret *secret_out)
{
    struct ipmpi_secret made;

    if (strlen(hex) != IPMPI_SECRET_HEX - 1)
        return IPMPI_EINVAL;
    for (size_t i = 0; i < IPMPI_SECRET_LEN; i++) {
        const int high = digit(hex[2 * i]), low = digit(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return IPMPI_EINVAL;
        made.byte[i] = (uint8_t)(high << 4 | low);
    }
    *secret_out = made;
    ipmpi_secret_wipe(&made);
    return 0;
}

void ipmpi_secret_public(const struct ipmpi_secret *mine,
                         struct ipmpi_secret *public_out)
{
    curve25519_mul_g(public_out->byte, mine->byte);
}

int ipmpi_secret_agree(const struct ipmpi_secret *mine,
                       const struct ipmpi_secret *theirs,
                       struct ipmpi_secret *shared_out)
{
    static const uint8_t zero[IPMPI_SECRET_LEN];

    curve25519_mul(shared_out->byte, mine->byte, theirs->byte);
    if (memeql_sec(shared_out->byte, zero, sizeof(zero)))
        return IPMPI_EAUTH;
    return 0;
}

void ipmpi_secret_wipe(struct ipmpi_secret *secret)
{
    explicit_bzero(secret, sizeof(*secret));
}
