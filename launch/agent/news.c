/* News from this node. */
#include "launch/agent/news.h"

#include <stdio.h>
#include <string.h>

#include "launch/agent/dir.h"
#include "launch/agent/grow.h"
#include "launch/agent/job.h"
#include "launch/agent/loss.h"
#include "launch/agent/tell.h"
#include "runtime/base/log.h"

enum { LOST_GRACE_US = 2 * IPMPI_SECOND_US };

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
        ipmpi_agent_job_stop(agent, LOST_GRACE_US, text);
    }
}

/* The body of FILE; NULL: there is no connection file. */
static json_t *file_news(const struct agent *agent)
{
    json_t *file = ipmpi_agent_read_connection(agent);

    if (!json_is_object(file)) {
        json_decref(file);
        return NULL;
    }
    json_object_del(file, "key");
    json_object_del(file, "exec_key");
    return json_pack("{s:I, s:o}", "generation",
                     (json_int_t)agent->job.generation, "file", file);
}

static json_t *running_news(const struct agent *agent)
{
    return json_pack("{s:I}", "generation", (json_int_t)agent->job.generation);
}

void ipmpi_agent_news_local(struct agent *agent, const char *text)
{
    struct agent_job *job = &agent->job;
    char node[64];
    int pid, at = 0;

    if (job->work != WORK_MPIRUN || job->pid == 0)
        return;
    if (sscanf(text, "rank0 %d", &pid) == 1 && pid > 1) {
        job->rank0 = pid;
        ipmpi_agent_tell(agent, IPMPI_REC_RUNNING, running_news(agent));
    } else if (sscanf(text, "ended %d", &pid) == 1 && job->rank0 != 0) {
        job->rank0_end_us = agent->now_us;
        job->rank0_status = pid & 255;
    } else if (strncmp(text, "grown ", 6) == 0) {
        ipmpi_agent_grown(agent, text + 6);
    } else if (sscanf(text, "lost %63s %n", node, &at) == 1 && at > 0) {
        note_lost(agent, node, text + at);
    }
}

void ipmpi_agent_news_file(struct agent *agent, const char *name)
{
    json_t *body = NULL;

    if (ipmpi_agent_is_connection(name))
        body = file_news(agent);
    if (body != NULL)
        ipmpi_agent_tell(agent, IPMPI_REC_FILE, body);
}

void ipmpi_agent_news_again(struct agent *agent, struct ipmpi_peer *launcher)
{
    json_t *file;

    if (agent->job.work != WORK_MPIRUN || agent->job.rank0 == 0)
        return;
    ipmpi_agent_send(launcher, IPMPI_REC_RUNNING, running_news(agent));
    file = file_news(agent);
    if (file != NULL)
        ipmpi_agent_send(launcher, IPMPI_REC_FILE, file);
}
