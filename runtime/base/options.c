/* Options: argp's table, a table of ipyparallel's traits that mean the same,
 * then defaults from the environment.
 *
 * Traits are taken out of the argument vector first, since argp knows only
 * names in its table. Both tables lead to ipmpi_options_set. */
#include "runtime/base/options.h"

#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/options_set.h"

static const struct argp_option table[] = {
    {0, 0, 0, 0, "Where the cluster's files are:", 1},
    {"profile", KEY_PROFILE, "NAME", 0, "IPython profile (default)", 0},
    {"profile-dir", KEY_PROFILE_DIR, "DIR", 0,
     "the profile's directory itself (env IPP_PROFILE_DIR)", 0},
    {"ipython-dir", KEY_IPYTHON_DIR, "DIR", 0,
     "where profiles live (env IPYTHONDIR; ~/.ipython)", 0},
    {"cluster-id", KEY_CLUSTER_ID, "ID", 0,
     "tells clusters of one profile apart (env IPP_CLUSTER_ID)", 0},
    {"reuse", KEY_REUSE, 0, 0,
     "keep the connection files at the end; take key and ports from them", 0},

    {0, 0, 0, 0, "How clients reach rank 0:", 2},
    {"ip", KEY_IP, "ADDR", 0, "address to listen on (127.0.0.1; * for all)", 0},
    {"location", KEY_LOCATION, "HOST", 0,
     "name under which clients find this host (its hostname)", 0},
    {"port", KEY_PORT, "N", 0, "port of registration (any)", 0},
    {"ports", KEY_PORTS, "N,N,...", 0,
     "ports for all channels, seven; more stand in for those that are taken; a "
     "range N-M is fine (any)",
     0},
    {"curve", KEY_CURVE, 0, 0, "encrypt with CURVE (env IPP_ENABLE_CURVE=1)",
     0},
    {"enable-curve", KEY_CURVE, 0, OPTION_ALIAS | OPTION_HIDDEN, 0, 0},

    {0, 0, 0, 0, "Tasks:", 3},
    {"db", KEY_DB, "KIND", 0, "task database: memory, sqlite or none (memory)",
     0},
    {"dictdb", KEY_DICTDB, 0, 0, "as --db memory", 0},
    {"sqlitedb", KEY_SQLITEDB, 0, 0, "as --db sqlite", 0},
    {"nodb", KEY_NODB, 0, 0, "as --db none", 0},
    {"mongodb", KEY_MONGODB, 0, OPTION_HIDDEN, 0, 0},
    {"scheme", KEY_SCHEME, "NAME", 0,
     "leastload, lru, plainrandom, twobin or weighted (leastload)", 0},
    {"hwm", KEY_HWM, "N", 0, "tasks that one engine may hold; 0: no limit", 0},
    {"memory", KEY_MEMORY, "MB", 0,
     "what rank 0 may hold for clients before they have to wait (a quarter of "
     "the memory)",
     0},
    {"prefetch", KEY_PREFETCH, "N", 0,
     "tasks sent to each engine ahead of need, when more wait than engines "
     "are free (16; 0 with --steal off)",
     0},
    {"steal", KEY_STEAL, "on|off", 0,
     "whether idle engines take such tasks from others (on)", 0},
    {"respawn", KEY_RESPAWN, 0, 0, "replace engines that die", 0},

    {0, 0, 0, 0, "Engines:", 4},
    {"python", KEY_PYTHON, "PATH", 0,
     "interpreter to embed (the active environment's python3)", 0},
    {"work-dir", KEY_WORK_DIR, "DIR", 0,
     "directory in which engines run (the current one)", 0},
    {"no-zygote", KEY_NO_ZYGOTE, 0, 0,
     "start each engine's Python by itself: slower, same behaviour", 0},
    {"exec-line", KEY_EXEC, "CODE", 0,
     "Python code that each engine runs first; may be repeated", 0},
    {"startup-file", KEY_FILE, "FILE", 0,
     "Python file that each engine runs first; may be repeated", 0},

    {0, 0, 0, 0, "The log:", 5},
    {"log-level", KEY_LOG_LEVEL, "LEVEL", 0,
     "debug, info, warn, error, or Python's number (info)", 0},
    {"debug", KEY_DEBUG, 0, 0, "as --log-level debug", 0},
    {"quiet", KEY_QUIET, 0, 0, "as --log-level error", 0},
    {"log-to-file", KEY_LOG_TO_FILE, 0, 0,
     "write the log to files in the profile's log directory", 0},

    {0, 0, 0, 0, "Accepted for ipcontroller's and ipengine's sake:", 6},
    {"ping", KEY_IGNORED, "MS", 0, "no meaning here", 0},
    {"file", KEY_IGNORED, "FILE", OPTION_HIDDEN, 0, 0},
    {"timeout", KEY_IGNORED, "S", OPTION_HIDDEN, 0, 0},
    {"url", KEY_IGNORED, "URL", OPTION_HIDDEN, 0, 0},
    {"ssh", KEY_IGNORED, "HOST", OPTION_HIDDEN, 0, 0},
    {"enginessh", KEY_IGNORED, "HOST", OPTION_HIDDEN, 0, 0},
    {"log-url", KEY_IGNORED, "URL", OPTION_HIDDEN, 0, 0},
    {"ident", KEY_IGNORED, "ID", OPTION_HIDDEN, 0, 0},
    {"keyfile", KEY_IGNORED, "FILE", OPTION_HIDDEN, 0, 0},
    {"mpi", KEY_IGNORED_FLAG, 0, OPTION_HIDDEN, 0, 0},
    {"secure", KEY_IGNORED_FLAG, 0, OPTION_HIDDEN, 0, 0},
    {"usethreads", KEY_IGNORED_FLAG, 0, OPTION_HIDDEN, 0, 0},
    {"init", KEY_IGNORED_FLAG, 0, OPTION_HIDDEN, 0, 0},
    {"restore", KEY_IGNORED_FLAG, 0, OPTION_HIDDEN, 0, 0},
    {"clean-logs", KEY_IGNORED_FLAG, 0, OPTION_HIDDEN, 0, 0},
    {"Class.trait=VALUE", 0, 0, OPTION_DOC,
     "--TaskScheduler.hwm and other known traits are honoured, the rest is "
     "noted at --debug and ignored",
     0},

    {0, 0, 0, 0, "Help:", 7},
    {"help", KEY_HELP, 0, 0, "show this", 0},
    {"usage", KEY_HELP, 0, OPTION_ALIAS | OPTION_HIDDEN, 0, 0},
    {"version", KEY_VERSION, 0, 0, "show the version", 0},
    {0},
};

static const char doc[] =
    "A parallel Python cluster in one MPI job, for ipyparallel's clients."
    "\vStart it under mpirun or srun: rank 0 becomes the controller, every "
    "other rank an engine.\n\n"
    "  mpirun -np 5 ipmpi-engine             a controller and 4 engines\n"
    "  >>> import ipyparallel as ipp; rc = ipp.Client()\n\n"
    "Exit codes: 0 the cluster was shut down; 2 wrong use; 3 no Python fit "
    "for engines.";

/* ipyparallel's traits that mean one of our options. */
static const struct {
    const char *trait;
    enum ipmpi_option_key key;
} traits[] = {
    {"BaseParallelApplication.cluster_id", KEY_CLUSTER_ID},
    {"IPController.cluster_id", KEY_CLUSTER_ID},
    {"IPEngine.cluster_id", KEY_CLUSTER_ID},
    {"BaseParallelApplication.work_dir", KEY_WORK_DIR},
    {"IPEngine.work_dir", KEY_WORK_DIR},
    {"BaseIPythonApplication.profile", KEY_PROFILE},
    {"BaseIPythonApplication.ipython_dir", KEY_IPYTHON_DIR},
    {"ProfileDir.location", KEY_PROFILE_DIR},
    {"IPController.ip", KEY_IP},
    {"IPController.client_ip", KEY_IP},
    {"HubFactory.ip", KEY_IP},
    {"HubFactory.client_ip", KEY_IP},
    {"RegistrationFactory.ip", KEY_IP},
    {"IPController.location", KEY_LOCATION},
    {"IPControllerApp.location", KEY_LOCATION},
    {"IPController.regport", KEY_PORT},
    {"HubFactory.regport", KEY_PORT},
    {"RegistrationFactory.regport", KEY_PORT},
    {"IPController.ports", KEY_PORTS},
    {"IPController.reuse_files", KEY_REUSE},
    {"IPControllerApp.reuse_files", KEY_REUSE},
    {"IPController.enable_curve", KEY_CURVE},
    {"IPController.db_class", KEY_DB},
    {"HubFactory.db_class", KEY_DB},
    {"SQLiteDB.location", KEY_DB_LOCATION},
    {"SQLiteDB.filename", KEY_DB_FILENAME},
    {"Session.key", KEY_KEY},
    {"TaskScheduler.hwm", KEY_HWM},
    {"TaskScheduler.scheme_name", KEY_SCHEME},
    {"InteractiveShell.colors", KEY_COLORS},
    {"IPEngine.startup_command", KEY_EXEC},
    {"IPEngineApp.startup_command", KEY_EXEC},
    {"IPEngine.startup_script", KEY_FILE},
    {"IPEngineApp.startup_script", KEY_FILE},
    {"Application.log_level", KEY_LOG_LEVEL},
    {"BaseParallelApplication.log_to_file", KEY_LOG_TO_FILE},
};

static error_t on_argument(int key, char *value, struct argp_state *state)
{
    const struct ipmpi_parse *parse = state->input;

    if (key == ARGP_KEY_ARG)
        return ipmpi_options_complain(parse, "unexpected argument '%s'", value);
    if (key <= 0 || key >= ARGP_KEY_FINI)
        return ARGP_ERR_UNKNOWN;
    return ipmpi_options_set(parse, key, value);
}

static const struct argp parser = {table, on_argument, 0, doc, 0, 0, 0};

/* --Class.trait[=value]: a long option with a dot before any '='. */
static bool is_trait(const char *argument)
{
    return strncmp(argument, "--", 2) == 0 &&
           strcspn(argument, ".=") < strcspn(argument, "=");
}

static int set_trait(const struct ipmpi_parse *parse, const char *trait,
                     const char *value)
{
    const size_t len = strcspn(trait, "=");
    const size_t n = sizeof(traits) / sizeof(traits[0]);

    for (size_t i = 0; i < n; i++)
        if (strlen(traits[i].trait) == len &&
            strncmp(traits[i].trait, trait, len) == 0)
            return ipmpi_options_set(parse, traits[i].key, value);
    if (parse->speak)
        ipmpi_log_debug("OPTIONS-TRAIT", "--%.*s has no meaning here; ignored",
                        (int)len, trait);
    return 0;
}

/* The value as traitlets reads it: quotes and a b prefix do not count. */
static char *unquote(const char *value)
{
    const size_t b = value[0] == 'b' && strchr("'\"", value[1]) != NULL;
    const size_t len = strlen(value);

    if (len > b + 1 && (value[b] == '\'' || value[b] == '"') &&
        value[len - 1] == value[b])
        return strndup(value + b + 1, len - b - 2);
    return strdup(value);
}

/* Takes the traits out of `argv`, which keeps its closing NULL. */
static int take_traits(const struct ipmpi_parse *parse, int *argc, char **argv)
{
    int kept = 1, err = 0;

    for (int i = 1; i < *argc; i++) {
        const char *equals = strchr(argv[i], '=');
        char *value;

        if (!is_trait(argv[i])) {
            argv[kept++] = argv[i];
            continue;
        }
        /* --Class.trait value, in two words, has the next as its value. */
        if (equals == NULL && i + 1 < *argc && argv[i + 1][0] != '-')
            value = unquote(argv[i + 1]);
        else
            value = unquote(equals != NULL ? equals + 1 : "true");
        if (value == NULL)
            return ENOMEM;
        if (err == 0)
            err = set_trait(parse, argv[i] + 2, value);
        free(value);
        i += equals == NULL && i + 1 < *argc && argv[i + 1][0] != '-';
    }
    argv[kept] = NULL;
    *argc = kept;
    return err;
}

static const char *from_env(const char *name)
{
    const char *value = getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

static int defaults(const struct ipmpi_parse *parse)
{
    struct ipmpi_options *o = parse->options;
    const char *curve = from_env("IPP_ENABLE_CURVE");
    const char *value;
    int err = ipmpi_options_keep(&o->profile, "default");

    o->hwm = o->prefetch = -1;
    o->steal = true;
    o->zygote = true;
    o->log_level = IPMPI_LOG_INFO;
    err = err != 0 ? err : ipmpi_options_keep(&o->ip, "127.0.0.1");
    value = from_env("IPP_CLUSTER_ID");
    err = err != 0
              ? err
              : ipmpi_options_keep(&o->cluster_id, value != NULL ? value : "");
    if (err == 0 && (value = from_env("IPP_SESSION_KEY")) != NULL)
        err = ipmpi_options_keep(&o->key, value);
    if (err == 0 && (value = from_env("IPP_PROFILE_DIR")) != NULL)
        err = ipmpi_options_keep(&o->profile_dir, value);
    if (err == 0 && (value = from_env("IPYTHONDIR")) != NULL)
        err = ipmpi_options_keep(&o->ipython_dir, value);
    if (err == 0 && curve != NULL)
        err = ipmpi_options_set(parse, KEY_CURVE, curve);
    return err;
}

static const char *home(void)
{
    const char *env = from_env("HOME");
    const struct passwd *user = env == NULL ? getpwuid(getuid()) : NULL;

    return env != NULL ? env : user != NULL ? user->pw_dir : "/";
}

/* Makes a path absolute, with ~ for the home directory. */
static int absolute(char **path)
{
    char cwd[PATH_MAX], *made;
    int len;

    if ((*path)[0] == '/')
        return 0;
    if ((*path)[0] == '~' && ((*path)[1] == '/' || (*path)[1] == '\0'))
        len = asprintf(&made, "%s%s", home(), *path + 1);
    else if (getcwd(cwd, sizeof(cwd)) != NULL)
        len = asprintf(&made, "%s/%s", cwd, *path);
    else
        return EINVAL;
    if (len < 0)
        return ENOMEM;
    free(*path);
    *path = made;
    return 0;
}

static int resolve_paths(const struct ipmpi_parse *parse)
{
    struct ipmpi_options *o = parse->options;
    char **each[] = {&o->ipython_dir, &o->profile_dir, &o->work_dir,
                     &o->db_location};
    int err = 0;

    if (o->ipython_dir == NULL)
        err = ipmpi_options_keep(&o->ipython_dir, "~/.ipython");
    if (err == 0 && o->profile_dir == NULL &&
        asprintf(&o->profile_dir, "%s/profile_%s", o->ipython_dir, o->profile) <
            0) {
        o->profile_dir = NULL;
        err = ENOMEM;
    }
    for (size_t i = 0; i < sizeof(each) / sizeof(each[0]) && err == 0; i++)
        if (*each[i] != NULL)
            err = absolute(each[i]);
    if (err == EINVAL)
        ipmpi_options_complain(parse, "the current directory is gone");
    return err;
}

static int check(const struct ipmpi_parse *parse)
{
    const struct ipmpi_options *o = parse->options;

    if (strchr(o->cluster_id, '/') != NULL)
        return ipmpi_options_complain(
            parse, "a cluster id cannot contain '/': '%s'", o->cluster_id);
    if (o->profile[0] == '\0' || strchr(o->profile, '/') != NULL)
        return ipmpi_options_complain(parse, "not a profile's name: '%s'",
                                      o->profile);
    if (o->ip[0] == '\0')
        return ipmpi_options_complain(parse, "--ip wants an address");
    return 0;
}

static const char *program_name(char **argv)
{
    const char *slash = argv[0] != NULL ? strrchr(argv[0], '/') : NULL;

    if (argv[0] == NULL)
        return "ipmpi-engine";
    return slash != NULL ? slash + 1 : argv[0];
}

static int parse_all(const struct ipmpi_parse *parse, int argc, char **words)
{
    const unsigned quiet = parse->speak ? 0 : ARGP_NO_ERRS;
    int err = defaults(parse);

    if (err == 0)
        err = take_traits(parse, &argc, words);
    if (err == 0)
        err = argp_parse(&parser, argc, words,
                         ARGP_NO_EXIT | ARGP_NO_HELP | quiet, NULL,
                         (void *)parse);
    if (err == 0 && parse->options->action == IPMPI_RUN)
        err = resolve_paths(parse);
    if (err == 0)
        err = check(parse);
    return err;
}

int ipmpi_options_parse(int argc, char **argv, bool speak,
                        struct ipmpi_options *options_out)
{
    struct ipmpi_options made = {0};
    const struct ipmpi_parse parse = {&made, speak, program_name(argv)};
    char **words = calloc((size_t)argc + 1, sizeof(*words));
    int err = ENOMEM;

    if (words != NULL) {
        memcpy(words, argv, (size_t)argc * sizeof(*words));
        err = parse_all(&parse, argc, words);
    }
    free(words);
    if (err != 0) {
        ipmpi_options_clear(&made);
        return err == ENOMEM ? IPMPI_ENOMEM : IPMPI_EINVAL;
    }
    *options_out = made;
    return 0;
}

static void clear_strings(struct ipmpi_strings *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->at[i]);
    free(list->at);
}

void ipmpi_options_clear(struct ipmpi_options *o)
{
    char *each[] = {o->ipython_dir, o->profile,  o->profile_dir, o->cluster_id,
                    o->ip,          o->location, o->key,         o->db_location,
                    o->db_filename, o->python,   o->work_dir,    o->colors};

    if (o->key != NULL)
        explicit_bzero(o->key, strlen(o->key));
    for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++)
        free(each[i]);
    clear_strings(&o->exec_lines);
    clear_strings(&o->exec_files);
    memset(o, 0, sizeof(*o));
}

void ipmpi_options_show(enum ipmpi_action action)
{
    char name[] = "ipmpi-engine";

    if (action == IPMPI_SHOW_VERSION)
        printf("%s %s\n", name, IPMPI_VERSION);
    else if (action == IPMPI_SHOW_HELP)
        argp_help(&parser, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK,
                  name);
    fflush(stdout);
}
