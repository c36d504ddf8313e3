/* What runs on a node, from its start to its end. A member's work is the
 * daemon that the leader's mpirun asks for through rsh; the leader's work is
 * mpirun.
 *
 * Invariant: the job is idle only when no process of it is left on this node.
 * Threads:   the agent's loop. */
#include "launch/agent/job.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>

#include "launch/agent/child.h"
#include "launch/agent/dir.h"
#include "launch/agent/mpirun.h"
#include "launch/agent/output.h"
#include "launch/agent/reap.h"
#include "launch/agent/tell.h"
#include "launch/verb.h"
#include "runtime/base/log.h"

enum {
    SWEEP_US = 50 * 1000,
    NO_START_GRACE_US = 2 * IPMPI_SECOND_US,
    LEFTOVER_GRACE_US = 1 * IPMPI_SECOND_US,
    OTHERS_US = 3 * IPMPI_SECOND_US, /* an engine's own time to end MPI */
    AFTER_RANK0_US = 5 * IPMPI_SECOND_US,
    AFTER_ABORT_US = 20 * IPMPI_SECOND_US, /* mpirun may be ending others */
};

void ipmpi_agent_job_init(struct agent *agent)
{
    agent->job.out[0] = agent->job.out[1] = -1;
    ipmpi_tunnel_init(&agent->job.tunnel);
}

int ipmpi_agent_job_start(struct agent *agent, enum agent_work work,
                          char *const argv[])
{
    struct agent_job *job = &agent->job;
    const int err = ipmpi_agent_spawn(agent, argv, &job->pid, job->out);

    if (err != 0)
        return err;
    job->work = work;
    job->ran = true;
    job->rank0 = 0;
    job->rank0_end_us = 0;
    job->rank0_status = 0;
    job->nodes_lost = 0;
    job->term_us = 0;
    job->why[0] = 0;
    job->started_us = agent->now_us;
    return 0;
}

static void sweep_now(struct agent *agent, int64_t grace_us)
{
    struct agent_job *job = &agent->job;
    const int64_t kill_us = agent->now_us + grace_us;

    if (job->kill_us == 0 || kill_us < job->kill_us)
        job->kill_us = kill_us;
    job->sweep_us = agent->now_us;
}

/* Note [order]. Rank 0 of a cluster ends its engines by itself when it is told,
 * and then mpirun has nothing left to do. So rank 0 is told first and mpirun
 * later, if it is still there: PRRTE would kill all ranks at once. Other
 * programs are mpirun's to end. */
static void tell_to_end(struct agent *agent)
{
    struct agent_job *job = &agent->job;

    if (job->work == WORK_MPIRUN && job->rank0 != 0 && job->rank0_end_us == 0 &&
        ipmpi_agent_has_controller(agent)) {
        kill(job->rank0, SIGTERM);
        if (job->term_us == 0)
            job->term_us =
                agent->now_us + (int64_t)IPMPI_RANK_GRACE_S * IPMPI_SECOND_US;
    } else {
        kill(job->pid, SIGTERM);
    }
}

void ipmpi_agent_job_stop(struct agent *agent, int64_t grace_us,
                          const char *why)
{
    struct agent_job *job = &agent->job;

    if (job->pid != 0) {
        if (job->why[0] == 0)
            snprintf(job->why, sizeof(job->why), "%s", why);
        tell_to_end(agent);
    }
    sweep_now(agent, grace_us);
}

/* Rank 0 has had its time, or has ended: so do the others in a moment. After a
 * lost node mpirun stays for ever, and when it is told it stays for long. */
static void tell_mpirun(struct agent *agent)
{
    struct agent_job *job = &agent->job;

    if (job->term_us == 0 || job->pid == 0)
        return;
    if (job->rank0_end_us != 0) {
        if (job->term_us > job->rank0_end_us + OTHERS_US)
            job->term_us = job->rank0_end_us + OTHERS_US;
        if (job->kill_us > job->rank0_end_us + AFTER_RANK0_US)
            job->kill_us = job->rank0_end_us + AFTER_RANK0_US;
    }
    if (agent->now_us < job->term_us)
        return;
    job->term_us = 0;
    kill(job->pid, SIGTERM);
}

bool ipmpi_agent_job_idle(const struct agent *agent)
{
    return agent->job.pid == 0 && agent->job.kill_us == 0;
}

void ipmpi_agent_job_end(struct agent *agent, int status)
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
    ipmpi_agent_forget_files(agent);
    job->state = AGENT_IDLE;
}

void ipmpi_agent_job_reaped(struct agent *agent, pid_t pid, int status)
{
    struct agent_job *job = &agent->job;
    struct ipmpi_peer *rsh;

    if (pid != job->pid)
        return;
    ipmpi_agent_output_close(agent);
    rsh = ipmpi_agent_rsh(agent);
    ipmpi_tunnel_drain(&job->tunnel, rsh);
    ipmpi_tunnel_close(&job->tunnel);
    job->pid = 0;
    if (job->work == WORK_MPIRUN) {
        if (job->rank0_end_us != 0 && job->why[0] != 0)
            status = job->rank0_status; /* see note [end] */
        else if (status == 0 && job->rank0_end_us == 0 && job->nodes_lost > 0)
            status = IPMPI_EXIT_LOST; /* Open MPI 5 gives up, and says 0 */
        ipmpi_agent_job_end(agent, status);
    } else {
        if (rsh != NULL)
            ipmpi_agent_send(rsh, IPMPI_REC_EXIT,
                             json_pack("{s:i}", "status", status));
        ipmpi_log_info("AGENT-DAEMON", "the daemon ended with %d", status);
    }
    job->work = WORK_NONE;
    sweep_now(agent, LEFTOVER_GRACE_US); /* what it left behind */
}

void ipmpi_agent_job_rsh_lost(struct agent *agent)
{
    if (agent->job.work == WORK_DAEMON && agent->job.pid != 0)
        ipmpi_agent_job_stop(agent,
                             (int64_t)IPMPI_KILL_GRACE_S * IPMPI_SECOND_US,
                             "the leader is gone");
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

    tell_mpirun(agent);
    /* While mpirun or the daemon lives it ends its ranks itself. */
    left = ipmpi_reap_signal(hard ? SIGKILL : job->pid == 0 ? SIGTERM : 0);
    job->sweep_us = agent->now_us + SWEEP_US;
    if (left == 0)
        job->kill_us = 0;
}

/* Until when mpirun may go on without rank 0, see note [end]; INT64_MAX: rank
 * 0 is there. */
static int64_t rank0_deadline(const struct agent_job *job)
{
    const bool recover = json_is_true(json_object_get(job->commit, "recover"));

    if (job->rank0_end_us == 0)
        return INT64_MAX;
    return job->rank0_end_us + (recover ? AFTER_RANK0_US : AFTER_ABORT_US);
}

/* Until when rank 0 must be there. */
static int64_t start_deadline(const struct agent_job *job)
{
    if (job->work != WORK_MPIRUN || job->rank0 != 0)
        return INT64_MAX;
    return job->started_us + (int64_t)IPMPI_JOB_START_S * IPMPI_SECOND_US;
}

int64_t ipmpi_agent_job_tick(struct agent *agent)
{
    struct agent_job *job = &agent->job;
    int64_t start_us, end_us;

    if (job->kill_us != 0 && agent->now_us >= job->sweep_us)
        sweep(agent);
    if (job->kill_us == 0 && job->pid != 0) {
        start_us = start_deadline(job);
        end_us = rank0_deadline(job);
        if (agent->now_us >= start_us)
            ipmpi_agent_job_stop(agent, NO_START_GRACE_US,
                                 "the job did not start in time");
        else if (agent->now_us >= end_us)
            end_after_rank0(agent);
        else
            return start_us < end_us ? start_us : end_us;
    }
    return job->kill_us != 0 ? job->sweep_us : INT64_MAX;
}
