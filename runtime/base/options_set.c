/* Values of options: words, numbers, lists and switches.
 *
 * Threads: the one that parses. */
#include "runtime/base/options_set.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct word {
    const char *word;
    int value;
};

static const struct word dbs[] = {
    {"memory", IPMPI_DB_MEMORY},
    {"dictdb", IPMPI_DB_MEMORY},
    {"sqlite", IPMPI_DB_SQLITE},
    {"sqlitedb", IPMPI_DB_SQLITE},
    {"none", IPMPI_DB_NONE},
    {"nodb", IPMPI_DB_NONE},
    {0},
};

static const struct word schemes[] = {
    {"leastload", IPMPI_SCHEME_LEASTLOAD},     {"lru", IPMPI_SCHEME_LRU},
    {"plainrandom", IPMPI_SCHEME_PLAINRANDOM}, {"twobin", IPMPI_SCHEME_TWOBIN},
    {"weighted", IPMPI_SCHEME_WEIGHTED},       {0},
};

static const struct word levels[] = {
    {"debug", IPMPI_LOG_DEBUG},
    {"info", IPMPI_LOG_INFO},
    {"warn", IPMPI_LOG_WARN},
    {"warning", IPMPI_LOG_WARN},
    {"error", IPMPI_LOG_ERROR},
    {"critical", IPMPI_LOG_ERROR},
    {0},
};

static const struct word switches[] = {
    {"on", 1}, {"true", 1},  {"yes", 1}, {"1", 1}, {"off", 0},
    {"no", 0}, {"false", 0}, {"0", 0},   {0},
};

int ipmpi_options_complain(const struct ipmpi_parse *parse, const char *format,
                           ...)
{
    va_list args;

    if (parse->speak) {
        fprintf(stderr, "%s: ", parse->name);
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fprintf(stderr, "\nTry '%s --help'.\n", parse->name);
    }
    return EINVAL;
}

int ipmpi_options_keep(char **where, const char *value)
{
    char *copy = strdup(value);

    if (copy == NULL)
        return ENOMEM;
    free(*where);
    *where = copy;
    return 0;
}

static int append(struct ipmpi_strings *list, const char *value)
{
    char **grown = realloc(list->at, (list->n + 1) * sizeof(*grown));

    if (grown == NULL)
        return ENOMEM;
    list->at = grown;
    list->at[list->n] = NULL;
    if (ipmpi_options_keep(&list->at[list->n], value) != 0)
        return ENOMEM;
    list->n++;
    return 0;
}

static int choose(const struct ipmpi_parse *parse, const char *what,
                  const struct word *words, const char *value, int *out)
{
    for (const struct word *w = words; w->word != NULL; w++) {
        if (strcasecmp(w->word, value) == 0) {
            *out = w->value;
            return 0;
        }
    }
    return ipmpi_options_complain(parse, "%s does not know '%s'", what, value);
}

static int number(const struct ipmpi_parse *parse, const char *what,
                  const char *value, long most, int *out)
{
    char *end;
    long n;

    errno = 0;
    n = strtol(value, &end, 10);
    if (end == value || *end != '\0' || errno != 0 || n < 0 || n > most)
        return ipmpi_options_complain(
            parse, "%s wants a number from 0 to %ld, not '%s'", what, most,
            value);
    *out = (int)n;
    return 0;
}

static int add_ports(const struct ipmpi_parse *parse, int first, int last)
{
    struct ipmpi_options *o = parse->options;

    for (int port = first; port <= last; port++) {
        if (o->nports == IPMPI_PORTS_CAP)
            return 0; /* more than there are channels */
        o->ports[o->nports++] = port;
    }
    return 0;
}

/* N,N,... or N-M, in any mix; also Python's [N, N]. */
static int set_ports(const struct ipmpi_parse *parse, const char *value)
{
    const char *at = value + strspn(value, "[( ");
    char *end;
    long first, last;

    parse->options->nports = 0;
    while (*at != '\0') {
        first = last = strtol(at, &end, 10);
        if (end != at && *end == '-')
            last = strtol(at = end + 1, &end, 10);
        if (end == at || first < 1 || last > 65535 || last < first)
            return ipmpi_options_complain(
                parse, "--ports wants N,N,... or N-M, not '%s'", value);
        add_ports(parse, (int)first, (int)last);
        at = end + strspn(end, ",]) ");
    }
    return 0;
}

static int set_level(const struct ipmpi_parse *parse, const char *value)
{
    char *end;
    const long n = strtol(value, &end, 10);
    int level = IPMPI_LOG_INFO, err = 0;

    if (end != value && *end == '\0') /* Python's: 10 debug .. 50 critical */
        level = n <= 10   ? IPMPI_LOG_DEBUG
                : n <= 20 ? IPMPI_LOG_INFO
                : n <= 30 ? IPMPI_LOG_WARN
                          : IPMPI_LOG_ERROR;
    else
        err = choose(parse, "--log-level", levels, value, &level);
    parse->options->log_level = (enum ipmpi_log_level)level;
    return err;
}

/* db_class may come with its module: ipyparallel.controller.sqlitedb.SQLiteDB
 */
static int set_db(const struct ipmpi_parse *parse, const char *value)
{
    const char *dot = strrchr(value, '.');
    int db = IPMPI_DB_MEMORY, err;

    err = choose(parse, "--db", dbs, dot != NULL ? dot + 1 : value, &db);
    parse->options->db = (enum ipmpi_db)db;
    return err;
}

static int set_switch(const struct ipmpi_parse *parse, const char *what,
                      const char *value, bool *out)
{
    int on = 1, err = 0;

    if (value != NULL) /* a flag of argp's has none */
        err = choose(parse, what, switches, value, &on);
    *out = on;
    return err;
}

static int set_scheme(const struct ipmpi_parse *parse, const char *value)
{
    int scheme = IPMPI_SCHEME_LEASTLOAD;
    const int err = choose(parse, "--scheme", schemes, value, &scheme);

    parse->options->scheme = (enum ipmpi_scheme)scheme;
    return err;
}

/* Where the text of an option is kept; NULL: it takes no mere text. */
static char **text_of(struct ipmpi_options *o, int key)
{
    switch (key) {
    case KEY_PROFILE:
        return &o->profile;
    case KEY_PROFILE_DIR:
        return &o->profile_dir;
    case KEY_IPYTHON_DIR:
        return &o->ipython_dir;
    case KEY_CLUSTER_ID:
        return &o->cluster_id;
    case KEY_IP:
        return &o->ip;
    case KEY_LOCATION:
        return &o->location;
    case KEY_KEY:
        return &o->key;
    case KEY_DB_LOCATION:
        return &o->db_location;
    case KEY_DB_FILENAME:
        return &o->db_filename;
    case KEY_PYTHON:
        return &o->python;
    case KEY_WORK_DIR:
        return &o->work_dir;
    case KEY_COLORS:
        return &o->colors;
    default:
        return NULL;
    }
}

static int set_value(const struct ipmpi_parse *parse, int key,
                     const char *value)
{
    struct ipmpi_options *o = parse->options;
    char **text = text_of(o, key);

    if (text != NULL)
        return ipmpi_options_keep(text, value);
    switch (key) {
    case KEY_EXEC:
        return append(&o->exec_lines, value);
    case KEY_FILE:
        return append(&o->exec_files, value);
    case KEY_PORT:
        return number(parse, "--port", value, 65535, &o->port);
    case KEY_PORTS:
        return set_ports(parse, value);
    case KEY_PREFETCH:
        return number(parse, "--prefetch", value, 4096, &o->prefetch);
    case KEY_STEAL:
        return set_switch(parse, "--steal", value, &o->steal);
    case KEY_HWM:
        return number(parse, "--hwm", value, INT_MAX, &o->hwm);
    case KEY_MEMORY:
        return number(parse, "--memory", value, INT_MAX, &o->memory_mb);
    case KEY_DB:
        return set_db(parse, value);
    case KEY_SCHEME:
        return set_scheme(parse, value);
    case KEY_LOG_LEVEL:
        return set_level(parse, value);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int ipmpi_options_set(const struct ipmpi_parse *parse, int key,
                      const char *value)
{
    struct ipmpi_options *o = parse->options;

    switch (key) {
    case KEY_HELP:
        o->action = IPMPI_SHOW_HELP;
        return 0;
    case KEY_VERSION:
        o->action = IPMPI_SHOW_VERSION;
        return 0;
    case KEY_REUSE:
        return set_switch(parse, "--reuse", value, &o->reuse);
    case KEY_CURVE:
        return set_switch(parse, "--curve", value, &o->curve);
    case KEY_LOG_TO_FILE:
        return set_switch(parse, "--log-to-file", value, &o->log_to_file);
    case KEY_RESPAWN:
        o->respawn = true;
        return 0;
    case KEY_NO_ZYGOTE:
        o->zygote = false;
        return 0;
    case KEY_DICTDB:
        o->db = IPMPI_DB_MEMORY;
        return 0;
    case KEY_SQLITEDB:
        o->db = IPMPI_DB_SQLITE;
        return 0;
    case KEY_NODB:
        o->db = IPMPI_DB_NONE;
        return 0;
    case KEY_MONGODB:
        return ipmpi_options_complain(
            parse, "MongoDB is not supported: use --db memory, "
                   "sqlite or none");
    case KEY_DEBUG:
        o->log_level = IPMPI_LOG_DEBUG;
        return 0;
    case KEY_QUIET:
        o->log_level = IPMPI_LOG_ERROR;
        return 0;
    case KEY_IGNORED:
    case KEY_IGNORED_FLAG:
        return 0;
    default:
        return set_value(parse, key, value);
    }
}

const char *ipmpi_options_scheme_name(enum ipmpi_scheme scheme)
{
    for (size_t i = 0; schemes[i].word != NULL; i++) {
        if (schemes[i].value == (int)scheme)
            return schemes[i].word;
    }
    return "leastload";
}
