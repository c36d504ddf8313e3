/* Time, in microseconds. Durations and deadlines use the monotonic clock,
 * dates on the wire the wall clock. Any thread; never blocks. */
#ifndef IPMPI_BASE_CLOCK_H
#define IPMPI_BASE_CLOCK_H

#include <stdint.h>

int64_t ipmpi_clock_now_us(void);  /* monotonic, origin unspecified */
int64_t ipmpi_clock_wall_us(void); /* since 1970-01-01T00:00:00Z */

#endif
