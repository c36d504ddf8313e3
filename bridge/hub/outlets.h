/* What the controller's state machines need from the world outside, so that
 * they know neither ZMQ nor MPI and can be tested alone.
 *
 * Threads: rank 0's loop only. Nothing here blocks. */
#ifndef IPMPI_HUB_OUTLETS_H
#define IPMPI_HUB_OUTLETS_H

#include <stdint.h>

#include "runtime/base/frames.h"

/* One for each socket that a client connects to. */
enum ipmpi_door {
    IPMPI_DOOR_QUERY,
    IPMPI_DOOR_CONTROL,
    IPMPI_DOOR_MUX,
    IPMPI_DOOR_TASK,
    IPMPI_DOOR_BROADCAST,
    IPMPI_DOOR_IOPUB,
    IPMPI_DOOR_NOTIFICATION,
    IPMPI_NDOORS
};

struct ipmpi_outlets {
    void *ctx;
    /* Sends a whole message (routing frame first where the door has one).
     * `frames` is given. A client that is gone is no error. */
    void (*to_client)(void *ctx, enum ipmpi_door door,
                      struct ipmpi_frames *frames);
    /* Sends to a rank. `frames` is given. A dead rank is no error. */
    void (*to_rank)(void *ctx, int rank, struct ipmpi_frames *frames);
    /* The world of a rank, and the number by which the ranks of that world know
     * it. -1: it has none. NULL: nobody may be asked to pass anything on. */
    int (*place)(void *ctx, int rank, int *rank_out);
    int64_t (*now_us)(void *ctx);  /* monotonic: timers */
    int64_t (*wall_us)(void *ctx); /* dates */
};

#endif
