/* One line of /proc/PID/stat: PID (NAME) STATE PARENT .. */
#include "launch/local/process.h"

#include <stdio.h>
#include <string.h>

struct process {
    char name[32], state;
    pid_t parent;
};

/* False: there is none with this pid. */
static bool look_at(pid_t pid, struct process *process_out)
{
    struct process process = {0};
    char path[64], line[512] = "";
    const char *rest;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    if (fgets(line, sizeof(line), file) == NULL)
        line[0] = '\0';
    fclose(file);
    rest = strrchr(line, ')'); /* the name may hold anything */
    if (rest == NULL || sscanf(line, "%*d (%31[^)]", process.name) != 1 ||
        sscanf(rest + 1, " %c %d", &process.state, &process.parent) != 2)
        return false;
    *process_out = process;
    return true;
}

bool ipmpi_process_lives(pid_t pid)
{
    struct process process;

    return look_at(pid, &process) && process.state != 'Z';
}

static bool is_mpirun(const char *name)
{
    static const char *const names[] = {"mpirun", "mpiexec", "orterun",
                                        "prterun"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

pid_t ipmpi_process_mpirun(pid_t pid)
{
    struct process process;

    while (pid > 1 && look_at(pid, &process)) {
        if (is_mpirun(process.name))
            return pid;
        pid = process.parent;
    }
    return 0;
}
