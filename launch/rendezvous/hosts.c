/* `ipmpi hosts`: a job on a list of hosts. The same agents, the same
 * rendezvous and the same rsh as under Marathon; the list is what it was told.
 *
 * Threads: one. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/rendezvous/driver.h"
#include "launch/rendezvous/files.h"
#include "launch/channel/protocol.h"
#include "launch/rendezvous/spec.h"
#include "launch/verb.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum { DEFAULT_PORT = 7070 };

static const struct argp_option options[] = {
    {"hostfile", 'f', "FILE", 0,
     "hosts, one HOST[:PORT] a line; # begins a comment", 0},
    {"host", 'H', "HOST[:PORT]", 0, "one host; may be given often", 0},
    {"secret-file", 's', "FILE", 0, "the secret that the agents have too", 0},
    {0},
};

struct arguments {
    struct ipmpi_spec spec;
    const char *secret_file;
    struct ipmpi_place place[IPMPI_NODES_MAX];
    size_t nplaces;
};

static int add_host(struct arguments *args, const char *text)
{
    struct ipmpi_place *place = &args->place[args->nplaces];
    const char *colon = strrchr(text, ':');
    const size_t len = colon ? (size_t)(colon - text) : strlen(text);
    const long port = colon ? strtol(colon + 1, NULL, 10) : DEFAULT_PORT;

    if (args->nplaces == IPMPI_NODES_MAX || len == 0 ||
        len >= sizeof(place->host) - 8 || port < 1 || port > UINT16_MAX)
        return IPMPI_EINVAL;
    snprintf(place->host, sizeof(place->host), "%.*s", (int)len, text);
    snprintf(place->id, sizeof(place->id), "%.*s:%ld", (int)len, text, port);
    place->port = (uint16_t)port;
    args->nplaces++;
    return 0;
}

static int read_hosts(struct arguments *args, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[512];
    int err = 0;

    if (file == NULL)
        return IPMPI_ENOENT;
    while (err == 0 && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "#\r\n")] = 0;
        if (line[strspn(line, " \t")] == 0)
            continue;
        err = add_host(args, strtok(line, " \t"));
    }
    fclose(file);
    return err;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct arguments *args = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &args->spec;
        break;
    case 'f':
        if (read_hosts(args, text) != 0)
            argp_error(state,
                       "%s: no such file, or not HOST[:PORT] in each "
                       "line",
                       text);
        break;
    case 'H':
        if (add_host(args, text) != 0)
            argp_error(state, "%s is not HOST[:PORT]", text);
        break;
    case 's':
        args->secret_file = text;
        break;
    case ARGP_KEY_END:
        if (args->nplaces == 0)
            argp_error(state, "no host: --host or --hostfile");
        if (args->secret_file == NULL)
            argp_error(state, "--secret-file is needed: who knows it may run "
                              "programs on these hosts");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int ipmpi_verb_hosts(int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&ipmpi_spec_argp, 0, "The job:", 1}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "[PROGRAM [ARG...]]\n-- OPTION-OF-IPMPI-ENGINE...",
        .doc = "Runs a job on hosts where `ipmpi agent` listens. Without a "
               "program it is a cluster for ipyparallel clients.",
        .children = children};
    static struct arguments args;
    struct ipmpi_driver *driver = NULL;
    int err, status;

    ipmpi_spec_init(&args.spec);
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &args);
    ipmpi_log_set_name("hosts");
    if (args.spec.max == 0)
        args.spec.max = (unsigned)args.nplaces;
    err = ipmpi_spec_finish(&args.spec);
    if (err == 0)
        err = ipmpi_secret_read(args.secret_file, args.spec.job.name,
                                &args.spec.job.secret);
    if (err == 0)
        err = ipmpi_driver_create(&args.spec.job, &driver);
    if (err != 0) {
        ipmpi_log_error("HOSTS-START", "job %s: %s", args.spec.job.name,
                        ipmpi_strerror(err));
        ipmpi_spec_clear(&args.spec);
        return IPMPI_EXIT_USAGE;
    }
    ipmpi_driver_list(driver, args.place, args.nplaces);
    status = ipmpi_driver_run(driver);
    ipmpi_driver_destroy(&driver);
    if (!args.spec.job.detach)
        ipmpi_spec_forget_files(&args.spec);
    ipmpi_spec_clear(&args.spec);
    return status;
}
