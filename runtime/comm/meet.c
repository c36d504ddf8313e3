/* Decree and cards. */
#include "runtime/comm/meet.h"

#include <string.h>
#include <sys/random.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

#define TRANSPORT_VERSION 1

_Static_assert(sizeof(((union ipmpi_card *)0)->is) <= 512, "a card fits");

static int compare(const struct ipmpi_decree *decree, uint32_t protocol,
                   int rank)
{
    static const char build[sizeof(decree->build)] = IPMPI_VERSION;

    if (decree->transport == TRANSPORT_VERSION &&
        decree->protocol == protocol &&
        memcmp(decree->build, build, sizeof(build)) == 0)
        return 0;
    ipmpi_log_error("COMM-VERSION",
                    "rank %d runs ipmpi %s (protocol %u.%u), rank 0 "
                    "runs %.31s (protocol %u.%u): install one version on "
                    "all hosts",
                    rank, IPMPI_VERSION, TRANSPORT_VERSION, protocol,
                    decree->build, decree->transport, decree->protocol);
    return IPMPI_EVERSION;
}

int ipmpi_meet_decree(MPI_Comm all, uint32_t protocol, int first,
                      struct ipmpi_decree *decree_out)
{
    struct ipmpi_decree decree = {
        TRANSPORT_VERSION, protocol, IPMPI_VERSION, {0}, first};
    int rank = 0, err = 0;

    MPI_Comm_rank(all, &rank);
    if (rank == 0 && getrandom(decree.token, sizeof(decree.token), 0) !=
                         sizeof(decree.token))
        err = IPMPI_ESYS;
    if (MPI_Bcast(&decree, sizeof(decree), MPI_BYTE, 0, all) != MPI_SUCCESS)
        return IPMPI_EMPI;
    *decree_out = decree;
    return err != 0 ? err : compare(&decree, protocol, rank);
}

int ipmpi_meet_cards(MPI_Comm all, int err,
                     const struct ipmpi_bell_address *address,
                     struct ipmpi_comm_spot spot, union ipmpi_card *cards_out)
{
    union ipmpi_card mine = {.bytes = {0}};
    int size = 0;

    mine.is.err = err;
    mine.is.spot = spot;
    if (address != NULL)
        mine.is.address = *address;
    if (MPI_Allgather(&mine, sizeof(mine), MPI_BYTE, cards_out, sizeof(mine),
                      MPI_BYTE, all) != MPI_SUCCESS)
        return IPMPI_EMPI;
    MPI_Comm_size(all, &size);
    for (int i = 0; i < size && err == 0; i++)
        err = cards_out[i].is.err;
    return err;
}
