/* Pipes of the work. */
#include "launch/agent/output.h"

#include <unistd.h>

#include "launch/agent/tell.h"
#include "runtime/base/log.h"

enum { STREAM_READ = 32768 };

void ipmpi_agent_output(struct agent *agent, int which)
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
        ipmpi_agent_tell_output(agent, data, (size_t)got + 1);
    }
}

void ipmpi_agent_output_close(struct agent *agent)
{
    for (int i = 0; i < 2; i++)
        if (agent->job.out[i] >= 0) {
            ipmpi_agent_output(agent, i);
            if (agent->job.out[i] >= 0)
                close(agent->job.out[i]);
            agent->job.out[i] = -1;
        }
}
