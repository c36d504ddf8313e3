/* The communicators: the runtime's own of each world, and the engines': one
 * for user code, one for collectives/.
 *
 * Note [worlds]. The ranks that one mpirun, or one MPI_Comm_spawn, has started
 * are a world: its engines share a communicator with each other and with the
 * job's rank 0, where rank 0 is 0. Engines know one world; rank 0 is in all of
 * them, and counts their engines through as peers. Worlds are freed before MPI
 * is finalised: to disconnect or finalise connected ones Open MPI waits for
 * every process of them, also for those that died. */
#include "runtime/comm/internal.h"

#include <stdlib.h>

#include "runtime/base/error.h"

#define TAG_ENGINES 71

const char *ipmpi_mpi_text(int code, char text[MPI_MAX_ERROR_STRING])
{
    int len = 0;

    if (MPI_Error_string(code, text, &len) != MPI_SUCCESS)
        snprintf(text, MPI_MAX_ERROR_STRING, "MPI error %d", code);
    return text;
}

static int fail(const char *what, int code)
{
    char text[MPI_MAX_ERROR_STRING];

    ipmpi_log_error("COMM-WORLD", "%s: %s", what, ipmpi_mpi_text(code, text));
    return IPMPI_EMPI;
}

int ipmpi_worlds_meet(MPI_Comm *all_out, bool *spawned_out)
{
    MPI_Comm parent = MPI_COMM_NULL;
    int code = MPI_Comm_get_parent(&parent);

    *all_out = MPI_COMM_WORLD;
    *spawned_out = code == MPI_SUCCESS && parent != MPI_COMM_NULL;
    if (!*spawned_out)
        return 0;
    MPI_Comm_set_errhandler(parent, MPI_ERRORS_RETURN);
    code = MPI_Intercomm_merge(parent, 1, all_out); /* after rank 0 */
    if (code != MPI_SUCCESS)
        return fail("cannot join the job", code);
    MPI_Comm_set_errhandler(*all_out, MPI_ERRORS_RETURN);
    MPI_Comm_free(&parent);
    return 0;
}

/* Ranks 1 .. size - 1; collective over them alone, so rank 0 goes on. */
static int make_engines(struct ipmpi_comm *comm, MPI_Comm world)
{
    const int controller = 0;
    MPI_Group all, engines;
    int code;

    code = MPI_Comm_group(world, &all);
    if (code != MPI_SUCCESS)
        return code;
    code = MPI_Group_excl(all, 1, &controller, &engines);
    if (code == MPI_SUCCESS) {
        code =
            MPI_Comm_create_group(world, engines, TAG_ENGINES, &comm->engines);
        MPI_Group_free(&engines);
    }
    MPI_Group_free(&all);
    if (code == MPI_SUCCESS)
        code = MPI_Comm_dup(comm->engines, &comm->collectives);
    if (code == MPI_SUCCESS) {
        MPI_Comm_set_errhandler(comm->engines, MPI_ERRORS_RETURN);
        MPI_Comm_set_name(comm->engines, "ipmpi engines");
        MPI_Comm_set_errhandler(comm->collectives, MPI_ERRORS_RETURN);
    }
    return code;
}

int ipmpi_worlds_add(struct ipmpi_comm *comm, MPI_Comm all, int first)
{
    struct world *more =
        reallocarray(comm->worlds, (size_t)comm->n_worlds + 1, sizeof(*more));

    if (more == NULL)
        return IPMPI_ENOMEM;
    comm->worlds = more;
    more[comm->n_worlds++] = (struct world){all, first, false};
    return 0;
}

int ipmpi_worlds_open(struct ipmpi_comm *comm, MPI_Comm all)
{
    MPI_Comm mine = all; /* a spawned world's is nobody else's */
    int code = MPI_SUCCESS;

    if (all == MPI_COMM_WORLD)
        code = MPI_Comm_dup(all, &mine);
    if (code != MPI_SUCCESS)
        return fail("cannot make the runtime's communicator", code);
    MPI_Comm_set_errhandler(mine, MPI_ERRORS_RETURN);
    if (ipmpi_worlds_add(comm, mine, 1) != 0)
        return fail("no memory for the communicators", MPI_ERR_OTHER);
    comm->worlds[0].announces = true;
    for (int i = 0; i < comm->size; i++) {
        comm->peers[i]->world = mine;
        comm->peers[i]->rank = i;
        comm->worlds[0].announces &= comm->peers[i]->shared;
    }
    if (comm->rank == 0)
        return 0;
    code = make_engines(comm, mine);
    return code == MPI_SUCCESS
               ? 0
               : fail("cannot make the engines' communicator", code);
}

void ipmpi_worlds_free(struct ipmpi_comm *comm)
{
    for (int i = 0; i < comm->n_worlds; i++)
        if (comm->spawned || i > 0)
            MPI_Comm_free(&comm->worlds[i].comm);
    free(comm->worlds);
    comm->worlds = NULL;
    comm->n_worlds = 0;
}
