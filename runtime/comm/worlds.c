/* The communicators: the runtime's own, and the engines' for user code. */
#include "runtime/comm/internal.h"

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

/* Ranks 1 .. size - 1; collective over them alone, so rank 0 goes on. */
static int make_engines(struct ipmpi_comm *comm)
{
    const int controller = 0;
    MPI_Group all, engines;
    int code;

    code = MPI_Comm_group(comm->runtime, &all);
    if (code != MPI_SUCCESS)
        return code;
    code = MPI_Group_excl(all, 1, &controller, &engines);
    if (code == MPI_SUCCESS) {
        code = MPI_Comm_create_group(comm->runtime, engines, TAG_ENGINES,
                                     &comm->engines);
        MPI_Group_free(&engines);
    }
    MPI_Group_free(&all);
    if (code == MPI_SUCCESS) {
        MPI_Comm_set_errhandler(comm->engines, MPI_ERRORS_RETURN);
        MPI_Comm_set_name(comm->engines, "ipmpi engines");
    }
    return code;
}

int ipmpi_worlds_open(struct ipmpi_comm *comm)
{
    int code = MPI_Comm_dup(MPI_COMM_WORLD, &comm->runtime);

    if (code != MPI_SUCCESS)
        return fail("cannot make the runtime's communicator", code);
    MPI_Comm_set_errhandler(comm->runtime, MPI_ERRORS_RETURN);
    if (comm->rank == 0)
        return 0;
    code = make_engines(comm);
    return code == MPI_SUCCESS
               ? 0
               : fail("cannot make the engines' communicator", code);
}
