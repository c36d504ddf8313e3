/* Probes, then variables. Open MPI 4 reads OMPI_MCA_*, Open MPI 5 hands the
 * same to PRRTE by PRTE_MCA_*; each ignores the other's. */
#include "launch/machine/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* Open MPI's shared memory copies large messages by process_vm_readv, which
 * Docker's older seccomp profiles refuse; it then complains at each message.
 * A child tries to read its parent, as one rank reads another. */
static bool may_read_memory(void)
{
    char theirs = 1, mine = 0;
    const pid_t parent = getpid();
    int status = 0;
    const pid_t child = fork();

    if (child == 0) {
        struct iovec to = {&mine, 1}, from = {&theirs, 1};

        _exit(process_vm_readv(parent, &to, 1, &from, 1, 0) == 1 ? 0 : 1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static unsigned count_cpus(void)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
        return (unsigned)CPU_COUNT(&set);
    return (unsigned)(sysconf(_SC_NPROCESSORS_ONLN) > 0
                          ? sysconf(_SC_NPROCESSORS_ONLN)
                          : 1);
}

void ipmpi_machine_look(struct ipmpi_machine *machine_out)
{
    char path[PATH_MAX];

    *machine_out = (struct ipmpi_machine){
        .root = geteuid() == 0,
        .ssh = ipmpi_machine_in_path("ssh", path) ||
               ipmpi_machine_in_path("rsh", path),
        .single_copy = may_read_memory(),
        .batch = getenv("SLURM_JOB_ID") != NULL ||
                 getenv("PBS_NODEFILE") != NULL ||
                 getenv("PE_HOSTFILE") != NULL || getenv("LSB_HOSTS") != NULL,
        .cpus = count_cpus(),
    };
}

/* A list of settings that grows. */
struct settings {
    struct ipmpi_setting *at;
    size_t n;
};

static void need(struct settings *settings, const char *name, const char *value)
{
    if (getenv(name) == NULL)
        settings->at[settings->n++] = (struct ipmpi_setting){name, value};
}

/* How many engines is the user's decision, rank 0 sleeps, and more may join
 * later. Binding would put two clusters of one machine on the same cores. */
static void need_freedom(struct settings *settings)
{
    need(settings, "OMPI_MCA_rmaps_base_oversubscribe", "1");
    need(settings, "PRTE_MCA_rmaps_default_mapping_policy", ":oversubscribe");
    need(settings, "OMPI_MCA_hwloc_base_binding_policy", "none");
    need(settings, "PRTE_MCA_hwloc_default_binding_policy", "none");
}

size_t
ipmpi_machine_settings(const struct ipmpi_machine *machine,
                       struct ipmpi_setting settings_out[IPMPI_SETTINGS_MOST])
{
    struct settings s = {settings_out, 0};

    if (machine->root) {
        need(&s, "OMPI_ALLOW_RUN_AS_ROOT", "1");
        need(&s, "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
        need(&s, "PRTE_ALLOW_RUN_AS_ROOT", "1");
        need(&s, "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    }
    if (!machine->ssh) { /* never run on one machine, but looked for */
        need(&s, "OMPI_MCA_plm_rsh_agent", "/bin/false");
        need(&s, "PRTE_MCA_plm_ssh_agent", "/bin/false");
    }
    if (!machine->single_copy)
        need(&s, "OMPI_MCA_btl_vader_single_copy_mechanism", "none");
    if (!machine->batch)
        need_freedom(&s);
    return s.n;
}

void ipmpi_machine_prepare(const struct ipmpi_machine *machine)
{
    struct ipmpi_setting settings[IPMPI_SETTINGS_MOST];
    const size_t n = ipmpi_machine_settings(machine, settings);

    for (size_t i = 0; i < n; i++)
        setenv(settings[i].name, settings[i].value, 0);
}

bool ipmpi_machine_in_path(const char *name, char path_out[PATH_MAX])
{
    const char *path = getenv("PATH");

    if (path == NULL)
        path = "/usr/local/bin:/usr/bin:/bin";
    while (*path != '\0') {
        const size_t len = strcspn(path, ":");

        snprintf(path_out, PATH_MAX, "%.*s/%s", (int)len, path, name);
        if (len > 0 && access(path_out, X_OK) == 0)
            return true;
        path += len + (path[len] == ':');
    }
    snprintf(path_out, PATH_MAX, "%s", name);
    return false;
}

bool ipmpi_machine_program(const char *name, char path_out[PATH_MAX])
{
    char self[PATH_MAX];
    const ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash;

    if (len > 0) {
        self[len] = '\0';
        slash = strrchr(self, '/');
        if (slash != NULL &&
            strlen(name) + (size_t)(slash - self) + 2 < PATH_MAX) {
            *slash = '\0';
            memcpy(path_out, self, (size_t)(slash - self));
            snprintf(path_out + (slash - self),
                     PATH_MAX - (size_t)(slash - self), "/%s", name);
            if (access(path_out, X_OK) == 0)
                return true;
        }
    }
    return ipmpi_machine_in_path(name, path_out);
}
