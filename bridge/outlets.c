/* How the hub speaks to clients and ranks, and what it first says to an
 * engine.
 *
 * Threads: rank 0's loop. */
#include <stdlib.h>

#include "bridge/controller_state.h"
#include "bridge/engines.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/engine/protocol.h"

static void to_client(void *ctx, enum ipmpi_door door,
                      struct ipmpi_frames *frames)
{
    struct ipmpi_controller *c = ctx;

    ipmpi_doors_send(c->doors, door, frames);
}

static void to_rank(void *ctx, int rank, struct ipmpi_frames *frames)
{
    struct ipmpi_controller *c = ctx;
    int err = ipmpi_comm_send(c->comm, rank, frames);

    if (err != 0 && err != IPMPI_EDEAD)
        ipmpi_log_error("BRIDGE-SEND", "message to rank %d: %s", rank,
                        ipmpi_strerror(err));
}

static int place(void *ctx, int rank, int *rank_out)
{
    const struct ipmpi_controller *c = ctx;

    return ipmpi_comm_place(c->comm, rank, rank_out);
}

static int64_t now_us(void *ctx)
{
    (void)ctx;
    return ipmpi_clock_now_us();
}

static int64_t wall_us(void *ctx)
{
    (void)ctx;
    return ipmpi_clock_wall_us();
}

void ipmpi_controller_set_outlets(struct ipmpi_controller *c)
{
    c->hub.out =
        (struct ipmpi_outlets){c, to_client, to_rank, place, now_us, wall_us};
}

int ipmpi_controller_welcome(struct ipmpi_controller *c, int rank, int id)
{
    const char *user = getenv("USER");
    const bool has_file =
        getenv(IPMPI_KEY_FILE_ENV) != NULL && c->key_text[0] != '\0';
    const struct ipmpi_welcome welcome = {has_file ? IPMPI_KEY_IN_FILE
                                                   : c->key_text,
                                          user != NULL ? user : "ipmpi"};

    return ipmpi_engines_welcome(&c->hub, &welcome, rank, id);
}
