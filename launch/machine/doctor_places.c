/* What the doctor looks at on the machine: ports, memory, files, cpus. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "launch/machine/doctor.h"
#include "runtime/base/segment.h"

enum { MIB = 1 << 20, SHM_BASE = 64, SHM_RANK = 8 };

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
        ipmpi_finding_say(finding, IPMPI_BROKEN,
                          "is the loopback interface up? `ip link set lo up`",
                          "cannot listen on 127.0.0.1: %s", strerror(errno));
    else
        ipmpi_finding_say(finding, IPMPI_GOOD, "", "can listen on 127.0.0.1");
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
        ipmpi_finding_say(finding, IPMPI_BROKEN,
                          "mount a tmpfs there, writable for all",
                          "/dev/shm: %s", strerror(errno));
        return;
    }
    free_mib = (unsigned long long)fs.f_bavail * fs.f_frsize / MIB;
    if (free_mib >= want_mib) {
        ipmpi_finding_say(finding, IPMPI_GOOD, "", "%llu MiB free", free_mib);
        return;
    }
    snprintf(advice, sizeof(advice),
             "%d engines want %llu MiB and room for shared arrays; "
             "docker run --shm-size, or remove old files in it",
             patient->engines, want_mib);
    ipmpi_finding_say(finding, IPMPI_WARNING, advice, "%llu MiB free",
                      free_mib);
}

void ipmpi_check_huge_pages(const struct ipmpi_patient *patient,
                            struct ipmpi_finding *finding)
{
    (void)patient;
    if (ipmpi_segment_has_huge_pages())
        ipmpi_finding_say(finding, IPMPI_GOOD, "", "for shared arrays, too");
    else
        ipmpi_finding_say(finding, IPMPI_GOOD,
                          "broadcasts of many MiB take a third of the time "
                          "after `echo advise > " IPMPI_SEGMENT_HUGE
                          "`, as root",
                          "none for shared arrays");
}

void ipmpi_check_tmp(const struct ipmpi_patient *patient,
                     struct ipmpi_finding *finding)
{
    const char *tmp = getenv("TMPDIR");

    (void)patient;
    if (tmp == NULL || tmp[0] == '\0')
        tmp = "/tmp";
    if (access(tmp, W_OK | X_OK) != 0)
        ipmpi_finding_say(finding, IPMPI_BROKEN,
                          "Open MPI keeps its session there; chmod "
                          "1777, or set TMPDIR",
                          "cannot write %s: %s", tmp, strerror(errno));
    else if (strlen(tmp) > 60)
        ipmpi_finding_say(finding, IPMPI_WARNING, "set a shorter TMPDIR",
                          "%s is long: names of sockets in it may not fit",
                          tmp);
    else
        ipmpi_finding_say(finding, IPMPI_GOOD, "", "%s is writable", tmp);
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
        ipmpi_finding_say(
            finding, IPMPI_BROKEN,
            "chown it, or choose another --profile-dir or --ipython-dir",
            "cannot write %s: %s", there, strerror(errno));
    else if (strcmp(there, dir) != 0)
        ipmpi_finding_say(finding, IPMPI_GOOD, "", "%s will be made", dir);
    else if (stat(path, &info) == 0 && (info.st_mode & 077) != 0)
        ipmpi_finding_say(finding, IPMPI_WARNING,
                          "chmod 700 it: it holds clusters' keys",
                          "others may look into %s", path);
    else if (holder.held)
        ipmpi_finding_say(finding, IPMPI_GOOD, "", "%s; a cluster runs (%s)",
                          dir, holder.host);
    else if (access(patient->paths->client_file, F_OK) == 0)
        ipmpi_finding_say(
            finding, IPMPI_WARNING,
            "the next start replaces them; `ipmpi list` shows all",
            "%s has files of a cluster that is gone", dir);
    else
        ipmpi_finding_say(finding, IPMPI_GOOD, "", "%s", dir);
}

void ipmpi_check_cpus(const struct ipmpi_patient *patient,
                      struct ipmpi_finding *finding)
{
    const unsigned cpus = patient->machine->cpus;

    if ((unsigned)patient->engines > 2 * cpus)
        ipmpi_finding_say(finding, IPMPI_WARNING,
                          "engines that compute will take turns; start fewer",
                          "%d engines on %u cpus", patient->engines, cpus);
    else
        ipmpi_finding_say(finding, IPMPI_GOOD, "", "%u for %d engines", cpus,
                          patient->engines);
}
