/* A node is lost, and with it the nannies that would have reported their ranks:
 * the leader's agent reports them in their place, so that their engines are
 * declared dead now and not when somebody misses them.
 *
 * The ranks of a node follow from the table, for mpirun maps them by slot; of a
 * node that was added, rank 0 told the first.
 * Threads: the agent's loop; a child does the sending, which waits. */
#include "launch/agent/loss.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/bell/bell.h"

enum { NOTICE_WAIT_MS = 3000 };

/* Where rank 0's bell hangs, as it wrote down for us. */
static bool read_bell(const struct agent *agent,
                      struct ipmpi_bell_address *bell_out)
{
    char path[256];
    ssize_t got;
    int fd;

    snprintf(path, sizeof(path), "%s/bell", agent->dir);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false; /* a program that has none */
    got = read(fd, bell_out, sizeof(*bell_out));
    close(fd);
    return got == (ssize_t)sizeof(*bell_out);
}

static bool find_ranks(const struct agent *agent, const char *node,
                       int *first_out, int *count_out)
{
    json_t *nodes = json_object_get(agent->job.commit, "nodes"), *one;
    int first = 0;
    size_t i;

    json_array_foreach (nodes, i, one) {
        const int slots =
            (int)json_integer_value(json_object_get(one, "slots"));

        if (strcmp(json_string_value(json_object_get(one, "name")), node) ==
            0) {
            const json_t *added = json_object_get(one, "first");

            *first_out = added != NULL ? (int)json_integer_value(added) : first;
            *count_out = slots;
            return *first_out >= 0;
        }
        first += slots;
    }
    return false;
}

void ipmpi_agent_mourn(struct agent *agent, const char *node)
{
    struct ipmpi_bell_address bell;
    struct ipmpi_exit_notice notice = {.wait_status = -1};
    int first, count;

    if (!read_bell(agent, &bell) || !find_ranks(agent, node, &first, &count))
        return;
    snprintf(notice.host, sizeof(notice.host), "%s", node);
    if (fork() != 0)
        return; /* the child is reaped as any other */
    for (int rank = first; rank < first + count; rank++) {
        notice.rank = rank;
        ipmpi_notice_send(&bell, &notice, NOTICE_WAIT_MS);
    }
    _exit(0);
}
