/* A growable piece of text: JSON under construction, or collected output.
 *
 * Failure is sticky: after one failed allocation further calls do nothing and
 * `failed` says so, so that a maker of text asks once, at its end.
 *
 * Threads: a text belongs to one thread at a time. */
#ifndef IPMPI_HUB_TEXT_H
#define IPMPI_HUB_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "runtime/base/frames.h"

/* Zero-initialised is the empty text. */
struct ipmpi_text {
    char *data; /* not NUL-terminated; NULL while cap is 0 */
    size_t len, cap;
    bool failed;
};

void ipmpi_text_add(struct ipmpi_text *text, const void *data, size_t len);
void ipmpi_text_puts(struct ipmpi_text *text, const char *string);
void ipmpi_text_int(struct ipmpi_text *text, int64_t value);

/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void ipmpi_text_string(struct ipmpi_text *text, const void *data, size_t len);

/* A date as a JSON string; 0 is null. */
void ipmpi_text_date(struct ipmpi_text *text, int64_t wall_us);

/* Moves the text into a frame of its own (one share, the caller's) and leaves
 * the empty text. IPMPI_ENOMEM, also if an earlier call failed: the text is
 * cleared. */
int ipmpi_text_to_frame(struct ipmpi_text *text, struct ipmpi_frame *frame_out);

/* Frees; leaves the empty text. */
void ipmpi_text_clear(struct ipmpi_text *text);

#endif
