/* The settings of this process, written down for another. */
#include "runtime/process/settings.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/error.h"

enum { CPUS = 8192 };

extern char **environ;

static void put_signals(FILE *out, const char *name, uint64_t set)
{
    const char *comma = "";

    fprintf(out, ",\"%s\":[", name);
    for (int n = 1; n <= 64; n++) {
        if ((set >> (n - 1)) & 1) {
            fprintf(out, "%s%d", comma, n);
            comma = ",";
        }
    }
    putc(']', out);
}

static void put_affinity(FILE *out)
{
    cpu_set_t cpus[CPUS / CPU_SETSIZE];
    const char *comma = "";

    fputs(",\"affinity\":[", out);
    memset(cpus, 0, sizeof(cpus));
    if (sched_getaffinity(0, sizeof(cpus), cpus) == 0) {
        for (int cpu = 0; cpu < CPUS; cpu++) {
            if (CPU_ISSET_S(cpu, sizeof(cpus), cpus)) {
                fprintf(out, "%s%d", comma, cpu);
                comma = ",";
            }
        }
    }
    putc(']', out);
}

static void put_limits(FILE *out)
{
    const char *comma = "";
    struct rlimit limit;

    fputs(",\"limits\":[", out);
    for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
        if (getrlimit((__rlimit_resource_t)i, &limit) == 0) {
            fprintf(out, "%s[%d,%lld,%lld]", comma, i,
                    (long long)limit.rlim_cur, (long long)limit.rlim_max);
            comma = ",";
        }
    }
    putc(']', out);
}

static void put_all(FILE *out, int rank, const struct ipmpi_signals *signals)
{
    const mode_t mask = umask(0);

    umask(mask); /* there is no other way to read it */
    fprintf(out, "{\"rank\":%d,\"umask\":%d,\"nice\":%d,\"group\":%d", rank,
            (int)mask, getpriority(PRIO_PROCESS, 0), (int)getpgrp());
    put_signals(out, "blocked", signals->blocked);
    put_signals(out, "ignored", signals->ignored);
    put_affinity(out);
    put_limits(out);
    putc('}', out);
    putc('\0', out);
    for (char **each = environ; *each != NULL; each++)
        fwrite(*each, 1, strlen(*each) + 1, out);
}

static int write_settings(int rank, const struct ipmpi_signals *signals)
{
    const int fd = memfd_create("ipmpi-settings", MFD_CLOEXEC);
    FILE *out;
    int bad;

    if (fd < 0)
        return -1;
    out = fdopen(dup(fd), "w");
    bad = out == NULL;
    if (out != NULL) {
        put_all(out, rank, signals);
        bad = ferror(out);
        bad |= fclose(out) != 0;
    }
    if (bad || lseek(fd, 0, SEEK_SET) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

int ipmpi_settings_open(int rank, const struct ipmpi_signals *signals,
                        struct ipmpi_settings_fds *out)
{
    for (int i = 0; i < 3; i++)
        out->standard[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
    out->settings = write_settings(rank, signals);
    out->directory = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (out->standard[0] < 0 || out->standard[1] < 0 || out->standard[2] < 0 ||
        out->settings < 0 || out->directory < 0) {
        ipmpi_settings_close(out);
        return IPMPI_ESYS;
    }
    return 0;
}

void ipmpi_settings_close(struct ipmpi_settings_fds *fds)
{
    int *each[] = {&fds->standard[0], &fds->standard[1], &fds->standard[2],
                   &fds->settings, &fds->directory};

    for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
        if (*each[i] >= 0)
            close(*each[i]);
        *each[i] = -1;
    }
}
