/* The group of a collective: opening, agreeing, closing, and why it fails.
 *
 * Invariant: memory lent to MPI by a call that failed stays lent until close,
 *            and for good if MPI may still use it then. */
#include "collectives/python/collective.h"

#include <stdlib.h>
#include <time.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum {
    SIGNALS_EVERY = 4,   /* polls: takes the GIL */
    NOTICE_US = 1000000, /* MPI may see a death before rank 0 tells of it */
};

struct ipmpi_collective ipmpi_collective;

/* An ipmpi_group_poll_fn; without the GIL. EDEAD: rank 0 said why; EBUSY: a
 * signal handler has raised. */
static int ask(void *ctx)
{
    int raised;

    (void)ctx;
    if (ipmpi_engine_is_cancelled(ipmpi_collective.engine, ipmpi_collective.why,
                                  sizeof(ipmpi_collective.why)))
        return IPMPI_EDEAD;
    if (ipmpi_engine_stop_requested(ipmpi_collective.engine) != IPMPI_STOP_NOT)
        return IPMPI_ESTATE;
    if (++ipmpi_collective.polls % SIGNALS_EVERY != 0)
        return 0;
    PyEval_RestoreThread(ipmpi_collective.thread);
    raised = PyErr_CheckSignals();
    ipmpi_collective.thread = PyEval_SaveThread();
    return raised < 0 ? IPMPI_EBUSY : 0;
}

/* Whether rank 0 tells, in time, why MPI failed. Without the GIL. */
static bool await_notice(void)
{
    const int64_t until = ipmpi_clock_now_us() + NOTICE_US;
    const struct timespec nap = {.tv_nsec = 1000 * 1000};
    bool told = false;

    while (!told && ipmpi_clock_now_us() < until) {
        told = ipmpi_engine_is_cancelled(ipmpi_collective.engine,
                                         ipmpi_collective.why,
                                         sizeof(ipmpi_collective.why));
        if (!told)
            nanosleep(&nap, NULL);
    }
    return told;
}

PyObject *ipmpi_collective_raise(int err)
{
    if (err == IPMPI_EMPI) {
        bool told;

        Py_BEGIN_ALLOW_THREADS told = await_notice();
        Py_END_ALLOW_THREADS if (told) err = IPMPI_EDEAD;
    }
    if (err == IPMPI_EDEAD)
        PyErr_SetString(PyExc_ConnectionAbortedError, ipmpi_collective.why);
    else if (err != IPMPI_EBUSY)
        ipmpi_python_raise(err, "collective");
    return NULL;
}

int ipmpi_collective_check(void)
{
    if (ipmpi_collective.group != NULL)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "no collective is open");
    return -1;
}

/* ---- open, close, agree --------------------------------------------- */

size_t *ipmpi_collective_sizes(PyObject *sequence, Py_ssize_t want)
{
    Py_ssize_t n = PySequence_Size(sequence);
    size_t *sizes;

    if (n < 0)
        return NULL;
    if (want >= 0 && n != want) {
        PyErr_SetString(PyExc_ValueError, "one size for each member, please");
        return NULL;
    }
    sizes = malloc(((size_t)n + 1) * sizeof(*sizes));
    if (sizes == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *item = PySequence_GetItem(sequence, i);

        sizes[i] = item == NULL ? 0 : PyLong_AsSize_t(item);
        Py_XDECREF(item);
        if (PyErr_Occurred()) {
            free(sizes);
            return NULL;
        }
    }
    return sizes;
}

PyDoc_STRVAR(close_doc, "collective_close()\n--\n\n"
                        "Ends the group; idempotent.");

static void close_group(void)
{
    if (ipmpi_collective.group != NULL &&
        ipmpi_group_close(&ipmpi_collective.group)) {
        for (int i = 0; i < ipmpi_collective.n_kept; i++)
            PyBuffer_Release(&ipmpi_collective.kept[i]);
    }
    ipmpi_collective.n_kept = 0;
}

static PyObject *collective_close(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    close_group();
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    open_doc,
    "collective_open(engines, id)\n--\n\n"
    "Makes a group of the engines with these ids (distinct, ours among\n"
    "them, all started at the same time as ours). `id` (int below 2^64) is the "
    "same on all members\n"
    "and another for each group. Close it whatever happens; one that an\n"
    "interrupt left open is closed by the next.\n\n"
    "Raises ValueError (not such engines), RuntimeError.");

static PyObject *collective_open(PyObject *self, PyObject *args)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    const struct ipmpi_engine_identity *self_id;
    PyObject *sequence;
    unsigned long long id;
    Py_ssize_t n;
    size_t *sizes;
    int *ranks, err;

    (void)self;
    if (engine == NULL || !PyArg_ParseTuple(args, "OK", &sequence, &id))
        return NULL;
    close_group(); /* an interrupt may have come before the last close */
    n = PySequence_Size(sequence);
    sizes = ipmpi_collective_sizes(sequence, -1);
    if (sizes == NULL)
        return NULL;
    self_id = ipmpi_engine_identity(engine);
    ranks = (int *)sizes; /* each is read before it is overwritten */
    for (Py_ssize_t i = 0; i < n; i++) {
        const int id_there = sizes[i] < 1 << 24 ? (int)sizes[i] : -1;

        /* A world's engines have consecutive ids, in the order of ranks. */
        ranks[i] = id_there - self_id->engine_id + self_id->rank;
    }
    ipmpi_collective.engine = engine;
    err = ipmpi_group_open(self_id->collective_world, ranks, (int)n, id, ask,
                           NULL, &ipmpi_collective.group);
    free(sizes);
    if (err != 0)
        return ipmpi_python_raise(err, "only engines that were started at the "
                                       "same time, each named once, can form "
                                       "a group");
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    agree_doc,
    "collective_agree(mine)\n--\n\n"
    "Waits for all members. Gives them `mine` (bytes, as long on all)\n"
    "and returns what all gave, one behind the other (bytes).\n\n"
    "This and collective() raise ConnectionAbortedError with the\n"
    "reason when another member has failed, RuntimeError when MPI\n"
    "has, and whatever a signal handler raises.");

static PyObject *collective_agree(PyObject *self, PyObject *args)
{
    const char *mine;
    Py_ssize_t len;
    size_t n;
    char *all;
    PyObject *result;
    int err;

    (void)self;
    if (ipmpi_collective_check() < 0 ||
        !PyArg_ParseTuple(args, "y#", &mine, &len))
        return NULL;
    n = (size_t)ipmpi_group_size(ipmpi_collective.group);
    all = malloc((size_t)len * n + 1);
    if (all == NULL)
        return PyErr_NoMemory();
    ipmpi_collective.thread = PyEval_SaveThread();
    err = ipmpi_agree(ipmpi_collective.group, mine, (size_t)len, all);
    PyEval_RestoreThread(ipmpi_collective.thread);
    if (err != 0) {
        free(all);
        return ipmpi_collective_raise(err);
    }
    result = PyBytes_FromStringAndSize(all, len * (Py_ssize_t)n);
    free(all);
    return result;
}

PyMethodDef ipmpi_python_collective_methods[] = {
    {"collective_open", collective_open, METH_VARARGS, open_doc},
    {"collective_close", collective_close, METH_NOARGS, close_doc},
    {"collective_agree", collective_agree, METH_VARARGS, agree_doc},
    {"collective_can", ipmpi_collective_can, METH_VARARGS,
     ipmpi_collective_can_doc},
    {"collective", (PyCFunction)(void (*)(void))ipmpi_collective_move,
     METH_VARARGS | METH_KEYWORDS, ipmpi_collective_move_doc},
    {"collective_share", ipmpi_collective_share, METH_VARARGS,
     ipmpi_collective_share_doc},
    {"collective_reduce_shared", ipmpi_collective_reduce_shared, METH_VARARGS,
     ipmpi_collective_reduce_shared_doc},
    {NULL, NULL, 0, NULL},
};
