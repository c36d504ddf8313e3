/* What the doctor looks at on the machine: programs, memory, files, ports. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "launch/machine/doctor.h"
#include "launch/machine/run_program.h"
#include "runtime/base/error.h"
#include "runtime/process/parts.h"

enum { MPIRUN_MS = 60 * 1000, MIB = 1 << 20, SHM_BASE = 64, SHM_RANK = 8 };

static void say(struct ipmpi_finding *finding, enum ipmpi_verdict verdict,
                const char *advice, const char *found, ...)
    __attribute__((format(printf, 4, 5)));

static void say(struct ipmpi_finding *finding, enum ipmpi_verdict verdict,
                const char *advice, const char *found, ...)
{
    va_list args;

    finding->verdict = verdict;
    snprintf(finding->advice, sizeof(finding->advice), "%s", advice);
    va_start(args, found);
    vsnprintf(finding->found, sizeof(finding->found), found, args);
    va_end(args);
}

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
        say(finding, IPMPI_BROKEN,
            "install ipmpi whole: `cmake --install` puts its parts where they "
            "find each other",
            "%s is missing", missing);
        return;
    }
    if (ipmpi_run_program((char *const[]){path, (char *)"--version", NULL},
                          MPIRUN_MS, output, sizeof(output)) != 0) {
        say(finding, IPMPI_BROKEN, "run it by hand; `ldd` tells what it lacks",
            "%s does not run", path);
        return;
    }
    output[strcspn(output, "\n")] = '\0';
    say(finding, IPMPI_GOOD, "", "%s, %s", output, path);
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
        say(finding, IPMPI_BROKEN, "install Open MPI (Debian: openmpi-bin)",
            "mpirun is not in PATH");
        return;
    }
    ipmpi_run_program((char *const[]){path, (char *)"--version", NULL},
                      MPIRUN_MS, version, sizeof(version));
    if (strstr(version, "Open MPI") == NULL &&
        strstr(version, "prte") == NULL) {
        say(finding, IPMPI_WARNING, "ipmpi is made for Open MPI from 4.1 on",
            "%s is another MPI: %.100s", path, first_line(version));
        return;
    }
    ipmpi_machine_program("ipmpi-engine", program);
    status =
        ipmpi_run_program((char *const[]){path, (char *)"-np", (char *)"2",
                                          program, (char *)"--version", NULL},
                          MPIRUN_MS, output, sizeof(output));
    if (status == 0)
        say(finding, IPMPI_GOOD, "", "%s, %s", first_line(version), path);
    else if (status == IPMPI_ETIMEOUT)
        say(finding, IPMPI_BROKEN,
            "a firewall or a dead network interface can be the reason; try "
            "OMPI_MCA_oob_tcp_if_include=lo",
            "`mpirun -np 2 %s --version` does not come back", program);
    else
        say(finding, IPMPI_BROKEN, "run it by hand and read all it says",
            "`mpirun -np 2 %s --version` ends with %d: %.200s", program, status,
            first_line(output));
}

void ipmpi_check_ssh(const struct ipmpi_patient *patient,
                     struct ipmpi_finding *finding)
{
    if (patient->machine->ssh)
        say(finding, IPMPI_GOOD, "", "there (only needed for other nodes)");
    else
        say(finding, IPMPI_GOOD, "",
            "none: mpirun is told not to look for it; for several nodes use "
            "Slurm, or `ipmpi hosts`");
}

void ipmpi_check_copy(const struct ipmpi_patient *patient,
                      struct ipmpi_finding *finding)
{
    if (patient->machine->single_copy)
        say(finding, IPMPI_GOOD, "", "one copy within a node");
    else
        say(finding, IPMPI_WARNING,
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
        say(finding, IPMPI_BROKEN, "install hwloc (Debian: libhwloc15)",
            "%.200s", dlerror());
        return;
    }
    dlclose(library);
    say(finding, IPMPI_GOOD, "", "libhwloc.so.15");
}

/* A socket that nobody holds, on the address that clients are told. */
void ipmpi_check_ports(const struct ipmpi_patient *patient,
                       struct ipmpi_finding *finding)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)patient;
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, 1) != 0)
        say(finding, IPMPI_BROKEN,
            "is the loopback interface up? `ip link set lo up`",
            "cannot listen on 127.0.0.1: %s", strerror(errno));
    else
        say(finding, IPMPI_GOOD, "", "can listen on 127.0.0.1");
    if (fd >= 0)
        close(fd);
}

void ipmpi_check_shm(const struct ipmpi_patient *patient,
                     struct ipmpi_finding *finding)
{
    const unsigned long long want_mib =
        SHM_BASE + (unsigned long long)SHM_RANK * (patient->engines + 1U);
    struct statvfs fs;
    unsigned long long free_mib;
    char advice[200];

    if (statvfs("/dev/shm", &fs) != 0 || access("/dev/shm", W_OK) != 0) {
        say(finding, IPMPI_BROKEN, "mount a tmpfs there, writable for all",
            "/dev/shm: %s", strerror(errno));
        return;
    }
    free_mib = (unsigned long long)fs.f_bavail * fs.f_frsize / MIB;
    if (free_mib >= want_mib) {
        say(finding, IPMPI_GOOD, "", "%llu MiB free", free_mib);
        return;
    }
    snprintf(advice, sizeof(advice),
             "%d engines want %llu MiB and room for shared arrays; "
             "docker run --shm-size, or remove old files in it",
             patient->engines, want_mib);
    say(finding, IPMPI_WARNING, advice, "%llu MiB free", free_mib);
}

void ipmpi_check_tmp(const struct ipmpi_patient *patient,
                     struct ipmpi_finding *finding)
{
    const char *tmp = getenv("TMPDIR");

    (void)patient;
    if (tmp == NULL || tmp[0] == '\0')
        tmp = "/tmp";
    if (access(tmp, W_OK | X_OK) != 0)
        say(finding, IPMPI_BROKEN,
            "Open MPI keeps its session there; chmod "
            "1777, or set TMPDIR",
            "cannot write %s: %s", tmp, strerror(errno));
    else if (strlen(tmp) > 60)
        say(finding, IPMPI_WARNING, "set a shorter TMPDIR",
            "%s is long: names of sockets in it may not fit", tmp);
    else
        say(finding, IPMPI_GOOD, "", "%s is writable", tmp);
}

/* The path, or what there is of it. */
static void find_existing(const char *path, char there_out[PATH_MAX])
{
    char *slash;

    snprintf(there_out, PATH_MAX, "%s", path);
    while (access(there_out, F_OK) != 0 &&
           (slash = strrchr(there_out, '/')) != NULL && slash != there_out)
        *slash = '\0';
    if (access(there_out, F_OK) != 0)
        snprintf(there_out, PATH_MAX, "/");
}

void ipmpi_check_profile(const struct ipmpi_patient *patient,
                         struct ipmpi_finding *finding)
{
    const char *dir = patient->paths->profile_dir;
    struct ipmpi_holder holder;
    struct stat info;
    char path[PATH_MAX], there[PATH_MAX];

    snprintf(path, sizeof(path), "%s/security", dir);
    find_existing(dir, there);
    ipmpi_holder_read(patient->paths, &holder);
    if (access(there, W_OK | X_OK) != 0)
        say(finding, IPMPI_BROKEN,
            "chown it, or choose another --profile-dir or --ipython-dir",
            "cannot write %s: %s", there, strerror(errno));
    else if (strcmp(there, dir) != 0)
        say(finding, IPMPI_GOOD, "", "%s will be made", dir);
    else if (stat(path, &info) == 0 && (info.st_mode & 077) != 0)
        say(finding, IPMPI_WARNING, "chmod 700 it: it holds clusters' keys",
            "others may look into %s", path);
    else if (holder.held)
        say(finding, IPMPI_GOOD, "", "%s; a cluster runs (%s)", dir,
            holder.host);
    else if (access(patient->paths->client_file, F_OK) == 0)
        say(finding, IPMPI_WARNING,
            "the next start replaces them; `ipmpi list` shows all",
            "%s has files of a cluster that is gone", dir);
    else
        say(finding, IPMPI_GOOD, "", "%s", dir);
}

void ipmpi_check_cpus(const struct ipmpi_patient *patient,
                      struct ipmpi_finding *finding)
{
    const unsigned cpus = patient->machine->cpus;

    if ((unsigned)patient->engines > 2 * cpus)
        say(finding, IPMPI_WARNING,
            "engines that compute will take turns; start fewer",
            "%d engines on %u cpus", patient->engines, cpus);
    else
        say(finding, IPMPI_GOOD, "", "%u for %d engines", cpus,
            patient->engines);
}
