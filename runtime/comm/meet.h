/* What the ranks of a new world tell each other: the versions they run, what
 * rank 0 chose for them, and where their bells hang. Used on both sides of a
 * spawn and at the job's start.
 *
 * Opening costs few collectives, since each is slow when many ranks share few
 * cores: a broadcast of the decree, and an exchange of cards, which also
 * carries anybody's failure.
 *
 * Threads: any that may call MPI; one at a time for a communicator. */
#ifndef IPMPI_COMM_MEET_H
#define IPMPI_COMM_MEET_H

#include <mpi.h>
#include <stdint.h>

#include "runtime/bell/bell.h"
#include "runtime/comm/comm.h"

/* What rank 0 chose for all. The same in every version. */
struct ipmpi_decree {
    uint32_t transport, protocol;
    char build[32];
    uint8_t token[IPMPI_TOKEN_LEN]; /* of this world */
    int32_t first; /* number of the world's rank 1, see internal.h */
};

/* What each rank tells all. The same size in every version. */
union ipmpi_card {
    struct {
        int32_t err;
        struct ipmpi_bell_address address;
        struct ipmpi_comm_spot spot;
    } is;
    uint8_t bytes[512];
};

/* Rank 0 decides, all compare; collective over `all`. IPMPI_EVERSION on
 * whoever differs, IPMPI_EMPI, IPMPI_ESYS. Whatever it returns (but
 * IPMPI_EMPI), the exchange of cards must follow. */
int ipmpi_meet_decree(MPI_Comm all, uint32_t protocol, int first,
                      struct ipmpi_decree *decree_out);

/* Exchanges cards, collective over `all`: `cards_out` has one for each rank.
 * The error, if any rank has failed so far; IPMPI_EMPI. */
int ipmpi_meet_cards(MPI_Comm all, int err,
                     const struct ipmpi_bell_address *address,
                     struct ipmpi_comm_spot spot, union ipmpi_card *cards_out);

#endif
