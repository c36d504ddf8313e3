/* What a nanny makes of the end of its rank: a pure function of what it knows.
 * Threads: any. */
#ifndef IPMPI_PROCESS_VERDICT_H
#define IPMPI_PROCESS_VERDICT_H

#include <stdbool.h>
#include <stddef.h>

struct ipmpi_rank_end {
    bool controller; /* rank 0 */
    bool joined;     /* rank 0's bell is known: it told its nanny, or it was
                      * added to a job that lives */
    bool leaving;    /* it said that it leaves in good order ... */
    int leave_code;  /* ... with this exit code */
    bool told;       /* the nanny was told to end */
    int told_signal;
    int wait_status; /* as of waitpid(); -1: not known */
};

struct ipmpi_verdict {
    int exit_code;
    bool mourn; /* report the death to rank 0, and stay until the job ends */
    bool log;   /* say it: nobody else will */
};

struct ipmpi_verdict ipmpi_verdict(const struct ipmpi_rank_end *end);

/* "was killed by signal 9 (Killed)", "exited with code 3", ... */
void ipmpi_verdict_describe(int wait_status, char *out, size_t cap);

#endif
