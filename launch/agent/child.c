/* The job's processes and what they are given. */
#include "launch/agent/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/error.h"

static void set_child_environment(const struct agent *agent)
{
    const struct ipmpi_node *node = &agent->node;
    char ports[IPMPI_PORTS_MAX * 6 + 1] = "", key[256];
    size_t at = 0;

    /* What the agent was given is not the job's business. */
    unsetenv("IPMPI_SECRET");
    unsetenv("IPMPI_SECRET_FILE");
    unsetenv("IPMPI_LAUNCHER_KEY");
    setenv("IPMPI_AGENT_DIR", agent->dir, 1);
    snprintf(key, sizeof(key), "%s/key", agent->dir);
    setenv("IPMPI_KEY_FILE", key, 1);
    setenv("IPMPI_RANK_PROGRAM", agent->program, 1); /* see spawner.c */
    for (unsigned i = 0; i < node->nrank_ports; i++)
        at += (size_t)snprintf(ports + at, sizeof(ports) - at, "%s%u",
                               i ? "," : "", node->rank_port[i]);
    if (at > 0)
        setenv("IPMPI_RANK_PORTS", ports, 1);
    if (!node->cma)
        setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 0);
    if (getuid() == 0) {
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
        setenv("PRTE_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("PRTE_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
}

/* In the child: becomes argv, or says why not. */
static void become(const struct agent *agent, char *const argv[], int out,
                   int errors)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(errors, STDERR_FILENO);
    set_child_environment(agent);
    execvp(argv[0], argv);
    dprintf(STDERR_FILENO, "ipmpi agent: %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void close_pipe(const int ends[2])
{
    close(ends[0]);
    close(ends[1]);
}

int ipmpi_agent_spawn(const struct agent *agent, char *const argv[],
                      pid_t *pid_out, int out_fds[2])
{
    int out[2], errors[2];
    pid_t pid;

    if (pipe2(out, O_CLOEXEC) != 0)
        return IPMPI_ESYS;
    if (pipe2(errors, O_CLOEXEC) != 0) {
        close_pipe(out);
        return IPMPI_ESYS;
    }
    pid = fork();
    if (pid == 0)
        become(agent, argv, out[1], errors[1]);
    if (pid < 0) {
        close_pipe(out);
        close_pipe(errors);
        return IPMPI_ESYS;
    }
    close(out[1]);
    close(errors[1]);
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(errors[0], F_SETFL, O_NONBLOCK);
    *pid_out = pid;
    out_fds[0] = out[0];
    out_fds[1] = errors[0];
    return 0;
}
