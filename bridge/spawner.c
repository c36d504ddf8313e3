/* The command line of added engines, and their arrival. They run the program
 * that mpirun has started, with the same options; env(1) before it hands them
 * what they alone shall find in their environment, in a way that every MPI
 * understands. */
#include "bridge/spawner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/engines.h"
#include "bridge/requests/spawn.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/process/place.h"

#define ENV_PROGRAM "/usr/bin/env"

/* Where an agent runs the job: its program, which as `PROGRAM rank --` gives
 * each rank a port that was declared. */
#define RANK_PROGRAM_ENV "IPMPI_RANK_PROGRAM"

/* IPMPI_SPAWNED=FIRST:BELL, see place.h. The caller frees it. */
static char *spawned_variable(const struct ipmpi_bell_address *address,
                              int first)
{
    const uint8_t *bytes = (const uint8_t *)address;
    char *text, *at;
    int len;

    text = malloc(64 + 2 * sizeof(*address));
    if (text == NULL)
        return NULL;
    len = sprintf(text, IPMPI_SPAWNED_ENV "=%d:", first);
    at = text + len;
    for (size_t i = 0; i < sizeof(*address); i++)
        at += sprintf(at, "%02x", bytes[i]);
    return text;
}

static size_t count_args(char *const *argv)
{
    size_t n = 0;

    while (argv[n] != NULL)
        n++;
    return n;
}

static void free_args(char **args)
{
    for (size_t i = 0; args != NULL && args[i] != NULL; i++)
        free(args[i]);
    free(args);
}

/* The arguments of env(1). */
static char **make_args(const struct ipmpi_controller *c, const char *self,
                        const json_t *environment, int first)
{
    const char *const words[] = {getenv(RANK_PROGRAM_ENV), "rank", "--"};
    const size_t n = count_args(c->argv) + json_object_size(environment) + 6;
    char **args = calloc(n, sizeof(*args));
    const char *name;
    json_t *value;
    size_t at = 0;

    if (args == NULL)
        return NULL;
    args[at] = spawned_variable(ipmpi_comm_address(c->comm, 0), first);
    if (args[at++] == NULL)
        goto free_args;
    json_object_foreach((json_t *)environment, name,
                        value) if (asprintf(&args[at++], "%s=%s", name,
                                            json_string_value(value)) <
                                   0) goto forget_last;
    for (size_t i = 0; words[0] != NULL && i < 3; i++) {
        args[at] = strdup(words[i]);
        if (args[at++] == NULL)
            goto free_args;
    }
    args[at] = strdup(self);
    if (args[at++] == NULL)
        goto free_args;
    for (size_t i = 1; c->argv[i] != NULL; i++) {
        args[at] = strdup(c->argv[i]);
        if (args[at++] == NULL)
            goto free_args;
    }
    return args;

forget_last:
    args[at - 1] = NULL;
free_args:
    free_args(args);
    return NULL;
}

int ipmpi_spawner_start(void *controller, int n, const json_t *environment,
                        const char *host, int *first_out)
{
    struct ipmpi_controller *c = controller;
    const int first = ipmpi_comm_size(c->comm);
    const char *self = getenv(IPMPI_SELF_ENV);
    char **args;
    int err;

    if (self == NULL)
        return IPMPI_ENOENT;
    if (!ipmpi_place_can_grow())
        return IPMPI_ESTATE;
    args = make_args(c, self, environment, first);
    if (args == NULL)
        return IPMPI_ENOMEM;
    err = ipmpi_comm_spawn(c->comm, ENV_PROGRAM, args, n, host);
    free_args(args);
    if (err != 0)
        return err;
    c->size = ipmpi_comm_size(c->comm);
    *first_out = first;
    return 0;
}

static void welcome(struct ipmpi_controller *c,
                    const struct ipmpi_spawned *spawned)
{
    for (int i = 0; i < spawned->n; i++) {
        const int rank = spawned->first + i;

        if (ipmpi_comm_is_dead(c->comm, rank))
            continue;
        if (ipmpi_controller_welcome(c, rank, -1) != 0)
            ipmpi_log_error("BRIDGE-SPAWN", "out of memory; rank %d is lost",
                            rank);
    }
}

void ipmpi_spawner_turn(struct ipmpi_controller *c)
{
    struct ipmpi_spawned spawned;
    int missing;

    while (ipmpi_comm_spawned(c->comm, &spawned) == 0) {
        if (spawned.err == 0)
            welcome(c, &spawned);
        ipmpi_spawn_started(&c->hub, spawned.first,
                            spawned.err != 0 ? spawned.why : NULL);
    }
    missing = ipmpi_respawn_take(&c->respawn, c->hub.out.now_us(NULL));
    if (missing > 0 && ipmpi_spawn_order(&c->hub, missing) != 0)
        ipmpi_log_error("BRIDGE-RESPAWN",
                        "out of memory; %d engines are not "
                        "replaced",
                        missing);
    ipmpi_spawn_turn(&c->hub);
}

int64_t ipmpi_spawner_deadline_us(const struct ipmpi_controller *c)
{
    const int64_t a = ipmpi_spawn_deadline_us(c->hub.spawn);
    const int64_t b = ipmpi_respawn_deadline_us(&c->respawn);

    return a < b ? a : b;
}

void ipmpi_spawner_lost(struct ipmpi_controller *c, int rank, const char *why)
{
    ipmpi_spawn_lost(&c->hub, rank, why);
    if (c->options->respawn)
        ipmpi_respawn_lost(&c->respawn);
}
