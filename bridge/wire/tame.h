/* Private to the room: JSON text that Python reads and jansson refuses. */
#ifndef IPMPI_WIRE_TAME_H
#define IPMPI_WIRE_TAME_H

#include <stddef.h>

/* At `out`, which has room for 3 * len bytes, the same text with bytes that
 * are not UTF-8 and lone surrogate escapes inside strings as U+FFFD, and with
 * integers past 64 bits as reals. What is not JSON stays not JSON. Returns
 * the new length. */
size_t ipmpi_json_tame(const char *text, size_t len, char *out);

#endif
