/* The program `ipmpi`: a table of verbs. A verb is a function in a file of
 * its own; adding one means one file, one line in verb.h and one row here.
 *
 * Threads: the verb's business. */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/verb.h"

static const struct verb {
    const char *name;
    const char *help; /* one line */
    ipmpi_verb_fn *run;
    bool inside; /* runs inside containers or under mpirun, not by hand */
} verbs[] = {
    {"start", "start a cluster on this machine or in this batch job",
     ipmpi_verb_start, false},
    {"stop", "stop a cluster", ipmpi_verb_stop, false},
    {"list", "list clusters", ipmpi_verb_list, false},
    {"status", "show engines, what they run, what waits", ipmpi_verb_status,
     false},
    {"logs", "show what a cluster has printed", ipmpi_verb_logs, false},
    {"submit", "submit a cluster as a batch job", ipmpi_verb_submit, false},
    {"doctor", "check what a cluster needs on this machine", ipmpi_verb_doctor,
     false},
    {"hosts", "run a job on a list of hosts where agents listen",
     ipmpi_verb_hosts, false},
    {"marathon", "run a job in containers placed by Marathon",
     ipmpi_verb_marathon, false},
    {"agent", "wait on a node for a job (first process of a container)",
     ipmpi_verb_agent, true},
    {"rsh", "start a daemon on another node (mpirun's launch agent)",
     ipmpi_verb_rsh, true},
    {"rank", "give a rank its port and key, then become its program",
     ipmpi_verb_rank, true},
};

enum { NVERBS = sizeof(verbs) / sizeof(verbs[0]) };

static void list(bool inside)
{
    for (size_t i = 0; i < NVERBS; i++)
        if (verbs[i].inside == inside)
            printf("  %-10s %s\n", verbs[i].name, verbs[i].help);
}

static int help(void)
{
    puts("usage: ipmpi VERB [OPTION...]\n\nVerbs:");
    list(false);
    puts("  help       this text; `ipmpi VERB --help` tells more");
    puts("\nRun by the machinery, seldom by hand:");
    list(true);
    return IPMPI_EXIT_OK;
}

static int run(const struct verb *verb, int argc, char **argv)
{
    static char name[64]; /* argp keeps it for its texts */

    snprintf(name, sizeof(name), "ipmpi %s", verb->name);
    argv[0] = name;
    return verb->run(argc, argv);
}

static bool is_one_of(const char *word, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(word, *words) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    static const char *const helps[] = {"help", "--help", "-h", "-?", NULL};
    static const char *const versions[] = {"version", "--version", "-V", NULL};

    argp_program_version = "ipmpi " IPMPI_VERSION;
    argp_err_exit_status = IPMPI_EXIT_USAGE;
    if (argc < 2 || is_one_of(argv[1], helps)) {
        if (argc < 3)
            return help();
        argv[1] = argv[2]; /* help VERB is VERB --help */
        argv[2] = (char *)"--help";
        argc = 3;
    }
    if (is_one_of(argv[1], versions)) {
        puts(argp_program_version);
        return IPMPI_EXIT_OK;
    }
    for (size_t i = 0; i < NVERBS; i++)
        if (strcmp(argv[1], verbs[i].name) == 0)
            return run(&verbs[i], argc - 1, argv + 1);
    fprintf(stderr, "ipmpi: no verb \"%s\"; `ipmpi help` lists them\n",
            argv[1]);
    return IPMPI_EXIT_USAGE;
}
