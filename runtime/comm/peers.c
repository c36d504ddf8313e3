/* The table of peers. It only grows; a peer stays where it is, since its
 * queues point into it. */
#include "runtime/comm/internal.h"

#include <stdlib.h>

#include "runtime/base/error.h"

static int grow_list(struct peer_list *list, int cap)
{
    int *more = reallocarray(list->at, (size_t)cap, sizeof(*more));

    if (more == NULL)
        return IPMPI_ENOMEM;
    list->at = more;
    return 0;
}

static struct peer *new_peer(int number)
{
    struct peer *peer = calloc(1, sizeof(*peer));

    if (peer == NULL)
        return NULL;
    peer->number = number;
    peer->world = MPI_COMM_NULL;
    peer->queue_end = &peer->queue_first;
    peer->stream_end = &peer->stream_first;
    peer->end = &peer->first;
    return peer;
}

int ipmpi_peers_grow(struct ipmpi_comm *comm, int n)
{
    const int size = comm->size + n;
    struct peer **more =
        reallocarray(comm->peers, (size_t)size, sizeof(struct peer *));

    if (more == NULL)
        return IPMPI_ENOMEM;
    comm->peers = more;
    if (grow_list(&comm->watched, size) != 0 ||
        grow_list(&comm->owed, size) != 0 ||
        grow_list(&comm->acks, size) != 0 || grow_list(&comm->held, size) != 0)
        return IPMPI_ENOMEM;
    for (int i = comm->size; i < size; i++) {
        more[i] = new_peer(i);
        if (more[i] == NULL) {
            while (i-- > comm->size)
                free(more[i]);
            return IPMPI_ENOMEM;
        }
    }
    comm->size = size;
    return 0;
}

void ipmpi_peers_free(struct ipmpi_comm *comm)
{
    for (int i = 0; i < comm->size; i++)
        free(comm->peers[i]);
    free(comm->peers);
    free(comm->watched.at);
    free(comm->owed.at);
    free(comm->acks.at);
    free(comm->held.at);
}
