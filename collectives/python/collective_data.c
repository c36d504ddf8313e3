/* The verbs that move data; numbers and operations by name. */
#include "collectives/python/collective.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

struct call {
    Py_buffer out, in; /* buf NULL: None */
    size_t *sizes, *sizes_in;
    int root;
    struct ipmpi_numbers numbers;
};

static size_t sum(const size_t *sizes)
{
    size_t total = 0;

    for (int i = 0; i < ipmpi_group_size(ipmpi_collective.group); i++)
        total += sizes[i];
    return total;
}

static size_t my_size(const size_t *sizes)
{
    return sizes[ipmpi_group_rank(ipmpi_collective.group)];
}

static bool is_root(const struct call *call)
{
    return ipmpi_group_rank(ipmpi_collective.group) == call->root;
}

static bool fits(const Py_buffer *buffer, size_t len)
{
    return (size_t)buffer->len == len;
}

static int do_bcast(struct call *c)
{
    return ipmpi_bcast(ipmpi_collective.group, c->in.buf, (size_t)c->in.len,
                       c->root);
}

static int do_gather(struct call *c)
{
    if (c->sizes == NULL || !fits(&c->out, my_size(c->sizes)) ||
        (is_root(c) && !fits(&c->in, sum(c->sizes))))
        return IPMPI_EINVAL;
    return ipmpi_gather(ipmpi_collective.group, c->out.buf, c->in.buf, c->sizes,
                        c->root);
}

static int do_scatter(struct call *c)
{
    if (c->sizes == NULL || !fits(&c->in, my_size(c->sizes)) ||
        (is_root(c) && !fits(&c->out, sum(c->sizes))))
        return IPMPI_EINVAL;
    return ipmpi_scatter(ipmpi_collective.group, c->out.buf, c->in.buf,
                         c->sizes, c->root);
}

static int do_allgather(struct call *c)
{
    if (c->sizes == NULL || !fits(&c->out, my_size(c->sizes)) ||
        !fits(&c->in, sum(c->sizes)))
        return IPMPI_EINVAL;
    return ipmpi_allgather(ipmpi_collective.group, c->out.buf, c->in.buf,
                           c->sizes);
}

static int do_alltoall(struct call *c)
{
    if (c->sizes == NULL || c->sizes_in == NULL ||
        !fits(&c->out, sum(c->sizes)) || !fits(&c->in, sum(c->sizes_in)))
        return IPMPI_EINVAL;
    return ipmpi_alltoall(ipmpi_collective.group, c->out.buf, c->sizes,
                          c->in.buf, c->sizes_in);
}

static int do_barrier(struct call *c)
{
    (void)c;
    return ipmpi_barrier(ipmpi_collective.group);
}

static int do_reduce(struct call *c)
{
    return ipmpi_reduce(ipmpi_collective.group, c->in.buf, &c->numbers,
                        c->root);
}

static int do_allreduce(struct call *c)
{
    if (c->out.obj != NULL && c->out.len != c->in.len)
        return IPMPI_EINVAL;
    return ipmpi_allreduce(ipmpi_collective.group, c->out.buf, c->in.buf,
                           &c->numbers);
}

static int do_scan(struct call *c)
{
    return ipmpi_scan(ipmpi_collective.group, c->in.buf, &c->numbers);
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

const char ipmpi_collective_can_doc[] = PyDoc_STR(
    "collective_can(number, operation)\n--\n\n"
    "Whether MPI has the operation (\"sum\", \"prod\", \"min\",\n"
    "\"max\", \"land\", \"lor\", \"lxor\", \"band\", \"bor\", \"bxor\")\n"
    "for numbers of this kind: \"i1\" .. \"u8\", \"f4\", \"f8\", \"g\",\n"
    "\"c8\", \"c16\", \"G\", \"b1\".");

PyObject *ipmpi_collective_can(PyObject *self, PyObject *args)
{
    const char *number, *op;

    (void)self;
    if (!PyArg_ParseTuple(args, "ss", &number, &op))
        return NULL;
    return PyBool_FromLong(
        ipmpi_numbers_can(place(number, number_names, IPMPI_NUMBERS),
                          place(op, operation_names, IPMPI_OPERATIONS)));
}

int ipmpi_collective_get(PyObject *object, Py_buffer *buffer, int flags)
{
    if (object == Py_None)
        return 0;
    return PyObject_GetBuffer(object, buffer, flags);
}

void ipmpi_collective_put_back(Py_buffer *buffer, int err)
{
    if (buffer->obj == NULL)
        return;
    if (err == 0)
        PyBuffer_Release(buffer);
    else if (ipmpi_collective.n_kept < IPMPI_KEPT_CAP)
        ipmpi_collective.kept[ipmpi_collective.n_kept++] = *buffer;
}

void ipmpi_collective_numbers(const char *number, const char *op, size_t len,
                              struct ipmpi_numbers *numbers_out)
{
    const int n = place(number, number_names, IPMPI_NUMBERS);

    numbers_out->number = (enum ipmpi_number)n;
    numbers_out->operation =
        (enum ipmpi_operation)place(op, operation_names, IPMPI_OPERATIONS);
    if (n < IPMPI_NUMBERS)
        numbers_out->count = len / ipmpi_number_size(numbers_out->number);
}

static int run_call(const struct verb *verb, struct call *call,
                    const char *number, const char *op)
{
    int err;

    ipmpi_collective_numbers(number, op, (size_t)call->in.len, &call->numbers);
    ipmpi_collective.thread = PyEval_SaveThread();
    err = verb->run(call);
    PyEval_RestoreThread(ipmpi_collective.thread);
    ipmpi_collective_put_back(&call->out, err);
    ipmpi_collective_put_back(&call->in, err);
    return err;
}

static int fill_call(struct call *call, PyObject *out, PyObject *into,
                     PyObject *sizes, PyObject *sizes_in)
{
    const Py_ssize_t n = ipmpi_group_size(ipmpi_collective.group);

    if (sizes != Py_None &&
        (call->sizes = ipmpi_collective_sizes(sizes, n)) == NULL)
        return -1;
    if (sizes_in != Py_None &&
        (call->sizes_in = ipmpi_collective_sizes(sizes_in, n)) == NULL)
        return -1;
    if (ipmpi_collective_get(out, &call->out, PyBUF_SIMPLE) < 0)
        return -1;
    if (ipmpi_collective_get(into, &call->in, PyBUF_WRITABLE) < 0) {
        ipmpi_collective_put_back(&call->out, 0);
        return -1;
    }
    return 0;
}

const char ipmpi_collective_move_doc[] = PyDoc_STR(
    "collective(verb, out, into, sizes=None, sizes_in=None, root=0,\n"
    "           number='', operation='')\n--\n\n"
    "Moves bytes from `out` to `into` (contiguous buffers, or None where\n"
    "a member has none). Sizes are bytes, one for each member. Only after\n"
    "agree.\n\n"
    "bcast(into); gather, scatter, allgather(out, into, sizes); alltoall(\n"
    "out, into, sizes, sizes_in); reduce, scan(into, in place, number,\n"
    "operation); allreduce(out, into, number, operation); barrier().");

PyObject *ipmpi_collective_move(PyObject *self, PyObject *args,
                                PyObject *kwargs)
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
    if (ipmpi_collective_check() < 0 ||
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
            ipmpi_collective_raise(err);
    }
    free(call.sizes);
    free(call.sizes_in);
    if (err != 0)
        return NULL;
    Py_RETURN_NONE;
}
