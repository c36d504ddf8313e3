/* The built-in module `_ipmpi`: joining, waking, leaving.
 *
 * Invariant: one engine a process. Hence the old, single-phase kind of module:
 *            a sub-interpreter would share it. */
#include "runtime/python/module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"
#include "runtime/base/segment.h"
#include "runtime/python/embed.h"

struct ipmpi_engine *ipmpi_python_engine;

struct ipmpi_engine *ipmpi_python_get_engine(void)
{
    if (ipmpi_python_engine == NULL)
        PyErr_SetString(PyExc_RuntimeError,
                        "this process is not an engine: join() comes first");
    return ipmpi_python_engine;
}

PyObject *ipmpi_python_raise(int err, const char *what)
{
    PyObject *type = PyExc_RuntimeError;

    if (err == IPMPI_ENOMEM)
        return PyErr_NoMemory();
    if (err == IPMPI_ENOENT)
        type = PyExc_LookupError;
    else if (err == IPMPI_EINVAL || err == IPMPI_EJSON)
        type = PyExc_ValueError;
    else if (err == IPMPI_EIO)
        type = PyExc_OSError;
    return PyErr_Format(type, "%s: %s", what, ipmpi_strerror(err));
}

PyDoc_STRVAR(join_doc,
             "join()\n--\n\n"
             "Initialises MPI and joins the job as an engine; blocks, without\n"
             "the GIL, until all ranks have come. The calling thread is the\n"
             "main thread from now on. From here descriptors 1 and 2 are\n"
             "captured. Returns a dict.\n\n"
             "Keys: engine_id (int), uuid, session, username (str), key\n"
             "(bytes, the HMAC key), rank and size (int, among the engines),\n"
             "user_world (int, value of the engines' MPI_Comm), wake_fd (int,\n"
             "readable when there is something for the main thread),\n"
             "stdout_fd and stderr_fd (int, where 1 and 2 went before; -1).\n\n"
             "Raises RuntimeError; the log has the reason.");

static PyObject *identity_dict(const struct ipmpi_engine_identity *id)
{
    return Py_BuildValue(
        "{s:i,s:s,s:s,s:s,s:y#,s:i,s:i,s:K,s:i,s:i,s:i}", "engine_id",
        id->engine_id, "uuid", id->uuid, "session", id->session, "username",
        id->username, "key", (const char *)id->key, (Py_ssize_t)id->key_len,
        "rank", id->rank, "size", id->size, "user_world",
        (unsigned long long)id->user_world, "wake_fd", id->wake_fd, "stdout_fd",
        id->stdout_fd, "stderr_fd", id->stderr_fd);
}

static PyObject *join(PyObject *self, PyObject *none)
{
    struct ipmpi_engine *engine;
    int err;

    (void)self;
    (void)none;
    if (ipmpi_python_engine != NULL)
        return ipmpi_python_raise(IPMPI_EEXIST, "join");
    Py_BEGIN_ALLOW_THREADS err = ipmpi_engine_join(&engine);
    Py_END_ALLOW_THREADS if (err != 0) return ipmpi_python_raise(
        err, "cannot join the job (see the log)");
    ipmpi_python_engine = engine;
    return identity_dict(ipmpi_engine_identity(engine));
}

PyDoc_STRVAR(ready_doc, "ready()\n--\n\n"
                        "Tells rank 0 that requests may come. Main thread.");

static PyObject *ready(PyObject *self, PyObject *none)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    char version[32];
    int err;

    (void)self;
    (void)none;
    if (engine == NULL)
        return NULL;
    PyOS_snprintf(version, sizeof(version), "%s", Py_GetVersion());
    version[strcspn(version, " ")] = '\0';
    err = ipmpi_engine_ready(engine, version);
    if (err != 0)
        return ipmpi_python_raise(err, "ready");
    Py_RETURN_NONE;
}

PyDoc_STRVAR(leave_doc,
             "leave()\n--\n\n"
             "Sends what is left, says that nothing more will come, waits\n"
             "without the GIL until the job ends, and finalises MPI. Main\n"
             "thread. If MPI cannot be finalised, because a rank died, the\n"
             "process ends here: run exit functions before.");

static PyObject *leave(PyObject *self, PyObject *none)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();
    int err;

    (void)self;
    (void)none;
    if (engine == NULL)
        return NULL;
    Py_BEGIN_ALLOW_THREADS err = ipmpi_engine_leave(engine);
    Py_END_ALLOW_THREADS ipmpi_python_collect();
    if (err != 0)
        return ipmpi_python_raise(err, "leave");
    Py_RETURN_NONE;
}

PyDoc_STRVAR(clear_wake_doc,
             "clear_wake()\n--\n\n"
             "Rearms wake_fd. Call take() until it returns None afterwards:\n"
             "what came before is not announced again.");

static PyObject *clear_wake(PyObject *self, PyObject *none)
{
    struct ipmpi_engine *engine = ipmpi_python_get_engine();

    (void)self;
    (void)none;
    if (engine == NULL)
        return NULL;
    ipmpi_engine_clear_wake(engine);
    ipmpi_python_collect();
    Py_RETURN_NONE;
}

PyDoc_STRVAR(stop_requested_doc,
             "stop_requested()\n--\n\n"
             "0: no; 1: this engine is to leave; 2: the job ends.");

static PyObject *stop_requested(PyObject *self, PyObject *none)
{
    (void)self;
    (void)none;
    return PyLong_FromLong(
        ipmpi_python_engine == NULL
            ? 0
            : (long)ipmpi_engine_stop_requested(ipmpi_python_engine));
}

static PyMethodDef methods[] = {
    {"join", join, METH_NOARGS, join_doc},
    {"ready", ready, METH_NOARGS, ready_doc},
    {"leave", leave, METH_NOARGS, leave_doc},
    {"clear_wake", clear_wake, METH_NOARGS, clear_wake_doc},
    {"stop_requested", stop_requested, METH_NOARGS, stop_requested_doc},
    {NULL, NULL, 0, NULL},
};

static int add_constants(PyObject *module)
{
    static const struct {
        const char *name;
        long value;
    } constants[] = {
        {"APPLY", IPMPI_WORK_APPLY},
        {"EXECUTE", IPMPI_WORK_EXECUTE},
        {"COMM", IPMPI_WORK_COMM},
        {"OTHER", IPMPI_WORK_OTHER},
        {"BULK", IPMPI_WORK_BULK},
        {"MPI", IPMPI_WORK_MPI},
        {"CHILD", IPMPI_WORK_CHILD},
        {"BALANCED", IPMPI_WORK_BALANCED},
        {"SILENT", IPMPI_WORK_SILENT},
        {"OK", IPMPI_STATUS_OK},
        {"ERROR", IPMPI_STATUS_ERROR},
        {"ABORTED", IPMPI_STATUS_ABORTED},
        {"UNMET", IPMPI_STATUS_UNMET},
        {"UNKNOWN", IPMPI_STATUS_UNKNOWN},
        {"share_from", (long)IPMPI_SEGMENT_MIN},
    };
    char node[IPMPI_NODE_LEN + 1];

    for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++)
        if (PyModule_AddIntConstant(module, constants[i].name,
                                    constants[i].value) < 0)
            return -1;
    ipmpi_segment_node(node);
    if (PyModule_AddStringConstant(module, "node", node) < 0)
        return -1;
    return PyModule_AddStringConstant(module, "version", IPMPI_VERSION);
}

/* The package ipmpi_engine is in the directory `python` beside this file. */
static int add_package_dir(PyObject *module)
{
    char path[PATH_MAX], *slash;
    Dl_info info;
    PyObject *dir;
    int failed;

    if (dladdr((void *)(uintptr_t)ipmpi_embed_main, &info) == 0 ||
        realpath(info.dli_fname, path) == NULL) {
        PyErr_SetString(PyExc_ImportError, "cannot find ipmpi's own directory");
        return -1;
    }
    slash = strrchr(path, '/');
    if (slash + sizeof("/python") > path + sizeof(path)) {
        PyErr_SetString(PyExc_ImportError, "ipmpi's own path is too long");
        return -1;
    }
    strcpy(slash, "/python");
    dir = PyUnicode_DecodeFSDefault(path);
    if (dir == NULL)
        return -1;
    failed = PyModule_AddObjectRef(module, "package_dir", dir);
    Py_DECREF(dir);
    return failed;
}

PyObject *PyInit__ipmpi(void)
{
    static struct PyModuleDef definition = {
        PyModuleDef_HEAD_INIT,
        .m_name = "_ipmpi",
        .m_doc =
            "The engine of this process: requests in, replies and output "
            "out.\n\nThe main thread watches wake_fd (see join), take()s "
            "requests and reply()s;\none other thread serves "
            "take_control(). A signal that a client sends\ninterrupts the "
            "main thread. `package_dir` is where the package\n"
            "ipmpi_engine is found, `version` ours. Engines with the same\n"
            "`node` share arrays from `share_from` bytes on.",
        .m_size = -1,
        .m_methods = methods,
    };
    PyObject *module;

    if (ipmpi_python_init_frame() < 0)
        return NULL;
    module = PyModule_Create(&definition);
    if (module == NULL)
        return NULL;
    if (PyModule_AddFunctions(module, ipmpi_python_work_methods) < 0 ||
        PyModule_AddFunctions(module, ipmpi_python_children_methods) < 0 ||
        PyModule_AddFunctions(module, ipmpi_python_output_methods) < 0 ||
        PyModule_AddFunctions(module, ipmpi_python_collective_methods) < 0 ||
        add_constants(module) < 0 || add_package_dir(module) < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
