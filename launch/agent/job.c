/* What runs on a node, and for which generation.
 *
 *            PREPARE g, all older gone      COMMIT g           JOB_END
 *     IDLE ---------------------> PREPARED --------> COMMITTED -------> IDLE
 *
 * A member's work is the daemon that the leader's mpirun asks for through
 * rsh; the leader's work is mpirun.
 *
 * Invariant: a generation is prepared only when no process of an older one is
 * left on this node, and never twice.
 * Threads:   the agent's loop. */
#include "launch/agent/agent.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/agent/mpirun.h"
#include "launch/agent/reap.h"
#include "launch/verb.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum {
    SWEEP_US = 50 * 1000,
    FENCE_GRACE_US = 2 * IPMPI_SECOND_US, /* for the past of a new round */
    LEFTOVER_GRACE_US = 1 * IPMPI_SECOND_US,
    OUTPUT_WAITING_MAX = 1024 * 1024,
    STREAM_READ = 32768,
    AFTER_RANK0_US = 5 * IPMPI_SECOND_US,
    AFTER_ABORT_US = 20 * IPMPI_SECOND_US, /* mpirun may be ending others */
};

/* -- files for mpirun's children ------------------------------------------ */

static int write_file(const struct agent *agent, const char *name,
                      const char *text)
{
    char path[256];
    const size_t len = strlen(text);
    int fd, err = 0;

    snprintf(path, sizeof(path), "%s/%s", agent->dir, name);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return IPMPI_EIO;
    if (write(fd, text, len) != (ssize_t)len)
        err = IPMPI_EIO;
    close(fd);
    return err;
}

static void forget_files(const struct agent *agent)
{
    static const char *const names[] = {"table", "key", "bell"};
    char path[256];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", agent->dir, names[i]);
        unlink(path);
    }
}

/* The clients' key for the ranks of this node: a file that only we can read,
 * so that it is on no command line, in no environment that mpirun forwards,
 * and on no wire. Every node derives it. */
static int write_key(const struct agent *agent)
{
    char hex[IPMPI_SECRET_HEX];
    struct ipmpi_secret key;
    int err;

    ipmpi_secret_derive(&agent->secret, "clients", agent->name,
                        strlen(agent->name), &key);
    ipmpi_secret_to_hex(&key, hex);
    err = write_file(agent, "key", hex);
    ipmpi_secret_wipe(&key);
    explicit_bzero(hex, sizeof(hex));
    return err;
}

/* The table for rsh, with the key of this generation. */
static int write_table(struct agent *agent)
{
    struct agent_job *job = &agent->job;
    char hex[IPMPI_SECRET_HEX];
    json_t *table;
    char *text;
    int err;

    ipmpi_secret_to_hex(&job->exec_key, hex);
    table =
        json_pack("{s:s, s:I, s:s, s:b, s:O}", "job", agent->name, "generation",
                  (json_int_t)job->generation, "key", hex, "recover",
                  json_is_true(json_object_get(job->commit, "recover")),
                  "nodes", json_object_get(job->commit, "nodes"));
    explicit_bzero(hex, sizeof(hex));
    text = table ? json_dumps(table, JSON_COMPACT) : NULL;
    err = text ? write_file(agent, "table", text) : IPMPI_ENOMEM;
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
    json_decref(table);
    return err;
}

/* -- starting ------------------------------------------------------------- */

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

/* Starts argv in a session of its own. IPMPI_ESYS. */
static int start(struct agent *agent, enum agent_work work, char *const argv[])
{
    struct agent_job *job = &agent->job;
    int out[2], errors[2];
    pid_t pid;

    if (pipe2(out, O_CLOEXEC) != 0)
        return IPMPI_ESYS;
    if (pipe2(errors, O_CLOEXEC) != 0) {
        close(out[0]);
        close(out[1]);
        return IPMPI_ESYS;
    }
    pid = fork();
    if (pid == 0) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        signal(SIGPIPE, SIG_DFL);
        setsid();
        dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        dup2(errors[1], STDERR_FILENO);
        set_child_environment(agent);
        execvp(argv[0], argv);
        dprintf(STDERR_FILENO, "ipmpi agent: %s: %s\n", argv[0],
                strerror(errno));
        _exit(127);
    }
    close(out[1]);
    close(errors[1]);
    if (pid < 0) {
        close(out[0]);
        close(errors[0]);
        return IPMPI_ESYS;
    }
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    fcntl(errors[0], F_SETFL, O_NONBLOCK);
    job->out[0] = out[0];
    job->out[1] = errors[0];
    job->work = work;
    job->ran = true;
    job->pid = pid;
    job->rank0 = 0;
    job->rank0_end_us = 0;
    job->rank0_status = 0;
    job->nodes_lost = 0;
    job->why[0] = 0;
    job->started_us = agent->now_us;
    return 0;
}

/* "n0:3,n1:2": the leader by its own name, for mpirun starts ranks beside
 * itself without an agent, the others by aliases that no DNS needs to know. */
static char *hosts_of(const struct agent *agent)
{
    json_t *nodes = json_object_get(agent->job.commit, "nodes");
    const size_t cap = json_array_size(nodes) * 32 + 300;
    char *text = malloc(cap);
    size_t i, at = 0;
    json_t *node;

    if (text == NULL)
        return NULL;
    json_array_foreach(nodes, i, node)
    {
        const char *name = json_string_value(json_object_get(node, "name"));
        const json_int_t slots =
            json_integer_value(json_object_get(node, "slots"));

        at += (size_t)snprintf(text + at, cap - at, "%s%.255s:%d", i ? "," : "",
                               i ? name : agent->node.hostname, (int)slots);
        if (at >= cap)
            break;
    }
    return text;
}

/* A word of the job's program with "{ip}" replaced by the leader's address and
 * "{ports}" by the ports it declared for clients: rank 0 learns by them where
 * to listen. NULL in word_out: the word falls away, no ports are declared. */
static int expand(const char *word, const char *ip, const char *ports,
                  char **word_out)
{
    const char *mark = strstr(word, "{ip}"), *value = ip;
    size_t skip = 4;

    *word_out = NULL;
    if (mark == NULL && (mark = strstr(word, "{ports}")) != NULL) {
        if (ports[0] == 0)
            return 0;
        value = ports;
        skip = 7;
    }
    if (mark == NULL)
        *word_out = strdup(word);
    else if (asprintf(word_out, "%.*s%s%s", (int)(mark - word), word, value,
                      mark + skip) < 0)
        *word_out = NULL;
    return *word_out != NULL ? 0 : IPMPI_ENOMEM;
}

static void client_ports(char *text, size_t cap)
{
    size_t at = 0;

    text[0] = 0;
    for (int i = 0; i < 16 && at < cap; i++) {
        char name[16];
        uint16_t port;

        snprintf(name, sizeof(name), "CLIENT%d", i);
        port = ipmpi_node_port(name);
        if (port == 0)
            return;
        at += (size_t)snprintf(text + at, cap - at, "%s%u", i ? "," : "", port);
    }
}

/* Strings of a JSON array as argv. */
static char **strings_of(json_t *array, const char *ip)
{
    char **list = calloc(json_array_size(array) + 1, sizeof(*list));
    char ports[128];
    size_t i, n = 0;
    json_t *word;

    if (list == NULL)
        return NULL;
    client_ports(ports, sizeof(ports));
    json_array_foreach(array, i, word) if (expand(json_string_value(word), ip,
                                                  ports, &list[n]) == 0 &&
                                           list[n] != NULL) n++;
    return list;
}

static void free_strings(char **list)
{
    for (char **at = list; at != NULL && *at != NULL; at++)
        free(*at);
    free(list);
}

/* NAME=VALUE pairs of the job, set here so that -x forwards them. */
static char **export_environment(json_t *environment)
{
    char **names = calloc(json_object_size(environment) + 1, sizeof(*names));
    const char *name;
    json_t *value;
    size_t n = 0;

    json_object_foreach(environment, name, value)
    {
        setenv(name, json_string_value(value), 1);
        if (names != NULL && (names[n] = strdup(name)) != NULL)
            n++;
    }
    return names;
}

static int start_mpirun(struct agent *agent)
{
    struct agent_job *job = &agent->job;
    json_t *first = json_array_get(json_object_get(job->commit, "nodes"), 0);
    const char *ip = json_string_value(json_object_get(first, "host"));
    char *hosts = hosts_of(agent);
    char **program = strings_of(json_object_get(job->commit, "argv"), ip);
    char **names =
        export_environment(json_object_get(job->commit, "environment"));
    const struct ipmpi_mpirun what = {
        .version = agent->node.mpi,
        .ipmpi = agent->program,
        .networks = json_string_value(json_object_get(job->commit, "networks")),
        .oob_port = ipmpi_node_oob(&agent->node),
        .hosts = hosts,
        .ranks =
            (unsigned)json_integer_value(json_object_get(job->commit, "ranks")),
        .recover = json_is_true(json_object_get(job->commit, "recover")),
        .exported = (const char *const *)names,
        .program = (const char *const *)program,
    };
    char **argv = NULL;
    int err = IPMPI_ENOMEM;

    if (hosts != NULL && program != NULL && names != NULL)
        argv = ipmpi_mpirun_command(&what);
    if (argv != NULL)
        err = write_table(agent);
    if (err == 0)
        err = start(agent, WORK_MPIRUN, argv);
    free(argv);
    free(hosts);
    free_strings(program);
    free_strings(names);
    return err;
}

/* -- ending --------------------------------------------------------------- */

void ipmpi_agent_job_init(struct agent *agent)
{
    agent->job.out[0] = agent->job.out[1] = -1;
}

bool ipmpi_agent_job_idle(const struct agent *agent)
{
    return agent->job.pid == 0 && agent->job.kill_us == 0;
}

static void sweep_now(struct agent *agent, int64_t grace_us)
{
    struct agent_job *job = &agent->job;
    const int64_t kill_us = agent->now_us + grace_us;

    if (job->kill_us == 0 || kill_us < job->kill_us)
        job->kill_us = kill_us;
    job->sweep_us = agent->now_us;
}

void ipmpi_agent_job_stop(struct agent *agent, int64_t grace_us,
                          const char *why)
{
    struct agent_job *job = &agent->job;

    if (job->pid != 0) {
        if (job->why[0] == 0)
            snprintf(job->why, sizeof(job->why), "%s", why);
        /* mpirun and its daemons end their ranks in good order when they are
         * told; who is left when the grace is over is killed. */
        kill(job->pid, SIGTERM);
    }
    sweep_now(agent, grace_us);
}

static void close_streams(struct agent *agent)
{
    for (int i = 0; i < 2; i++)
        if (agent->job.out[i] >= 0) {
            ipmpi_agent_job_output(agent, i);
            if (agent->job.out[i] >= 0)
                close(agent->job.out[i]);
            agent->job.out[i] = -1;
        }
}

/* mpirun has ended: tell the launchers, keep it for those who come later. */
static void end_job(struct agent *agent, int status)
{
    struct agent_job *job = &agent->job;
    char cause[IPMPI_REASON_CAP + 128];

    if (job->nodes_lost > 0 && job->why[0] != 0)
        snprintf(cause, sizeof(cause), "%s; %u nodes were lost on the way",
                 job->why, job->nodes_lost);
    else if (job->why[0] != 0)
        snprintf(cause, sizeof(cause), "%s", job->why);
    else
        snprintf(cause, sizeof(cause), "%s", ipmpi_mpirun_cause(status));
    ipmpi_log_info("AGENT-END", "generation %" PRIu64 " ended with %d: %s",
                   job->generation, status, cause);
    json_decref(agent->last_end);
    agent->last_end = json_pack("{s:I, s:i, s:s, s:b}", "generation",
                                (json_int_t)job->generation, "status", status,
                                "cause", cause, "started", job->rank0 != 0);
    ipmpi_agent_tell(agent, IPMPI_REC_JOB_END, json_incref(agent->last_end));
    forget_files(agent);
    job->state = AGENT_IDLE;
}

void ipmpi_agent_job_reaped(struct agent *agent, pid_t pid, int status)
{
    struct agent_job *job = &agent->job;
    struct ipmpi_peer *rsh;

    if (pid != job->pid)
        return;
    close_streams(agent);
    job->pid = 0;
    if (job->work == WORK_MPIRUN) {
        if (job->rank0_end_us != 0 && job->why[0] != 0)
            status = job->rank0_status; /* see note [end] */
        else if (status == 0 && job->rank0_end_us == 0 && job->nodes_lost > 0)
            status = IPMPI_EXIT_LOST; /* Open MPI 5 gives up, and says 0 */
        end_job(agent, status);
    } else {
        rsh = ipmpi_agent_rsh(agent);
        if (rsh != NULL)
            ipmpi_agent_send(rsh, IPMPI_REC_EXIT,
                             json_pack("{s:i}", "status", status));
        ipmpi_log_info("AGENT-DAEMON", "the daemon ended with %d", status);
    }
    job->work = WORK_NONE;
    sweep_now(agent, LEFTOVER_GRACE_US); /* what it left behind */
}

/* -- generations ---------------------------------------------------------- */

static void refuse(struct ipmpi_peer *peer, json_int_t generation,
                   const char *reason)
{
    ipmpi_log_warn("AGENT-REFUSE", "generation %lld: %s", (long long)generation,
                   reason);
    ipmpi_agent_send(
        peer, IPMPI_REC_REFUSE,
        json_pack("{s:I, s:s}", "generation", generation, "reason", reason));
}

static void finish_prepare(struct agent *agent)
{
    struct agent_job *job = &agent->job;
    json_t *body = job->prepare;
    json_int_t generation = 0;
    const char *version = "", *mpi = "", *networks = "", *digest = "";
    char reason[IPMPI_REASON_CAP] = "", address[IPMPI_CIDR_CAP] = "";
    char network[IPMPI_CIDR_CAP];
    struct sockaddr_storage local;
    int ranks = 0, leads = 0;

    job->prepare = NULL;
    json_unpack(body, "{s:I, s:s, s:s, s:s, s:s, s:i, s:b}", "generation",
                &generation, "version", &version, "mpi", &mpi, "networks",
                &networks, "digest", &digest, "ranks", &ranks, "leads", &leads);
    ipmpi_peer_local(job->asker, &local);
    if (strcmp(version, IPMPI_VERSION) != 0)
        snprintf(reason, sizeof(reason), "ipmpi %s here, %s there",
                 IPMPI_VERSION, version);
    else if (agent->node.mpi[0] != 0 && strcmp(mpi, agent->node.mpi) != 0)
        snprintf(reason, sizeof(reason),
                 "Open MPI %s here, %s on the leader: use one image",
                 agent->node.mpi, mpi);
    else if (ipmpi_node_network((struct sockaddr *)&local, address, network) !=
                 0 ||
             !ipmpi_node_in_networks(address, networks))
        snprintf(reason, sizeof(reason),
                 "its address %s is not in the job's networks %s", address,
                 networks);
    else
        ipmpi_node_ready(&agent->node, (unsigned)ranks, leads, reason);
    if (reason[0] != 0) {
        refuse(job->asker, generation, reason);
    } else {
        job->state = AGENT_PREPARED;
        job->started_us = agent->now_us;
        snprintf(job->digest, sizeof(job->digest), "%s", digest);
        ipmpi_agent_send(job->asker, IPMPI_REC_READY,
                         json_pack("{s:I}", "generation", generation));
    }
    json_decref(body);
}

static void take_prepare(struct agent *agent, struct ipmpi_peer *peer,
                         json_t *body)
{
    struct agent_job *job = &agent->job;
    json_int_t generation = 0;

    if (json_unpack(body, "{s:I}", "generation", &generation) != 0)
        return;
    if (generation <= 0 || (uint64_t)generation <= job->generation) {
        refuse(peer, generation, "a newer generation was here: fenced");
        return;
    }
    job->generation = (uint64_t)generation;
    job->state = AGENT_IDLE;
    job->ran = false;
    forget_files(agent);
    json_decref(job->commit);
    job->commit = NULL;
    json_decref(job->prepare);
    job->prepare = json_incref(body);
    job->asker = peer;
    ipmpi_agent_job_stop(agent, FENCE_GRACE_US,
                         "a newer generation takes its place");
    ipmpi_agent_job_tick(agent);
}

/* Is the table the one that was announced? */
static bool digest_fits(const char *digest, json_t *nodes)
{
    char *text = json_dumps(nodes, JSON_COMPACT | JSON_SORT_KEYS);
    char hex[IPMPI_SECRET_HEX] = "";
    struct ipmpi_secret made;

    if (text != NULL) {
        ipmpi_secret_digest(text, strlen(text), &made);
        ipmpi_secret_to_hex(&made, hex);
    }
    free(text);
    return strcmp(hex, digest) == 0;
}

/* What a COMMIT must hold; checked once, so that the rest can rely on it. */
static bool commit_is_sound(json_t *body)
{
    json_t *nodes = json_object_get(body, "nodes"), *node, *value;
    const char *name;
    size_t i;

    if (!json_is_array(nodes) || json_array_size(nodes) == 0 ||
        json_array_size(nodes) > IPMPI_NODES_MAX ||
        !json_is_string(json_object_get(body, "networks")) ||
        !json_is_object(json_object_get(body, "environment")) ||
        json_integer_value(json_object_get(body, "ranks")) <= 0 ||
        json_array_size(json_object_get(body, "argv")) == 0)
        return false;
    json_array_foreach(
        nodes, i, node) if (!json_is_string(json_object_get(node, "name")) ||
                            !json_is_string(json_object_get(node, "host")) ||
                            !json_is_integer(json_object_get(node, "port")) ||
                            !json_is_integer(
                                json_object_get(node, "slots"))) return false;
    json_array_foreach(json_object_get(body, "argv"), i,
                       value) if (!json_is_string(value)) return false;
    json_object_foreach(json_object_get(body, "environment"), name,
                        value) if (!json_is_string(value)) return false;
    return true;
}

static void make_exec_key(struct agent *agent)
{
    struct agent_job *job = &agent->job;
    char text[160];

    snprintf(text, sizeof(text), "%" PRIu64 " %s", job->generation,
             job->digest);
    ipmpi_secret_derive(&agent->secret, "exec", text, strlen(text),
                        &job->exec_key);
}

static void take_commit(struct agent *agent, struct ipmpi_peer *peer,
                        json_t *body)
{
    struct agent_job *job = &agent->job;
    json_int_t generation = 0;
    const char *digest = "";
    int self = -1, err;

    if (json_unpack(body, "{s:I, s:i, s:s}", "generation", &generation, "self",
                    &self, "digest", &digest) != 0 ||
        (uint64_t)generation != job->generation ||
        job->state != AGENT_PREPARED || strcmp(digest, job->digest) != 0 ||
        !digest_fits(digest, json_object_get(body, "nodes")) ||
        !agent->has_secret || !commit_is_sound(body)) {
        refuse(peer, generation, "not what was prepared");
        return;
    }
    job->commit = json_incref(body);
    job->leads = self == 0;
    job->state = AGENT_COMMITTED;
    make_exec_key(agent);
    ipmpi_log_info("AGENT-COMMIT", "generation %" PRIu64 ", node %d of %zu%s",
                   job->generation, self,
                   json_array_size(json_object_get(body, "nodes")),
                   job->leads ? ", leader" : "");
    err = write_key(agent);
    if (err == 0 && job->leads)
        err = start_mpirun(agent);
    if (err != 0 && !job->leads) {
        refuse(peer, generation, "the key cannot be written");
    } else if (err != 0) {
        snprintf(job->why, sizeof(job->why), "mpirun cannot be started: %s",
                 ipmpi_strerror(err));
        end_job(agent, 127);
    }
}

/* Starts what rsh brought, if it may. NULL, or why not. */
static const char *run_daemon(struct agent *agent, json_int_t generation,
                              char *command)
{
    struct agent_job *job = &agent->job;
    char *argv[] = {"sh", "-c", NULL, NULL};

    if (job->state != AGENT_COMMITTED ||
        (uint64_t)generation != job->generation)
        return "this generation is not committed here";
    if (job->leads || job->ran)
        return "this generation has had its daemon here";
    argv[2] = (char *)ipmpi_mpirun_daemon(command);
    if (argv[2] == NULL)
        return "only orted and prted are run here";
    if (start(agent, WORK_DAEMON, argv) != 0)
        return "no process for the daemon";
    return NULL;
}

static void take_exec(struct agent *agent, struct ipmpi_peer *peer,
                      json_t *body)
{
    json_int_t generation = 0;
    const char *text = "", *reason;
    char *command;

    json_unpack(body, "{s:I, s:s}", "generation", &generation, "command",
                &text);
    command = strdup(text);
    reason = command != NULL ? run_daemon(agent, generation, command)
                             : "out of memory";
    free(command);
    if (reason != NULL)
        refuse(peer, generation, reason);
    else
        ipmpi_agent_send(peer, IPMPI_REC_STARTED,
                         json_pack("{s:I}", "generation", generation));
}

static void take_drain(struct agent *agent, json_t *body)
{
    json_int_t generation = 0;

    json_unpack(body, "{s:I}", "generation", &generation);
    if ((uint64_t)generation < agent->job.generation)
        return; /* about the past */
    if (agent->job.state == AGENT_PREPARED)
        agent->job.state = AGENT_IDLE;
    if (agent->job.pid != 0)
        ipmpi_agent_job_stop(agent,
                             (int64_t)IPMPI_KILL_GRACE_S * IPMPI_SECOND_US,
                             "the job was stopped");
}

static void take_signal(struct agent *agent, json_t *body)
{
    const int number = (int)json_integer_value(json_object_get(body, "signal"));

    if (number == SIGTERM || number == SIGINT)
        ipmpi_agent_job_stop(agent,
                             (int64_t)IPMPI_KILL_GRACE_S * IPMPI_SECOND_US,
                             "the leader ended it");
}

void ipmpi_agent_job_record(struct agent *agent, struct agent_peer *from,
                            const struct ipmpi_record *record)
{
    json_t *body = json_loadb((const char *)record->body, record->len, 0, NULL);

    if (body == NULL)
        return;
    if (from->launcher && record->type == IPMPI_REC_PREPARE)
        take_prepare(agent, from->peer, body);
    else if (from->launcher && record->type == IPMPI_REC_COMMIT)
        take_commit(agent, from->peer, body);
    else if (from->launcher && record->type == IPMPI_REC_DRAIN)
        take_drain(agent, body);
    else if (!from->launcher && record->type == IPMPI_REC_EXEC)
        take_exec(agent, from->peer, body);
    else if (!from->launcher && record->type == IPMPI_REC_SIGNAL)
        take_signal(agent, body);
    else
        ipmpi_log_warn("AGENT-RECORD", "%s: record %u out of place",
                       ipmpi_peer_name(from->peer), record->type);
    json_decref(body);
}

void ipmpi_agent_job_rsh_lost(struct agent *agent)
{
    if (agent->job.work == WORK_DAEMON && agent->job.pid != 0)
        ipmpi_agent_job_stop(agent,
                             (int64_t)IPMPI_KILL_GRACE_S * IPMPI_SECOND_US,
                             "the leader is gone");
}

/* -- news from this node -------------------------------------------------- */

static void note_lost(struct agent *agent, const char *node, const char *why)
{
    struct agent_job *job = &agent->job;

    job->nodes_lost++;
    ipmpi_log_warn("AGENT-NODE", "node %s is lost: %s", node, why);
    ipmpi_agent_tell(agent, IPMPI_REC_NODE,
                     json_pack("{s:I, s:s, s:s}", "generation",
                               (json_int_t)job->generation, "node", node,
                               "reason", why));
    if (job->rank0 != 0)
        ipmpi_agent_mourn(agent, node);
    else { /* mpirun would wait for it for ever */
        char text[IPMPI_REASON_CAP];

        snprintf(text, sizeof(text), "node %.32s was lost before the start",
                 node);
        ipmpi_agent_job_stop(agent, FENCE_GRACE_US, text);
    }
}

void ipmpi_agent_job_local(struct agent *agent, const char *text)
{
    struct agent_job *job = &agent->job;
    char node[64];
    int pid, at = 0;

    if (job->work != WORK_MPIRUN || job->pid == 0)
        return;
    if (sscanf(text, "rank0 %d", &pid) == 1 && pid > 1) {
        job->rank0 = pid;
        ipmpi_agent_tell(
            agent, IPMPI_REC_RUNNING,
            json_pack("{s:I}", "generation", (json_int_t)job->generation));
    } else if (sscanf(text, "ended %d", &pid) == 1 && job->rank0 != 0) {
        job->rank0_end_us = agent->now_us;
        job->rank0_status = pid & 255;
    } else if (sscanf(text, "lost %63s %n", node, &at) == 1 && at > 0) {
        note_lost(agent, node, text + at);
    }
}

/* Rank 0 has written a connection file: the launcher gets it without its key,
 * which it derives itself. */
void ipmpi_agent_job_file(struct agent *agent, const char *name)
{
    char path[512];
    json_t *body;

    if (strstr(name, "-client.json") == NULL || strchr(name, '/') != NULL)
        return;
    snprintf(path, sizeof(path), "%s/profile/security/%s", agent->dir, name);
    body = json_load_file(path, 0, NULL);
    if (!json_is_object(body)) {
        json_decref(body);
        return;
    }
    json_object_del(body, "key");
    json_object_del(body, "exec_key");
    ipmpi_agent_tell(agent, IPMPI_REC_FILE,
                     json_pack("{s:I, s:o}", "generation",
                               (json_int_t)agent->job.generation, "file",
                               body));
}

/* -- output and time ------------------------------------------------------ */

void ipmpi_agent_job_output(struct agent *agent, int which)
{
    struct agent_job *job = &agent->job;
    uint8_t data[1 + STREAM_READ];
    struct ipmpi_peer *rsh = NULL;
    ssize_t got;

    if (job->work == WORK_DAEMON)
        rsh = ipmpi_agent_rsh(agent);
    for (int turns = 0; turns < 4; turns++) {
        got = read(job->out[which], data + 1, STREAM_READ);
        if (got < 0)
            return;
        if (got == 0) {
            close(job->out[which]);
            job->out[which] = -1;
            return;
        }
        data[0] = (uint8_t)(which + 1);
        if (rsh != NULL)
            ipmpi_peer_put(rsh, IPMPI_REC_OUTPUT, data, (size_t)got + 1);
        if (job->work != WORK_MPIRUN)
            continue;
        if (write(which + 1, data + 1, (size_t)got) < 0)
            ipmpi_log_debug("AGENT-OUTPUT", "nobody reads our output");
        for (size_t i = 0; i < AGENT_PEERS; i++)
            if (agent->peer[i].peer != NULL && agent->peer[i].offered)
                ipmpi_peer_put(agent->peer[i].peer, IPMPI_REC_OUTPUT, data,
                               (size_t)got + 1);
    }
}

/* Note [end]. With --enable-recovery mpirun does not return by itself once a
 * rank or a node was lost, however the rest ends. The job is over when rank 0
 * is: if mpirun is still there a while later we end it, and rank 0's status
 * is the job's. */
static void end_after_rank0(struct agent *agent)
{
    ipmpi_agent_job_stop(agent, (int64_t)IPMPI_RANK_GRACE_S * IPMPI_SECOND_US,
                         agent->job.rank0_status == 0
                             ? "rank 0 has ended well"
                             : "rank 0 has ended with this status");
}

static void sweep(struct agent *agent)
{
    struct agent_job *job = &agent->job;
    const bool hard = agent->now_us >= job->kill_us;
    unsigned left;

    /* While mpirun or the daemon lives it ends its ranks itself. */
    left = ipmpi_reap_signal(hard ? SIGKILL : job->pid == 0 ? SIGTERM : 0);
    job->sweep_us = agent->now_us + SWEEP_US;
    if (left > 0)
        return;
    job->kill_us = 0;
    if (job->prepare != NULL)
        finish_prepare(agent);
}

int64_t ipmpi_agent_job_tick(struct agent *agent)
{
    struct agent_job *job = &agent->job;
    int64_t next_us = INT64_MAX;

    if (job->kill_us != 0 && agent->now_us >= job->sweep_us)
        sweep(agent);
    if (job->kill_us != 0)
        next_us = job->sweep_us;
    if (job->work == WORK_MPIRUN && job->pid != 0 && job->rank0 == 0 &&
        job->kill_us == 0) {
        const int64_t end_us =
            job->started_us + (int64_t)IPMPI_JOB_START_S * IPMPI_SECOND_US;

        if (agent->now_us >= end_us)
            ipmpi_agent_job_stop(agent, FENCE_GRACE_US,
                                 "the job did not start in time");
        else if (end_us < next_us)
            next_us = end_us;
    }
    if (job->rank0_end_us != 0 && job->pid != 0 && job->kill_us == 0) {
        const bool recover =
            json_is_true(json_object_get(job->commit, "recover"));
        const int64_t end_us =
            job->rank0_end_us + (recover ? AFTER_RANK0_US : AFTER_ABORT_US);

        if (agent->now_us >= end_us)
            end_after_rank0(agent);
        else if (end_us < next_us)
            next_us = end_us;
    }
    if (job->state == AGENT_PREPARED) {
        const int64_t orphan_us =
            job->started_us + (int64_t)IPMPI_ORPHAN_S * IPMPI_SECOND_US;

        if (agent->now_us >= orphan_us)
            job->state = AGENT_IDLE; /* its launcher is gone */
        else if (orphan_us < next_us)
            next_us = orphan_us;
    }
    return next_us;
}
