/* What the files of the module `_ipmpi` share. The one door to Python.h.
 *
 * Built once, for every CPython from 3.11 on: only the limited API, and no
 * libpython is linked; whoever loads this has loaded one before.
 *
 * Threads: everything here is called with the GIL held, unless it says
 *          otherwise. */
#ifndef IPMPI_PYTHON_MODULE_H
#define IPMPI_PYTHON_MODULE_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "runtime/engine/engine.h"

/* The engine of this process; NULL before join(). Never freed: threads of
 * Python may be inside it until the process ends. */
extern struct ipmpi_engine *ipmpi_python_engine;

/* The engine, or NULL with RuntimeError set. */
struct ipmpi_engine *ipmpi_python_get_engine(void);

/* Raises what the error stands for, "what: reason". Returns NULL. */
PyObject *ipmpi_python_raise(int err, const char *what);

/* Waits, with the GIL released, until output may be posted. With
 * `interruptible`, signal handlers run meanwhile: -1 if one raised. */
int ipmpi_python_wait_room(struct ipmpi_engine *engine, int interruptible);

/* buffer.c: the frames of a message as a list of memoryviews. NULL: raised. */
PyObject *ipmpi_python_views(const struct ipmpi_frames *frames, size_t first);
/* A memoryview of a buffer (shared). NULL: raised. */
PyObject *ipmpi_python_view(struct ipmpi_buffer *buffer, bool read_only);
/* Makes the type those views export. -1: raised. */
int ipmpi_python_init_frame(void);

/* lend.c: appends what an object exports (bytes, array, ...) to frames: small
 * ones copied, large ones lent until they are sent. -1: raised. */
int ipmpi_python_add_buffer(struct ipmpi_frames *frames, PyObject *object);
/* The same for each item of a sequence. */
int ipmpi_python_add_buffers(struct ipmpi_frames *frames, PyObject *sequence);
/* Gives back what has been sent. */
void ipmpi_python_collect(void);

/* work.c: work as take() returns it. NULL: raised. */
PyObject *ipmpi_python_work(const struct ipmpi_work *work);

/* children.c */
extern PyMethodDef ipmpi_python_children_methods[];

/* work.c, output.c */
extern PyMethodDef ipmpi_python_work_methods[];
extern PyMethodDef ipmpi_python_output_methods[];

/* From a room above, which is linked in: collectives/python. */
extern PyMethodDef ipmpi_python_collective_methods[];

/* Makes the module. Not exported: Python gets it by AppendInittab. */
PyObject *PyInit__ipmpi(void);

#endif
