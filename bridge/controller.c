/* Setting the controller up and taking it down; loop.c runs it. What can fail
 * for a reason that the user can mend (profile, ports, keys, database) comes
 * before MPI, so that the message is the last thing on the screen. */
#include "bridge/controller_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bridge/files/connection_file.h"
#include "bridge/hub/taskdb.h"
#include "bridge/memory.h"
#include "bridge/requests/dask.h"
#include "bridge/requests/requests.h"
#include "bridge/requests/spawn.h"
#include "bridge/requests/survey.h"
#include "bridge/schedulers/abort_memory.h"
#include "bridge/schedulers/balanced.h"
#include "bridge/spawner.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/signals.h"
#include "runtime/process/interpreter.h"
#include "runtime/process/link.h"

/* --prefetch: enough that a theft of half is worth it */
enum { PREFETCH = 16 };

/* --reuse: the key and the ports of the files that are there. */
static int reuse_files(struct ipmpi_controller *c, int ports[IPMPI_NDOORS])
{
    struct ipmpi_ports old;
    int err = ipmpi_connection_read(c->profile, &old, &c->key_text);

    if (err != 0)
        return err == IPMPI_ENOENT ? 0 : err;
    ports[IPMPI_DOOR_QUERY] = old.registration;
    ports[IPMPI_DOOR_CONTROL] = old.control;
    ports[IPMPI_DOOR_MUX] = old.mux;
    ports[IPMPI_DOOR_TASK] = old.task;
    ports[IPMPI_DOOR_BROADCAST] = old.broadcast;
    ports[IPMPI_DOOR_IOPUB] = old.iopub;
    ports[IPMPI_DOOR_NOTIFICATION] = old.notification;
    return 0;
}

/* --port is the registration's, --ports are those of the others in turn; what
 * is left of them may stand in for one that is taken. */
static void choose_ports(const struct ipmpi_options *options,
                         struct ipmpi_doors_config *config)
{
    int next = 0;

    if (options->port != 0)
        config->ports[IPMPI_DOOR_QUERY] = options->port;
    for (int door = 0; door < IPMPI_NDOORS && next < options->nports; door++) {
        if (config->ports[door] == 0)
            config->ports[door] = options->ports[next++];
    }
    config->spare_ports = options->ports + next;
    config->nspare = options->nports - next;
}

static int set_key(struct ipmpi_controller *c)
{
    int err = 0;

    if (c->options->curve && c->key_text == NULL) /* CURVE signs by itself */
        c->key_text = strdup("");
    else if (c->options->key != NULL && c->key_text == NULL)
        c->key_text = strdup(c->options->key);
    else if (c->key_text == NULL)
        err = ipmpi_connection_make_key(&c->key_text);
    if (err == 0 && c->key_text == NULL)
        err = IPMPI_ENOMEM;
    if (err != 0)
        return err;
    return ipmpi_key_create(c->key_text, strlen(c->key_text), &c->key);
}

static void say_bind_error(const struct ipmpi_options *options, int err,
                           int port)
{
    if (err == IPMPI_EBUSY)
        ipmpi_log_error("BRIDGE-PORT",
                        "port %d on %s is in use by another program; choose "
                        "others with --port and --ports, or leave them out",
                        port, options->ip);
    else
        ipmpi_log_error("BRIDGE-BIND",
                        "cannot listen on %s port %d: %s; check --ip",
                        options->ip, port, ipmpi_strerror(err));
}

/* Above this, of clients' work or of what they have not read, rank 0 takes no
 * more: a quarter of the machine. */
static size_t memory_limit(const struct ipmpi_options *options)
{
    if (options->memory_mb > 0)
        return (size_t)options->memory_mb << 20;
    return ipmpi_memory_total("/sys/fs/cgroup") / 4;
}

static int open_doors(struct ipmpi_controller *c)
{
    struct ipmpi_doors_config config = {
        .ip = c->options->ip,
        .curve = c->options->curve,
        .curve_secret = getenv("IPP_CURVE_SECRETKEY"),
        .outflow_limit = memory_limit(c->options),
    };
    int port = 0, err = 0;

    if (c->options->reuse)
        err = reuse_files(c, config.ports);
    if (err == 0)
        err = set_key(c);
    if (err != 0)
        return err;
    choose_ports(c->options, &config);
    err = ipmpi_doors_open(&config, &c->doors, &port);
    if (err != 0)
        say_bind_error(c->options, err, port);
    return err;
}

static int open_db(struct ipmpi_controller *c)
{
    const struct ipmpi_options *o = c->options;
    static const enum ipmpi_taskdb_kind kinds[] = {
        [IPMPI_DB_MEMORY] = IPMPI_TASKDB_MEMORY,
        [IPMPI_DB_SQLITE] = IPMPI_TASKDB_SQLITE,
        [IPMPI_DB_NONE] = IPMPI_TASKDB_NONE,
    };
    struct ipmpi_taskdb_options options = {.kind = kinds[o->db]};
    char *path;
    int err;

    if (asprintf(&path, "%s/%s",
                 o->db_location != NULL ? o->db_location
                                        : ipmpi_profile_dir(c->profile),
                 o->db_filename != NULL ? o->db_filename : "tasks.db") < 0)
        return IPMPI_ENOMEM;
    options.path = path;
    err = ipmpi_taskdb_open(&options, &c->db);
    free(path);
    return err;
}

/* Without a Python the dask scheduler fails when it is asked for: soon enough
 * to say so. */
static int open_dask(struct ipmpi_controller *c)
{
    char why[256];

    ipmpi_parts_find(&c->parts);
    if (ipmpi_interpreter_choose(c->options->python, c->python, why,
                                 sizeof(why)) != 0)
        snprintf(c->python, sizeof(c->python), "python3");
    return ipmpi_dask_create(c->python, c->parts.package, &c->hub.dask);
}

static int open_hub(struct ipmpi_controller *c)
{
    const struct ipmpi_options *o = c->options;
    const char *user = getenv("USER");
    char session[64];
    int err;

    snprintf(session, sizeof(session), "ipmpi-%d-%lx", (int)getpid(),
             (unsigned long)c->hub.out.now_us(NULL));
    err = ipmpi_composer_create(c->key, session, user != NULL ? user : "ipmpi",
                                &c->composer);
    if (err != 0)
        return err;
    c->hub.composer = c->composer;
    c->hub.key = c->key;
    c->hub.db = c->db;
    snprintf(c->hub.session, sizeof(c->hub.session), "%s", session);
    err = ipmpi_balanced_open(&c->hub, o->scheme,
                              o->hwm >= 0 ? (size_t)o->hwm : 1);
    c->hub.sharing.steal = o->steal;
    c->hub.sharing.prefetch = o->prefetch >= 0 ? (size_t)o->prefetch
                              : o->steal       ? PREFETCH
                                               : 0;
    if (err == 0)
        err = ipmpi_abort_memory_create(&c->hub.aborted);
    if (err == 0)
        err = open_dask(c);
    if (err == 0)
        err = ipmpi_spawn_create(ipmpi_spawner_start, c, &c->hub.spawn);
    if (err == 0)
        err = ipmpi_survey_create(ipmpi_status_reply, &c->hub.survey);
    if (err == 0)
        err = ipmpi_intake_open(&c->intake, c->doors, &c->hub, c->key);
    return err;
}

int ipmpi_controller_open(const struct ipmpi_options *options,
                          char *const *argv,
                          struct ipmpi_controller **controller_out)
{
    struct ipmpi_controller *c = calloc(1, sizeof(*c));
    int err = IPMPI_ENOMEM;

    if (c == NULL)
        return err;
    c->options = options;
    c->argv = argv;
    c->signal_fd = ipmpi_signals_open(false);
    c->link_fd = ipmpi_link_fd();
    ipmpi_controller_set_outlets(c);
    err = ipmpi_profile_open(options->profile_dir, options->cluster_id,
                             &c->profile);
    if (err == 0)
        err = open_doors(c);
    if (err == 0)
        err = open_db(c);
    if (err == 0)
        err = open_hub(c);
    if (err != 0) {
        ipmpi_controller_close(&c);
        return err;
    }
    c->intake.held_limit = memory_limit(options);
    *controller_out = c;
    return 0;
}

static void close_hub(struct ipmpi_controller *c)
{
    if (c->intake.replay != NULL)
        ipmpi_intake_close(&c->intake);
    if (c->hub.balanced != NULL)
        ipmpi_balanced_close(&c->hub);
    ipmpi_dask_destroy(&c->hub.dask);
    ipmpi_spawn_destroy(&c->hub.spawn);
    ipmpi_survey_destroy(&c->hub.survey);
    ipmpi_abort_memory_destroy(&c->hub.aborted);
    ipmpi_registry_clear(&c->hub.registry);
    ipmpi_composer_destroy(&c->composer);
}

void ipmpi_controller_close(struct ipmpi_controller **controller)
{
    struct ipmpi_controller *c = *controller;

    ipmpi_controller_withdraw(c);
    close_hub(c);
    ipmpi_controller_close_clients(c);
    ipmpi_key_destroy(&c->key);
    ipmpi_connection_destroy_key(&c->key_text);
    ipmpi_profile_close(&c->profile);
    close(c->signal_fd);
    free(c->lost);
    free(c);
    *controller = NULL;
}
