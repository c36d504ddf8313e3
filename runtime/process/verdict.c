/* The end of a rank, judged.
 *
 *   how it ended      rank 0               engine
 *   said it leaves    the code it said     the code it said
 *   nanny was told    its code, 128+signal its code, 128+signal
 *   before joining    its code, not 0, and the nanny says so: the job cannot
 *                     form (for lack of a Python: said already)
 *   otherwise         its code; killed:    mourn; 0 when the job is over
 *                     128+signal, said */
#include "runtime/process/verdict.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "runtime/process/host.h"

static int code_of(int wait_status)
{
    if (wait_status == -1)
        return 1;
    if (WIFSIGNALED(wait_status))
        return 128 + WTERMSIG(wait_status);
    return WEXITSTATUS(wait_status);
}

struct ipmpi_verdict ipmpi_verdict(const struct ipmpi_rank_end *end)
{
    const int status = end->wait_status, code = code_of(status);
    const bool exited = status != -1 && WIFEXITED(status);

    if (end->leaving)
        return (struct ipmpi_verdict){.exit_code = end->leave_code};
    if (end->told)
        return (struct ipmpi_verdict){
            .exit_code = exited ? code : 128 + end->told_signal};
    if (end->controller) /* a code of its own comes with its own message */
        return (struct ipmpi_verdict){.exit_code = code, .log = !exited};
    if (!end->joined)
        return (struct ipmpi_verdict){.exit_code = code != 0 ? code : 1,
                                      .log = code != IPMPI_EXIT_PYTHON};
    return (struct ipmpi_verdict){.mourn = true};
}

void ipmpi_verdict_describe(int wait_status, char *out, size_t cap)
{
    if (wait_status == -1)
        snprintf(out, cap, "ended, how is not known");
    else if (WIFSIGNALED(wait_status))
        snprintf(out, cap, "was killed by signal %d (%s)",
                 WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
    else
        snprintf(out, cap, "exited with code %d", WEXITSTATUS(wait_status));
}
