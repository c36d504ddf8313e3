/* Work and controls: from the engine to Python and back. */
#include "runtime/python/module.h"

#include <string.h>

#include "runtime/base/error.h"
#include "runtime/engine/text.h"

static PyObject *bytes_of(const struct ipmpi_frame *frame)
{
    return PyBytes_FromStringAndSize((const char *)frame->data,
                                     (Py_ssize_t)frame->len);
}

PyObject *ipmpi_python_work(const struct ipmpi_work *work)
{
    PyObject *header = bytes_of(&work->frames.at[IPMPI_WORK_AT_HEADER]);
    PyObject *content = bytes_of(&work->frames.at[IPMPI_WORK_AT_CONTENT]);
    PyObject *views = ipmpi_python_views(&work->frames, IPMPI_WORK_AT_BUFFERS);

    if (header == NULL || content == NULL || views == NULL) {
        Py_XDECREF(header);
        Py_XDECREF(content);
        Py_XDECREF(views);
        return NULL;
    }
    return Py_BuildValue("(KiiNNN)", (unsigned long long)work->ref,
                         (int)work->kind, (int)work->flags, header, content,
                         views);
}

PyDoc_STRVAR(
    take_doc,
    "take()\n--\n\n"
    "Takes the oldest waiting request; main thread only. Returns\n"
    "(ref, kind, flags, header, content, buffers), or None.\n\n"
    "It is now started: busy is published, and its header becomes\n"
    "the parent of all output. `ref` (int) names it until reply() or\n"
    "finish(). `kind` is APPLY, EXECUTE, COMM, BULK, MPI or OTHER, `flags` "
    "any\n"
    "of BALANCED and SILENT; `header` and `content` are JSON (bytes),\n"
    "`buffers` writable memoryviews that stay valid for as long as\n"
    "they are held. None: nothing waits, a control must be answered\n"
    "first (wake_fd tells when), or the engine is to stop.");

static PyObject *take(PyObject *self, PyObject *none)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    const struct ipmpi_work *work;
    PyObject *result;
    int err;

    (void)self;
    (void)none;
    if (engine == NULL)
        return NULL;
    ipmpi_python_collect();
    err = ipmpi_engine_take(engine, &work);
    if (err == IPMPI_EEMPTY)
        Py_RETURN_NONE;
    if (err != 0)
        return ipmpi_python_raise(err, "take");
    result = ipmpi_python_work(work);
    if (result == NULL) { /* out of memory; its client must not wait */
        struct ipmpi_answer answer = {.status = IPMPI_STATUS_ABORTED};

        ipmpi_engine_reply(engine, work->ref, &answer);
    }
    return result;
}

typedef int reply_fn(struct ipmpi_engine *engine, uint64_t ref,
                     struct ipmpi_answer *answer);

static int fill_answer(struct ipmpi_answer *answer, PyObject *content,
                       PyObject *buffers)
{
    if (content != Py_None &&
        ipmpi_python_add_buffer(&answer->content, content) < 0)
        return -1;
    return ipmpi_python_add_buffers(&answer->buffers, buffers);
}

static PyObject *answer_with(reply_fn *reply, uint64_t ref, PyObject *content,
                             PyObject *buffers, struct ipmpi_answer *answer)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    int err;

    if (engine == NULL)
        return NULL;
    if (fill_answer(answer, content, buffers) < 0) {
        ipmpi_frames_clear(&answer->content);
        ipmpi_frames_clear(&answer->buffers);
        return NULL;
    }
    ipmpi_python_wait_room(engine, 0);
    Py_BEGIN_ALLOW_THREADS err = reply(engine, ref, answer);
    Py_END_ALLOW_THREADS ipmpi_python_collect();
    if (err != 0)
        return ipmpi_python_raise(err, "reply");
    Py_RETURN_NONE;
}

PyDoc_STRVAR(reply_doc,
             "reply(ref, status, content, buffers, abort_queued=False)\n"
             "--\n\n"
             "Answers a request that was taken; main thread only.\n\n"
             "Sent in this order: all output written so far, the reply, idle.\n"
             "`status` is OK, ERROR, ABORTED, UNMET (an UnmetDependency), or\n"
             "UNKNOWN: no client is answered. `content` is JSON (bytes), or\n"
             "None for {\"status\": \"ok\"} (\"aborted\"); `buffers` is a\n"
             "sequence of contiguous objects with the buffer protocol, of any\n"
             "size; from 64 KiB on they are not copied, and must not change\n"
             "until they have been sent. With `abort_queued` all waiting\n"
             "execute requests are answered as aborted.\n\n"
             "Raises LookupError (no such request was taken), ValueError (an\n"
             "error without content), RuntimeError, MemoryError.");

static PyObject *reply(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"ref",     "status",       "content",
                            "buffers", "abort_queued", NULL};
    struct ipmpi_answer answer = {0};
    unsigned long long ref;
    PyObject *content, *buffers;
    int abort_queued = 0;

    (void)self;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "KiOO|p:reply", names, &ref,
                                     &answer.status, &content, &buffers,
                                     &abort_queued))
        return NULL;
    answer.abort_queued = abort_queued != 0;
    return answer_with(ipmpi_engine_reply, ref, content, buffers, &answer);
}

PyDoc_STRVAR(reply_part_doc,
             "reply_part(ref, content, buffers)\n--\n\n"
             "Answers a part of a BULK request, which goes on; as reply().");

static PyObject *reply_part(PyObject *self, PyObject *args)
{
    struct ipmpi_answer answer = {.status = IPMPI_STATUS_OK};
    unsigned long long ref;
    PyObject *content, *buffers;

    (void)self;
    if (!PyArg_ParseTuple(args, "KOO:reply_part", &ref, &content, &buffers))
        return NULL;
    return answer_with(ipmpi_engine_reply_part, ref, content, buffers, &answer);
}

PyDoc_STRVAR(
    note_step_doc,
    "note_step(step)\n--\n\n"
    "Notes that of the BULK request that runs the items before `step`\n"
    "have begun: should this engine die, the others go elsewhere.");

static PyObject *note_step(PyObject *self, PyObject *step)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    const unsigned long long value = PyLong_AsUnsignedLongLong(step);

    (void)self;
    if (engine == NULL || PyErr_Occurred())
        return NULL;
    ipmpi_engine_step(engine, value);
    Py_RETURN_NONE;
}

PyDoc_STRVAR(
    why_cancelled_doc,
    "why_cancelled()\n--\n\n"
    "The reason why the request that runs has been given up elsewhere\n"
    "(its client aborted it, another part of it failed), or None.");

static PyObject *why_cancelled(PyObject *self, PyObject *none)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    char why[1024];

    (void)self;
    (void)none;
    if (engine == NULL)
        return NULL;
    if (!ipmpi_engine_is_cancelled(engine, why, sizeof(why)))
        Py_RETURN_NONE;
    return PyUnicode_DecodeUTF8(why, (Py_ssize_t)strlen(why), "replace");
}

PyDoc_STRVAR(finish_doc,
             "finish(ref)\n--\n\n"
             "Ends a COMM request, which has no reply: output, then idle.\n"
             "Main thread only. Raises LookupError.");

static PyObject *finish(PyObject *self, PyObject *args)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    unsigned long long ref;
    int err;

    (void)self;
    if (engine == NULL || !PyArg_ParseTuple(args, "K:finish", &ref))
        return NULL;
    Py_BEGIN_ALLOW_THREADS err = ipmpi_engine_finish(engine, ref);
    Py_END_ALLOW_THREADS if (err != 0) return ipmpi_python_raise(err, "finish");
    Py_RETURN_NONE;
}

PyDoc_STRVAR(abort_queued_doc,
             "abort_queued()\n--\n\n"
             "Answers all waiting execute requests as aborted.");

static PyObject *abort_queued(PyObject *self, PyObject *none)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    int err;

    (void)self;
    (void)none;
    if (engine == NULL)
        return NULL;
    err = ipmpi_engine_abort_queued(engine);
    if (err != 0)
        return ipmpi_python_raise(err, "abort_queued");
    Py_RETURN_NONE;
}

static PyObject *control_tuple(const struct ipmpi_work *work)
{
    const struct ipmpi_frame *frame = &work->frames.at[IPMPI_WORK_AT_HEADER];
    char type[IPMPI_TYPE_CAP];
    int err = ipmpi_header_type(frame, type);
    PyObject *rest, *result;

    if (err != 0)
        return ipmpi_python_raise(err, "take_control");
    rest = ipmpi_python_work(work);
    if (rest == NULL)
        return NULL;
    result = Py_BuildValue("(KsOOO)", (unsigned long long)work->ref, type,
                           PyTuple_GetItem(rest, 3), PyTuple_GetItem(rest, 4),
                           PyTuple_GetItem(rest, 5));
    Py_DECREF(rest);
    return result;
}

PyDoc_STRVAR(
    take_control_doc,
    "take_control()\n--\n\n"
    "Waits, without the GIL, for a control request; for one thread\n"
    "beside the main thread. Returns (ref, msg_type, header, content,\n"
    "buffers) as take() does. While one is not answered no other\n"
    "request starts. None: the engine ends, and so should the thread.");

static PyObject *take_control(PyObject *self, PyObject *none)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    const struct ipmpi_work *work;
    PyObject *result;
    int err;

    (void)self;
    (void)none;
    if (engine == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS err = ipmpi_engine_take_control(engine, &work);
    Py_END_ALLOW_THREADS if (err == IPMPI_ESTATE) Py_RETURN_NONE;
    if (err != 0)
        return ipmpi_python_raise(err, "take_control");
    result = control_tuple(work);
    if (result == NULL) { /* nobody could answer it */
        struct ipmpi_answer answer = {.status = IPMPI_STATUS_UNKNOWN};

        ipmpi_engine_reply_control(engine, work->ref, &answer);
    }
    return result;
}

PyDoc_STRVAR(reply_control_doc,
             "reply_control(ref, status, content, buffers)\n--\n\n"
             "Answers a control request; as reply(), without output and idle.");

static PyObject *reply_control(PyObject *self, PyObject *args)
{
    struct ipmpi_answer answer = {0};
    unsigned long long ref;
    PyObject *content, *buffers;

    (void)self;
    if (!PyArg_ParseTuple(args, "KiOO:reply_control", &ref, &answer.status,
                          &content, &buffers))
        return NULL;
    return answer_with(ipmpi_engine_reply_control, ref, content, buffers,
                       &answer);
}

PyMethodDef ipmpi_python_work_methods[] = {
    {"take", take, METH_NOARGS, take_doc},
    {"reply", (PyCFunction)(void (*)(void))reply, METH_VARARGS | METH_KEYWORDS,
     reply_doc},
    {"reply_part", reply_part, METH_VARARGS, reply_part_doc},
    {"note_step", note_step, METH_O, note_step_doc},
    {"why_cancelled", why_cancelled, METH_NOARGS, why_cancelled_doc},
    {"finish", finish, METH_VARARGS, finish_doc},
    {"abort_queued", abort_queued, METH_NOARGS, abort_queued_doc},
    {"take_control", take_control, METH_NOARGS, take_control_doc},
    {"reply_control", reply_control, METH_VARARGS, reply_control_doc},
    {NULL, NULL, 0, NULL},
};
