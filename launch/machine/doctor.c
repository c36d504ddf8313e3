/* ipmpi doctor: looks at all that a cluster needs, before the user has to. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/machine/doctor.h"
#include "launch/verb.h"

enum { KEY_JSON = 256, KEY_PYTHON };

static const struct check {
    const char *name;
    ipmpi_check_fn *run;
} checks[] = {
    {"programs", ipmpi_check_programs},
    {"mpirun", ipmpi_check_mpirun},
    {"ssh", ipmpi_check_ssh},
    {"large messages", ipmpi_check_copy},
    {"hwloc", ipmpi_check_hwloc},
    {"python", ipmpi_check_python},
    {"packages", ipmpi_check_packages},
    {"mpi4py", ipmpi_check_mpi4py},
    {"ports", ipmpi_check_ports},
    {"/dev/shm", ipmpi_check_shm},
    {"huge pages", ipmpi_check_huge_pages},
    {"/tmp", ipmpi_check_tmp},
    {"profile", ipmpi_check_profile},
    {"cpus", ipmpi_check_cpus},
};

struct doctor {
    struct ipmpi_where where;
    bool json;
    const char *python;
    int engines;
};

static const struct argp_option table[] = {
    {"engines", 'n', "N", 0, "how many engines are meant to run here", 1},
    {"python", KEY_PYTHON, "PATH", 0,
     "interpreter of the engines (the active environment's python3)", 1},
    {"json", KEY_JSON, 0, 0, "one JSON array", 1},
    {0},
};

static error_t on_option(int key, char *value, struct argp_state *state)
{
    struct doctor *doctor = state->input;
    char *end;
    long engines;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &doctor->where;
        return 0;
    case 'n':
        engines = strtol(value, &end, 10);
        if (end == value || *end != '\0' || engines < 1 || engines > 1 << 20)
            argp_error(state, "-n: %s is not a number of engines", value);
        doctor->engines = (int)engines;
        return 0;
    case KEY_PYTHON:
        doctor->python = value;
        return 0;
    case KEY_JSON:
        doctor->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char doc[] =
    "Checks what a cluster needs on this machine, and says what to do about "
    "what is missing.\v"
    "Exit status: 0 if a cluster can run (there may be warnings); 1 if not; 64 "
    "wrong use.";
static const struct argp_child children[] = {{&ipmpi_where_argp, 0, 0, 0}, {0}};
static const struct argp parser = {table, on_option, 0, doc, children, 0, 0};

void ipmpi_finding_say(struct ipmpi_finding *finding,
                       enum ipmpi_verdict verdict, const char *advice,
                       const char *found, ...)
{
    va_list args;

    finding->verdict = verdict;
    snprintf(finding->advice, sizeof(finding->advice), "%s", advice);
    va_start(args, found);
    vsnprintf(finding->found, sizeof(finding->found), found, args);
    va_end(args);
}

static const char *const words[] = {"ok", "warning", "broken"};

static void show(const struct check *check, const struct ipmpi_finding *finding)
{
    static const char *const colours[] = {"32", "33", "31"};
    const bool tty = isatty(1);

    printf("%s%s%s%-8s%s %-15s %s\n", tty ? "\033[" : "",
           tty ? colours[finding->verdict] : "", tty ? "m" : "",
           words[finding->verdict], tty ? "\033[0m" : "", check->name,
           finding->found);
    if (finding->advice[0] != '\0')
        printf("%24s -> %s\n", "", finding->advice);
    fflush(stdout);
}

static json_t *to_json(const struct check *check,
                       const struct ipmpi_finding *finding)
{
    return json_pack("{s:s,s:s,s:s,s:s}", "check", check->name, "verdict",
                     words[finding->verdict], "found", finding->found, "advice",
                     finding->advice);
}

static int examine(const struct doctor *doctor,
                   const struct ipmpi_patient *patient)
{
    enum ipmpi_verdict worst = IPMPI_GOOD;
    json_t *all = json_array();

    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
        struct ipmpi_finding finding = {0};

        checks[i].run(patient, &finding);
        if (finding.verdict > worst)
            worst = finding.verdict;
        if (doctor->json)
            json_array_append_new(all, to_json(&checks[i], &finding));
        else
            show(&checks[i], &finding);
    }
    if (doctor->json) {
        json_dumpf(all, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        puts(worst == IPMPI_GOOD ? "all is well"
             : worst == IPMPI_WARNING
                 ? "a cluster can run; see the warnings"
                 : "a cluster cannot run here as things are");
    }
    json_decref(all);
    return worst == IPMPI_BROKEN ? IPMPI_EXIT_FAILED : IPMPI_EXIT_OK;
}

int ipmpi_verb_doctor(int argc, char **argv)
{
    struct doctor doctor = {0};
    struct ipmpi_machine machine;
    struct ipmpi_paths paths;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &doctor);
    if (!ipmpi_paths_find_for(argv[0], &doctor.where, &paths))
        return IPMPI_EXIT_USAGE;
    ipmpi_machine_look(&machine);
    ipmpi_machine_prepare(&machine);
    status =
        examine(&doctor, &(struct ipmpi_patient){
                             .machine = &machine,
                             .paths = &paths,
                             .python = doctor.python,
                             .engines = doctor.engines > 0 ? doctor.engines
                                                           : (int)machine.cpus,
                         });
    ipmpi_paths_clear(&paths);
    return status;
}
