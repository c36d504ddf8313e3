/* The verbs of the program `ipmpi`: one file a verb, one row a verb in
 * main.c. */
#ifndef IPMPI_LAUNCH_VERB_H
#define IPMPI_LAUNCH_VERB_H

/* Runs a verb. argv[0] is "ipmpi <verb>", for argp's texts; the rest are the
 * verb's own arguments. Returns the exit status of the program. */
typedef int ipmpi_verb_fn(int argc, char **argv);

/* Exit statuses of all verbs. 128 + n means "ended by signal n", and a job's
 * own status passes through `hosts`, `marathon start` and `rsh`. */
enum ipmpi_exit {
    IPMPI_EXIT_OK = 0,
    IPMPI_EXIT_FAILED = 1,
    IPMPI_EXIT_USAGE = 64,
    IPMPI_EXIT_TABLE = 65,      /* rsh: no table, or node not in it */
    IPMPI_EXIT_CONNECT = 66,    /* no connection within its time */
    IPMPI_EXIT_AUTH = 67,       /* not the same secret, or a fenced past */
    IPMPI_EXIT_NO_START = 68,   /* the daemon did not start in time */
    IPMPI_EXIT_LOST = 69,       /* connection lost before the start */
    IPMPI_EXIT_NO_NODES = 70,   /* fewer nodes than `min` in time */
    IPMPI_EXIT_SCHEDULER = 71,  /* Marathon or Slurm refused, or is not there */
    IPMPI_EXIT_NO_CLUSTER = 72, /* stop, status, logs: there is none */
};

ipmpi_verb_fn ipmpi_verb_start;
ipmpi_verb_fn ipmpi_verb_stop;
ipmpi_verb_fn ipmpi_verb_list;
ipmpi_verb_fn ipmpi_verb_status;
ipmpi_verb_fn ipmpi_verb_logs;
ipmpi_verb_fn ipmpi_verb_submit;
ipmpi_verb_fn ipmpi_verb_doctor;
ipmpi_verb_fn ipmpi_verb_agent;
ipmpi_verb_fn ipmpi_verb_rsh;
ipmpi_verb_fn ipmpi_verb_rank;
ipmpi_verb_fn ipmpi_verb_hosts;
ipmpi_verb_fn ipmpi_verb_marathon;

#endif
