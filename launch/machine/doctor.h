/* The checks of `ipmpi doctor`: each looks at one thing and says, if it is
 * wrong, what to do.
 *
 * Threads: one. A check may block for its program, with a deadline. */
#ifndef IPMPI_LAUNCH_MACHINE_DOCTOR_H
#define IPMPI_LAUNCH_MACHINE_DOCTOR_H

#include "launch/machine/machine.h"
#include "launch/clusters/where.h"

enum ipmpi_verdict { IPMPI_GOOD, IPMPI_WARNING, IPMPI_BROKEN };

struct ipmpi_finding {
    enum ipmpi_verdict verdict;
    char found[512];  /* what is there */
    char advice[512]; /* what to do; "" if nothing */
};

/* What the checks may look at; all lent. */
struct ipmpi_patient {
    const struct ipmpi_machine *machine;
    const struct ipmpi_paths *paths;
    const char *python; /* as given; NULL: the active environment's */
    int engines;        /* that the user means to start */
};

/* `found` is a format; advice is "" where there is none. */
void ipmpi_finding_say(struct ipmpi_finding *finding,
                       enum ipmpi_verdict verdict, const char *advice,
                       const char *found, ...)
    __attribute__((format(printf, 4, 5)));

typedef void ipmpi_check_fn(const struct ipmpi_patient *patient,
                            struct ipmpi_finding *finding);

ipmpi_check_fn ipmpi_check_programs, ipmpi_check_mpirun, ipmpi_check_ssh,
    ipmpi_check_copy, ipmpi_check_hwloc, ipmpi_check_python,
    ipmpi_check_packages, ipmpi_check_mpi4py, ipmpi_check_ports,
    ipmpi_check_shm, ipmpi_check_huge_pages, ipmpi_check_tmp,
    ipmpi_check_profile, ipmpi_check_cpus;

#endif
