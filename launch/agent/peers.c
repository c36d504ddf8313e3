/* Connections.
 *
 * Invariant: nobody who has not proved to know the job's secret (or to be the
 * launcher whose public key we were given) gets more than the handshake.
 * Threads:   the agent's loop. */
#include "launch/agent/peers.h"

#include <stdlib.h>
#include <string.h>

#include "launch/agent/generation.h"
#include "launch/agent/job.h"
#include "launch/agent/news.h"
#include "launch/agent/tell.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum { BACKLOG_MAX = 1024 * 1024 };

static void offer(struct agent *agent, struct agent_peer *to)
{
    char address[IPMPI_CIDR_CAP] = "", network[IPMPI_CIDR_CAP] = "";
    const char *task = getenv("MESOS_TASK_ID");
    const struct agent_job *job = &agent->job;
    struct sockaddr_storage local;

    ipmpi_peer_local(to->peer, &local);
    ipmpi_node_network((struct sockaddr *)&local, address, network);
    to->offered = true;
    ipmpi_agent_send(
        to->peer, IPMPI_REC_OFFER,
        json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:I, s:b, s:b, "
                  "s:O?}",
                  "version", IPMPI_VERSION, "mpi", agent->node.mpi, "hostname",
                  agent->node.hostname, "slots", (int)agent->node.slots, "port",
                  agent->port, "address", address, "network", network, "task",
                  task ? task : "", "generation", (json_int_t)job->generation,
                  "running", job->pid != 0, "leads",
                  job->pid != 0 && job->leads, "job_end", agent->last_end));
    ipmpi_agent_news_again(agent, to->peer);
}

/* Which key must this initiator prove to hold? See session.h. */
static int find_credentials(void *arg, const struct ipmpi_hello *hello,
                            struct ipmpi_credentials *credentials_out)
{
    const struct agent *agent = arg;

    if (strcmp(hello->job, agent->name) != 0)
        return IPMPI_EAUTH;
    if (hello->role == IPMPI_ROLE_LEADER) {
        /* rsh of the leader: only of the generation that is committed. */
        if (hello->mode != IPMPI_MODE_SECRET ||
            agent->job.state != AGENT_COMMITTED || agent->job.leads ||
            hello->generation != agent->job.generation)
            return IPMPI_EAUTH;
        credentials_out->key = agent->job.exec_key;
    } else if (hello->mode == IPMPI_MODE_PUBLIC) {
        if (!agent->has_public)
            return IPMPI_EAUTH;
        credentials_out->key = agent->public;
    } else {
        if (!agent->has_secret)
            return IPMPI_EAUTH;
        credentials_out->key = agent->secret;
    }
    return 0;
}

static void drop(struct agent *agent, struct agent_peer *place, int err)
{
    static struct ipmpi_log_limit limit;
    const bool was_rsh = !place->launcher && ipmpi_peer_open(place->peer);

    if (err != IPMPI_EDEAD)
        ipmpi_log_limited(&limit, IPMPI_LOG_WARN, "AGENT-PEER",
                          "%s: %s; dropped", ipmpi_peer_name(place->peer),
                          ipmpi_strerror(err));
    ipmpi_agent_generation_left(agent, place->peer);
    ipmpi_peer_close(&place->peer);
    place->launcher = place->offered = false;
    if (was_rsh)
        ipmpi_agent_job_rsh_lost(agent);
}

/* A place for a new connection. If all are taken a stranger's goes: one that
 * has not proved anything yet. */
static struct agent_peer *find_place(struct agent *agent)
{
    for (size_t i = 0; i < AGENT_PEERS; i++)
        if (agent->peer[i].peer == NULL)
            return &agent->peer[i];
    for (size_t i = 0; i < AGENT_PEERS; i++)
        if (!ipmpi_peer_open(agent->peer[i].peer)) {
            drop(agent, &agent->peer[i], IPMPI_EFULL);
            return &agent->peer[i];
        }
    return NULL;
}

void ipmpi_agent_accept(struct agent *agent)
{
    struct ipmpi_peer *peer;
    struct agent_peer *place;

    while (ipmpi_peer_accept(agent->listen_fd, find_credentials, agent,
                             &peer) == 0) {
        place = find_place(agent);
        if (place == NULL)
            ipmpi_peer_close(&peer);
        else
            place->peer = peer;
    }
}

/* The launcher hands over the job's secret when we have none (public mode):
 * encrypted, to be forgotten by both with the job. */
static void admit(struct agent *agent, const struct ipmpi_record *record)
{
    char hex[IPMPI_SECRET_HEX] = "";

    if (record->len != IPMPI_SECRET_HEX - 1)
        return;
    memcpy(hex, record->body, record->len);
    if (ipmpi_secret_from_hex(hex, &agent->secret) == 0)
        agent->has_secret = true;
    explicit_bzero(hex, sizeof(hex));
}

static void take_record(struct agent *agent, struct agent_peer *from,
                        const struct ipmpi_record *record)
{
    if (from->launcher && record->type == IPMPI_REC_ADMIT) {
        if (ipmpi_peer_hello(from->peer)->mode == IPMPI_MODE_PUBLIC)
            admit(agent, record);
        return;
    }
    ipmpi_agent_generation_record(agent, from, record);
}

void ipmpi_agent_serve(struct agent *agent, struct agent_peer *place)
{
    struct ipmpi_record record;
    int err = ipmpi_peer_turn(place->peer, agent->now_us);
    int more = 0;

    if (ipmpi_peer_open(place->peer)) {
        place->launcher =
            ipmpi_peer_hello(place->peer)->role == IPMPI_ROLE_LAUNCHER;
        if (place->launcher && !place->offered)
            offer(agent, place);
        while ((more = ipmpi_peer_next(place->peer, &record)) == 0)
            take_record(agent, place, &record);
        if (more == IPMPI_EEMPTY)
            more = 0;
    }
    if (err == 0)
        err = more;
    ipmpi_peer_flush(place->peer);
    if (err != 0)
        drop(agent, place, err);
}

bool ipmpi_agent_crowded(const struct agent *agent)
{
    for (size_t i = 0; i < AGENT_PEERS; i++)
        if (agent->peer[i].peer != NULL &&
            ipmpi_peer_backlog(agent->peer[i].peer) > BACKLOG_MAX)
            return true;
    return false;
}
