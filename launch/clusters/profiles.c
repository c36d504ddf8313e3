/* Looks through security directories for names that clusters leave there. */
#include "launch/clusters/profiles.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

/* The id in PREFIX[-ID]SUFFIX, or NULL; to be freed. */
static char *id_between(const char *name, const char *prefix,
                        const char *suffix)
{
    const size_t head = strlen(prefix), tail = strlen(suffix);
    const size_t len = strlen(name);

    if (len < head + tail || strncmp(name, prefix, head) != 0 ||
        strcmp(name + len - tail, suffix) != 0)
        return NULL;
    if (len == head + tail)
        return strdup("");
    if (name[head] != '-' || len == head + tail + 1)
        return NULL;
    return strndup(name + head + 1, len - head - tail - 1);
}

static bool has(const struct ipmpi_profiles *profiles, const char *profile_dir,
                const char *id)
{
    for (size_t i = 0; i < profiles->n; i++)
        if (strcmp(profiles->at[i].profile_dir, profile_dir) == 0 &&
            strcmp(profiles->at[i].cluster_id, id) == 0)
            return true;
    return false;
}

static int add(struct ipmpi_profiles *profiles, const char *profile_dir,
               const char *id)
{
    struct ipmpi_paths *more;
    int err;

    if (has(profiles, profile_dir, id))
        return 0;
    more = reallocarray(profiles->at, profiles->n + 1, sizeof(*more));
    if (more == NULL)
        return IPMPI_ENOMEM;
    profiles->at = more;
    err = ipmpi_paths_make(profile_dir, id, &more[profiles->n]);
    if (err == 0)
        profiles->n++;
    return err;
}

/* `path` is PROFILE/security/NAME. */
static int add_path(struct ipmpi_profiles *profiles, char *path)
{
    char *name = strrchr(path, '/') + 1;
    char *id = id_between(name, ".ipmpi", ".lock");
    int err = 0;

    if (id == NULL)
        id = id_between(name, "ipcontroller", "-client.json");
    if (id != NULL) {
        name[-1] = '\0';
        *strrchr(path, '/') = '\0';
        err = add(profiles, path, id);
    }
    free(id);
    return err;
}

static int add_matches(struct ipmpi_profiles *profiles, const char *dirs,
                       const char *names)
{
    char *pattern;
    glob_t found;
    int err = 0;

    if (asprintf(&pattern, "%s/security/%s", dirs, names) < 0)
        return IPMPI_ENOMEM;
    if (glob(pattern, GLOB_PERIOD, NULL, &found) == 0) {
        for (size_t i = 0; i < found.gl_pathc && err == 0; i++)
            err = add_path(profiles, found.gl_pathv[i]);
        globfree(&found);
    }
    free(pattern);
    return err;
}

static int by_name(const void *a, const void *b)
{
    const struct ipmpi_paths *one = a, *other = b;
    const int order = strcmp(one->profile_dir, other->profile_dir);

    return order != 0 ? order : strcmp(one->cluster_id, other->cluster_id);
}

static char *directories(const struct ipmpi_where *where)
{
    struct ipmpi_paths paths;
    char *above, *dirs;

    if (where->profile != NULL || where->profile_dir != NULL) {
        if (ipmpi_paths_find(where, &paths) != 0)
            return NULL;
        dirs = strdup(paths.profile_dir);
        ipmpi_paths_clear(&paths);
        return dirs;
    }
    above = ipmpi_where_ipython_dir(where);
    if (above == NULL || asprintf(&dirs, "%s/profile_*", above) < 0)
        dirs = NULL;
    free(above);
    return dirs;
}

int ipmpi_profiles_find(const struct ipmpi_where *where,
                        struct ipmpi_profiles *profiles_out)
{
    struct ipmpi_profiles profiles = {0};
    char *dirs = directories(where);
    int err;

    if (dirs == NULL)
        return IPMPI_EINVAL;
    err = add_matches(&profiles, dirs, ".ipmpi*.lock");
    if (err == 0)
        err = add_matches(&profiles, dirs, "ipcontroller*-client.json");
    free(dirs);
    if (err != 0) {
        ipmpi_profiles_clear(&profiles);
        return err;
    }
    if (profiles.n > 1)
        qsort(profiles.at, profiles.n, sizeof(profiles.at[0]), by_name);
    *profiles_out = profiles;
    return 0;
}

void ipmpi_profiles_clear(struct ipmpi_profiles *profiles)
{
    for (size_t i = 0; i < profiles->n; i++)
        ipmpi_paths_clear(&profiles->at[i]);
    free(profiles->at);
    *profiles = (struct ipmpi_profiles){0};
}
