/* Words to launchers and to the leader's rsh. */
#include "launch/agent/tell.h"

#include <stdlib.h>
#include <string.h>

void ipmpi_agent_send(struct ipmpi_peer *peer, uint8_t type, json_t *body)
{
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

    if (text != NULL)
        ipmpi_peer_put(peer, type, text, strlen(text));
    free(text);
    json_decref(body);
}

void ipmpi_agent_tell(struct agent *agent, uint8_t type, json_t *body)
{
    for (size_t i = 0; i < AGENT_PEERS; i++)
        if (agent->peer[i].peer != NULL && agent->peer[i].offered)
            ipmpi_agent_send(agent->peer[i].peer, type, json_incref(body));
    json_decref(body);
}

void ipmpi_agent_tell_output(struct agent *agent, const void *data, size_t len)
{
    for (size_t i = 0; i < AGENT_PEERS; i++)
        if (agent->peer[i].peer != NULL && agent->peer[i].offered)
            ipmpi_peer_put(agent->peer[i].peer, IPMPI_REC_OUTPUT, data, len);
}

struct ipmpi_peer *ipmpi_agent_rsh(struct agent *agent)
{
    for (size_t i = 0; i < AGENT_PEERS; i++)
        if (agent->peer[i].peer != NULL && !agent->peer[i].launcher &&
            ipmpi_peer_open(agent->peer[i].peer))
            return agent->peer[i].peer;
    return NULL;
}
