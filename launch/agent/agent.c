/* `ipmpi agent`: the first process of each container. It waits for the job's
 * launcher, proves itself and has it prove itself, and runs what the leader
 * of the committed generation asks for: one daemon of Open MPI, or mpirun if
 * it leads. It takes in orphans and answers TERM with an orderly end.
 *
 * Threads: one loop; it sleeps in poll. */
#include "launch/agent/agent.h"

#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "launch/agent/dir.h"
#include "launch/agent/generation.h"
#include "launch/agent/job.h"
#include "launch/agent/news.h"
#include "launch/agent/output.h"
#include "launch/agent/peers.h"
#include "launch/agent/reap.h"
#include "launch/agent/tell.h"
#include "launch/verb.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/signals.h"

enum { DEFAULT_PORT = 7070, LOCAL_TEXT = 512 };

static const struct argp_option options[] = {
    {"job", 'j', "NAME", 0, "the job that may use this node (IPMPI_JOB)", 0},
    {"port", 'p', "N", 0,
     "where to listen (PORT_AGENT, or 7070); 0: any free port", 0},
    {"bind", 'b', "ADDRESS", 0, "listen on this address only", 0},
    {"secret-file", 's', "FILE", 0,
     "the job's or the site's secret (IPMPI_SECRET_FILE)", 0},
    {"launcher-key", 'k', "HEX", 0,
     "without a secret: the launcher's public key (IPMPI_LAUNCHER_KEY)", 0},
    {"slots", 'n', "N", 0,
     "ranks that this node takes (IPMPI_SLOTS; default: its processors)", 0},
    {"port-file", 'f', "FILE", 0, "write the port here once it listens", 0},
    {0},
};

struct arguments {
    const char *job, *address, *secret_file, *secret, *launcher_key;
    const char *port_file;
    long port, slots;
};

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *args = state->input;

    switch (key) {
    case 'j':
        args->job = text;
        break;
    case 'p':
        args->port = strtol(text, NULL, 10);
        if (args->port < 0 || args->port > UINT16_MAX)
            argp_error(state, "%s is not a port", text);
        break;
    case 'b':
        args->address = text;
        break;
    case 's':
        args->secret_file = text;
        break;
    case 'k':
        args->launcher_key = text;
        break;
    case 'n':
        args->slots = strtol(text, NULL, 10);
        if (args->slots < 1 || args->slots > 4096)
            argp_error(state, "%s is not a number of slots", text);
        break;
    case 'f':
        args->port_file = text;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* -- local news, signals -------------------------------------------------- */

static void take_local(struct agent *agent)
{
    char text[LOCAL_TEXT + 1];
    ssize_t got;

    while ((got = recv(agent->local_fd, text, LOCAL_TEXT, MSG_DONTWAIT)) > 0) {
        text[got] = 0;
        ipmpi_agent_news_local(agent, text);
    }
}

static void take_files(struct agent *agent)
{
    char data[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t got;

    while ((got = read(agent->watch_fd, data, sizeof(data))) > 0)
        for (char *at = data; at < data + got;) {
            const struct inotify_event *event = (const void *)at;

            if (event->len > 0)
                ipmpi_agent_news_file(agent, event->name);
            at += sizeof(*event) + event->len;
        }
}

static void take_signals(struct agent *agent)
{
    struct signalfd_siginfo info;
    int status;
    pid_t pid;

    while (read(agent->signal_fd, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD || agent->leaving)
            continue;
        ipmpi_log_info("AGENT-STOP", "signal %u: leaving in good order",
                       info.ssi_signo);
        agent->leaving = true;
        ipmpi_agent_job_stop(agent,
                             (int64_t)IPMPI_KILL_GRACE_S * IPMPI_SECOND_US,
                             "a node was told to stop");
    }
    while ((pid = ipmpi_reap_next(&status)) > 0)
        ipmpi_agent_job_reaped(agent, pid, status);
}

/* -- the loop ------------------------------------------------------------- */

enum { AT_SIGNAL, AT_LISTEN, AT_LOCAL, AT_WATCH, AT_OUT, AT_ERR, AT_PEERS };

static size_t fill(struct agent *agent, struct pollfd *item,
                   struct agent_peer **who, int64_t *next_us)
{
    const bool wait =
        ipmpi_agent_crowded(agent); /* do not read what nobody takes */
    size_t n = AT_PEERS;

    item[AT_SIGNAL].fd = agent->signal_fd;
    item[AT_LISTEN].fd = agent->listen_fd;
    item[AT_LOCAL].fd = agent->local_fd;
    item[AT_WATCH].fd = agent->watch_fd;
    item[AT_OUT].fd = wait ? -1 : agent->job.out[0];
    item[AT_ERR].fd = wait ? -1 : agent->job.out[1];
    for (size_t i = 0; i < AT_PEERS; i++)
        item[i].events = POLLIN;
    for (size_t i = 0; i < AGENT_PEERS; i++) {
        struct ipmpi_peer *peer = agent->peer[i].peer;

        if (peer == NULL)
            continue;
        item[n].fd = ipmpi_peer_fd(peer);
        item[n].events = ipmpi_peer_events(peer);
        if (ipmpi_peer_next_us(peer) < *next_us)
            *next_us = ipmpi_peer_next_us(peer);
        who[n++] = &agent->peer[i];
    }
    return n;
}

static void turn(struct agent *agent)
{
    struct pollfd item[AT_PEERS + AGENT_PEERS + IPMPI_TUNNEL_FDS];
    struct agent_peer *who[AT_PEERS + AGENT_PEERS];
    int64_t next_us, wait_us, other_us;
    struct ipmpi_peer *rsh;
    size_t n, ntunnel;

    agent->now_us = ipmpi_clock_now_us();
    next_us = ipmpi_agent_job_tick(agent);
    other_us = ipmpi_agent_generation_tick(agent);
    if (other_us < next_us)
        next_us = other_us;
    if (agent->leaving && ipmpi_agent_job_idle(agent))
        return;
    n = fill(agent, item, who, &next_us);
    ntunnel =
        ipmpi_tunnel_fill(&agent->job.tunnel, ipmpi_agent_rsh(agent), item + n);
    wait_us = next_us - agent->now_us;
    if (wait_us < 0)
        wait_us = 0;
    if (poll(item, n + ntunnel,
             next_us == INT64_MAX ? -1 : (int)(wait_us / 1000) + 1) < 0)
        return;
    agent->now_us = ipmpi_clock_now_us();
    for (int i = 0; i < 2; i++)
        if (item[AT_OUT + i].revents && agent->job.out[i] >= 0)
            ipmpi_agent_output(agent, i);
    if (item[AT_LOCAL].revents)
        take_local(agent);
    if (item[AT_WATCH].revents)
        take_files(agent);
    if (item[AT_SIGNAL].revents)
        take_signals(agent);
    rsh = ipmpi_agent_rsh(agent);
    ipmpi_tunnel_turn(&agent->job.tunnel, rsh, item + n, ntunnel);
    for (size_t i = AT_PEERS; i < n; i++)
        if (who[i]->peer != NULL)
            ipmpi_agent_serve(agent, who[i]);
    if (item[AT_LISTEN].revents)
        ipmpi_agent_accept(agent);
}

/* -- start and end -------------------------------------------------------- */

static int take_keys(struct agent *agent, const struct arguments *args)
{
    int err;

    if (args->secret_file != NULL) {
        err = ipmpi_secret_read(args->secret_file, agent->name, &agent->secret);
        if (err != 0) {
            ipmpi_log_error("AGENT-SECRET", "%s: %s", args->secret_file,
                            err == IPMPI_EAUTH
                                ? "others may read it; chmod o-rwx"
                                : ipmpi_strerror(err));
            return err;
        }
        agent->has_secret = true;
    } else if (args->secret != NULL) {
        err = ipmpi_secret_from_text(args->secret, agent->name, &agent->secret);
        if (err != 0) {
            ipmpi_log_error("AGENT-SECRET", "IPMPI_SECRET is too short");
            return err;
        }
        agent->has_secret = true;
    } else if (args->launcher_key != NULL) {
        err = ipmpi_secret_from_hex(args->launcher_key, &agent->public);
        if (err != 0) {
            ipmpi_log_error("AGENT-SECRET", "the launcher's key must be 64 "
                                            "hexadecimal digits");
            return err;
        }
        agent->has_public = true;
    } else {
        ipmpi_log_error("AGENT-SECRET", "neither --secret-file nor "
                                        "--launcher-key: nobody could be "
                                        "trusted");
        return IPMPI_EINVAL;
    }
    return 0;
}

static int write_port(const char *path, uint16_t port)
{
    char name[4096];
    FILE *file;

    snprintf(name, sizeof(name), "%s.new", path);
    file = fopen(name, "we");
    if (file == NULL)
        return IPMPI_EIO;
    fprintf(file, "%u\n", port);
    if (fclose(file) != 0 || rename(name, path) != 0)
        return IPMPI_EIO;
    return 0;
}

static int open_agent(struct agent *agent, const struct arguments *args)
{
    int err;

    snprintf(agent->name, sizeof(agent->name), "%s", args->job);
    agent->local_fd = agent->watch_fd = agent->listen_fd = -1;
    ipmpi_agent_job_init(agent);
    err = take_keys(agent, args);
    if (err != 0)
        return err;
    if (readlink("/proc/self/exe", agent->program, sizeof(agent->program) - 1) <
        0)
        return IPMPI_ESYS;
    ipmpi_reap_adopt();
    ipmpi_node_probe((unsigned)args->slots, &agent->node);
    prctl(PR_SET_DUMPABLE, 0); /* keys: no core, no tracing by ranks */
    agent->signal_fd = ipmpi_signals_open(true);
    if (agent->signal_fd < 0)
        return IPMPI_ESYS;
    err = ipmpi_agent_open_dir(agent);
    if (err == 0)
        err = ipmpi_peer_listen(args->address, (uint16_t)args->port,
                                &agent->listen_fd, &agent->port);
    if (err == 0 && args->port_file != NULL)
        err = write_port(args->port_file, agent->port);
    return err;
}

static void close_agent(struct agent *agent)
{
    for (size_t i = 0; i < AGENT_PEERS; i++)
        if (agent->peer[i].peer != NULL) {
            ipmpi_peer_turn(agent->peer[i].peer, ipmpi_clock_now_us());
            ipmpi_peer_close(&agent->peer[i].peer);
        }
    ipmpi_tunnel_close(&agent->job.tunnel);
    ipmpi_agent_close_dir(agent);
    json_decref(agent->job.commit);
    json_decref(agent->job.prepare);
    json_decref(agent->last_end);
    ipmpi_secret_wipe(&agent->secret);
    ipmpi_secret_wipe(&agent->job.exec_key);
}

int ipmpi_verb_agent(int argc, char **argv)
{
    static struct agent agent; /* too large for the stack */
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Waits on a node for a job: the first process of a container."};
    const uint16_t port = ipmpi_node_port("AGENT");
    struct arguments args = {
        .job = getenv("IPMPI_JOB"),
        .secret_file = getenv("IPMPI_SECRET_FILE"),
        .secret = getenv("IPMPI_SECRET"), /* from a store of secrets */
        .launcher_key = getenv("IPMPI_LAUNCHER_KEY"),
        .port = port ? port : DEFAULT_PORT,
    };
    int err;

    argp_parse(&argp, argc, argv, 0, NULL, &args);
    ipmpi_log_set_name("agent");
    if (args.job == NULL || args.job[0] == 0 ||
        strlen(args.job) >= IPMPI_JOB_CAP) {
        ipmpi_log_error("AGENT-JOB",
                        "--job must name the job, in at most %d "
                        "characters",
                        IPMPI_JOB_CAP - 1);
        return IPMPI_EXIT_USAGE;
    }
    err = open_agent(&agent, &args);
    if (err != 0) {
        ipmpi_log_error("AGENT-START", "cannot wait for job %s on port %ld: %s",
                        args.job, args.port, ipmpi_strerror(err));
        close_agent(&agent);
        return IPMPI_EXIT_FAILED;
    }
    ipmpi_log_info("AGENT-READY", "job %s, port %u, %u slots, Open MPI %s",
                   agent.name, agent.port, agent.node.slots,
                   agent.node.mpi[0] ? agent.node.mpi : "missing");
    while (!agent.leaving || !ipmpi_agent_job_idle(&agent))
        turn(&agent);
    close_agent(&agent);
    return IPMPI_EXIT_OK;
}
