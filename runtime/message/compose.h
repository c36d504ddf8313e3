/* Composes signed Jupyter messages. Used by rank 0 for hub replies and by the
 * engines for replies and output.
 *
 * Threads: one composer may be used by several threads at once (its counter is
 * atomic). */
#ifndef IPMPI_MESSAGE_COMPOSE_H
#define IPMPI_MESSAGE_COMPOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frames.h"
#include "runtime/message/sign.h"

#define IPMPI_DELIM     "<IDS|MSG>"
#define IPMPI_DELIM_LEN 9

struct ipmpi_composer; /* opaque: key, session, user name, message counter */

/* Lends the key, which must outlive the composer; copies the strings.
 * IPMPI_ENOMEM. */
int ipmpi_composer_create(const struct ipmpi_key *key, const char *session,
                          const char *username,
                          struct ipmpi_composer **composer_out);
void ipmpi_composer_destroy(struct ipmpi_composer **composer);

/* Appends signature, header, parent, metadata and content to `out`: five
 * frames in one buffer where they are small. The caller puts routing frames
 * and the delimiter before and buffers after. msg_type is any text, escaped
 * here; date_us is the header's date (0: now). parent, metadata and content are
 * JSON text, lent; NULL or an empty frame stands for {}. A frame with an owner
 * is shared, not copied. IPMPI_ENOMEM: `out` unchanged. */
int ipmpi_compose(struct ipmpi_composer *composer, const char *msg_type,
                  int64_t date_us, const struct ipmpi_frame *parent,
                  const struct ipmpi_frame *metadata,
                  const struct ipmpi_frame *content, struct ipmpi_frames *out);

/* Appends `text` to a JSON string literal under construction, escaped and
 * without quotes; bytes that are not UTF-8 become U+FFFD. Needs at most
 * 6 * len bytes at `out` and returns how many it wrote. */
size_t ipmpi_json_escape(const char *text, size_t len, char *out);

/* How many of the `len` > 0 bytes at `text` belong together: one whole
 * character of UTF-8 (valid), or what a decoder replaces by one U+FFFD. */
size_t ipmpi_utf8_next(const char *text, size_t len, bool *valid_out);

#endif
