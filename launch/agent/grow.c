/* Growth: rank 0 starts engines on a new node with MPI_Comm_spawn, for which
 * mpirun calls rsh, which looks into our table. */
#include "launch/agent/grow.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "launch/agent/dir.h"
#include "launch/agent/tell.h"
#include "launch/clusters/hub_client.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum { SPAWN_MS = 150 * 1000 };

/* -- in the child --------------------------------------------------------- */

static int ask_rank0(const struct agent *agent, json_t *content,
                     json_t **answer_out)
{
    struct ipmpi_hub_client *client = NULL;
    json_t *info = ipmpi_agent_read_connection(agent);
    int err = info ? ipmpi_hub_client_open(info, &client) : IPMPI_ENOENT;

    if (err == 0) {
        err = ipmpi_hub_client_ask(client, "ipmpi_spawn_request", content,
                                   SPAWN_MS, answer_out);
        ipmpi_hub_client_close(&client);
    }
    json_decref(info);
    return err;
}

static void report(const struct agent *agent, const char *node, int err,
                   const json_t *answer)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const char *why = json_string_value(json_object_get(answer, "evalue"));
    const size_t n = json_array_size(json_object_get(answer, "engine_ids"));
    char text[400];
    int len;

    if (err == 0)
        len = snprintf(
            text, sizeof(text), "grown %.32s %d %zu", node,
            (int)json_integer_value(json_object_get(answer, "first_rank")), n);
    else
        len = snprintf(text, sizeof(text), "grown %.32s -1 %.300s", node,
                       why ? why : ipmpi_strerror(err));
    snprintf(name.sun_path, sizeof(name.sun_path), "%.90s/socket", agent->dir);
    if (fd >= 0)
        sendto(fd, text, (size_t)len, 0, (struct sockaddr *)&name,
               sizeof(name));
}

static void ask(const struct agent *agent, const char *node, int slots)
{
    json_t *answer = NULL, *content;
    char host[64];
    int err;

    snprintf(host, sizeof(host), "%.32s:%d", node, slots);
    content = json_pack("{s:i, s:s}", "n", slots, "host", host);
    err = ask_rank0(agent, content, &answer);
    report(agent, node, err, answer);
}

/* -- in the agent --------------------------------------------------------- */

static bool is_sound(const struct agent *agent, json_t *body)
{
    const struct agent_job *job = &agent->job;
    const char *name = json_string_value(json_object_get(body, "name"));

    return job->state == AGENT_COMMITTED && job->leads && job->rank0 != 0 &&
           json_integer_value(json_object_get(body, "generation")) ==
               (json_int_t)job->generation &&
           name != NULL && name[0] == 'n' &&
           strspn(name + 1, "0123456789") == strlen(name + 1) &&
           json_is_string(json_object_get(body, "host")) &&
           json_is_integer(json_object_get(body, "port")) &&
           json_integer_value(json_object_get(body, "slots")) > 0;
}

void ipmpi_agent_grow(struct agent *agent, json_t *body)
{
    json_t *nodes = json_object_get(agent->job.commit, "nodes");
    const char *name;
    pid_t pid;

    if (!is_sound(agent, body)) {
        ipmpi_log_warn("AGENT-GROW", "no job to add a node to");
        return;
    }
    json_object_set_new(body, "first", json_integer(-1));
    json_array_append(nodes, body);
    name = json_string_value(json_object_get(body, "name"));
    if (ipmpi_agent_write_table(agent) != 0) {
        ipmpi_agent_grown(agent, "? -1 the table cannot be written");
        return;
    }
    pid = fork();
    if (pid == 0) {
        ask(agent, name,
            (int)json_integer_value(json_object_get(body, "slots")));
        _exit(0);
    }
    ipmpi_log_info("AGENT-GROW", "node %s is added", name);
}

void ipmpi_agent_grown(struct agent *agent, const char *text)
{
    json_t *nodes = json_object_get(agent->job.commit, "nodes"), *node;
    char name[40], words[320];
    int first, at = 0;
    size_t i;

    if (sscanf(text, "%39s %d %n", name, &first, &at) != 2)
        return;
    json_array_foreach (nodes, i, node) {
        if (strcmp(json_string_value(json_object_get(node, "name")), name) == 0)
            json_object_set_new(node, "first", json_integer(first));
    }
    if (first >= 0)
        snprintf(words, sizeof(words), "%.20s engines", text + at);
    else
        snprintf(words, sizeof(words), "no engines: %.300s", text + at);
    ipmpi_agent_tell(agent, IPMPI_REC_NODE,
                     json_pack("{s:I, s:s, s:s, s:b}", "generation",
                               (json_int_t)agent->job.generation, "node", name,
                               "reason", words, "joined", first >= 0));
}
