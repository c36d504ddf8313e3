/* Dates of the wire: ISO 8601. We write UTC with six digits and Z, and read
 * what ipyparallel's clients write. Any thread; nothing blocks. */
#ifndef IPMPI_MESSAGE_DATE_H
#define IPMPI_MESSAGE_DATE_H

#include <stddef.h>
#include <stdint.h>

#define IPMPI_DATE_LEN 27 /* 2026-01-02T03:04:05.000006Z */

/* Microseconds since 1970 UTC to text, NUL-terminated. Years 1 to 9999. */
void ipmpi_date_format(int64_t wall_us, char text_out[IPMPI_DATE_LEN + 1]);

/* YYYY-MM-DDTHH:MM:SS, optional . and 1 to 6 digits, optional Z or +-HH:MM or
 * +-HHMM; without a zone it is local time. IPMPI_EINVAL for anything else. */
int ipmpi_date_parse(const char *text, size_t len, int64_t *wall_us_out);

#endif
