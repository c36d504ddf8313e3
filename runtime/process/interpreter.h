/* Which Python an engine embeds, and whether it will do. The interpreter is
 * asked by one short run of itself. Threads: one; blocks until it has
 * answered. */
#ifndef IPMPI_PROCESS_INTERPRETER_H
#define IPMPI_PROCESS_INTERPRETER_H

#include <limits.h>
#include <stddef.h>

struct ipmpi_interpreter {
    char python[PATH_MAX];    /* its path, absolute, links not followed: a
                               * virtual environment is known by it */
    char libpython[PATH_MAX]; /* the shared library of the same build */
    char version[32];         /* "3.11" */
};

/* Finds the path: `wanted` (a path, a name in PATH, or an environment's
 * directory) if not NULL, else the one of VIRTUAL_ENV, else CONDA_PREFIX, else
 * python3 in PATH. On IPMPI_EPYTHON `why_out` (of `cap` bytes) says what is
 * wrong. */
int ipmpi_interpreter_choose(const char *wanted, char path_out[PATH_MAX],
                             char *why_out, size_t cap);

/* Chooses, then asks. IPMPI_EPYTHON: no engine can run with it; `why_out`
 * says so and what to install. */
int ipmpi_interpreter_find(const char *wanted, struct ipmpi_interpreter *out,
                           char *why_out, size_t cap);

#endif
