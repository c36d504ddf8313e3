/* The little that an engine has to know about texts: where UTF-8 may be cut,
 * and what type a request has. Any thread; nothing blocks. */
#ifndef IPMPI_ENGINE_TEXT_H
#define IPMPI_ENGINE_TEXT_H

#include <stddef.h>

#include "runtime/base/frames.h"

#define IPMPI_TYPE_CAP 64 /* bytes of a msg_type with its NUL */

/* Length of the longest prefix of text[0, len) that does not end inside a
 * UTF-8 sequence; at most 3 less than len. Bytes that begin no sequence count
 * as whole. */
size_t ipmpi_utf8_border(const char *text, size_t len);

/* Finds the member `msg_type` of a header: a JSON object that rank 0 has
 * checked. IPMPI_EJSON: there is none, or it is no plain word (letters,
 * digits, _ - .) shorter than IPMPI_TYPE_CAP. */
int ipmpi_header_type(const struct ipmpi_frame *header,
                      char type_out[IPMPI_TYPE_CAP]);

/* Whether it is such a plain word. */
int ipmpi_type_check(const char *type, size_t len);

/* The type of the reply: x_request -> x_reply. `reply_out` holds the longest
 * type there is. */
void ipmpi_reply_type(const char type[IPMPI_TYPE_CAP],
                      char reply_out[IPMPI_TYPE_CAP + 8]);

#endif
