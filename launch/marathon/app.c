/* Applications, made. */
#include "launch/marathon/app.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "launch/channel/protocol.h"

enum { SHM_BASE_MIB = 64, SHM_RANK_MIB = 8, MEM_RANK_MIB = 512 };

/* A path segment: a-z, 0-9, inner '-' and '.'. */
static size_t put_segment(char *at, size_t cap, const char *text)
{
    size_t n = 0;

    for (; *text && n + 1 < cap; text++) {
        const char c = (char)tolower((unsigned char)*text);

        if (isalnum((unsigned char)c))
            at[n++] = c;
        else if (n > 0 && at[n - 1] != '-')
            at[n++] = '-';
    }
    while (n > 0 && at[n - 1] == '-')
        n--;
    at[n] = 0;
    return n;
}

void ipmpi_app_id(const char *user, const char *job,
                  char id_out[IPMPI_APP_ID_CAP])
{
    char segment[2][96];

    if (put_segment(segment[0], sizeof(segment[0]), user) == 0)
        strcpy(segment[0], "user");
    if (put_segment(segment[1], sizeof(segment[1]), job) == 0)
        strcpy(segment[1], "job");
    snprintf(id_out, IPMPI_APP_ID_CAP, "/ipmpi/%s/%s/workers", segment[0],
             segment[1]);
}

static void add_port(json_t *ports, const char *name, int number)
{
    char text[32];

    if (number >= 0)
        snprintf(text, sizeof(text), "%s%d", name, number);
    else
        snprintf(text, sizeof(text), "%s", name);
    json_array_append_new(ports, json_pack("{s:i, s:s, s:s}", "port", 0, "name",
                                           text, "protocol", "tcp"));
}

/* Every port that anyone listens on: the agent's first, for the launcher looks
 * there; mpirun's; three a rank, for a port in TIME_WAIT is taken; and the
 * controller's seven, twice for the same reason, since any node may lead. */
static json_t *make_ports(const struct ipmpi_app_request *request)
{
    json_t *ports = json_array();

    add_port(ports, "agent", -1);
    add_port(ports, "oob", -1);
    for (unsigned i = 0; i < 3 * (request->ranks + 1); i++)
        add_port(ports, "mpi", (int)i);
    for (int i = 0; i < IPMPI_CLIENTS; i++)
        add_port(ports, "client", i);
    return ports;
}

static json_t *make_container(const struct ipmpi_app_request *request)
{
    json_t *parameters = json_array(), *volumes = json_array();
    const unsigned shm = request->shm_mib
                             ? request->shm_mib
                             : SHM_BASE_MIB + SHM_RANK_MIB * request->ranks;
    char text[32];

    snprintf(text, sizeof(text), "%um", shm);
    json_array_append_new(
        parameters, json_pack("{s:s, s:s}", "key", "shm-size", "value", text));
    json_array_extend(parameters, request->parameters);
    if (request->secret_host_file != NULL)
        json_array_append_new(
            volumes,
            json_pack("{s:s, s:s, s:s}", "containerPath", request->secret_file,
                      "hostPath", request->secret_host_file, "mode", "RO"));
    return json_pack("{s:s, s:{s:s, s:b, s:o}, s:o}", "type", "DOCKER",
                     "docker", "image", request->image, "forcePullImage",
                     request->force_pull, "parameters", parameters, "volumes",
                     volumes);
}

/* Nothing secret: every reader of Marathon's API reads this. */
static json_t *make_environment(const struct ipmpi_app_request *request)
{
    json_t *env = json_pack("{s:s}", "IPMPI_JOB", request->job);
    char text[32];

    snprintf(text, sizeof(text), "%u", request->ranks);
    json_object_set_new(env, "IPMPI_SLOTS", json_string(text));
    if (request->port_prefix != NULL && request->port_prefix[0] != 0)
        json_object_set_new(env, "IPMPI_PORT_PREFIX",
                            json_string(request->port_prefix));
    if (request->launcher_key != NULL)
        json_object_set_new(env, "IPMPI_LAUNCHER_KEY",
                            json_string(request->launcher_key));
    if (request->secret_file != NULL)
        json_object_set_new(env, "IPMPI_SECRET_FILE",
                            json_string(request->secret_file));
    if (request->marathon_secret != NULL)
        json_object_set_new(env, "IPMPI_SECRET",
                            json_pack("{s:s}", "secret", "ipmpi"));
    return env;
}

json_t *ipmpi_app_make(const struct ipmpi_app_request *request)
{
    json_t *constraints = json_array();
    json_t *app;

    if (request->unique)
        json_array_append_new(constraints,
                              json_pack("[s, s]", "hostname", "UNIQUE"));
    json_array_extend(constraints, request->constraints);
    app = json_pack(
        "{s:s, s:i, s:f, s:f, s:i, s:o, s:o, s:o, s:{s:s, s:s, s:s},"
        " s:{s:f, s:f}, s:s, s:i, s:i, s:f, s:i}",
        "id", request->id, "instances", (int)request->instances, "cpus",
        request->cpus > 0 ? request->cpus : (double)request->ranks, "mem",
        request->mem_mib > 0 ? request->mem_mib
                             : MEM_RANK_MIB * (double)request->ranks,
        "disk", 0, "container", make_container(request), "constraints",
        constraints, "env", make_environment(request), "labels", "IPMPI_JOB",
        request->job, "IPMPI_USER", request->user, "IPMPI_NONCE",
        request->nonce, "upgradeStrategy", "minimumHealthCapacity", 0.0,
        "maximumOverCapacity", 0.0, "unreachableStrategy", "disabled",
        "taskKillGracePeriodSeconds", IPMPI_KILL_GRACE_S + 5, "backoffSeconds",
        1, "backoffFactor", 1.15, "maxLaunchDelaySeconds", 60);
    if (app == NULL)
        return NULL;
    if (request->network != NULL) {
        json_object_set_new(app, "networks",
                            json_pack("[{s:s, s:s}]", "mode", "container",
                                      "name", request->network));
    } else {
        json_object_set_new(app, "networks",
                            json_pack("[{s:s}]", "mode", "host"));
        json_object_set_new(app, "portDefinitions", make_ports(request));
    }
    if (request->marathon_secret != NULL)
        json_object_set_new(app, "secrets",
                            json_pack("{s:{s:s}}", "ipmpi", "source",
                                      request->marathon_secret));
    return app;
}
