/* Generations.
 *
 *            PREPARE g, all older gone      COMMIT g           JOB_END
 *     IDLE ---------------------> PREPARED --------> COMMITTED -------> IDLE
 *
 * Invariant: a generation is prepared only when no process of an older one is
 * left on this node, and never twice.
 * Threads:   the agent's loop. */
#include "launch/agent/generation.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/agent/daemon.h"
#include "launch/agent/dir.h"
#include "launch/agent/grow.h"
#include "launch/agent/job.h"
#include "launch/agent/lead.h"
#include "launch/agent/tell.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum { FENCE_GRACE_US = 2 * IPMPI_SECOND_US /* for the past of a new round */ };

static void refuse(struct ipmpi_peer *peer, json_int_t generation,
                   const char *reason)
{
    ipmpi_log_warn("AGENT-REFUSE", "generation %lld: %s", (long long)generation,
                   reason);
    ipmpi_agent_send(
        peer, IPMPI_REC_REFUSE,
        json_pack("{s:I, s:s}", "generation", generation, "reason", reason));
}

/* Does the node fit the job that is announced? Otherwise a sentence. */
static void find_misfit(const struct agent *agent, json_t *body,
                        char reason[IPMPI_REASON_CAP])
{
    const char *version = "", *mpi = "", *networks = "";
    char address[IPMPI_CIDR_CAP] = "", network[IPMPI_CIDR_CAP];
    struct sockaddr_storage local;
    int ranks = 0, leads = 0;

    json_unpack(body, "{s:s, s:s, s:s, s:i, s:b}", "version", &version, "mpi",
                &mpi, "networks", &networks, "ranks", &ranks, "leads", &leads);
    ipmpi_peer_local(agent->job.asker, &local);
    reason[0] = 0;
    if (strcmp(version, IPMPI_VERSION) != 0)
        snprintf(reason, IPMPI_REASON_CAP, "ipmpi %s here, %s there",
                 IPMPI_VERSION, version);
    else if (agent->node.mpi[0] != 0 && strcmp(mpi, agent->node.mpi) != 0)
        snprintf(reason, IPMPI_REASON_CAP,
                 "Open MPI %s here, %s on the leader: use one image",
                 agent->node.mpi, mpi);
    else if (ipmpi_node_network((struct sockaddr *)&local, address, network) !=
                 0 ||
             !ipmpi_node_in_networks(address, networks))
        snprintf(reason, IPMPI_REASON_CAP,
                 "its address %s is not in the job's networks %s", address,
                 networks);
    else
        ipmpi_node_ready(&agent->node, (unsigned)ranks, leads, reason);
}

static void finish_prepare(struct agent *agent)
{
    struct agent_job *job = &agent->job;
    json_t *body = job->prepare;
    char reason[IPMPI_REASON_CAP];
    json_int_t generation = 0;
    const char *digest = "";

    job->prepare = NULL;
    json_unpack(body, "{s:I, s:s}", "generation", &generation, "digest",
                &digest);
    find_misfit(agent, body, reason);
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
    ipmpi_agent_forget_files(agent);
    json_decref(job->commit);
    job->commit = NULL;
    json_decref(job->prepare);
    job->prepare = json_incref(body);
    job->asker = peer;
    ipmpi_agent_job_stop(agent, FENCE_GRACE_US,
                         "a newer generation takes its place");
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
    json_array_foreach (nodes, i, node)
        if (!json_is_string(json_object_get(node, "name")) ||
            !json_is_string(json_object_get(node, "host")) ||
            !json_is_integer(json_object_get(node, "port")) ||
            !json_is_integer(json_object_get(node, "slots")))
            return false;
    json_array_foreach (json_object_get(body, "argv"), i, value)
        if (!json_is_string(value))
            return false;
    json_object_foreach (json_object_get(body, "environment"), name, value)
        if (!json_is_string(value))
            return false;
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
    err = ipmpi_agent_write_key(agent);
    if (err == 0 && job->leads)
        err = ipmpi_agent_lead(agent);
    if (err != 0 && !job->leads) {
        refuse(peer, generation, "the key cannot be written");
    } else if (err != 0) {
        snprintf(job->why, sizeof(job->why), "mpirun cannot be started: %s",
                 ipmpi_strerror(err));
        ipmpi_agent_job_end(agent, 127);
    }
}

/* The daemon's command with the way to mpirun in it, which begins here. The
 * caller frees it; NULL: no memory, or no port. */
static char *lead_home(struct agent *agent, const char *command)
{
    const char *mark = strstr(command, IPMPI_WAY_HOME);
    char *text;
    uint16_t port;

    if (mark == NULL)
        return strdup(command);
    ipmpi_tunnel_close(&agent->job.tunnel);
    if (ipmpi_tunnel_listen(&agent->job.tunnel, &port) != 0 ||
        asprintf(&text, "%.*stcp://127.0.0.1:%u%s", (int)(mark - command),
                 command, port, mark + strlen(IPMPI_WAY_HOME)) < 0)
        return NULL;
    return text;
}

/* Starts what rsh brought, if it may. NULL, or why not. */
static const char *run_daemon(struct agent *agent, json_int_t generation,
                              char *command)
{
    struct agent_job *job = &agent->job;
    char *argv[] = {"sh", "-c", NULL, NULL};
    const char *bare;
    int err;

    if (job->state != AGENT_COMMITTED ||
        (uint64_t)generation != job->generation)
        return "this generation is not committed here";
    if (job->leads || job->ran)
        return "this generation has had its daemon here";
    bare = ipmpi_daemon_command(command);
    if (bare == NULL)
        return "only orted and prted are run here";
    argv[2] = lead_home(agent, bare);
    err = argv[2] != NULL ? ipmpi_agent_job_start(agent, WORK_DAEMON, argv)
                          : IPMPI_ESYS;
    free(argv[2]);
    return err == 0 ? NULL : "no process or no port for the daemon";
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

void ipmpi_agent_generation_record(struct agent *agent, struct agent_peer *from,
                                   const struct ipmpi_record *record)
{
    json_t *body;

    if (!from->launcher && record->type == IPMPI_REC_STREAM) {
        ipmpi_tunnel_take(&agent->job.tunnel, from->peer, record);
        return;
    }
    body = json_loadb((const char *)record->body, record->len, 0, NULL);
    if (body == NULL)
        return;
    if (from->launcher && record->type == IPMPI_REC_PREPARE)
        take_prepare(agent, from->peer, body);
    else if (from->launcher && record->type == IPMPI_REC_COMMIT)
        take_commit(agent, from->peer, body);
    else if (from->launcher && record->type == IPMPI_REC_GROW)
        ipmpi_agent_grow(agent, body);
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

void ipmpi_agent_generation_left(struct agent *agent, struct ipmpi_peer *peer)
{
    if (agent->job.asker != peer)
        return;
    agent->job.asker = NULL;
    json_decref(agent->job.prepare);
    agent->job.prepare = NULL;
}

int64_t ipmpi_agent_generation_tick(struct agent *agent)
{
    struct agent_job *job = &agent->job;
    int64_t orphan_us;

    if (job->prepare != NULL && ipmpi_agent_job_idle(agent))
        finish_prepare(agent);
    if (job->state != AGENT_PREPARED)
        return INT64_MAX;
    orphan_us = job->started_us + (int64_t)IPMPI_ORPHAN_S * IPMPI_SECOND_US;
    if (agent->now_us < orphan_us)
        return orphan_us;
    job->state = AGENT_IDLE; /* its launcher is gone */
    return INT64_MAX;
}
