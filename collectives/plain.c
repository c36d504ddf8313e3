/* MPI's own non-blocking collectives, when all ranks of the world take part.
 * One that fails leaves its communicator in disorder: afterwards nobody uses
 * them any more (ipmpi_agree). Their counts are ints: more goes in parts.
 *
 * Cost: the library's choice. */
#include "collectives/internal.h"

#include "runtime/base/error.h"

#define PART ((size_t)1 << 30)

static int finish(struct ipmpi_group *group, int code)
{
    if (code != MPI_SUCCESS)
        return ipmpi_group_plain_failed(group);
    return ipmpi_group_plain_wait(group);
}

/* The next part of `count` numbers, 0 at the end; moves both on. */
static int next_part(uint8_t **at, size_t *count, size_t size, int last)
{
    const size_t part = *count < PART ? *count : PART;

    *at += (size_t)last * size;
    *count -= part;
    return (int)part;
}

int ipmpi_plain_barrier(struct ipmpi_group *group)
{
    MPI_Request *request = ipmpi_group_plain_request(group);

    return request == NULL ? IPMPI_ENOMEM
                           : finish(group, MPI_Ibarrier(group->comm, request));
}

int ipmpi_plain_bcast(struct ipmpi_group *group, void *data, size_t len,
                      int root)
{
    uint8_t *at = data;
    int part = 0, err = 0;

    while (err == 0 && (part = next_part(&at, &len, 1, part)) > 0) {
        MPI_Request *request = ipmpi_group_plain_request(group);

        err = request == NULL
                  ? IPMPI_ENOMEM
                  : finish(group, MPI_Ibcast(at, part, MPI_BYTE, root,
                                             group->comm, request));
    }
    return err;
}

typedef int start_fn(const void *, void *, int, MPI_Datatype, MPI_Op, MPI_Comm,
                     MPI_Request *);

/* From `mine` (NULL: in place) to data. */
static int all_parts(struct ipmpi_group *group, const uint8_t *mine, void *data,
                     const struct ipmpi_numbers *numbers, start_fn *start)
{
    const size_t size = ipmpi_number_size(numbers->number);
    const MPI_Datatype type = ipmpi_mpi_type(numbers->number);
    const MPI_Op op = ipmpi_mpi_op(numbers->operation);
    size_t count = numbers->count;
    uint8_t *at = data;
    int part = 0, err = 0;

    while (err == 0 && (part = next_part(&at, &count, size, part)) > 0) {
        const size_t done = (size_t)(at - (uint8_t *)data);
        MPI_Request *request = ipmpi_group_plain_request(group);

        err = request == NULL
                  ? IPMPI_ENOMEM
                  : finish(group,
                           start(mine != NULL ? mine + done : MPI_IN_PLACE, at,
                                 part, type, op, group->comm, request));
    }
    return err;
}

int ipmpi_plain_allreduce(struct ipmpi_group *group, const void *mine,
                          void *data, const struct ipmpi_numbers *numbers)
{
    return all_parts(group, mine, data, numbers, MPI_Iallreduce);
}

int ipmpi_plain_scan(struct ipmpi_group *group, void *data,
                     const struct ipmpi_numbers *numbers)
{
    return all_parts(group, NULL, data, numbers, MPI_Iscan);
}
