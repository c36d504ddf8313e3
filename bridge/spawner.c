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

static void free_args(char **args)
{
    for (size_t i = 0; args != NULL && args[i] != NULL; i++)
        free(args[i]);
    free(args);
}

/* A list of strings that grows; once there was no memory it stays failed. */
struct words {
    char **at;
    size_t n;
    bool failed;
};

/* Takes the word over. */
static void give(struct words *words, char *word)
{
    char **grown =
        word ? realloc(words->at, (words->n + 2) * sizeof(*grown)) : NULL;

    if (grown == NULL) {
        free(word);
        words->failed = true;
        return;
    }
    words->at = grown;
    words->at[words->n++] = word;
    words->at[words->n] = NULL;
}

static void give_pair(struct words *words, const char *name, const char *value)
{
    char *word;

    give(words, asprintf(&word, "%s=%s", name, value) < 0 ? NULL : word);
}

/* The arguments of env(1). NULL: no memory. */
static char **make_args(const struct ipmpi_controller *c, const char *self,
                        const struct ipmpi_spawn_plan *plan, int first)
{
    const char *const rank[] = {getenv(RANK_PROGRAM_ENV), "rank", "--"};
    struct words words = {0};
    const char *name;
    json_t *value;
    size_t i;

    give(&words, spawned_variable(ipmpi_comm_address(c->comm, 0), first));
    json_object_foreach((json_t *)plan->environment, name, value)
        give_pair(&words, name, json_string_value(value));
    for (i = 0; rank[0] != NULL && i < 3; i++)
        give(&words, strdup(rank[i]));
    give(&words, strdup(self));
    for (i = 1; c->argv[i] != NULL; i++)
        give(&words, strdup(c->argv[i]));
    json_array_foreach(plan->args, i, value)
        give(&words, strdup(json_string_value(value)));
    if (words.failed) {
        free_args(words.at);
        return NULL;
    }
    return words.at;
}

int ipmpi_spawner_start(void *controller, const struct ipmpi_spawn_plan *plan,
                        int *first_out)
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
    args = make_args(c, self, plan, first);
    if (args == NULL)
        return IPMPI_ENOMEM;
    err = ipmpi_comm_spawn(c->comm, ENV_PROGRAM, args, plan->n, plan->host);
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
