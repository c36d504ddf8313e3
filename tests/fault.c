/* See the header. The linker's --wrap gives our calls of malloc to
 * __wrap_malloc and the real one the name __real_malloc. */
#include "tests/fault.h"

#include <stddef.h>
#include <stdlib.h>

static unsigned left; /* 0: disarmed */

static bool fails(void)
{
    return left > 0 && --left == 0;
}

void fault_arm(unsigned nth)
{
    left = nth;
}

bool fault_disarm(void)
{
    const bool fired = left == 0;

    left = 0;
    return fired;
}

void *__real_malloc(size_t len);
void *__real_calloc(size_t n, size_t len);
void *__real_realloc(void *old, size_t len);
void *__real_reallocarray(void *old, size_t n, size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_calloc(size_t n, size_t len);
void *__wrap_realloc(void *old, size_t len);
void *__wrap_reallocarray(void *old, size_t n, size_t len);

void *__wrap_malloc(size_t len)
{
    return fails() ? NULL : __real_malloc(len);
}

void *__wrap_calloc(size_t n, size_t len)
{
    return fails() ? NULL : __real_calloc(n, len);
}

void *__wrap_realloc(void *old, size_t len)
{
    return fails() ? NULL : __real_realloc(old, len);
}

void *__wrap_reallocarray(void *old, size_t n, size_t len)
{
    return fails() ? NULL : __real_reallocarray(old, n, len);
}
