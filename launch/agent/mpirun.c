/* Command lines of mpirun. */
#include "launch/agent/mpirun.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/channel/protocol.h"
#include "launch/verb.h"

enum { WORDS_MAX = 4096 };

/* A row is left out when its value is empty. */
enum value {
    AGENT,
    ONE,
    MANY,
    NETWORKS,
    OOB_PORT,
    ALIVE_TIME,
    ALIVE_BETWEEN,
    ALIVE_PROBES,
    GRACE,
};

struct option {
    const char *flag, *name;
    enum value value;
};

/* Flat (no tree) and attached: the launch agent's life is its daemon's. A cut
 * link is noticed in 10 to 15 s; the default is 8 minutes. */
static const struct option orte[] = {
    {"--mca", "plm_rsh_agent", AGENT},
    {"--mca", "plm_rsh_no_tree_spawn", ONE},
    {"--mca", "plm_rsh_num_concurrent", MANY},
    {"--mca", "if_base_do_not_resolve", ONE}, /* aliases: no DNS knows them */
    {"--mca", "oob_tcp_if_include", NETWORKS},
    {"--mca", "btl_tcp_if_include", NETWORKS},
    {"--mca", "oob_tcp_static_ipv4_ports", OOB_PORT},
    {"--mca", "oob_tcp_keepalive_time", ALIVE_TIME},
    {"--mca", "oob_tcp_keepalive_intvl", ALIVE_BETWEEN},
    {"--mca", "oob_tcp_keepalive_probes", ALIVE_PROBES},
    {"--mca", "odls_base_sigkill_timeout", GRACE},
    {NULL, NULL, 0},
};

/* The same, but for the networks of daemons: they reach mpirun by a tunnel, and
 * PRRTE 3.0 knows no network of the form it asks for. */
static const struct option prrte[] = {
    {"--prtemca", "plm_ssh_agent", AGENT},
    {"--prtemca", "plm_ssh_no_tree_spawn", ONE},
    {"--prtemca", "plm_ssh_num_concurrent", MANY},
    {"--mca", "btl_tcp_if_include", NETWORKS},
    {"--prtemca", "oob_tcp_static_ipv4_ports", OOB_PORT},
    {"--prtemca", "oob_tcp_keepalive_time", ALIVE_TIME},
    {"--prtemca", "oob_tcp_keepalive_intvl", ALIVE_BETWEEN},
    {"--prtemca", "oob_tcp_keepalive_probes", ALIVE_PROBES},
    {"--prtemca", "odls_base_sigkill_timeout", GRACE},
    {NULL, NULL, 0},
};

/* Words are gathered as pointers, then packed with their bytes into one block
 * that one free() releases. */
struct words {
    const char *at[WORDS_MAX];
    size_t n, bytes;
    char numbers[16][256];
    unsigned nnumbers;
};

static void add(struct words *words, const char *word)
{
    if (words->n < WORDS_MAX) {
        words->at[words->n++] = word;
        words->bytes += strlen(word) + 1;
    }
}

static const char *text_of(struct words *words, enum value value,
                           const struct ipmpi_mpirun *what)
{
    char *text = words->numbers[words->nnumbers++];
    const size_t cap = sizeof(words->numbers[0]);

    text[0] = 0;
    switch (value) {
    case AGENT:
        snprintf(text, cap, "%s rsh", what->ipmpi);
        break;
    case ONE:
        return "1";
    case MANY:
        return "1024";
    case NETWORKS:
        return what->networks;
    case OOB_PORT:
        if (what->oob_port != 0)
            snprintf(text, cap, "%u", what->oob_port);
        break;
    case ALIVE_TIME:
        return "5";
    case ALIVE_BETWEEN:
        return "2";
    case ALIVE_PROBES:
        return "3";
    case GRACE:
        snprintf(text, cap, "%d", IPMPI_RANK_GRACE_S);
        break;
    }
    return text;
}

static char **pack(const struct words *words)
{
    const size_t table = (words->n + 1) * sizeof(char *);
    char **argv = malloc(table + words->bytes);
    char *at = (char *)argv + table;

    if (argv == NULL)
        return NULL;
    for (size_t i = 0; i < words->n; i++) {
        argv[i] = at;
        at = stpcpy(at, words->at[i]) + 1;
    }
    argv[words->n] = NULL;
    return argv;
}

char **ipmpi_mpirun_command(const struct ipmpi_mpirun *what)
{
    const bool is_prrte = atoi(what->version) >= 5;
    const struct option *option = is_prrte ? prrte : orte;
    struct words *words = calloc(1, sizeof(*words));
    char count[16];
    char **argv;

    if (words == NULL)
        return NULL;
    add(words, "mpirun");
    for (; option->name != NULL; option++) {
        const char *text = text_of(words, option->value, what);

        if (text[0] == 0)
            continue;
        add(words, option->flag);
        add(words, option->name);
        add(words, text);
    }
    add(words, "--leave-session-attached");
    if (what->recover) {
        add(words, "--enable-recovery");
        if (is_prrte) { /* or a closed connection aborts its rank */
            add(words, "--with-ft");
            add(words, "ulfm");
        }
    }
    add(words, "--map-by"); /* the ranks of a node are known by its slots */
    add(words, "slot");
    add(words, "--bind-to");
    add(words, "none");
    add(words, "--host");
    add(words, what->hosts);
    for (const char *const *x = what->exported; x && *x; x++) {
        add(words, "-x");
        add(words, *x);
    }
    snprintf(count, sizeof(count), "%u", what->ranks);
    add(words, "-np");
    add(words, count);
    add(words, what->ipmpi);
    add(words, "rank");
    add(words, "--");
    for (const char *const *word = what->program; *word; word++)
        add(words, *word);
    argv = words->n < WORDS_MAX ? pack(words) : NULL;
    free(words);
    return argv;
}

const char *ipmpi_mpirun_cause(int status)
{
    switch (status) {
    case 0:
        return "the job ended well";
    case 1:
        return "the job was stopped, or a rank ended without finalizing MPI";
    case 110:
        return "the job's time was over";
    case 205:
        return "a node's daemon was lost";
    case 213:
        return "a daemon could not listen or make its session directory";
    case 255:
        return "mpirun lost its launch agent";
    case IPMPI_EXIT_TABLE:
    case IPMPI_EXIT_CONNECT:
    case IPMPI_EXIT_AUTH:
    case IPMPI_EXIT_NO_START:
        return "a node could not be reached, or did not start its daemon";
    case IPMPI_EXIT_LOST:
        return "a node was lost";
    default:
        break;
    }
    if (status > 128 && status < 128 + 65) {
        static __thread char text[64];

        snprintf(text, sizeof(text), "a rank ended by signal %d (%s)",
                 status - 128, strsignal(status - 128));
        return text;
    }
    return "a rank ended with this status";
}
