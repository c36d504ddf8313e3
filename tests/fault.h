/* Allocations that fail on command, one at a time. A test that uses it says
 * FAULT in its ipmpi_test line, which wraps the allocating functions of our
 * code; libraries keep theirs, except jansson, which asks for ours here.
 *
 *     unsigned nth = 1;
 *     do {   fail the 1st allocation, then only the 2nd, .. until none is left
 *         fault_arm(nth++);
 *         err = ipmpi_thing_create(&thing);
 *         fired = fault_disarm();
 *         CHECK_EQ(thing == NULL, err != 0);
 *     } while (fired);   LeakSanitizer judges the rest
 *
 * One thread. */
#ifndef IPMPI_TESTS_FAULT_H
#define IPMPI_TESTS_FAULT_H

#include <stdbool.h>

/* The nth allocation from now on fails, once; n counts from 1. */
void fault_arm(unsigned nth);

/* No more failures. Tells whether the armed one has happened. */
bool fault_disarm(void);

#endif
