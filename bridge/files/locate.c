/* Which profile: what the user said, else the environment, else IPython's
 * defaults. */
#include "bridge/files/profile.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridge/files/path.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

/* The text, or what the environment has; NULL for empty ones. */
static const char *given(const char *text, const char *variable)
{
    if (text == NULL || *text == '\0')
        text = variable != NULL ? getenv(variable) : NULL;
    return text != NULL && *text != '\0' ? text : NULL;
}

static const char *home_dir(void)
{
    const char *home = given(NULL, "HOME");
    const struct passwd *pw;

    if (home != NULL)
        return home;
    pw = getpwuid(getuid());
    return pw != NULL ? pw->pw_dir : NULL;
}

static int make_absolute(char **path)
{
    char *cwd, *joined;

    if ((*path)[0] == '/')
        return 0;
    cwd = getcwd(NULL, 0);
    if (cwd == NULL) {
        ipmpi_log_error("FILES-PROFILE", "no current directory: %s",
                        strerror(errno));
        return IPMPI_ESYS;
    }
    joined = ipmpi_path_format("%s/%s", cwd, *path);
    free(cwd);
    if (joined == NULL)
        return IPMPI_ENOMEM;
    free(*path);
    *path = joined;
    return 0;
}

static char *named_profile(const char *ipython_dir, const char *profile)
{
    const char *home = home_dir();

    ipython_dir = given(ipython_dir, "IPYTHONDIR");
    if (ipython_dir != NULL)
        return ipmpi_path_format("%s/profile_%s", ipython_dir, profile);
    if (home == NULL)
        return NULL;
    return ipmpi_path_format("%s/.ipython/profile_%s", home, profile);
}

int ipmpi_profile_locate(const char *profile_dir, const char *ipython_dir,
                         const char *profile, char **dir_out)
{
    char *dir;
    int err;

    profile = given(profile, NULL);
    profile_dir =
        given(profile_dir, profile == NULL ? "IPP_PROFILE_DIR" : NULL);
    if (profile == NULL)
        profile = "default";
    if (strchr(profile, '/') != NULL) {
        ipmpi_log_error("FILES-PROFILE",
                        "profile name '%s' holds a slash: a directory is "
                        "given with --profile-dir",
                        profile);
        return IPMPI_EINVAL;
    }
    if (profile_dir == NULL && given(ipython_dir, "IPYTHONDIR") == NULL &&
        home_dir() == NULL) {
        ipmpi_log_error("FILES-PROFILE",
                        "no home directory: set IPYTHONDIR or --profile-dir");
        return IPMPI_EINVAL;
    }
    dir = profile_dir != NULL ? ipmpi_path_format("%s", profile_dir)
                              : named_profile(ipython_dir, profile);
    if (dir == NULL)
        return IPMPI_ENOMEM;
    err = make_absolute(&dir);
    if (err != 0) {
        free(dir);
        return err;
    }
    *dir_out = dir;
    return 0;
}
