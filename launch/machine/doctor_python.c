/* What the doctor looks at in the interpreter that engines would embed. */
#include <stdio.h>
#include <string.h>

#include "launch/machine/doctor.h"
#include "launch/machine/run_program.h"
#include "runtime/base/error.h"

enum { PYTHON_MS = 60 * 1000 };

/* Prints "VERSION<tab>LIBPYTHON or empty". */
static const char about[] =
    "import sys, sysconfig, os\n"
    "v = sysconfig.get_config_var\n"
    "dirs = [v('LIBDIR'), os.path.join(v('LIBDIR') or '', v('MULTIARCH') or "
    "'')]\n"
    "paths = [os.path.join(d, v('INSTSONAME') or v('LDLIBRARY')) for d in "
    "dirs if d]\n"
    "found = [p for p in paths if p.endswith(tuple(['.so', '.so.1.0'])) and "
    "os.path.exists(p)]\n"
    "print('%d.%d.%d' % sys.version_info[:3] + '\\t' + (found + [''])[0])\n";

/* Prints the names of what is missing. */
static const char needs[] =
    "import importlib.util as u\n"
    "names = ['IPython', 'ipykernel', 'ipyparallel', 'numpy', 'zmq']\n"
    "print(' '.join(n for n in names if u.find_spec(n) is None))\n"
    "print(' '.join(n for n in ['mpi4py'] if u.find_spec(n) is None))\n";

static int run_python(const char *python, const char *code, char *output,
                      size_t cap)
{
    return ipmpi_run_program(
        (char *const[]){(char *)python, (char *)"-c", (char *)code, NULL},
        PYTHON_MS, output, cap);
}

static void write_finding(struct ipmpi_finding *finding,
                          enum ipmpi_verdict verdict, const char *advice)
{
    finding->verdict = verdict;
    snprintf(finding->advice, sizeof(finding->advice), "%s", advice);
}

void ipmpi_check_python(const struct ipmpi_patient *patient,
                        struct ipmpi_finding *finding)
{
    char output[512], *library;
    int major = 0, minor = 0;

    if (run_python(patient->python, about, output, sizeof(output)) != 0 ||
        (library = strchr(output, '\t')) == NULL) {
        snprintf(finding->found, sizeof(finding->found), "%s does not run",
                 patient->python);
        write_finding(finding, IPMPI_BROKEN,
                      "activate an environment, or name one with --python");
        return;
    }
    *library++ = '\0';
    library[strcspn(library, "\n")] = '\0';
    sscanf(output, "%d.%d", &major, &minor);
    snprintf(finding->found, sizeof(finding->found), "%.100s %.20s %.300s",
             patient->python, output,
             library[0] != '\0' ? library : "without a shared libpython");
    if (major != 3 || minor < 11)
        write_finding(finding, IPMPI_BROKEN,
                      "engines embed CPython from 3.11 on");
    else if (library[0] == '\0')
        write_finding(finding, IPMPI_BROKEN,
                      "use a Python that was built with --enable-shared "
                      "(Debian's, conda's; pyenv: PYTHON_CONFIGURE_OPTS="
                      "--enable-shared)");
}

void ipmpi_check_packages(const struct ipmpi_patient *patient,
                          struct ipmpi_finding *finding)
{
    char output[512], *optional;

    if (run_python(patient->python, needs, output, sizeof(output)) != 0 ||
        (optional = strchr(output, '\n')) == NULL) {
        snprintf(finding->found, sizeof(finding->found),
                 "%s cannot tell its packages", patient->python);
        write_finding(finding, IPMPI_BROKEN, "see above");
        return;
    }
    *optional++ = '\0';
    optional[strcspn(optional, "\n")] = '\0';
    if (output[0] != '\0') {
        snprintf(finding->found, sizeof(finding->found), "missing: %.400s",
                 output);
        write_finding(finding, IPMPI_BROKEN,
                      "pip install ipyparallel ipykernel numpy, in that "
                      "environment");
    } else if (optional[0] != '\0') {
        snprintf(finding->found, sizeof(finding->found), "all but mpi4py");
        write_finding(finding, IPMPI_WARNING,
                      "pip install mpi4py if your code uses MPI itself");
    } else {
        snprintf(finding->found, sizeof(finding->found),
                 "IPython, ipykernel, ipyparallel, numpy, mpi4py");
    }
}
