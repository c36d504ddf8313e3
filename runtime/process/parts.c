/* The parts of ipmpi. CMake tells how the installed places lie relative to the
 * binary's directory, so that an installed tree can be moved as a whole. */
#include "runtime/process/parts.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PART(field, built, installed)        \
    {                                        \
        offsetof(struct ipmpi_parts, field), \
        {                                    \
            built, installed                 \
        }                                    \
    }

static const struct {
    size_t at;
    const char *below[2]; /* of the binary's directory, first match wins */
} parts[] = {
    PART(controller, "ipmpi-controller", IPMPI_TO_LIBEXEC "/ipmpi-controller"),
    PART(embed, "ipmpi_embed.so", IPMPI_TO_LIB "/ipmpi_embed.so"),
    PART(package, "python/ipmpi_engine", IPMPI_TO_LIB "/python/ipmpi_engine"),
};

static void find_part(const char *dir, const char *const below[2],
                      char out[PATH_MAX])
{
    for (int i = 0; i < 2; i++) {
        const int len = snprintf(out, PATH_MAX, "%s/%s", dir, below[i]);

        if (len < PATH_MAX && access(out, F_OK) == 0)
            return;
    }
    out[0] = '\0';
}

void ipmpi_parts_find(struct ipmpi_parts *out)
{
    const ssize_t len =
        readlink("/proc/self/exe", out->self, sizeof(out->self) - 1);
    char dir[PATH_MAX], *slash;

    memset((char *)out + sizeof(out->self), 0,
           sizeof(*out) - sizeof(out->self));
    out->self[len > 0 ? len : 0] = '\0';
    memcpy(dir, out->self, sizeof(dir));
    slash = strrchr(dir, '/');
    if (slash == NULL)
        return;
    *slash = '\0';
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        find_part(dir, parts[i].below, (char *)out + parts[i].at);
    slash = strrchr(out->package, '/'); /* its parent goes to sys.path */
    if (slash != NULL)
        *slash = '\0';
}
