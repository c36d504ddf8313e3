/* Texts of the error codes. */
#include "runtime/base/error.h"

const char *ipmpi_strerror(int err)
{
    switch (err) {
    case 0:
        return "success";
#define X(name, number, text)                                                  \
    case number:                                                               \
        return text;
        IPMPI_ERRORS(X)
#undef X
    default:
        return "unknown error";
    }
}
