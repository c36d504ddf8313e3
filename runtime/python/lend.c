/* Python's memory lent to the comm thread until it is sent. The comm thread
 * must not take the GIL, so it puts what it is done with on a list; whoever
 * next comes by with the GIL gives it back to Python.
 *
 * Invariant: a Py_buffer is released exactly once, with the GIL held.
 * Threads:   give_back on any, without the GIL; the rest with it. */
#include "runtime/python/module.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "runtime/base/error.h"

enum { LEND_FROM = 64 << 10 }; /* below, a copy is cheaper */

struct lent {
    struct lent *next;
    Py_buffer view;
};

static _Atomic(struct lent *) returned;

static void give_back(void *data, void *hint)
{
    struct lent *lent = hint;

    (void)data;
    lent->next = atomic_load(&returned);
    while (!atomic_compare_exchange_weak(&returned, &lent->next, lent))
        ;
    if (ipmpi_python_engine != NULL)
        ipmpi_engine_wake(ipmpi_python_engine); /* main collects */
}

void ipmpi_python_collect(void)
{
    struct lent *list, *lent;

    if (atomic_load_explicit(&returned, memory_order_relaxed) == NULL)
        return;
    list = atomic_exchange(&returned, NULL);
    while ((lent = list) != NULL) {
        list = lent->next;
        PyBuffer_Release(&lent->view);
        free(lent);
    }
}

/* Lends the view, which is given: frames own it after success. */
static int lend(struct ipmpi_frames *frames, const Py_buffer *view)
{
    struct lent *lent = malloc(sizeof(*lent));
    struct ipmpi_buffer *buffer;
    int err;

    if (lent == NULL)
        return IPMPI_ENOMEM;
    lent->view = *view;
    err = ipmpi_buffer_wrap(view->buf, (size_t)view->len, give_back, lent,
                            &buffer);
    if (err != 0) {
        free(lent);
        return err;
    }
    err = ipmpi_frames_add_view(frames, buffer, 0, (size_t)view->len);
    ipmpi_buffer_release(&buffer); /* on failure the last: gives it back */
    return err == 0 ? 0 : IPMPI_EFULL;
}

int ipmpi_python_add_buffer(struct ipmpi_frames *frames, PyObject *object)
{
    Py_buffer view;
    int err;

    if (PyObject_GetBuffer(object, &view, PyBUF_SIMPLE) < 0)
        return -1;
    if (view.len < LEND_FROM) {
        err = ipmpi_frames_add_copy(frames, view.buf, (size_t)view.len);
        PyBuffer_Release(&view);
    } else {
        err = lend(frames, &view);
        if (err == IPMPI_ENOMEM)
            PyBuffer_Release(&view);
    }
    if (err == 0)
        return 0;
    PyErr_NoMemory();
    return -1;
}

int ipmpi_python_add_buffers(struct ipmpi_frames *frames, PyObject *sequence)
{
    Py_ssize_t n = PySequence_Size(sequence);
    PyObject *item;
    int failed = n < 0;

    for (Py_ssize_t i = 0; i < n && !failed; i++) {
        item = PySequence_GetItem(sequence, i);
        failed = item == NULL || ipmpi_python_add_buffer(frames, item) < 0;
        Py_XDECREF(item);
    }
    return failed ? -1 : 0;
}
