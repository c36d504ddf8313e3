/* Directories of a profile. */
#include "bridge/files/path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

char *ipmpi_path_format(const char *text, ...)
{
    va_list args;
    char *made;
    int len;

    va_start(args, text);
    len = vasprintf(&made, text, args);
    va_end(args);
    return len < 0 ? NULL : made;
}

static int log_cannot_make(const char *path)
{
    ipmpi_log_error("FILES-PROFILE",
                    "cannot make directory %s: %s; choose a writable one with "
                    "--profile-dir",
                    path, strerror(errno));
    return IPMPI_ESYS;
}

/* The directory and those above it. */
static int make_path(char *path)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        int rc;

        if (slash != NULL)
            *slash = '\0';
        rc = mkdir(path, 0755);
        if (rc != 0 && errno != EEXIST && errno != EISDIR) {
            struct stat st;
            const int why = errno;

            /* a parent may be read-only and exist all the same */
            if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
                errno = why;
                return log_cannot_make(path);
            }
        }
        if (slash == NULL)
            return 0;
        *slash = '/';
    }
}

static int make_child(const char *dir, const char *name, mode_t mode)
{
    char *path = ipmpi_path_format("%s/%s", dir, name);
    struct stat st;
    int err = 0;

    if (path == NULL)
        return IPMPI_ENOMEM;
    if (mkdir(path, mode) != 0 && errno != EEXIST)
        err = log_cannot_make(path);
    else if (stat(path, &st) != 0)
        err = log_cannot_make(path);
    else if (!S_ISDIR(st.st_mode)) {
        errno = ENOTDIR;
        err = log_cannot_make(path);
    } else if (mode == 0700 && (st.st_mode & 077) != 0 &&
               chmod(path, mode) != 0)
        ipmpi_log_warn("FILES-MODE",
                       "%s is open to others and its mode cannot be changed "
                       "(%s): the key in it may be read",
                       path, strerror(errno));
    free(path);
    return err;
}

int ipmpi_path_make_tree(char *dir)
{
    static const struct {
        const char *name;
        mode_t mode;
    } children[] = {
        {"security", 0700}, {"pid", 0700}, {"log", 0755}, {"startup", 0755}};
    int err = make_path(dir);

    for (size_t i = 0; err == 0 && i < sizeof(children) / sizeof(children[0]);
         i++)
        err = make_child(dir, children[i].name, children[i].mode);
    return err;
}
