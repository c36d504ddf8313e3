/* Collectives among engines, for the package ipmpi_engine: one group at a
 * time, on the main thread. The GIL is released while MPI moves data.
 *
 * Invariant: memory lent to MPI by a call that failed stays lent until close,
 *            and for good if MPI may still use it then. */
#include "runtime/python/module.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collectives/collectives.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum {
    SIGNALS_EVERY = 4, /* polls: takes the GIL */
    KEPT_CAP = 8,
    WHY_CAP = 1024,
    NOTICE_US = 1000000, /* MPI may see a death before rank 0 tells of it */
};

static struct {
    struct ipmpi_group *group; /* NULL: none is open */
    struct ipmpi_engine *engine;
    PyThreadState *thread; /* while the GIL is released */
    unsigned polls;
    char why[WHY_CAP];
    Py_buffer kept[KEPT_CAP];
    int n_kept;
} now;

/* An ipmpi_group_poll_fn; without the GIL. EDEAD: rank 0 said why; EBUSY: a
 * signal handler has raised. */
static int ask(void *ctx)
{
    int raised;

    (void)ctx;
    if (ipmpi_engine_is_cancelled(now.engine, now.why, sizeof(now.why)))
        return IPMPI_EDEAD;
    if (ipmpi_engine_stop_requested(now.engine) != IPMPI_STOP_NOT)
        return IPMPI_ESTATE;
    if (++now.polls % SIGNALS_EVERY != 0)
        return 0;
    PyEval_RestoreThread(now.thread);
    raised = PyErr_CheckSignals();
    now.thread = PyEval_SaveThread();
    return raised < 0 ? IPMPI_EBUSY : 0;
}

/* Whether rank 0 tells, in time, why MPI failed. Without the GIL. */
static bool await_notice(void)
{
    const int64_t until = ipmpi_clock_now_us() + NOTICE_US;
    const struct timespec nap = {.tv_nsec = 1000 * 1000};
    bool told = false;

    while (!told && ipmpi_clock_now_us() < until) {
        told = ipmpi_engine_is_cancelled(now.engine, now.why, sizeof(now.why));
        if (!told)
            nanosleep(&nap, NULL);
    }
    return told;
}

static PyObject *raise_failure(int err)
{
    if (err == IPMPI_EMPI) {
        bool told;

        Py_BEGIN_ALLOW_THREADS told = await_notice();
        Py_END_ALLOW_THREADS if (told) err = IPMPI_EDEAD;
    }
    if (err == IPMPI_EDEAD)
        PyErr_SetString(PyExc_ConnectionAbortedError, now.why);
    else if (err != IPMPI_EBUSY)
        ipmpi_python_raise(err, "collective");
    return NULL;
}

static int check_open(void)
{
    if (now.group != NULL)
        return 0;
    PyErr_SetString(PyExc_RuntimeError, "no collective is open");
    return -1;
}

/* ---- open, close, agree --------------------------------------------- */

/* A sequence of integers as an array of the caller's, NULL: raised. */
static size_t *sizes_of(PyObject *sequence, Py_ssize_t want)
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
    if (now.group != NULL && ipmpi_group_close(&now.group)) {
        for (int i = 0; i < now.n_kept; i++)
            PyBuffer_Release(&now.kept[i]);
    }
    now.n_kept = 0;
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
    sizes = sizes_of(sequence, -1);
    if (sizes == NULL)
        return NULL;
    self_id = ipmpi_engine_identity(engine);
    ranks = (int *)sizes; /* each is read before it is overwritten */
    for (Py_ssize_t i = 0; i < n; i++) {
        const int id_there = sizes[i] < 1 << 24 ? (int)sizes[i] : -1;

        /* A world's engines have consecutive ids, in the order of ranks. */
        ranks[i] = id_there - self_id->engine_id + self_id->rank;
    }
    now.engine = engine;
    err = ipmpi_group_open(self_id->collective_world, ranks, (int)n, id, ask,
                           NULL, &now.group);
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
    if (check_open() < 0 || !PyArg_ParseTuple(args, "y#", &mine, &len))
        return NULL;
    n = (size_t)ipmpi_group_size(now.group);
    all = malloc((size_t)len * n + 1);
    if (all == NULL)
        return PyErr_NoMemory();
    now.thread = PyEval_SaveThread();
    err = ipmpi_agree(now.group, mine, (size_t)len, all);
    PyEval_RestoreThread(now.thread);
    if (err != 0) {
        free(all);
        return raise_failure(err);
    }
    result = PyBytes_FromStringAndSize(all, len * (Py_ssize_t)n);
    free(all);
    return result;
}

/* ---- moving data ---------------------------------------------------- */

struct call {
    Py_buffer out, in; /* buf NULL: None */
    size_t *sizes, *sizes_in;
    int root;
    struct ipmpi_numbers numbers;
};

static size_t sum(const size_t *sizes)
{
    size_t total = 0;

    for (int i = 0; i < ipmpi_group_size(now.group); i++)
        total += sizes[i];
    return total;
}

static size_t my_size(const size_t *sizes)
{
    return sizes[ipmpi_group_rank(now.group)];
}

static bool is_root(const struct call *call)
{
    return ipmpi_group_rank(now.group) == call->root;
}

static bool fits(const Py_buffer *buffer, size_t len)
{
    return (size_t)buffer->len == len;
}

static int do_bcast(struct call *c)
{
    return ipmpi_bcast(now.group, c->in.buf, (size_t)c->in.len, c->root);
}

static int do_gather(struct call *c)
{
    if (c->sizes == NULL || !fits(&c->out, my_size(c->sizes)) ||
        (is_root(c) && !fits(&c->in, sum(c->sizes))))
        return IPMPI_EINVAL;
    return ipmpi_gather(now.group, c->out.buf, c->in.buf, c->sizes, c->root);
}

static int do_scatter(struct call *c)
{
    if (c->sizes == NULL || !fits(&c->in, my_size(c->sizes)) ||
        (is_root(c) && !fits(&c->out, sum(c->sizes))))
        return IPMPI_EINVAL;
    return ipmpi_scatter(now.group, c->out.buf, c->in.buf, c->sizes, c->root);
}

static int do_allgather(struct call *c)
{
    if (c->sizes == NULL || !fits(&c->out, my_size(c->sizes)) ||
        !fits(&c->in, sum(c->sizes)))
        return IPMPI_EINVAL;
    return ipmpi_allgather(now.group, c->out.buf, c->in.buf, c->sizes);
}

static int do_alltoall(struct call *c)
{
    if (c->sizes == NULL || c->sizes_in == NULL ||
        !fits(&c->out, sum(c->sizes)) || !fits(&c->in, sum(c->sizes_in)))
        return IPMPI_EINVAL;
    return ipmpi_alltoall(now.group, c->out.buf, c->sizes, c->in.buf,
                          c->sizes_in);
}

static int do_barrier(struct call *c)
{
    (void)c;
    return ipmpi_barrier(now.group);
}

static int do_reduce(struct call *c)
{
    return ipmpi_reduce(now.group, c->in.buf, &c->numbers, c->root);
}

static int do_allreduce(struct call *c)
{
    return ipmpi_allreduce(now.group, c->in.buf, &c->numbers);
}

static int do_scan(struct call *c)
{
    return ipmpi_scan(now.group, c->in.buf, &c->numbers);
}

static const struct verb {
    const char *name;
    int (*run)(struct call *call);
} verbs[] = {
    {"bcast", do_bcast},       {"gather", do_gather},
    {"scatter", do_scatter},   {"allgather", do_allgather},
    {"alltoall", do_alltoall}, {"barrier", do_barrier},
    {"reduce", do_reduce},     {"allreduce", do_allreduce},
    {"scan", do_scan},
};

static const char *const number_names[IPMPI_NUMBERS] = {
    [IPMPI_INT8] = "i1",
    [IPMPI_INT16] = "i2",
    [IPMPI_INT32] = "i4",
    [IPMPI_INT64] = "i8",
    [IPMPI_UINT8] = "u1",
    [IPMPI_UINT16] = "u2",
    [IPMPI_UINT32] = "u4",
    [IPMPI_UINT64] = "u8",
    [IPMPI_FLOAT] = "f4",
    [IPMPI_DOUBLE] = "f8",
    [IPMPI_LONG_DOUBLE] = "g",
    [IPMPI_FLOAT_COMPLEX] = "c8",
    [IPMPI_DOUBLE_COMPLEX] = "c16",
    [IPMPI_LONG_DOUBLE_COMPLEX] = "G",
    [IPMPI_BOOL] = "b1",
};

static const char *const operation_names[IPMPI_OPERATIONS] = {
    [IPMPI_SUM] = "sum",   [IPMPI_PROD] = "prod", [IPMPI_MIN] = "min",
    [IPMPI_MAX] = "max",   [IPMPI_LAND] = "land", [IPMPI_LOR] = "lor",
    [IPMPI_LXOR] = "lxor", [IPMPI_BAND] = "band", [IPMPI_BOR] = "bor",
    [IPMPI_BXOR] = "bxor",
};

/* Its place in the list; n: it is not there. */
static int place(const char *name, const char *const *names, int n)
{
    int i = 0;

    while (i < n && strcmp(names[i], name) != 0)
        i++;
    return i;
}

PyDoc_STRVAR(
    can_doc,
    "collective_can(number, operation)\n--\n\n"
    "Whether MPI has the operation (\"sum\", \"prod\", \"min\",\n"
    "\"max\", \"land\", \"lor\", \"lxor\", \"band\", \"bor\", \"bxor\")\n"
    "for numbers of this kind: \"i1\" .. \"u8\", \"f4\", \"f8\", \"g\",\n"
    "\"c8\", \"c16\", \"G\", \"b1\".");

static PyObject *collective_can(PyObject *self, PyObject *args)
{
    const char *number, *op;

    (void)self;
    if (!PyArg_ParseTuple(args, "ss", &number, &op))
        return NULL;
    return PyBool_FromLong(
        ipmpi_numbers_can(place(number, number_names, IPMPI_NUMBERS),
                          place(op, operation_names, IPMPI_OPERATIONS)));
}

static int get_buffer(PyObject *object, Py_buffer *buffer, int flags)
{
    if (object == Py_None)
        return 0;
    return PyObject_GetBuffer(object, buffer, flags);
}

/* After success the memory is the caller's again; else it stays, for close. */
static void put_back(Py_buffer *buffer, int err)
{
    if (buffer->obj == NULL)
        return;
    if (err == 0)
        PyBuffer_Release(buffer);
    else if (now.n_kept < KEPT_CAP)
        now.kept[now.n_kept++] = *buffer;
}

static int run_call(const struct verb *verb, struct call *call,
                    const char *number, const char *op)
{
    const size_t n = (size_t)place(number, number_names, IPMPI_NUMBERS);
    int err;

    call->numbers.number = (enum ipmpi_number)n;
    call->numbers.operation =
        (enum ipmpi_operation)place(op, operation_names, IPMPI_OPERATIONS);
    if (n < IPMPI_NUMBERS)
        call->numbers.count =
            (size_t)call->in.len / ipmpi_number_size(call->numbers.number);
    now.thread = PyEval_SaveThread();
    err = verb->run(call);
    PyEval_RestoreThread(now.thread);
    put_back(&call->out, err);
    put_back(&call->in, err);
    return err;
}

static int fill_call(struct call *call, PyObject *out, PyObject *into,
                     PyObject *sizes, PyObject *sizes_in)
{
    const Py_ssize_t n = ipmpi_group_size(now.group);

    if (sizes != Py_None && (call->sizes = sizes_of(sizes, n)) == NULL)
        return -1;
    if (sizes_in != Py_None && (call->sizes_in = sizes_of(sizes_in, n)) == NULL)
        return -1;
    if (get_buffer(out, &call->out, PyBUF_SIMPLE) < 0)
        return -1;
    if (get_buffer(into, &call->in, PyBUF_WRITABLE) < 0) {
        put_back(&call->out, 0);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(
    collective_doc,
    "collective(verb, out, into, sizes=None, sizes_in=None, root=0,\n"
    "           number='', operation='')\n--\n\n"
    "Moves bytes from `out` to `into` (contiguous buffers, or None where\n"
    "a member has none). Sizes are bytes, one for each member. Only after\n"
    "agree.\n\n"
    "bcast(into); gather, scatter, allgather(out, into, sizes); alltoall(\n"
    "out, into, sizes, sizes_in); reduce, allreduce, scan(into, in place,\n"
    "number, operation); barrier().");

static PyObject *collective(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"verb", "out",    "into",      "sizes", "sizes_in",
                            "root", "number", "operation", NULL};
    const char *name, *number = "", *op = "";
    PyObject *out = Py_None, *into = Py_None, *sizes = Py_None,
             *sizes_in = Py_None;
    const struct verb *verb = NULL;
    struct call call = {0};
    int err = -1;

    (void)self;
    if (check_open() < 0 ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "s|OOOOiss:collective",
                                     names, &name, &out, &into, &sizes,
                                     &sizes_in, &call.root, &number, &op))
        return NULL;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        if (strcmp(verbs[i].name, name) == 0)
            verb = &verbs[i];
    }
    if (verb == NULL)
        return ipmpi_python_raise(IPMPI_EINVAL, name);
    if (fill_call(&call, out, into, sizes, sizes_in) == 0) {
        err = run_call(verb, &call, number, op);
        if (err != 0)
            raise_failure(err);
    }
    free(call.sizes);
    free(call.sizes_in);
    if (err != 0)
        return NULL;
    Py_RETURN_NONE;
}

PyMethodDef ipmpi_python_collective_methods[] = {
    {"collective_open", collective_open, METH_VARARGS, open_doc},
    {"collective_close", collective_close, METH_NOARGS, close_doc},
    {"collective_agree", collective_agree, METH_VARARGS, agree_doc},
    {"collective_can", collective_can, METH_VARARGS, can_doc},
    {"collective", (PyCFunction)(void (*)(void))collective,
     METH_VARARGS | METH_KEYWORDS, collective_doc},
    {NULL, NULL, 0, NULL},
};
