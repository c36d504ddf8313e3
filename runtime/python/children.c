/* Children of tasks: submitting, helping, results. */
#include "runtime/python/module.h"

#include "runtime/base/error.h"
#include "runtime/engine/children.h"

PyDoc_STRVAR(submit_doc,
             "submit(buffers)\n--\n\n"
             "Submits a call, serialized as for apply, to this engine's own\n"
             "deque; other engines may steal it. Returns its ref. Any thread.");

static PyObject *submit(PyObject *self, PyObject *args)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    struct ipmpi_frames frames = {0};
    PyObject *buffers;
    uint64_t ref;
    int err;

    (void)self;
    if (engine == NULL || !PyArg_ParseTuple(args, "O:submit", &buffers))
        return NULL;
    if (ipmpi_python_add_buffers(&frames, buffers) < 0) {
        ipmpi_frames_clear(&frames);
        return NULL;
    }
    err = ipmpi_engine_submit(engine, &frames, &ref);
    if (err != 0)
        return ipmpi_python_raise(err, "submit");
    return PyLong_FromUnsignedLongLong(ref);
}

PyDoc_STRVAR(child_outcome_doc,
             "child_outcome(ref)\n--\n\n"
             "None while the child is not done. Else, once: (status, lost,\n"
             "content, buffers); `lost` says how its engine ended, and is\n"
             "empty if it did not. Raises LookupError. Any thread.");

static PyObject *outcome_tuple(struct ipmpi_child_outcome *outcome)
{
    const struct ipmpi_frames *frames = &outcome->frames;
    PyObject *content, *views, *result = NULL;

    content = PyBytes_FromStringAndSize(
        frames->n > 0 ? (const char *)frames->at[0].data : "",
        frames->n > 0 ? (Py_ssize_t)frames->at[0].len : 0);
    views = frames->n > 0 ? ipmpi_python_views(frames, 1) : PyList_New(0);
    if (content != NULL && views != NULL)
        result = Py_BuildValue("(isOO)", outcome->status, outcome->lost,
                               content, views);
    Py_XDECREF(content);
    Py_XDECREF(views);
    return result;
}

static PyObject *child_outcome(PyObject *self, PyObject *args)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    struct ipmpi_child_outcome outcome;
    unsigned long long ref;
    PyObject *result;
    int err;

    (void)self;
    if (engine == NULL || !PyArg_ParseTuple(args, "K:child_outcome", &ref))
        return NULL;
    err = ipmpi_engine_child_outcome(engine, ref, &outcome);
    if (err != 0)
        return ipmpi_python_raise(err, "child_outcome");
    if (!outcome.done)
        Py_RETURN_NONE;
    result = outcome_tuple(&outcome);
    ipmpi_frames_clear(&outcome.frames);
    return result;
}

PyDoc_STRVAR(child_forget_doc, "child_forget(ref)\n--\n\n"
                               "Nobody will ask for it. Any thread.");

static PyObject *child_forget(PyObject *self, PyObject *args)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    unsigned long long ref;

    (void)self;
    if (engine == NULL || !PyArg_ParseTuple(args, "K:child_forget", &ref))
        return NULL;
    ipmpi_engine_child_forget(engine, ref);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(child_cancel_doc,
             "child_cancel(ref)\n--\n\n"
             "Whether the child waited on this engine: then it is aborted.\n"
             "Any thread.");

static PyObject *child_cancel(PyObject *self, PyObject *args)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    unsigned long long ref;

    (void)self;
    if (engine == NULL || !PyArg_ParseTuple(args, "K:child_cancel", &ref))
        return NULL;
    return PyBool_FromLong(ipmpi_engine_child_cancel(engine, ref) == 0);
}

PyDoc_STRVAR(children_fd_doc,
             "children_fd()\n--\n\n"
             "A descriptor, readable when a child has ended or come.");

static PyObject *children_fd(PyObject *self, PyObject *none)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();

    (void)self;
    (void)none;
    if (engine == NULL)
        return NULL;
    return PyLong_FromLong(ipmpi_engine_children_fd(engine));
}

PyDoc_STRVAR(help_doc,
             "help(ref)\n--\n\n"
             "Takes a child that waits here, as take() does: this one, or any\n"
             "other; None: there is none. Only on the thread that runs work.");

static PyObject *help(PyObject *self, PyObject *args)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    const struct ipmpi_work *work;
    unsigned long long ref;
    PyObject *result;
    int err;

    (void)self;
    if (engine == NULL || !PyArg_ParseTuple(args, "K:help", &ref))
        return NULL;
    ipmpi_python_collect();
    Py_BEGIN_ALLOW_THREADS err = ipmpi_engine_help(engine, ref, &work);
    Py_END_ALLOW_THREADS if (err == IPMPI_EEMPTY) Py_RETURN_NONE;
    if (err != 0)
        return ipmpi_python_raise(err, "help");
    result = ipmpi_python_work(work);
    if (result == NULL) { /* out of memory; its origin must not wait */
        struct ipmpi_frames none = {0};

        ipmpi_engine_child_reply(engine, work->ref, IPMPI_STATUS_ABORTED,
                                 &none);
    }
    return result;
}

PyDoc_STRVAR(child_reply_doc,
             "child_reply(ref, status, content, buffers)\n--\n\n"
             "Ends a child that take() or help() gave; as reply().");

static PyObject *child_reply(PyObject *self, PyObject *args)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    struct ipmpi_frames frames = {0};
    PyObject *content, *buffers;
    unsigned long long ref;
    int status, err;

    (void)self;
    if (engine == NULL || !PyArg_ParseTuple(args, "KiOO:child_reply", &ref,
                                            &status, &content, &buffers))
        return NULL;
    if (ipmpi_python_add_buffer(&frames, content) < 0 ||
        ipmpi_python_add_buffers(&frames, buffers) < 0) {
        ipmpi_frames_clear(&frames);
        return NULL;
    }
    ipmpi_python_wait_room(engine, 0);
    err = ipmpi_engine_child_reply(engine, ref, status, &frames);
    ipmpi_python_collect();
    if (err != 0)
        return ipmpi_python_raise(err, "child_reply");
    Py_RETURN_NONE;
}

PyMethodDef ipmpi_python_children_methods[] = {
    {"submit", submit, METH_VARARGS, submit_doc},
    {"child_outcome", child_outcome, METH_VARARGS, child_outcome_doc},
    {"child_cancel", child_cancel, METH_VARARGS, child_cancel_doc},
    {"child_forget", child_forget, METH_VARARGS, child_forget_doc},
    {"children_fd", children_fd, METH_NOARGS, children_fd_doc},
    {"help", help, METH_VARARGS, help_doc},
    {"child_reply", child_reply, METH_VARARGS, child_reply_doc},
    {NULL, NULL, 0, NULL},
};
