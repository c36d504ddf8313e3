/* Descendants are found by the parent that /proc tells of each process. A
 * process can fork while the list is read; who needs none left calls until
 * none is counted. */
#include "launch/agent/reap.h"

#include <ctype.h>
#include <dirent.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/error.h"

struct process {
    pid_t id, parent;
    bool dead; /* a zombie: nothing left to signal */
};

int ipmpi_reap_adopt(void)
{
    return prctl(PR_SET_CHILD_SUBREAPER, 1) == 0 ? 0 : IPMPI_ESYS;
}

pid_t ipmpi_reap_next(int *status_out)
{
    int status;
    const pid_t pid = waitpid(-1, &status, WNOHANG);

    if (pid <= 0)
        return 0;
    *status_out =
        WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return pid;
}

static bool read_process(const char *id, struct process *process_out)
{
    char path[64], line[512], *after;
    char state;
    int parent;
    FILE *file;
    bool good;

    snprintf(path, sizeof(path), "/proc/%.20s/stat", id);
    file = fopen(path, "re");
    if (file == NULL)
        return false;
    good = fgets(line, sizeof(line), file) != NULL;
    fclose(file);
    after = good ? strrchr(line, ')') : NULL; /* a name may hold anything */
    if (after == NULL || sscanf(after + 1, " %c %d", &state, &parent) != 2)
        return false;
    process_out->id = atoi(id);
    process_out->parent = parent;
    process_out->dead = state == 'Z' || state == 'X';
    return true;
}

static size_t read_all(struct process **list_out)
{
    DIR *dir = opendir("/proc");
    struct process *list = NULL, *grown;
    size_t n = 0, cap = 0;
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        if (n == cap) {
            grown = realloc(list, (cap + 256) * sizeof(*list));
            if (grown == NULL)
                break;
            list = grown;
            cap += 256;
        }
        if (read_process(entry->d_name, &list[n]))
            n++;
    }
    if (dir != NULL)
        closedir(dir);
    *list_out = list;
    return n;
}

static bool descends(const struct process *list, size_t n, pid_t id, pid_t from)
{
    for (unsigned depth = 0; id > 0 && depth < 1000; depth++) {
        pid_t parent = 0;

        if (id == from)
            return true;
        for (size_t i = 0; i < n; i++)
            if (list[i].id == id)
                parent = list[i].parent;
        id = parent;
    }
    return false;
}

unsigned ipmpi_reap_signal(int signal_number)
{
    struct process *list;
    const size_t n = read_all(&list);
    const pid_t self = getpid();
    unsigned count = 0;

    for (size_t i = 0; i < n; i++) {
        if (list[i].id == self || list[i].dead ||
            !descends(list, n, list[i].id, self))
            continue;
        kill(list[i].id, signal_number);
        count++;
    }
    free(list);
    return count;
}
