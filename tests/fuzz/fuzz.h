/* What every target has. A target is a function of bytes that aborts when it
 * sees something wrong; libFuzzer drives it, or replay.c, which runs the
 * corpus as a plain test. */
#ifndef IPMPI_TESTS_FUZZ_FUZZ_H
#define IPMPI_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* libFuzzer's name for it. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
