/* `ipmpi marathon start|stop|status|scale`: a job in containers that Marathon
 * places. The application is only how containers come to be and go; the job
 * itself is the rendezvous' business (driver.h).
 *
 * Threads: one, and the watcher's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/marathon/actions.h"
#include "launch/marathon/memory.h"
#include "launch/marathon/options.h"
#include "launch/verb.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

static const struct action {
    const char *name;
    int (*run)(struct ipmpi_launch *m);
    bool knows; /* about a job that was started */
} actions[] = {
    {"start", ipmpi_marathon_start, false},
    {"stop", ipmpi_marathon_stop, true},
    {"status", ipmpi_marathon_status, true},
    {"scale", ipmpi_marathon_scale, true},
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; name && i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

static int perform(struct ipmpi_launch *m, const struct action *action)
{
    int err = 0, result = IPMPI_EXIT_USAGE;

    if (action->knows) {
        err = ipmpi_memory_load(m);
        if (err != 0)
            ipmpi_log_error("MARATHON-STATE", "no job %s was started here: %s",
                            m->spec.job.name, ipmpi_strerror(err));
    } else {
        err = ipmpi_spec_finish(&m->spec);
        if (err != 0)
            ipmpi_log_error("MARATHON-SPEC",
                            "--min-nodes is above --nodes, or the job's name "
                            "is not of a-z, 0-9, '-' and '.'");
    }
    if (err == 0)
        err = ipmpi_marathon_open(&m->access, &m->http);
    if (err == 0)
        result = action->run(m);
    ipmpi_marathon_close(&m->http);
    return result;
}

int ipmpi_verb_marathon(int argc, char **argv)
{
    static struct ipmpi_launch m;
    const struct action *action = find_action(argc > 1 ? argv[1] : NULL);
    int result;

    ipmpi_spec_init(&m.spec);
    m.access.urls = getenv("MARATHON_URL");
    m.app.image = "ipmpi/engine";
    m.app.unique = true;
    m.app.constraints = json_array();
    m.app.parameters = json_array();
    if (action == NULL && argc > 1 && argv[1][0] != '-') {
        fprintf(stderr,
                "ipmpi marathon: %s is none of start, stop, status, "
                "scale\n",
                argv[1]);
        return IPMPI_EXIT_USAGE;
    }
    if (action != NULL) {
        argv[1] = argv[0];
        argc--;
        argv++;
    }
    argp_parse(&ipmpi_marathon_argp, argc, argv, ARGP_IN_ORDER, NULL, &m);
    if (action == NULL) {
        fprintf(stderr, "ipmpi marathon: start, stop, status or scale?\n");
        return IPMPI_EXIT_USAGE;
    }
    ipmpi_log_set_name("marathon");
    result = perform(&m, action);
    json_decref(m.app.constraints);
    json_decref(m.app.parameters);
    json_decref(m.state);
    ipmpi_spec_clear(&m.spec);
    return result;
}
