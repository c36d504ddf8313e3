/* The set of MPI requests in flight, with what each belongs to.
 *
 * Invariant: at[i] and ops[i] belong together for i < n; no entry is
 * MPI_REQUEST_NULL between calls. */
#include "runtime/comm/internal.h"

#include <stdlib.h>

#include "runtime/base/error.h"

static int grow(void *array_at, size_t n, size_t size)
{
    void **array = array_at;
    void *more = reallocarray(*array, n, size);

    if (more == NULL)
        return IPMPI_ENOMEM;
    *array = more;
    return 0;
}

int ipmpi_requests_reserve(struct requests *requests)
{
    struct requests *r = requests;
    const size_t cap = r->cap > 0 ? 2 * (size_t)r->cap : 64;

    if (r->n < r->cap)
        return 0;
    if (grow(&r->at, cap, sizeof(*r->at)) != 0 ||
        grow(&r->ops, cap, sizeof(*r->ops)) != 0 ||
        grow(&r->index, cap, sizeof(*r->index)) != 0 ||
        grow(&r->status, cap, sizeof(*r->status)) != 0 ||
        grow(&r->done, cap, sizeof(*r->done)) != 0)
        return IPMPI_ENOMEM;
    r->cap = (int)cap;
    return 0;
}

void ipmpi_requests_add(struct requests *requests, MPI_Request request,
                        struct op op)
{
    IPMPI_ASSERT(requests->n < requests->cap);
    requests->at[requests->n] = request;
    requests->ops[requests->n] = op;
    requests->n++;
}

static bool sends(const struct op *op)
{
    return op->kind == OP_SEND_PACKET || op->kind == OP_SEND_PIECE;
}

void ipmpi_requests_abandon(struct ipmpi_comm *comm, int peer)
{
    struct requests *r = &comm->requests;
    int kept = 0;

    for (int i = 0; i < r->n; i++) {
        const struct op op = r->ops[i];

        if (op.peer != peer) {
            r->at[kept] = r->at[i];
            r->ops[kept++] = op;
        } else if (sends(&op)) {
            ipmpi_send_abandon_op(comm, &op);
        } else {
            ipmpi_receive_abandon_op(comm, &op);
        }
    }
    r->n = kept;
}

/* Moves the `n` completed entries to done[], and closes the gaps. */
static void collect(struct requests *r, int n)
{
    int kept = 0;

    for (int i = 0; i < n; i++)
        r->done[i] = r->ops[r->index[i]];
    for (int i = 0; i < r->n; i++)
        if (r->at[i] != MPI_REQUEST_NULL) {
            r->at[kept] = r->at[i];
            r->ops[kept++] = r->ops[i];
        }
    r->n = kept;
}

/* One completed request. What a peer's death has made void is skipped: its
 * flight or arrival lies in the graveyard. */
static void dispatch(struct ipmpi_comm *comm, const struct op *op,
                     const MPI_Status *status, bool with_errors)
{
    const int code = with_errors ? status->MPI_ERROR : MPI_SUCCESS;
    char text[MPI_MAX_ERROR_STRING];

    if (code != MPI_SUCCESS && !comm->peers[op->peer]->dead) {
        ipmpi_log_error("COMM-REQUEST", "rank %d: %s; given up", op->peer,
                        ipmpi_mpi_text(code, text));
        ipmpi_comm_mark_dead(comm, op->peer);
    }
    if (code != MPI_SUCCESS)
        return;
    if (sends(op))
        ipmpi_send_done(comm, op);
    else
        ipmpi_receive_done(comm, op, status);
}

unsigned ipmpi_requests_progress(struct ipmpi_comm *comm)
{
    struct requests *r = &comm->requests;
    int n = 0, code;

    if (r->n == 0)
        return 0;
    code = MPI_Testsome(r->n, r->at, &n, r->index, r->status);
    if (n == MPI_UNDEFINED || n <= 0)
        return 0;
    collect(r, n);
    for (int i = 0; i < n; i++) {
        /* Copies: dispatching may add requests, and so move the arrays. */
        const struct op op = r->done[i];
        const MPI_Status status = r->status[i];

        dispatch(comm, &op, &status, code == MPI_ERR_IN_STATUS);
    }
    return (unsigned)n;
}

void ipmpi_requests_free(struct requests *requests)
{
    free(requests->at);
    free(requests->ops);
    free(requests->index);
    free(requests->status);
    free(requests->done);
    *requests = (struct requests){0};
}
