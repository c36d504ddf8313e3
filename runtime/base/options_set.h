/* How the options' tables and their values meet. Private to runtime/base. */
#ifndef IPMPI_BASE_OPTIONS_SET_H
#define IPMPI_BASE_OPTIONS_SET_H

#include <stdbool.h>

#include "runtime/base/options.h"

enum ipmpi_option_key {
    KEY_EXEC = 'c',
    KEY_FILE = 's',
    KEY_HELP = 'h',
    KEY_VERSION = 'V',
    KEY_PROFILE = 256,
    KEY_PROFILE_DIR,
    KEY_IPYTHON_DIR,
    KEY_CLUSTER_ID,
    KEY_IP,
    KEY_LOCATION,
    KEY_PORT,
    KEY_PORTS,
    KEY_REUSE,
    KEY_CURVE,
    KEY_KEY,
    KEY_DB,
    KEY_DICTDB,
    KEY_SQLITEDB,
    KEY_NODB,
    KEY_MONGODB,
    KEY_DB_LOCATION,
    KEY_DB_FILENAME,
    KEY_SCHEME,
    KEY_HWM,
    KEY_PREFETCH,
    KEY_STEAL,
    KEY_RESPAWN,
    KEY_MEMORY,
    KEY_PYTHON,
    KEY_WORK_DIR,
    KEY_NO_ZYGOTE,
    KEY_COLORS,
    KEY_LOG_LEVEL,
    KEY_DEBUG,
    KEY_QUIET,
    KEY_LOG_TO_FILE,
    KEY_IGNORED, /* takes a value */
    KEY_IGNORED_FLAG,
};

struct ipmpi_parse {
    struct ipmpi_options *options;
    bool speak;
    const char *name; /* of the program */
};

/* All return 0 or an errno, as argp wants it. */

/* Says what is wrong, if this process is the one to say it: EINVAL. */
int ipmpi_options_complain(const struct ipmpi_parse *parse, const char *format,
                           ...) __attribute__((format(printf, 2, 3)));

/* Frees what was there and keeps a copy. */
int ipmpi_options_keep(char **where, const char *value);

/* Sets one option. `value` is NULL for a flag of the command line; flags that
 * come as traits have true or false. */
int ipmpi_options_set(const struct ipmpi_parse *parse, int key,
                      const char *value);

#endif
