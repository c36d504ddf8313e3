/* Entering Python. */
#include "runtime/python/module.h" /* Python.h before all others */

#include "runtime/base/log.h"
#include "runtime/python/embed.h"

int ipmpi_embed_main(int argc, char **argv)
{
    if (PyImport_AppendInittab("_ipmpi", PyInit__ipmpi) != 0) {
        ipmpi_log_error("PYTHON-INIT", "cannot register _ipmpi: out of memory");
        return 1;
    }
    return Py_BytesMain(argc, argv);
}
