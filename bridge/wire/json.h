/* JSON between the wire and jansson. Reads what Python's json module writes,
 * also where jansson is stricter; writes compact UTF-8.
 *
 * Threads: any; jansson counts its references atomically. Nothing blocks. */
#ifndef IPMPI_WIRE_JSON_H
#define IPMPI_WIRE_JSON_H

#include <stddef.h>

#include <jansson.h>

#include "runtime/base/frames.h"

/* Reads a JSON object. Bytes that are not UTF-8 and lone surrogates become
 * U+FFFD, integers past 64 bits become reals; numbers are otherwise exact.
 * Nesting deeper than jansson's 2048 is an error. The caller owns the new
 * reference. IPMPI_EJSON (not JSON, or not an object), IPMPI_ENOMEM. */
int ipmpi_json_load(const struct ipmpi_frame *frame, json_t **object_out);

/* Writes any value to a frame of its own buffer; the caller owns the frame's
 * one share. IPMPI_ENOMEM. */
int ipmpi_json_dump(const json_t *value, struct ipmpi_frame *frame_out);

/* A JSON string of any bytes; what is not UTF-8 becomes U+FFFD. New
 * reference, NULL without memory. */
json_t *ipmpi_json_text(const char *text, size_t len);

/* The string at `key`, borrowed from the object; `fallback` if it is missing
 * or not a string, or holds a NUL. */
const char *ipmpi_json_string(const json_t *object, const char *key,
                              const char *fallback);

/* The content of an error reply that a controller makes: status error, this
 * ename and evalue, no traceback, no engine_info (compat 3.1). New reference,
 * NULL without memory. */
json_t *ipmpi_json_error(const char *ename, const char *evalue);

#endif
