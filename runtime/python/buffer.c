/* The type `_ipmpi.Frame`: one frame of a message, kept alive for as long as
 * Python holds a memoryview of it.
 *
 * A message's memory is this engine's alone, so its views are writable: an
 * array that arrives can be changed in place, as with ipyparallel. */
#include "runtime/python/module.h"

#include "runtime/base/frames.h"

struct frame_object {
    PyObject_HEAD struct ipmpi_frame frame; /* has a share */
    int read_only;
};

static PyTypeObject *frame_type;

static int get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    static char nothing[1];
    const struct frame_object *object = (struct frame_object *)self;
    const struct ipmpi_frame *frame = &object->frame;
    void *data = frame->len > 0 ? (void *)frame->data : nothing;

    return PyBuffer_FillInfo(view, self, data, (Py_ssize_t)frame->len,
                             object->read_only, flags);
}

static void dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc free_self = (freefunc)PyType_GetSlot(type, Py_tp_free);

    ipmpi_buffer_release(&((struct frame_object *)self)->frame.owner);
    free_self(self);
    Py_DECREF(type);
}

int ipmpi_python_init_frame(void)
{
    static PyType_Slot slots[] = {
        {Py_tp_doc, "One frame of a message; exports its bytes."},
        {Py_tp_dealloc, dealloc},
        {Py_bf_getbuffer, get_buffer},
        {0, NULL},
    };
    static PyType_Spec spec = {
        .name = "_ipmpi.Frame",
        .basicsize = sizeof(struct frame_object),
        .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
        .slots = slots,
    };

    frame_type = (PyTypeObject *)PyType_FromSpec(&spec);
    return frame_type == NULL ? -1 : 0;
}

static PyObject *view_of(const struct ipmpi_frame *frame, int read_only)
{
    struct frame_object *object = PyObject_New(struct frame_object, frame_type);
    PyObject *view;

    if (object == NULL)
        return NULL;
    object->frame = *frame;
    object->read_only = read_only;
    if (frame->owner != NULL)
        ipmpi_buffer_share(frame->owner);
    view = PyMemoryView_FromObject((PyObject *)object);
    Py_DECREF(object); /* the view holds it */
    return view;
}

PyObject *ipmpi_python_views(const struct ipmpi_frames *frames, size_t first)
{
    PyObject *list = PyList_New((Py_ssize_t)(frames->n - first)), *view;

    if (list == NULL)
        return NULL;
    for (size_t i = first; i < frames->n; i++) {
        view = view_of(&frames->at[i], 0);
        if (view == NULL ||
            PyList_SetItem(list, (Py_ssize_t)(i - first), view) < 0) {
            Py_DECREF(list);
            return NULL;
        }
    }
    return list;
}

PyObject *ipmpi_python_view(struct ipmpi_buffer *buffer, bool read_only)
{
    const struct ipmpi_frame frame = {ipmpi_buffer_data(buffer),
                                      ipmpi_buffer_len(buffer), buffer};

    return view_of(&frame, read_only);
}
