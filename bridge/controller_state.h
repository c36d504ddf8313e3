/* Private to the controller: its parts, shared by the file that sets them up
 * (controller.c) and the one that runs them (loop.c). */
#ifndef IPMPI_BRIDGE_CONTROLLER_STATE_H
#define IPMPI_BRIDGE_CONTROLLER_STATE_H

#include "bridge/controller.h"
#include "bridge/doors.h"
#include "bridge/files/profile.h"
#include "bridge/hub/hub.h"
#include "bridge/intake.h"
#include "bridge/respawn.h"
#include "runtime/comm/comm.h"
#include "runtime/process/parts.h"

/* An engine's end, heard of and not yet acted upon. */
struct ipmpi_loss {
    int64_t due_us;
    struct ipmpi_exit_notice notice;
    struct ipmpi_loss *next;
};

struct ipmpi_controller {
    const struct ipmpi_options *options; /* lent */
    char *const *argv;                   /* lent; ends with NULL */
    struct ipmpi_profile *profile;
    char *key_text;
    struct ipmpi_key *key;
    struct ipmpi_composer *composer;
    struct ipmpi_doors *doors;
    struct ipmpi_taskdb *db;
    struct ipmpi_comm *comm;
    struct ipmpi_hub hub;
    struct ipmpi_intake intake;
    struct ipmpi_parts parts;
    char python[PATH_MAX]; /* for a dask scheduler */
    int signal_fd, link_fd;
    struct ipmpi_loss *losses; /* oldest first */
    bool *lost;                /* by rank: its end was heard of */
    int nlost;                 /* ranks in it */
    struct ipmpi_respawn respawn;
    int size;       /* ranks */
    bool published; /* the connection files are there */
    bool stopping;
    bool failed; /* that is why */
    unsigned busy_turns;
    int64_t complain_us; /* when to name the engines that are late */
};

/* --- outlets.c -------------------------------------------------------- */

/* Connects the hub to doors and transport. */
void ipmpi_controller_set_outlets(struct ipmpi_controller *controller);

/* Registers and welcomes the engine of a rank; as ipmpi_engines_welcome. */
int ipmpi_controller_welcome(struct ipmpi_controller *controller, int rank,
                             int id);

/* --- publish.c -------------------------------------------------------- */

/* Writes the connection files and the ready line. What is wrong has been
 * logged: IPMPI_E*. */
int ipmpi_controller_publish(struct ipmpi_controller *controller);

/* Removes the connection files, unless they are to be kept or there are
 * none. */
void ipmpi_controller_withdraw(struct ipmpi_controller *controller);

/* Writes the database and lets the last replies leave; blocks for at most the
 * 4 s of ipmpi_taskdb_destroy and 0.5 s. */
void ipmpi_controller_close_clients(struct ipmpi_controller *controller);

#endif
