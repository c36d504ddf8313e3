/* `ipmpi rsh NODE WORD...`: mpirun's launch agent. It finds the node in the
 * table that the leader's agent wrote, proves to that node's agent that it
 * acts for the committed generation, has it run the words as one command, and
 * stays: its output is the daemon's, its exit code is the daemon's.
 *
 * A node that is lost after its daemon started must not end a job that can
 * go on without it: then rsh tells the leader's agent and waits to be ended
 * with mpirun. Before that, and for other jobs, it exits with a status that
 * says why (verb.h), for mpirun waits for ever for a launch agent that neither
 * starts its daemon nor exits.
 *
 * Threads: one loop. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <jansson.h>

#include "launch/agent/daemon.h"
#include "launch/channel/peer.h"
#include "launch/channel/protocol.h"
#include "launch/channel/show.h"
#include "launch/channel/tunnel.h"
#include "launch/verb.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/signals.h"

enum { RETRY_US = 200 * 1000 };

struct rsh {
    const char *node;
    char *command;
    json_t *table;
    const char *host;
    uint16_t port;
    struct ipmpi_hello hello;
    struct ipmpi_credentials credentials;
    struct ipmpi_peer *peer;
    int signal_fd;
    int64_t begin_us, leave_us; /* leave_us: TERM came; go then at latest */
    bool sent, started, lost;
    struct ipmpi_tunnel tunnel; /* see note [loss] */
};

/* The words as one shell command, as ssh would make it. */
static char *join(char **words)
{
    size_t len = 1;
    char *text, *at;

    for (char **word = words; *word != NULL; word++)
        len += strlen(*word) + 1;
    text = malloc(len);
    if (text == NULL)
        return NULL;
    at = text;
    for (char **word = words; *word != NULL; word++) {
        at = stpcpy(at, *word);
        if (word[1] != NULL)
            *at++ = ' ';
    }
    *at = 0;
    return text;
}

/* The daemon is to reach mpirun through us. */
static void take_detour(struct rsh *rsh)
{
    uint16_t port;
    char *command =
        rsh->command ? ipmpi_daemon_detour(rsh->command, &port) : NULL;

    if (command == NULL)
        return; /* it says no way */
    free(rsh->command);
    rsh->command = command;
    rsh->tunnel.to.sin_family = AF_INET;
    rsh->tunnel.to.sin_port = htons(port);
    rsh->tunnel.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

/* Reads the table and finds the node in it. */
static int find_node(struct rsh *rsh)
{
    const char *dir = getenv("IPMPI_AGENT_DIR"), *name, *job, *key;
    json_int_t generation;
    char path[256];
    json_t *node;
    size_t i;

    snprintf(path, sizeof(path), "%.200s/table", dir ? dir : "");
    rsh->table = json_load_file(path, 0, NULL);
    if (rsh->table == NULL ||
        json_unpack(rsh->table, "{s:s, s:I, s:s}", "job", &job, "generation",
                    &generation, "key", &key) != 0 ||
        ipmpi_secret_from_hex(key, &rsh->credentials.key) != 0)
        return IPMPI_ENOENT;
    snprintf(rsh->hello.job, sizeof(rsh->hello.job), "%s", job);
    rsh->hello.role = IPMPI_ROLE_LEADER;
    rsh->hello.mode = IPMPI_MODE_SECRET;
    rsh->hello.generation = (uint64_t)generation;
    json_array_foreach (json_object_get(rsh->table, "nodes"), i, node) {
        int port;

        if (json_unpack(node, "{s:s, s:s, s:i}", "name", &name, "host",
                        &rsh->host, "port", &port) == 0 &&
            strcmp(name, rsh->node) == 0) {
            rsh->port = (uint16_t)port;
            return 0;
        }
    }
    return IPMPI_ENOENT;
}

static int fail(const struct rsh *rsh, int status, const char *reason)
{
    ipmpi_log_error("RSH-NODE", "node %s (%s:%u): %s", rsh->node,
                    rsh->host ? rsh->host : "not in the table", rsh->port,
                    reason);
    return status;
}

static void tell_agent(const struct rsh *rsh, const char *reason)
{
    const char *dir = getenv("IPMPI_AGENT_DIR");
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    char text[256];
    int len;

    snprintf(name.sun_path, sizeof(name.sun_path), "%.90s/socket",
             dir ? dir : "");
    len = snprintf(text, sizeof(text), "lost %s %s", rsh->node, reason);
    if (fd < 0 || sendto(fd, text, (size_t)len, 0, (struct sockaddr *)&name,
                         sizeof(name)) < 0)
        ipmpi_log_error("RSH-AGENT",
                        "this node's agent cannot be told that "
                        "%s is lost: %s",
                        rsh->node, strerror(errno));
    if (fd >= 0)
        close(fd);
}

/* Note [loss]. Once ORTE knows that a daemon is dead it can start nothing any
 * more: it passes each order on to all daemons, and ends the job when one does
 * not take it (seen with 4.1.4); PRRTE 3.0 ends it at once. So mpirun's
 * connection to the daemon ends here, in a tunnel, and stays open when the
 * daemon is lost: what mpirun says to it is dropped. The ranks that were lost
 * are reported by the agent, new ones may come on nodes that are added. Returns
 * -1, to stay. */
static int survive(struct rsh *rsh, const char *why)
{
    rsh->lost = true;
    ipmpi_log_warn("RSH-LOST", "node %s: %s; the job goes on without it",
                   rsh->node, why);
    tell_agent(rsh, why);
    return -1;
}

static bool can_survive(const struct rsh *rsh)
{
    return rsh->started && rsh->leave_us == 0 &&
           json_is_true(json_object_get(rsh->table, "recover"));
}

/* The connection is gone. Returns an exit status, or -1 to stay. */
static int lose(struct rsh *rsh, int err)
{
    const char *why =
        err == IPMPI_ETIMEOUT ? "silent for too long" : "connection lost";
    const bool connected = rsh->peer != NULL && ipmpi_peer_connected(rsh->peer);
    const int64_t age_us = ipmpi_clock_now_us() - rsh->begin_us;

    ipmpi_peer_close(&rsh->peer);
    if (rsh->leave_us != 0)
        return 128 + SIGTERM;
    if (can_survive(rsh))
        return survive(rsh, why);
    if (rsh->started || rsh->sent)
        return fail(rsh, IPMPI_EXIT_LOST, why);
    if (err == IPMPI_EAUTH || (connected && err == IPMPI_EDEAD))
        return fail(rsh, IPMPI_EXIT_AUTH,
                    "refused: not the same secret, or this generation is not "
                    "committed there");
    if (age_us < (int64_t)IPMPI_CONNECT_S * IPMPI_SECOND_US)
        return -1; /* the loop dials again */
    return fail(rsh, IPMPI_EXIT_CONNECT, "no connection");
}

static int text_field(const struct ipmpi_record *record, const char *field,
                      char *text, size_t cap)
{
    json_t *body = json_loadb((const char *)record->body, record->len, 0, NULL);
    const char *value = json_string_value(json_object_get(body, field));
    const json_int_t number = json_integer_value(json_object_get(body, field));

    snprintf(text, cap, "%s", value ? value : "");
    json_decref(body);
    return (int)number;
}

/* The daemon has ended: well, or so that its ranks are lost with it. */
static int end(struct rsh *rsh, int status)
{
    char why[64];

    if (status == 0 || !can_survive(rsh))
        return status;
    snprintf(why, sizeof(why), "its daemon ended with %d", status);
    ipmpi_peer_close(&rsh->peer);
    return survive(rsh, why);
}

/* Returns an exit status, or -1 to stay. */
static int take_record(struct rsh *rsh, const struct ipmpi_record *record)
{
    char text[256];

    switch (record->type) {
    case IPMPI_REC_STARTED:
        rsh->started = true;
        return -1;
    case IPMPI_REC_OUTPUT:
        ipmpi_channel_show(record);
        return -1;
    case IPMPI_REC_REFUSE:
        text_field(record, "reason", text, sizeof(text));
        return fail(rsh, IPMPI_EXIT_NO_START, text);
    case IPMPI_REC_STREAM:
        ipmpi_tunnel_take(&rsh->tunnel, rsh->peer, record);
        return -1;
    case IPMPI_REC_EXIT:
        return end(rsh, text_field(record, "status", text, sizeof(text)) & 255);
    default:
        return -1;
    }
}

static int send_command(struct rsh *rsh)
{
    json_t *body = json_pack("{s:I, s:s, s:s}", "generation",
                             (json_int_t)rsh->hello.generation, "node",
                             rsh->node, "command", rsh->command);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    int err = IPMPI_ENOMEM;

    if (text != NULL)
        err = ipmpi_peer_put(rsh->peer, IPMPI_REC_EXEC, text, strlen(text));
    free(text);
    json_decref(body);
    rsh->sent = err == 0;
    return err;
}

/* One turn of the connection. Returns an exit status, or -1 to stay. */
static int serve(struct rsh *rsh)
{
    struct ipmpi_record record;
    int err = ipmpi_peer_turn(rsh->peer, ipmpi_clock_now_us());
    int more = IPMPI_EEMPTY, status;

    if (err == 0 && ipmpi_peer_open(rsh->peer) && !rsh->sent) {
        err = send_command(rsh);
        ipmpi_peer_flush(rsh->peer);
    }
    while ((more = ipmpi_peer_next(rsh->peer, &record)) == 0) {
        status = take_record(rsh, &record);
        if (status >= 0 || rsh->peer == NULL)
            return status;
    }
    if (err == 0 && more != IPMPI_EEMPTY)
        err = more;
    return err != 0 ? lose(rsh, err) : -1;
}

static void take_signal(struct rsh *rsh)
{
    static const char text[] = "{\"signal\":15}";
    struct signalfd_siginfo info;

    if (read(rsh->signal_fd, &info, sizeof(info)) != sizeof(info) ||
        rsh->leave_us != 0)
        return;
    rsh->leave_us =
        ipmpi_clock_now_us() + (int64_t)IPMPI_KILL_GRACE_S * IPMPI_SECOND_US;
    if (rsh->peer != NULL && ipmpi_peer_open(rsh->peer)) {
        ipmpi_peer_put(rsh->peer, IPMPI_REC_SIGNAL, text, sizeof(text) - 1);
        ipmpi_peer_flush(rsh->peer);
    } else {
        rsh->leave_us = 1; /* nobody to wait for */
    }
}

/* Deadlines. Returns an exit status, or -1 to stay. */
static int keep_time(struct rsh *rsh, int64_t now_us)
{
    const int64_t age_us = now_us - rsh->begin_us;

    if (rsh->leave_us != 0 && now_us >= rsh->leave_us)
        return 128 + SIGTERM;
    if (rsh->lost || rsh->started)
        return -1;
    if (age_us >= (int64_t)IPMPI_DAEMON_START_S * IPMPI_SECOND_US)
        return fail(rsh, IPMPI_EXIT_NO_START, "no daemon within its time");
    if (!rsh->sent && age_us >= (int64_t)IPMPI_CONNECT_S * IPMPI_SECOND_US)
        return fail(rsh, IPMPI_EXIT_CONNECT, "no connection within its time");
    return -1;
}

static int run(struct rsh *rsh)
{
    struct pollfd item[2 + IPMPI_TUNNEL_FDS] = {
        {.fd = rsh->signal_fd, .events = POLLIN}};
    size_t ntunnel;
    int status;

    for (;;) {
        if (rsh->peer == NULL && !rsh->lost) {
            const int err = ipmpi_peer_dial(rsh->host, rsh->port, &rsh->hello,
                                            &rsh->credentials, &rsh->peer);

            if (err == IPMPI_ENOENT)
                return fail(rsh, IPMPI_EXIT_CONNECT, "no such host");
        }
        item[1].fd = rsh->peer != NULL ? ipmpi_peer_fd(rsh->peer) : -1;
        item[1].events = rsh->peer != NULL ? ipmpi_peer_events(rsh->peer) : 0;
        ntunnel = ipmpi_tunnel_fill(&rsh->tunnel, rsh->peer, item + 2);
        if (poll(item, 2 + ntunnel,
                 rsh->lost && rsh->leave_us == 0 ? -1 : RETRY_US / 1000) < 0 &&
            errno != EINTR)
            return IPMPI_EXIT_FAILED;
        if (item[0].revents)
            take_signal(rsh);
        ipmpi_tunnel_turn(&rsh->tunnel, rsh->peer, item + 2, ntunnel);
        status = rsh->peer != NULL ? serve(rsh) : -1;
        if (status < 0)
            status = keep_time(rsh, ipmpi_clock_now_us());
        if (status >= 0)
            return status;
        if (rsh->peer == NULL && !rsh->lost)
            poll(item, 1, RETRY_US / 1000); /* refused: not at once again */
    }
}

int ipmpi_verb_rsh(int argc, char **argv)
{
    struct rsh rsh = {.begin_us = ipmpi_clock_now_us()};
    int status;

    if (argc < 3 || argv[1][0] == '-') {
        puts("usage: ipmpi rsh NODE WORD...\n\nStarts Open MPI's daemon on a "
             "node of the committed generation.\nmpirun runs this; it has no "
             "use by hand.");
        return argc >= 2 && strcmp(argv[1], "--help") == 0 ? IPMPI_EXIT_OK
                                                           : IPMPI_EXIT_USAGE;
    }
    ipmpi_log_set_name("rsh");
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    rsh.node = argv[1];
    rsh.command = join(argv + 2);
    ipmpi_tunnel_init(&rsh.tunnel);
    take_detour(&rsh);
    rsh.signal_fd = ipmpi_signals_open(false);
    if (find_node(&rsh) != 0)
        status = fail(&rsh, IPMPI_EXIT_TABLE, "not in this job's table");
    else if (rsh.command == NULL || rsh.signal_fd < 0)
        status = fail(&rsh, IPMPI_EXIT_FAILED, "out of memory or descriptors");
    else
        status = run(&rsh);
    ipmpi_peer_close(&rsh.peer);
    ipmpi_tunnel_close(&rsh.tunnel);
    ipmpi_secret_wipe(&rsh.credentials.key);
    free(rsh.command);
    json_decref(rsh.table);
    return status;
}
