/* Options of `ipmpi marathon`. */
#include "launch/marathon/options.h"

#include <stdlib.h>
#include <string.h>

#include "launch/marathon/launch.h"

enum {
    KEY_IMAGE = 0x200,
    KEY_NETWORK,
    KEY_CPUS,
    KEY_MEM,
    KEY_SHM,
    KEY_CONSTRAINT,
    KEY_PARAMETER,
    KEY_SHARE_HOSTS,
    KEY_PULL,
    KEY_HEADER,
    KEY_BASIC,
    KEY_CA,
    KEY_INSECURE,
    KEY_SECRET,
    KEY_SECRET_HOST,
    KEY_SECRET_STORE,
    KEY_FORCE,
};

static const struct argp_option options[] = {
    {"marathon", 'm', "URL[,URL..]", 0,
     "its instances (MARATHON_URL); any of them will do", 0},
    {"header-file", KEY_HEADER, "FILE", 0,
     "headers for every request, as Authorization", 0},
    {"basic-file", KEY_BASIC, "FILE", 0, "one line USER:PASSWORD", 0},
    {"ca-file", KEY_CA, "FILE", 0, "who may vouch for Marathon (TLS)", 0},
    {"insecure", KEY_INSECURE, NULL, 0,
     "send credentials over http to other hosts, too", 0},
    {"image", KEY_IMAGE, "IMAGE", 0, "default: ipmpi/engine", 1},
    {"container-network", KEY_NETWORK, "NAME", 0,
     "a network that containers share; default: the hosts'", 1},
    {"cpus", KEY_CPUS, "N", 0, "of a container; default: its ranks", 1},
    {"mem", KEY_MEM, "MIB", 0, "default: 512 a rank", 1},
    {"shm", KEY_SHM, "MIB", 0, "/dev/shm; default: 64 and 8 a rank", 1},
    {"constraint", KEY_CONSTRAINT, "FIELD:OPERATOR[:VALUE]", 0,
     "where containers may be placed", 1},
    {"docker-parameter", KEY_PARAMETER, "KEY=VALUE", 0,
     "an option of `docker run`", 1},
    {"share-hosts", KEY_SHARE_HOSTS, NULL, 0,
     "several containers on one host are fine", 1},
    {"force-pull", KEY_PULL, NULL, 0, "fetch the image anew", 1},
    {"secret-file", KEY_SECRET, "FILE", 0,
     "a site's key, the same as the containers have; default: a fresh key "
     "pair for each job",
     2},
    {"secret-host-file", KEY_SECRET_HOST, "PATH", 0,
     "where it lies on each host", 2},
    {"secret-store", KEY_SECRET_STORE, "NAME", 0,
     "what it is called in Marathon's store of secrets", 2},
    {"force", KEY_FORCE, NULL, 0, "scale: busy nodes may go", 3},
    {0},
};

static void add_constraint(struct argp_state *state, json_t *list,
                           const char *text)
{
    json_t *one = json_array();
    const char *at = text;

    for (int i = 0; i < 3 && at != NULL; i++) {
        const char *colon = i < 2 ? strchr(at, ':') : NULL;

        json_array_append_new(
            one, json_stringn(at, colon ? (size_t)(colon - at) : strlen(at)));
        at = colon != NULL ? colon + 1 : NULL;
    }
    if (json_array_size(one) < 2)
        argp_error(state, "%s is not FIELD:OPERATOR[:VALUE]", text);
    json_array_append_new(list, one);
}

static void add_parameter(struct argp_state *state, json_t *list,
                          const char *text)
{
    const char *equals = strchr(text, '=');

    if (equals == NULL || equals == text)
        argp_error(state, "%s is not KEY=VALUE", text);
    json_array_append_new(list,
                          json_pack("{s:o, s:s}", "key",
                                    json_stringn(text, (size_t)(equals - text)),
                                    "value", equals + 1));
}

static double amount(struct argp_state *state, const char *text)
{
    char *end;
    const double value = strtod(text, &end);

    if (*text == 0 || *end != 0 || !(value > 0) || value > 1e9)
        argp_error(state, "%s is not an amount", text);
    return value;
}

/* Options whose value is only kept. */
static const char **text_of(struct ipmpi_launch *launch, int key)
{
    switch (key) {
    case 'm':
        return &launch->access.urls;
    case KEY_HEADER:
        return &launch->access.header_file;
    case KEY_BASIC:
        return &launch->access.basic_file;
    case KEY_CA:
        return &launch->access.ca_file;
    case KEY_IMAGE:
        return &launch->app.image;
    case KEY_NETWORK:
        return &launch->app.network;
    case KEY_SECRET:
        return &launch->secret_file;
    case KEY_SECRET_HOST:
        return &launch->app.secret_host_file;
    case KEY_SECRET_STORE:
        return &launch->app.marathon_secret;
    default:
        return NULL;
    }
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct ipmpi_launch *launch = state->input;
    const char **kept = text_of(launch, key);

    if (kept != NULL) {
        *kept = text;
        return 0;
    }
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &launch->spec;
        break;
    case KEY_INSECURE:
        launch->access.insecure = true;
        break;
    case KEY_CPUS:
        launch->app.cpus = amount(state, text);
        break;
    case KEY_MEM:
        launch->app.mem_mib = amount(state, text);
        break;
    case KEY_SHM:
        launch->app.shm_mib = (unsigned)amount(state, text);
        break;
    case KEY_CONSTRAINT:
        add_constraint(state, launch->app.constraints, text);
        break;
    case KEY_PARAMETER:
        add_parameter(state, launch->app.parameters, text);
        break;
    case KEY_SHARE_HOSTS:
        launch->app.unique = false;
        break;
    case KEY_PULL:
        launch->app.force_pull = true;
        break;
    case KEY_FORCE:
        launch->force = true;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp_child children[] = {
    {&ipmpi_spec_argp, 0, "The job:", 4}, {0}};

const struct argp ipmpi_marathon_argp = {
    .options = options,
    .parser = parse,
    .args_doc = "[PROGRAM [ARG...]]\n-- OPTION-OF-IPMPI-ENGINE...",
    .doc = "usage: ipmpi marathon start|stop|status|scale\n\nRuns a job in "
           "containers that Marathon places. `start` stays until the job "
           "ends, unless --detach is given; without a program it is a cluster "
           "for ipyparallel clients.",
    .children = children};
