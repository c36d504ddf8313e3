/* Opening client messages. An input is lines: the first holds options, each
 * of the others is a frame as a ROUTER would hand it over, routing id first.
 *
 * Options: s: sign, so that what is behind the signature is reached; u: no
 * key; t: tight limits. */
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <string.h>

#include "bridge/wire/json.h"
#include "bridge/wire/request.h"
#include "runtime/base/error.h"
#include "runtime/message/compose.h"

/* JSON in a corpus is small; a limit keeps the fuzzer's time for variety. */
static const struct ipmpi_limits wide = {1024, 255, 1 << 16, 1 << 16};
static const struct ipmpi_limits tight = {9, 8, 64, 32};

static void split(const uint8_t *data, size_t size, struct ipmpi_frames *out)
{
    const uint8_t *end = data + size, *line = data;

    for (;;) {
        const uint8_t *stop = memchr(line, '\n', (size_t)(end - line));
        const size_t len = (size_t)((stop != NULL ? stop : end) - line);

        IPMPI_ASSERT(ipmpi_frames_add_copy(out, line, len) == 0);
        if (stop == NULL)
            return;
        line = stop + 1;
    }
}

static void sign(struct ipmpi_frames *msg, const struct ipmpi_key *key)
{
    char sig[IPMPI_SIG_LEN];
    struct ipmpi_frames one = {0};
    size_t at = 1;

    while (at < msg->n &&
           (msg->at[at].len != IPMPI_DELIM_LEN ||
            memcmp(msg->at[at].data, IPMPI_DELIM, IPMPI_DELIM_LEN) != 0))
        at++;
    if (msg->n - at < 2 + IPMPI_SIGNED)
        return;
    IPMPI_ASSERT(ipmpi_frames_add_copy(
                     &one, sig, ipmpi_sign(key, &msg->at[at + 2], sig)) == 0);
    ipmpi_buffer_release(&msg->at[at + 1].owner);
    msg->at[at + 1] = one.at[0];
    one.n = 0;
    ipmpi_frames_clear(&one);
}

static void look_at(struct ipmpi_request *req)
{
    struct ipmpi_request *second = ipmpi_request_share(req);
    json_t *header = ipmpi_request_header(second);
    json_t *content = ipmpi_request_content(second);

    IPMPI_ASSERT(req->parts.n >= IPMPI_PART_BUFFERS);
    IPMPI_ASSERT(strlen(req->msg_id) + strlen(req->msg_type) +
                     strlen(req->session) <=
                 req->parts.at[IPMPI_PART_HEADER].len * 3);
    IPMPI_ASSERT(
        strcmp(ipmpi_json_string(header, "msg_id", "?"), req->msg_id) == 0);
    IPMPI_ASSERT(
        strcmp(ipmpi_json_string(header, "msg_type", "?"), req->msg_type) == 0);
    IPMPI_ASSERT(
        strcmp(ipmpi_json_string(header, "session", ""), req->session) == 0);
    IPMPI_ASSERT(req->metadata == NULL || json_is_object(req->metadata));
    IPMPI_ASSERT(content == NULL || json_is_object(content));
    ipmpi_request_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *options_end = memchr(data, '\n', size);
    const size_t noptions = options_end ? (size_t)(options_end - data) : 0;
    const bool unsigned_mode = memchr(data, 'u', noptions) != NULL;
    const char *text = unsigned_mode ? "" : "secret";
    struct ipmpi_frames msg = {0}, again = {0};
    struct ipmpi_request *req = NULL;
    struct ipmpi_replay *replay;
    struct ipmpi_key *key;
    int err;

    if (options_end == NULL)
        return 0;
    IPMPI_ASSERT(ipmpi_key_create(text, strlen(text), &key) == 0);
    IPMPI_ASSERT(ipmpi_replay_create(4, &replay) == 0);
    split(options_end + 1, size - noptions - 1, &msg);
    if (memchr(data, 's', noptions) != NULL)
        sign(&msg, key);
    IPMPI_ASSERT(ipmpi_frames_add_from(&again, &msg, 0, msg.n) == 0);
    err = ipmpi_request_open(
        &msg, key, replay, memchr(data, 't', noptions) ? &tight : &wide, &req);
    IPMPI_ASSERT((err == 0) == (req != NULL));
    IPMPI_ASSERT(msg.n == (err == 0 ? 0 : again.n));
    if (err == 0) {
        look_at(req);
        ipmpi_request_release(&req);
        err = ipmpi_request_open(&again, key, replay, &wide, &req);
        IPMPI_ASSERT(err == (unsigned_mode ? 0 : IPMPI_EREPLAY));
        ipmpi_request_release(&req);
    }
    ipmpi_frames_clear(&msg);
    ipmpi_frames_clear(&again);
    ipmpi_replay_destroy(&replay);
    ipmpi_key_destroy(&key);
    return 0;
}
