/* What the doctor looks at among programs and libraries. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "launch/machine/doctor.h"
#include "launch/machine/run_program.h"
#include "runtime/base/error.h"
#include "runtime/process/parts.h"

enum { MPIRUN_MS = 60 * 1000 };

/* What of ours is not where it belongs; NULL: nothing. */
static const char *find_missing(char engine_out[PATH_MAX])
{
    struct ipmpi_parts parts;

    ipmpi_parts_find(&parts);
    return !ipmpi_machine_program("ipmpi-engine", engine_out) ? "ipmpi-engine"
           : parts.controller[0] == '\0' ? "ipmpi-controller"
           : parts.embed[0] == '\0'      ? "ipmpi_embed.so"
           : parts.package[0] == '\0'    ? "the Python package ipmpi_engine"
                                         : NULL;
}

void ipmpi_check_programs(const struct ipmpi_patient *patient,
                          struct ipmpi_finding *finding)
{
    char path[PATH_MAX], output[256];
    const char *missing = find_missing(path);

    (void)patient;
    if (missing != NULL) {
        ipmpi_finding_say(
            finding, IPMPI_BROKEN,
            "install ipmpi whole: `cmake --install` puts its parts where they "
            "find each other",
            "%s is missing", missing);
        return;
    }
    if (ipmpi_run_program((char *const[]){path, (char *)"--version", NULL},
                          MPIRUN_MS, output, sizeof(output)) != 0) {
        ipmpi_finding_say(finding, IPMPI_BROKEN,
                          "run it by hand; `ldd` tells what it lacks",
                          "%s does not run", path);
        return;
    }
    output[strcspn(output, "\n")] = '\0';
    ipmpi_finding_say(finding, IPMPI_GOOD, "", "%s, %s", output, path);
}

/* The first line with a word in it that is not a rule of dashes. */
static const char *first_line(char *text)
{
    char *line = text + strspn(text, "-\n \t");

    line[strcspn(line, "\n")] = '\0';
    return line;
}

void ipmpi_check_mpirun(const struct ipmpi_patient *patient,
                        struct ipmpi_finding *finding)
{
    char path[PATH_MAX], program[PATH_MAX], version[256] = "", output[2048];
    int status;

    (void)patient;
    if (!ipmpi_machine_in_path("mpirun", path)) {
        ipmpi_finding_say(finding, IPMPI_BROKEN,
                          "install Open MPI (Debian: openmpi-bin)",
                          "mpirun is not in PATH");
        return;
    }
    ipmpi_run_program((char *const[]){path, (char *)"--version", NULL},
                      MPIRUN_MS, version, sizeof(version));
    if (strstr(version, "Open MPI") == NULL &&
        strstr(version, "prte") == NULL) {
        ipmpi_finding_say(
            finding, IPMPI_WARNING, "ipmpi is made for Open MPI from 4.1 on",
            "%s is another MPI: %.100s", path, first_line(version));
        return;
    }
    ipmpi_machine_program("ipmpi-engine", program);
    status =
        ipmpi_run_program((char *const[]){path, (char *)"-np", (char *)"2",
                                          program, (char *)"--version", NULL},
                          MPIRUN_MS, output, sizeof(output));
    if (status == 0)
        ipmpi_finding_say(finding, IPMPI_GOOD, "", "%s, %s",
                          first_line(version), path);
    else if (status == IPMPI_ETIMEOUT)
        ipmpi_finding_say(
            finding, IPMPI_BROKEN,
            "a firewall or a dead network interface can be the reason; try "
            "OMPI_MCA_oob_tcp_if_include=lo",
            "`mpirun -np 2 %s --version` does not come back", program);
    else
        ipmpi_finding_say(finding, IPMPI_BROKEN,
                          "run it by hand and read all it says",
                          "`mpirun -np 2 %s --version` ends with %d: %.200s",
                          program, status, first_line(output));
}

void ipmpi_check_ssh(const struct ipmpi_patient *patient,
                     struct ipmpi_finding *finding)
{
    if (patient->machine->ssh)
        ipmpi_finding_say(finding, IPMPI_GOOD, "",
                          "there (only needed for other nodes)");
    else
        ipmpi_finding_say(
            finding, IPMPI_GOOD, "",
            "none: mpirun is told not to look for it; for several nodes use "
            "Slurm, or `ipmpi hosts`");
}

void ipmpi_check_copy(const struct ipmpi_patient *patient,
                      struct ipmpi_finding *finding)
{
    if (patient->machine->single_copy)
        ipmpi_finding_say(finding, IPMPI_GOOD, "", "one copy within a node");
    else
        ipmpi_finding_say(
            finding, IPMPI_WARNING,
            "give the container the capability SYS_PTRACE for more speed",
            "processes may not read each other's memory: two copies within a "
            "node");
}

void ipmpi_check_hwloc(const struct ipmpi_patient *patient,
                       struct ipmpi_finding *finding)
{
    void *library = dlopen("libhwloc.so.15", RTLD_LAZY);

    (void)patient;
    if (library == NULL) {
        ipmpi_finding_say(finding, IPMPI_BROKEN,
                          "install hwloc (Debian: libhwloc15)", "%.200s",
                          dlerror());
        return;
    }
    dlclose(library);
    ipmpi_finding_say(finding, IPMPI_GOOD, "", "libhwloc.so.15");
}
