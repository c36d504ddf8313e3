/* Output: what Python writes and publishes. */
#include "runtime/python/module.h"

#include "runtime/base/error.h"

enum { ROOM_WAIT_MS = 200 }; /* between looks for signals */

int ipmpi_python_wait_room(struct ipmpi_engine *engine, int interruptible)
{
    int err = ipmpi_engine_wait_room(engine, 0);

    while (err == IPMPI_ETIMEOUT) {
        Py_BEGIN_ALLOW_THREADS err =
            ipmpi_engine_wait_room(engine, ROOM_WAIT_MS);
        Py_END_ALLOW_THREADS if (interruptible &&
                                 PyErr_CheckSignals() < 0) return -1;
    }
    return 0;
}

PyDoc_STRVAR(write_doc,
             "write(fd, text)\n--\n\n"
             "Appends UTF-8 (bytes) to stdout (1) or stderr (2) of the\n"
             "current parent; any thread.\n\n"
             "Sent within 0.1 s, and before anything that follows it. Waits,\n"
             "without the GIL, while 8 MiB of output wait to be sent. In a\n"
             "forked child, and after leave(), it writes to the descriptor.");

static PyObject *write_text(PyObject *self, PyObject *args)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    const char *text;
    Py_ssize_t len;
    int fd, err;

    (void)self;
    if (engine == NULL ||
        !PyArg_ParseTuple(args, "iy#:write", &fd, &text, &len))
        return NULL;
    if (ipmpi_python_wait_room(engine, 1) < 0)
        return NULL;
    err = ipmpi_engine_write(engine, fd, text, (size_t)len);
    if (err != 0)
        return ipmpi_python_raise(err, "write");
    Py_RETURN_NONE;
}

PyDoc_STRVAR(flush_doc, "flush()\n--\n\n"
                        "Sends what was written so far soon; never waits.");

static PyObject *flush(PyObject *self, PyObject *none)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    int err;

    (void)self;
    (void)none;
    if (engine == NULL)
        return NULL;
    err = ipmpi_engine_flush(engine);
    if (err != 0)
        return ipmpi_python_raise(err, "flush");
    Py_RETURN_NONE;
}

PyDoc_STRVAR(set_parent_doc,
             "set_parent(header)\n--\n\n"
             "The request header (JSON as bytes) to which output belongs.");

static PyObject *set_parent(PyObject *self, PyObject *args)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    const char *header;
    Py_ssize_t len;
    int err;

    (void)self;
    if (engine == NULL ||
        !PyArg_ParseTuple(args, "y#:set_parent", &header, &len))
        return NULL;
    err = ipmpi_engine_set_parent(engine, header, (size_t)len);
    if (err != 0)
        return ipmpi_python_raise(err, "set_parent");
    Py_RETURN_NONE;
}

static struct ipmpi_frame lent_frame(const char *data, Py_ssize_t len)
{
    return (struct ipmpi_frame){(const uint8_t *)data, (size_t)len, NULL};
}

PyDoc_STRVAR(publish_doc,
             "publish(msg_type, content, metadata=None, buffers=(), "
             "parent=None, topic=None)\n--\n\n"
             "Publishes a message on iopub, after all output written so far;\n"
             "any thread.\n\n"
             "`content`, `metadata` and `parent` are JSON (bytes); without\n"
             "them metadata is {\"engine\": uuid} and parent the current one.\n"
             "`buffers` as for reply(); `topic` (str) defaults to\n"
             "engine.<id>.<msg_type>. Waits as write() does.\n\n"
             "Raises ValueError if msg_type is not a plain word.");

static PyObject *publish(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"msg_type", "content", "metadata", "buffers",
                            "parent",   "topic",   NULL};
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    struct ipmpi_publication p = {0};
    const char *content, *metadata = NULL, *parent = NULL;
    Py_ssize_t content_len, metadata_len = 0, parent_len = 0;
    PyObject *buffers = NULL;
    int err;

    (void)self;
    if (engine == NULL ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "sy#|z#Oz#z:publish", names,
                                     &p.msg_type, &content, &content_len,
                                     &metadata, &metadata_len, &buffers,
                                     &parent, &parent_len, &p.topic))
        return NULL;
    p.content = lent_frame(content, content_len);
    p.metadata = lent_frame(metadata, metadata_len);
    p.parent = lent_frame(parent, parent_len);
    if ((buffers != NULL && buffers != Py_None &&
         ipmpi_python_add_buffers(&p.buffers, buffers) < 0) ||
        ipmpi_python_wait_room(engine, 1) < 0) {
        ipmpi_frames_clear(&p.buffers);
        return NULL;
    }
    err = ipmpi_engine_publish(engine, &p);
    if (err != 0)
        return ipmpi_python_raise(err, "publish");
    Py_RETURN_NONE;
}

PyMethodDef ipmpi_python_output_methods[] = {
    {"write", write_text, METH_VARARGS, write_doc},
    {"flush", flush, METH_NOARGS, flush_doc},
    {"set_parent", set_parent, METH_VARARGS, set_parent_doc},
    {"publish", (PyCFunction)(void (*)(void))publish,
     METH_VARARGS | METH_KEYWORDS, publish_doc},
    {NULL, NULL, 0, NULL},
};
