/* A cluster's place in its profile: paths and lock. */
#include "bridge/files/profile.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/files/lock.h"
#include "bridge/files/path.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum { CLUSTER_ID_MAX = 128 };

struct ipmpi_profile {
    char *dir, *security_dir, *client_file, *engine_file, *lock_file;
    int lock_fd;
};

/* The id becomes part of file names. */
static bool is_usable_id(const char *id)
{
    for (const char *c = id; *c != '\0'; c++)
        if (*c == '/' || (unsigned char)*c < 0x20)
            return false;
    return strlen(id) <= CLUSTER_ID_MAX;
}

static int name_files(struct ipmpi_profile *p, const char *dir, const char *id)
{
    const char *dash = *id != '\0' ? "-" : "";

    p->dir = ipmpi_path_format("%s", dir);
    p->security_dir = ipmpi_path_format("%s/security", dir);
    p->client_file = ipmpi_path_format(
        "%s/security/ipcontroller%s%s-client.json", dir, dash, id);
    p->engine_file = ipmpi_path_format(
        "%s/security/ipcontroller%s%s-engine.json", dir, dash, id);
    p->lock_file =
        ipmpi_path_format("%s/security/.ipmpi%s%s.lock", dir, dash, id);
    return p->dir == NULL || p->security_dir == NULL ||
                   p->client_file == NULL || p->engine_file == NULL ||
                   p->lock_file == NULL
               ? IPMPI_ENOMEM
               : 0;
}

int ipmpi_profile_open(const char *dir, const char *cluster_id,
                       struct ipmpi_profile **profile_out)
{
    const char *id = cluster_id != NULL ? cluster_id : "";
    struct ipmpi_profile *p;
    int err;

    IPMPI_ASSERT(*dir != '\0');
    if (!is_usable_id(id)) {
        ipmpi_log_error("FILES-PROFILE",
                        "cluster id '%s' cannot be part of a file name", id);
        return IPMPI_EINVAL;
    }
    p = calloc(1, sizeof(*p));
    if (p == NULL)
        return IPMPI_ENOMEM;
    p->lock_fd = -1;
    err = name_files(p, dir, id);
    if (err == 0)
        err = ipmpi_path_make_tree(p->dir);
    if (err == 0)
        err = ipmpi_lock_take(p->lock_file, &p->lock_fd);
    if (err != 0) {
        ipmpi_profile_close(&p);
        return err;
    }
    *profile_out = p;
    return 0;
}

void ipmpi_profile_close(struct ipmpi_profile **profile)
{
    struct ipmpi_profile *p = *profile;

    *profile = NULL;
    if (p == NULL)
        return;
    ipmpi_lock_give(p->lock_file, &p->lock_fd);
    free(p->dir);
    free(p->security_dir);
    free(p->client_file);
    free(p->engine_file);
    free(p->lock_file);
    free(p);
}

const char *ipmpi_profile_dir(const struct ipmpi_profile *profile)
{
    return profile->dir;
}

const char *ipmpi_profile_security_dir(const struct ipmpi_profile *profile)
{
    return profile->security_dir;
}

const char *ipmpi_profile_client_file(const struct ipmpi_profile *profile)
{
    return profile->client_file;
}

const char *ipmpi_profile_engine_file(const struct ipmpi_profile *profile)
{
    return profile->engine_file;
}
