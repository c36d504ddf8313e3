/* Paths of a cluster's files: compat 1.1 and 12.3. */
#include "launch/clusters/where.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/error.h"

enum { KEY_PROFILE = 1, KEY_PROFILE_DIR, KEY_IPYTHON_DIR, KEY_CLUSTER_ID };

static const struct argp_option table[] = {
    {0, 0, 0, 0, "Which cluster:", 90},
    {"profile", KEY_PROFILE, "NAME", 0, "IPython profile (default)", 0},
    {"profile-dir", KEY_PROFILE_DIR, "DIR", 0,
     "the profile's directory itself (env IPP_PROFILE_DIR)", 0},
    {"ipython-dir", KEY_IPYTHON_DIR, "DIR", 0,
     "where profiles live (env IPYTHONDIR; ~/.ipython)", 0},
    {"cluster-id", KEY_CLUSTER_ID, "ID", 0,
     "tells clusters of one profile apart (env IPP_CLUSTER_ID)", 0},
    {0},
};

static error_t on_option(int key, char *value, struct argp_state *state)
{
    struct ipmpi_where *where = state->input;

    switch (key) {
    case KEY_PROFILE:
        where->profile = value;
        return 0;
    case KEY_PROFILE_DIR:
        where->profile_dir = value;
        return 0;
    case KEY_IPYTHON_DIR:
        where->ipython_dir = value;
        return 0;
    case KEY_CLUSTER_ID:
        where->cluster_id = value;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const struct argp ipmpi_where_argp = {table, on_option, 0, 0, 0, 0, 0};

static char *format(const char *text, ...)
    __attribute__((format(printf, 1, 2)));

static char *format(const char *text, ...)
{
    char *made = NULL;
    va_list args;

    va_start(args, text);
    if (vasprintf(&made, text, args) < 0)
        made = NULL;
    va_end(args);
    return made;
}

static const char *from_env(const char *given, const char *name)
{
    const char *value;

    if (given != NULL)
        return given;
    value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static char *absolute(const char *path)
{
    char *here, *made;

    if (path[0] == '/')
        return strdup(path);
    here = getcwd(NULL, 0);
    if (here == NULL)
        return NULL;
    made = format("%s/%s", here, path);
    free(here);
    return made;
}

char *ipmpi_where_ipython_dir(const struct ipmpi_where *where)
{
    const char *dir = from_env(where->ipython_dir, "IPYTHONDIR");
    const char *home = getenv("HOME");
    const struct passwd *user;

    if (dir != NULL)
        return absolute(dir);
    if (home == NULL || home[0] == '\0') {
        user = getpwuid(getuid());
        home = user != NULL ? user->pw_dir : NULL;
    }
    return home != NULL ? format("%s/.ipython", home) : NULL;
}

int ipmpi_paths_make(const char *profile_dir, const char *cluster_id,
                     struct ipmpi_paths *paths_out)
{
    const char *dash = cluster_id[0] != '\0' ? "-" : "";
    struct ipmpi_paths p = {0};

    if (strchr(cluster_id, '/') != NULL)
        return IPMPI_EINVAL;
    p.profile_dir = strdup(profile_dir);
    p.cluster_id = strdup(cluster_id);
    p.client_file = format("%s/security/ipcontroller%s%s-client.json",
                           profile_dir, dash, cluster_id);
    p.engine_file = format("%s/security/ipcontroller%s%s-engine.json",
                           profile_dir, dash, cluster_id);
    p.cluster_file =
        format("%s/security/cluster-%s.json", profile_dir, cluster_id);
    p.lock_file =
        format("%s/security/.ipmpi%s%s.lock", profile_dir, dash, cluster_id);
    p.log_file = format("%s/log/ipmpi%s%s.log", profile_dir, dash, cluster_id);
    if (p.profile_dir == NULL || p.cluster_id == NULL ||
        p.client_file == NULL || p.engine_file == NULL ||
        p.cluster_file == NULL || p.lock_file == NULL || p.log_file == NULL) {
        ipmpi_paths_clear(&p);
        return IPMPI_ENOMEM;
    }
    *paths_out = p;
    return 0;
}

int ipmpi_paths_find(const struct ipmpi_where *where,
                     struct ipmpi_paths *paths_out)
{
    const char *dir = from_env(where->profile_dir, "IPP_PROFILE_DIR");
    const char *id = from_env(where->cluster_id, "IPP_CLUSTER_ID");
    char *above, *profile_dir;
    int err;

    if (dir != NULL && where->profile == NULL) {
        profile_dir = absolute(dir);
    } else {
        above = ipmpi_where_ipython_dir(where);
        if (above == NULL)
            return IPMPI_EINVAL;
        profile_dir =
            format("%s/profile_%s", above,
                   where->profile != NULL ? where->profile : "default");
        free(above);
    }
    if (profile_dir == NULL)
        return IPMPI_ENOMEM;
    err = ipmpi_paths_make(profile_dir, id != NULL ? id : "", paths_out);
    free(profile_dir);
    return err;
}

bool ipmpi_paths_find_for(const char *verb, const struct ipmpi_where *where,
                          struct ipmpi_paths *paths_out)
{
    const char *id = from_env(where->cluster_id, "IPP_CLUSTER_ID");
    const int err = ipmpi_paths_find(where, paths_out);

    if (err == 0)
        return true;
    if (id != NULL && strchr(id, '/') != NULL)
        fprintf(stderr, "%s: a cluster id has no slash: %s\n", verb, id);
    else
        fprintf(stderr,
                "%s: no home directory to look for profiles in; give "
                "--profile-dir, or set IPYTHONDIR\n",
                verb);
    return false;
}

void ipmpi_paths_clear(struct ipmpi_paths *paths)
{
    free(paths->profile_dir);
    free(paths->cluster_id);
    free(paths->client_file);
    free(paths->engine_file);
    free(paths->cluster_file);
    free(paths->lock_file);
    free(paths->log_file);
    memset(paths, 0, sizeof(*paths));
}

bool ipmpi_paths_make_log_dir(const char *verb, const struct ipmpi_paths *paths)
{
    char *path = strdup(paths->log_file);
    bool made = path != NULL;

    for (char *slash = made ? strchr(path + 1, '/') : NULL;
         slash != NULL && made; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        made = mkdir(path, 0777) == 0 || errno == EEXIST;
        if (!made)
            fprintf(stderr,
                    "%s: cannot make the directory %s: %s; choose a writable "
                    "one with --profile-dir\n",
                    verb, path, strerror(errno));
        *slash = '/';
    }
    free(path);
    return made;
}

void ipmpi_holder_read(const struct ipmpi_paths *paths,
                       struct ipmpi_holder *holder_out)
{
    struct ipmpi_holder holder = {0};
    char line[300] = "", host[256] = "";
    const int fd = open(paths->lock_file, O_RDONLY | O_CLOEXEC);

    *holder_out = holder;
    if (fd < 0)
        return;
    if (flock(fd, LOCK_SH | LOCK_NB) != 0)
        holder.held = errno == EWOULDBLOCK;
    if (read(fd, line, sizeof(line) - 1) > 0)
        sscanf(line, "%255s %d", holder.host, &holder.pid);
    gethostname(host, sizeof(host) - 1);
    holder.here = strcmp(host, holder.host) == 0;
    close(fd);
    *holder_out = holder;
}

bool ipmpi_holder_died(const struct ipmpi_holder *holder)
{
    return !holder->held && holder->here && holder->pid > 0 &&
           kill(holder->pid, 0) != 0 && errno == ESRCH;
}

json_t *ipmpi_where_load(const char *path)
{
    json_t *value = json_load_file(path, 0, NULL);

    if (json_is_object(value))
        return value;
    json_decref(value);
    return NULL;
}

const char *ipmpi_paths_name(const struct ipmpi_paths *paths)
{
    static char name[PATH_MAX + 300];
    const char *last = strrchr(paths->profile_dir, '/');

    if (last != NULL && strncmp(last, "/profile_", 9) == 0)
        last += 9;
    else
        last = paths->profile_dir;
    snprintf(name, sizeof(name), "profile %s%s%s", last,
             paths->cluster_id[0] != '\0' ? ", cluster " : "",
             paths->cluster_id);
    return name;
}
