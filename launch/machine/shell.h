/* Words for a shell.
 *
 * Threads: any. Blocks on the stream only. */
#ifndef IPMPI_LAUNCH_MACHINE_SHELL_H
#define IPMPI_LAUNCH_MACHINE_SHELL_H

#include <stdio.h>

/* Writes a word so that sh reads it back as it is: in quotes, if it needs
 * them. */
void ipmpi_shell_quote(const char *word, FILE *out);

#endif
