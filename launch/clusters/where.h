/* Which cluster a verb is about, and where that cluster keeps its files.
 *
 * Threads: one. Blocks on the file system only. */
#ifndef IPMPI_LAUNCH_CLUSTERS_WHERE_H
#define IPMPI_LAUNCH_CLUSTERS_WHERE_H

#include <argp.h>
#include <stdbool.h>
#include <sys/types.h>

#include <jansson.h>

/* The options --profile, --profile-dir, --ipython-dir and --cluster-id, as an
 * argp child whose input is a struct ipmpi_where of zeroes. Borrowed. */
struct ipmpi_where {
    const char *profile, *profile_dir, *ipython_dir, *cluster_id;
};
extern const struct argp ipmpi_where_argp;

/* A cluster's paths; all owned. */
struct ipmpi_paths {
    char *profile_dir; /* absolute; may not exist */
    char *cluster_id;  /* "" for none */
    char *client_file, *engine_file, *cluster_file, *lock_file, *log_file;
};

/* Fills the gaps from the environment as ipyparallel does. IPMPI_ENOMEM;
 * IPMPI_EINVAL: no home directory, or an id with a slash. */
int ipmpi_paths_find(const struct ipmpi_where *where,
                     struct ipmpi_paths *paths_out);
/* The same for a verb ("ipmpi stop"): false after it said on stderr what is
 * wrong. */
bool ipmpi_paths_find_for(const char *verb, const struct ipmpi_where *where,
                          struct ipmpi_paths *paths_out);
/* The same for a known profile directory (absolute). */
int ipmpi_paths_make(const char *profile_dir, const char *cluster_id,
                     struct ipmpi_paths *paths_out);
void ipmpi_paths_clear(struct ipmpi_paths *paths);

/* The directory that profiles are in; the caller frees it. NULL: no memory,
 * or no home directory. */
char *ipmpi_where_ipython_dir(const struct ipmpi_where *where);

/* Makes the directory of log_file and those above it. False after it said on
 * stderr what is wrong. */
bool ipmpi_paths_make_log_dir(const char *verb,
                              const struct ipmpi_paths *paths);

/* Rank 0's lock on the cluster's name. */
struct ipmpi_holder {
    bool held;
    char host[256]; /* "" if nobody ever held it */
    pid_t pid;
    bool here; /* host is this machine */
};
void ipmpi_holder_read(const struct ipmpi_paths *paths,
                       struct ipmpi_holder *holder_out);
/* Whether a cluster of this machine held it and died: nobody will answer. */
bool ipmpi_holder_died(const struct ipmpi_holder *holder);

/* A JSON object in a file; NULL if there is none or it is not one. The caller
 * has the reference. */
json_t *ipmpi_where_load(const char *path);

/* "profile default", "profile default, cluster abc": for messages. Static. */
const char *ipmpi_paths_name(const struct ipmpi_paths *paths);

#endif
