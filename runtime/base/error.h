/* Error codes: 0 is success, failures are negative. One table holds names,
 * numbers and texts. */
#ifndef IPMPI_BASE_ERROR_H
#define IPMPI_BASE_ERROR_H

#include <stdio.h>
#include <stdlib.h>

#define IPMPI_ERRORS(X)                                                        \
    X(EAUTH, -1, "signature does not match")                                   \
    X(EFRAME, -2, "message is not framed as the protocol asks")                \
    X(EJSON, -3, "not valid JSON, or not of the expected shape")               \
    X(EREPLAY, -4, "message was seen before")                                  \
    X(ETOOBIG, -5, "larger than its limit")                                    \
    X(ENOMEM, -6, "out of memory")                                             \
    X(EFULL, -7, "no room left")                                               \
    X(EEMPTY, -8, "nothing there")                                             \
    X(ESTATE, -9, "not possible in this state")                                \
    X(EINVAL, -10, "invalid argument")                                         \
    X(ENOENT, -11, "no such thing")                                            \
    X(EEXIST, -12, "exists already")                                           \
    X(EIO, -13, "input or output failed")                                      \
    X(ETIMEOUT, -14, "deadline passed")                                        \
    X(EDEAD, -15, "peer is dead")                                              \
    X(EMPI, -16, "MPI call failed")                                            \
    X(EPYTHON, -17, "no usable Python")                                        \
    X(EBUSY, -18, "in use by another")                                         \
    X(EVERSION, -19, "versions do not match")                                  \
    X(ESYS, -20, "system call failed")

enum ipmpi_error {
#define X(name, number, text) IPMPI_##name = number,
    IPMPI_ERRORS(X)
#undef X
};

/* The text of a code; never NULL, static, any thread. */
const char *ipmpi_strerror(int err);

/* For our own mistakes only: what a peer, a user or the system can cause is
 * an error code. Stays on in release builds. */
#define IPMPI_ASSERT(cond)                                                     \
    do {                                                                       \
        if (!(cond)) {                                                         \
            fprintf(stderr, "ipmpi: %s:%d: %s does not hold\n", __FILE__,      \
                    __LINE__, #cond);                                          \
            abort();                                                           \
        }                                                                      \
    } while (0)

#endif
