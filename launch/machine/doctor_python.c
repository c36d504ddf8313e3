/* What the doctor looks at in the interpreter that engines would embed. */
#include <stdio.h>
#include <string.h>

#include "launch/machine/doctor.h"
#include "launch/machine/run_program.h"
#include "runtime/process/interpreter.h"

enum { PYTHON_MS = 60 * 1000, NOT_FOUND = 127 };

/* Prints the versions of what is there, then "old" or nothing, then "bare" if
 * numpy is missing. */
static const char about_packages[] =
    "import importlib.metadata as m\n"
    "there = []\n"
    "for n in ['ipyparallel', 'ipykernel', 'IPython', 'numpy']:\n"
    "    try:\n"
    "        there.append((n, m.version(n)))\n"
    "    except m.PackageNotFoundError:\n"
    "        pass\n"
    "print(', '.join(n + ' ' + v for n, v in there))\n"
    "v = dict(there).get('ipyparallel', '99.0').split('.')\n"
    "print('old' if (int(v[0]), int(v[1])) < (7, 1) else '')\n"
    "print('' if 'numpy' in dict(there) else 'bare')\n";

/* Prints mpi4py's version, then that of its MPI library. */
static const char about_mpi4py[] =
    "import importlib.util as u\n"
    "if u.find_spec('mpi4py'):\n"
    "    import mpi4py\n"
    "    mpi4py.rc.initialize = False\n"
    "    from mpi4py import MPI\n"
    "    print(mpi4py.__version__)\n"
    "    print(MPI.Get_library_version().split(',')[0].split('\\n')[0])\n"
    "else:\n"
    "    print('none')\n";

/* The interpreter's path, and what it prints; as ipmpi_run_program. */
static int run_python(const struct ipmpi_patient *patient, const char *code,
                      char *output, size_t cap)
{
    char path[PATH_MAX], why[256];

    if (ipmpi_interpreter_choose(patient->python, path, why, sizeof(why)) != 0)
        return NOT_FOUND;
    return ipmpi_run_program(
        (char *const[]){path, (char *)"-c", (char *)code, NULL}, PYTHON_MS,
        output, cap);
}

static void write_finding(struct ipmpi_finding *finding,
                          enum ipmpi_verdict verdict, const char *advice)
{
    finding->verdict = verdict;
    snprintf(finding->advice, sizeof(finding->advice), "%s", advice);
}

/* Cuts the text after its first line, and gives the rest. */
static char *cut_line(char *text)
{
    char *rest = text + strcspn(text, "\n");

    if (*rest != '\0')
        *rest++ = '\0';
    return rest;
}

/* A traceback's last line says what is wrong. */
static const char *last_line(char *text)
{
    char *last;

    while (text[0] != '\0' && text[strlen(text) - 1] == '\n')
        text[strlen(text) - 1] = '\0';
    last = strrchr(text, '\n');
    return last != NULL ? last + 1 : text;
}

/* Says that there is no answer, and why; true if so. */
static bool is_mute(int status, char *output, struct ipmpi_finding *finding,
                    const char *advice)
{
    if (status == 0)
        return false;
    if (status == NOT_FOUND) {
        snprintf(finding->found, sizeof(finding->found), "not looked at");
        write_finding(finding, IPMPI_WARNING, "first there must be a Python");
    } else {
        snprintf(finding->found, sizeof(finding->found), "%.500s",
                 last_line(output));
        write_finding(finding, IPMPI_WARNING, advice);
    }
    return true;
}

void ipmpi_check_python(const struct ipmpi_patient *patient,
                        struct ipmpi_finding *finding)
{
    struct ipmpi_interpreter found;

    if (ipmpi_interpreter_find(patient->python, &found, finding->found,
                               sizeof(finding->found)) != 0)
        write_finding(finding, IPMPI_BROKEN,
                      "activate an environment that has what engines need, or "
                      "name it: --python PATH");
    else
        snprintf(finding->found, sizeof(finding->found), "%.240s, %.240s",
                 found.python, found.libpython);
}

void ipmpi_check_packages(const struct ipmpi_patient *patient,
                          struct ipmpi_finding *finding)
{
    char output[2048] = "", *age, *bare;
    const int status =
        run_python(patient, about_packages, output, sizeof(output));

    if (is_mute(status, output, finding, "run that Python by hand"))
        return;
    age = cut_line(output);
    bare = cut_line(age);
    snprintf(finding->found, sizeof(finding->found), "%.500s",
             output[0] != '\0' ? output : "none of those that engines need");
    if (strncmp(age, "old", 3) == 0)
        write_finding(finding, IPMPI_BROKEN,
                      "engines need ipyparallel from 7.1 on");
    else if (strncmp(bare, "bare", 4) == 0)
        write_finding(finding, IPMPI_WARNING,
                      "without numpy there are no arrays, and no collectives: "
                      "pip install numpy");
}

void ipmpi_check_mpi4py(const struct ipmpi_patient *patient,
                        struct ipmpi_finding *finding)
{
    char output[4096] = "", *library;
    const int status =
        run_python(patient, about_mpi4py, output, sizeof(output));

    if (is_mute(status, output, finding,
                "engines run without it; `pip install --no-binary mpi4py "
                "mpi4py` builds one for the MPI that is here"))
        return;
    library = cut_line(output);
    cut_line(library);
    snprintf(finding->found, sizeof(finding->found), "%.100s%s%.300s", output,
             library[0] != '\0' ? " on " : "", library);
    if (library[0] == '\0')
        write_finding(finding, IPMPI_WARNING,
                      "pip install mpi4py if your code uses MPI itself");
    else if (strncmp(library, "Open MPI", 8) != 0)
        write_finding(finding, IPMPI_WARNING,
                      "engines run Open MPI and leave it unbound; `pip install "
                      "--no-binary mpi4py mpi4py` builds one for that");
}
