/* Shell patterns as Python's fnmatch has them: * ? [seq] [!seq], no escapes,
 * no special meaning for / or a leading dot. Case-sensitive; a character is a
 * UTF-8 code point. Any thread. */
#ifndef IPMPI_HUB_GLOB_H
#define IPMPI_HUB_GLOB_H

#include <stdbool.h>
#include <stddef.h>

bool ipmpi_glob_matches(const char *pattern, size_t pattern_len,
                        const char *text, size_t text_len);

#endif
