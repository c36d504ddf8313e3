/* Starting more engines through MPI, for the orders of requests/spawn.h and in
 * the place of dead ones. Threads: rank 0's loop only; nothing blocks. */
#ifndef IPMPI_BRIDGE_SPAWNER_H
#define IPMPI_BRIDGE_SPAWNER_H

#include "bridge/controller_state.h"
#include "bridge/requests/spawn.h"

/* ipmpi_spawn_start_fn; ctx is the controller. */
int ipmpi_spawner_start(void *controller, const struct ipmpi_spawn_plan *plan,
                        int *first_out);

/* Registers and welcomes what has come, and starts what is due. */
void ipmpi_spawner_turn(struct ipmpi_controller *controller);

int64_t ipmpi_spawner_deadline_us(const struct ipmpi_controller *controller);

/* The engine of a rank died: it is replaced if that is asked for. */
void ipmpi_spawner_lost(struct ipmpi_controller *controller, int rank,
                        const char *why);

#endif
