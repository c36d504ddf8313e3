/* The verbs whose result is there once on each node. */
#include "collectives/python/collective.h"

#include <stdlib.h>

#include "runtime/base/error.h"

const char ipmpi_collective_share_doc[] =
    PyDoc_STR("collective_share(data, len, root, nodes)\n--\n\n"
              "Broadcasts the root's data (None elsewhere; `len` bytes, not\n"
              "0), one copy for each node. `nodes` has a number for each\n"
              "member, the same for those on one node. Returns a memoryview\n"
              "that cannot be written to. Only after agree.");

/* As nodes of the C side; NULL: raised. */
static int *nodes_of(PyObject *nodes)
{
    const int n = ipmpi_group_size(ipmpi_collective.group);
    size_t *sizes = ipmpi_collective_sizes(nodes, n);
    int *node = (int *)sizes; /* each is read before it is overwritten */

    for (int i = 0; sizes != NULL && i < n; i++)
        node[i] = (int)sizes[i];
    return node;
}

PyObject *ipmpi_collective_share(PyObject *self, PyObject *args)
{
    struct ipmpi_buffer *buffer = NULL;
    Py_buffer data = {0};
    PyObject *object, *nodes, *view;
    Py_ssize_t len;
    int root, *node, err;

    (void)self;
    if (ipmpi_collective_check() < 0 ||
        !PyArg_ParseTuple(args, "OniO:collective_share", &object, &len, &root,
                          &nodes) ||
        (node = nodes_of(nodes)) == NULL)
        return NULL;
    if (ipmpi_collective_get(object, &data, PyBUF_SIMPLE) < 0) {
        free(node);
        return NULL;
    }
    err = ipmpi_group_rank(ipmpi_collective.group) == root && data.len != len
              ? IPMPI_EINVAL
              : 0;
    ipmpi_collective.thread = PyEval_SaveThread();
    if (err == 0)
        err = ipmpi_bcast_shared(ipmpi_collective.group, data.buf, (size_t)len,
                                 root, node, &buffer);
    PyEval_RestoreThread(ipmpi_collective.thread);
    ipmpi_collective_put_back(&data, 0); /* the root's has been copied */
    free(node);
    if (err != 0)
        return ipmpi_collective_raise(err);
    view = ipmpi_python_view(buffer, true);
    ipmpi_buffer_release(&buffer);
    return view;
}

const char ipmpi_collective_reduce_shared_doc[] =
    PyDoc_STR("collective_reduce_shared(data, number, operation, nodes)\n"
              "--\n\n"
              "An allreduce with one result for each node, of data that is\n"
              "not empty. Numbers and operations as for collective(), nodes\n"
              "as for collective_share(). Returns a memoryview: a write to\n"
              "it makes a private copy of that page. Only after agree.");

PyObject *ipmpi_collective_reduce_shared(PyObject *self, PyObject *args)
{
    struct ipmpi_buffer *buffer = NULL;
    struct ipmpi_numbers numbers = {0};
    Py_buffer data = {0};
    const char *number, *op;
    PyObject *object, *nodes, *view;
    int *node, err;

    (void)self;
    if (ipmpi_collective_check() < 0 ||
        !PyArg_ParseTuple(args, "OssO:collective_reduce_shared", &object,
                          &number, &op, &nodes) ||
        (node = nodes_of(nodes)) == NULL)
        return NULL;
    if (ipmpi_collective_get(object, &data, PyBUF_SIMPLE) < 0) {
        free(node);
        return NULL;
    }
    ipmpi_collective_numbers(number, op, (size_t)data.len, &numbers);
    ipmpi_collective.thread = PyEval_SaveThread();
    err = ipmpi_allreduce_shared(ipmpi_collective.group, data.buf, &numbers,
                                 node, &buffer);
    PyEval_RestoreThread(ipmpi_collective.thread);
    ipmpi_collective_put_back(&data, err);
    free(node);
    if (err != 0)
        return ipmpi_collective_raise(err);
    view = ipmpi_python_view(buffer, false);
    ipmpi_buffer_release(&buffer);
    return view;
}
