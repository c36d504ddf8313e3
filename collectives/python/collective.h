/* Collectives among engines, for the package ipmpi_engine: one group at a
 * time. The GIL is released while MPI moves data.
 *
 * Threads: main, with the GIL. */
#ifndef IPMPI_COLLECTIVES_PYTHON_COLLECTIVE_H
#define IPMPI_COLLECTIVES_PYTHON_COLLECTIVE_H

#include "runtime/python/module.h"

#include "collectives/collectives.h"

enum { IPMPI_KEPT_CAP = 8, IPMPI_WHY_CAP = 1024 };

struct ipmpi_collective {
    struct ipmpi_group *group; /* NULL: none is open */
    struct ipmpi_engine *engine;
    PyThreadState *thread; /* while the GIL is released */
    unsigned polls;
    char why[IPMPI_WHY_CAP];
    Py_buffer kept[IPMPI_KEPT_CAP]; /* lent to MPI by calls that failed */
    int n_kept;
};

extern struct ipmpi_collective ipmpi_collective;

/* 0, or -1: none is open, and that is raised. */
int ipmpi_collective_check(void);

/* Raises what a call that failed means. Returns NULL. */
PyObject *ipmpi_collective_raise(int err);

/* A sequence of integers, `want` of them (-1: any number), as an array of the
 * caller's. NULL: raised. */
size_t *ipmpi_collective_sizes(PyObject *sequence, Py_ssize_t want);

/* The bytes of an object (None: none). -1: raised. Afterwards they are put
 * back: after a call that failed (`err`) they stay lent until close. */
int ipmpi_collective_get(PyObject *object, Py_buffer *buffer, int flags);
void ipmpi_collective_put_back(Py_buffer *buffer, int err);

/* Numbers in `len` bytes, and an operation, by name; those of which
 * ipmpi_numbers_can says no where a name is unknown. */
void ipmpi_collective_numbers(const char *number, const char *op, size_t len,
                              struct ipmpi_numbers *numbers_out);

/* collective_data.c, collective_shared.c */
PyObject *ipmpi_collective_can(PyObject *self, PyObject *args);
PyObject *ipmpi_collective_move(PyObject *self, PyObject *args,
                                PyObject *kwargs);
PyObject *ipmpi_collective_share(PyObject *self, PyObject *args);
PyObject *ipmpi_collective_reduce_shared(PyObject *self, PyObject *args);
extern const char ipmpi_collective_can_doc[], ipmpi_collective_move_doc[],
    ipmpi_collective_share_doc[], ipmpi_collective_reduce_shared_doc[];

#endif
