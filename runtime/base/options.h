/* The options of ipmpi-engine, which are also those of rank 0 and the engines:
 * every process of a job parses the same argument vector and environment.
 * Spellings follow ipcontroller and ipengine, so that ipyparallel's launchers
 * can start us: `--opt value` and `--opt=value`, and `--Class.trait=value`,
 * of which the known ones are honoured and the others accepted and noted.
 *
 * Threads: parse before there are threads; then read by any. */
#ifndef IPMPI_BASE_OPTIONS_H
#define IPMPI_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/log.h"

enum { IPMPI_PORTS_CAP = 16 };

enum ipmpi_db { IPMPI_DB_MEMORY, IPMPI_DB_SQLITE, IPMPI_DB_NONE };

enum ipmpi_scheme {
    IPMPI_SCHEME_LEASTLOAD,
    IPMPI_SCHEME_LRU,
    IPMPI_SCHEME_PLAINRANDOM,
    IPMPI_SCHEME_TWOBIN,
    IPMPI_SCHEME_WEIGHTED,
};

enum ipmpi_action { IPMPI_RUN, IPMPI_SHOW_HELP, IPMPI_SHOW_VERSION };

/* A growing list of strings, in the order given. */
struct ipmpi_strings {
    char **at;
    size_t n;
};

/* Strings are owned by the struct and never NULL unless it says so. */
struct ipmpi_options {
    enum ipmpi_action action;

    /* where the cluster's files are */
    char *ipython_dir; /* absolute: --ipython-dir, IPYTHONDIR, ~/.ipython */
    char *profile;     /* "default" */
    char *profile_dir; /* absolute: --profile-dir, IPP_PROFILE_DIR, or the
                        * profile's directory in ipython_dir; may not exist */
    char *cluster_id;  /* "" if there is none; --cluster-id, IPP_CLUSTER_ID */

    /* rank 0's face to clients */
    char *ip;       /* "127.0.0.1"; may be "*" or "0.0.0.0" */
    char *location; /* NULL: this host's name */
    int port;       /* of registration; 0: any */
    int ports[IPMPI_PORTS_CAP];
    int nports; /* ports to use, in the order of the connection file */
    bool reuse; /* keep connection files, and take key and ports from them */
    bool curve; /* --curve, IPP_ENABLE_CURVE */
    char *key;  /* NULL: make one; IPP_SESSION_KEY, --Session.key */
    enum ipmpi_db db;
    char *db_location; /* directory; NULL: the profile directory */
    char *db_filename; /* NULL: the back end's default */

    /* scheduling */
    enum ipmpi_scheme scheme;
    int hwm; /* tasks an engine may hold in the task scheduler's eyes;
              * 0: no limit; -1: not given */
    int prefetch; /* tasks sent to an engine ahead of need; -1: not given */
    bool steal;   /* engines take waiting tasks from each other */
    bool respawn;
    int memory_mb; /* that rank 0 may hold for clients; 0: it chooses */

    /* engines */
    char *python;   /* NULL: the environment decides */
    char *work_dir; /* NULL: where mpirun started us */
    bool zygote;
    struct ipmpi_strings exec_lines;
    struct ipmpi_strings exec_files;
    char *colors; /* NULL: not given; --InteractiveShell.colors */

    /* the log */
    enum ipmpi_log_level log_level;
    bool log_to_file; /* in profile_dir/log */
};

/* Parses. `speak`: write the message of an error to stderr (one process of a
 * job should). 0; IPMPI_EINVAL: wrong use, nothing to free; IPMPI_ENOMEM. */
int ipmpi_options_parse(int argc, char **argv, bool speak,
                        struct ipmpi_options *options_out);

/* Frees what the struct owns and zeroes it. */
void ipmpi_options_clear(struct ipmpi_options *options);

/* Writes the help or the version to stdout, as `action` says. */
void ipmpi_options_show(enum ipmpi_action action);

/* "leastload" and the like; static. */
const char *ipmpi_options_scheme_name(enum ipmpi_scheme scheme);

/* What an engine's Python side needs to know, as one JSON object:
 *   {"profile": str, "profile_dir": str, "ipython_dir": str,
 *    "cluster_id": str, "exec_lines": [str], "exec_files": [str],
 *    "colors": str|null, "log_level": int (10, 20, 30, 40),
 *    "log_to_file": bool}
 * The caller frees it. NULL: out of memory. Bytes that are not UTF-8 are
 * passed through, as Python's surrogateescape expects. */
char *ipmpi_options_json(const struct ipmpi_options *options);

/* The environment variable in which that object reaches the engine. */
#define IPMPI_ENGINE_OPTIONS_ENV "IPMPI_ENGINE_OPTIONS"

#endif
