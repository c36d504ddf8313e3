/* Begun or not: read from the notice of the engine's end.
 *
 * Note [complete]. The notice names the works begun last. When its ring has
 * wrapped, the oldest that it names is no job of this engine any more: its
 * reply came, so those of all works before it came, too, and what is undecided
 * and not named has not begun. If that one is undecided itself, older ones may
 * be, and nothing can be said for those that are not named. */
#include "bridge/schedulers/reckoning.h"

#include <stdio.h>

#include "runtime/base/log.h"

static bool is_undecided_at(const struct ipmpi_hub *hub,
                            const struct ipmpi_engine *engine, uint64_t ref)
{
    const struct ipmpi_job *job =
        ipmpi_job_by_ref(&hub->ledger, ref & ~IPMPI_BEGUN_ENDED);

    return job != NULL && job->engine == engine;
}

static bool is_counted(const struct ipmpi_exit_notice *notice)
{
    return (notice->flags & IPMPI_EXIT_COUNTED) != 0;
}

void ipmpi_reckoning_begin(struct ipmpi_reckoning *r,
                           const struct ipmpi_hub *hub,
                           const struct ipmpi_engine *engine,
                           const struct ipmpi_exit_notice *notice)
{
    const struct ipmpi_begun *begun = notice != NULL ? &notice->begun : NULL;

    *r = (struct ipmpi_reckoning){.notice = notice, .first = true};
    if (notice == NULL || engine->sent.n == 0)
        return;
    r->complete = is_counted(notice) &&
                  (begun->n <= IPMPI_BEGUN_CAP ||
                   !is_undecided_at(hub, engine,
                                    begun->refs[begun->n % IPMPI_BEGUN_CAP]));
    if (!r->complete)
        ipmpi_log_warn("ENGINE-GUESS",
                       "engine %d: nobody could tell what it had begun; what "
                       "may have begun counts as begun",
                       engine->id);
}

/* What the notice says of a job. */
static enum ipmpi_progress look_up(const struct ipmpi_reckoning *r,
                                   uint64_t ref)
{
    const struct ipmpi_begun *begun = &r->notice->begun;
    const uint64_t n = begun->n < IPMPI_BEGUN_CAP ? begun->n : IPMPI_BEGUN_CAP;

    for (uint64_t i = 0; i < n; i++) {
        if ((begun->refs[i] & ~IPMPI_BEGUN_ENDED) == ref)
            return begun->refs[i] == ref ? IPMPI_BEGUN : IPMPI_ENDED;
    }
    return r->complete ? IPMPI_NOT_BEGUN : IPMPI_BEGUN;
}

enum ipmpi_progress ipmpi_reckon(struct ipmpi_reckoning *r,
                                 const struct ipmpi_job *job)
{
    const bool first = r->first;

    r->first = false;
    if (job->state != IPMPI_JOB_SENT)
        return IPMPI_NOT_BEGUN;
    if (r->notice != NULL && is_counted(r->notice))
        return look_up(r, job->ref);
    /* Who leaves in good order has said all that it had to say. */
    return job->held.started || (first && r->notice != NULL) ? IPMPI_BEGUN
                                                             : IPMPI_NOT_BEGUN;
}

uint64_t ipmpi_reckon_step(const struct ipmpi_reckoning *r,
                           const struct ipmpi_job *job)
{
    const struct ipmpi_begun *begun;

    if (r->notice == NULL || !is_counted(r->notice))
        return UINT64_MAX;
    begun = &r->notice->begun;
    if (begun->n == 0 ||
        begun->refs[(begun->n - 1) % IPMPI_BEGUN_CAP] != job->ref)
        return UINT64_MAX;
    return begun->step;
}

void ipmpi_reckoning_describe(const struct ipmpi_job *job,
                              const struct ipmpi_engine *engine,
                              enum ipmpi_progress progress, char *out,
                              size_t cap)
{
    static const char *const when[] = {
        [IPMPI_NOT_BEGUN] = "before it began",
        [IPMPI_BEGUN] = "while running",
        [IPMPI_ENDED] = "with the result of finished",
    };

    snprintf(out, cap,
             "Engine b'%s' died %s task '%s': engine %d (rank %d on %s, pid "
             "%d) %s",
             engine->uuid, when[progress], job->msg_id, engine->id,
             engine->rank, engine->host, engine->pid, engine->end);
}
