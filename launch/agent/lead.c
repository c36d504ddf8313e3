/* From what was committed to mpirun's command line. */
#include "launch/agent/lead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/agent/dir.h"
#include "launch/agent/job.h"
#include "launch/agent/mpirun.h"
#include "runtime/base/error.h"

/* "n0:3,n1:2": the leader by its own name, for mpirun starts ranks beside
 * itself without an agent, the others by aliases that no DNS needs to know. */
static char *hosts_of(const struct agent *agent)
{
    json_t *nodes = json_object_get(agent->job.commit, "nodes");
    const size_t cap = json_array_size(nodes) * 32 + 300;
    char *text = malloc(cap);
    size_t i, at = 0;
    json_t *node;

    if (text == NULL)
        return NULL;
    json_array_foreach (nodes, i, node) {
        const char *name = json_string_value(json_object_get(node, "name"));
        const json_int_t slots =
            json_integer_value(json_object_get(node, "slots"));

        at += (size_t)snprintf(text + at, cap - at, "%s%.255s:%d", i ? "," : "",
                               i ? name : agent->node.hostname, (int)slots);
        if (at >= cap)
            break;
    }
    return text;
}

/* A word of the job's program with "{ip}" replaced by the leader's address and
 * "{ports}" by the ports it declared for clients: rank 0 learns by them where
 * to listen. NULL in word_out: the word falls away, no ports are declared. */
static int expand(const char *word, const char *ip, const char *ports,
                  char **word_out)
{
    const char *mark = strstr(word, "{ip}"), *value = ip;
    size_t skip = 4;

    *word_out = NULL;
    if (mark == NULL && (mark = strstr(word, "{ports}")) != NULL) {
        if (ports[0] == 0)
            return 0;
        value = ports;
        skip = 7;
    }
    if (mark == NULL)
        *word_out = strdup(word);
    else if (asprintf(word_out, "%.*s%s%s", (int)(mark - word), word, value,
                      mark + skip) < 0)
        *word_out = NULL;
    return *word_out != NULL ? 0 : IPMPI_ENOMEM;
}

static void client_ports(char *text, size_t cap)
{
    size_t at = 0;

    text[0] = 0;
    for (int i = 0; i < 16 && at < cap; i++) {
        char name[16];
        uint16_t port;

        snprintf(name, sizeof(name), "CLIENT%d", i);
        port = ipmpi_node_port(name);
        if (port == 0)
            return;
        at += (size_t)snprintf(text + at, cap - at, "%s%u", i ? "," : "", port);
    }
}

/* Strings of a JSON array as argv. */
static char **strings_of(json_t *array, const char *ip)
{
    char **list = calloc(json_array_size(array) + 1, sizeof(*list));
    char ports[128];
    size_t i, n = 0;
    json_t *word;

    if (list == NULL)
        return NULL;
    client_ports(ports, sizeof(ports));
    json_array_foreach (array, i, word)
        if (expand(json_string_value(word), ip, ports, &list[n]) == 0 &&
            list[n] != NULL)
            n++;
    return list;
}

static void free_strings(char **list)
{
    for (char **at = list; at != NULL && *at != NULL; at++)
        free(*at);
    free(list);
}

/* NAME=VALUE pairs of the job, set here so that -x forwards them. */
static char **export_environment(json_t *environment)
{
    char **names = calloc(json_object_size(environment) + 1, sizeof(*names));
    const char *name;
    json_t *value;
    size_t n = 0;

    json_object_foreach (environment, name, value) {
        setenv(name, json_string_value(value), 1);
        if (names != NULL && (names[n] = strdup(name)) != NULL)
            n++;
    }
    return names;
}

int ipmpi_agent_lead(struct agent *agent)
{
    struct agent_job *job = &agent->job;
    json_t *first = json_array_get(json_object_get(job->commit, "nodes"), 0);
    const char *ip = json_string_value(json_object_get(first, "host"));
    char *hosts = hosts_of(agent);
    char **program = strings_of(json_object_get(job->commit, "argv"), ip);
    char **names =
        export_environment(json_object_get(job->commit, "environment"));
    const struct ipmpi_mpirun what = {
        .version = agent->node.mpi,
        .ipmpi = agent->program,
        .networks = json_string_value(json_object_get(job->commit, "networks")),
        .oob_port = ipmpi_node_oob(&agent->node),
        .hosts = hosts,
        .ranks =
            (unsigned)json_integer_value(json_object_get(job->commit, "ranks")),
        .recover = json_is_true(json_object_get(job->commit, "recover")),
        .exported = (const char *const *)names,
        .program = (const char *const *)program,
    };
    char **argv = NULL;
    int err = IPMPI_ENOMEM;

    if (hosts != NULL && program != NULL && names != NULL)
        argv = ipmpi_mpirun_command(&what);
    if (argv != NULL)
        err = ipmpi_agent_write_table(agent);
    if (err == 0)
        err = ipmpi_agent_job_start(agent, WORK_MPIRUN, argv);
    free(argv);
    free(hosts);
    free_strings(program);
    free_strings(names);
    return err;
}
