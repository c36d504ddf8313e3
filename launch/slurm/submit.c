/* ipmpi submit slurm: a whole cluster as one batch job. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/clusters/ask.h"
#include "launch/machine/machine.h"
#include "launch/slurm/slurm.h"
#include "launch/slurm/submit_options.h"
#include "launch/verb.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"

enum { ASK_MS = 2000, PAUSE_US = 500 * 1000, MUTE_US = 60 * 1000 * 1000 };

/* Whether all engines are there; says so. */
static bool is_ready(const struct ipmpi_paths *paths)
{
    json_t *status;
    size_t n;
    bool ready;

    if (ipmpi_ask_status(paths, ASK_MS, &status) != 0)
        return false;
    n = json_array_size(json_object_get(status, "engines"));
    ready = ipmpi_ask_count_ready(status) == n;
    if (ready)
        printf("ready: %zu engine%s\n", n, n == 1 ? "" : "s");
    json_decref(status);
    return ready;
}

static bool has_ended(const char *state)
{
    static const char *const ends[] = {"FAILED",  "CANCELLED", "COMPLETED",
                                       "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY"};

    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        if (strncmp(state, ends[i], strlen(ends[i])) == 0)
            return true;
    return state[0] == '\0';
}

/* The file is there, so rank 0 listens: where nobody answers for so long, its
 * node cannot be reached from here. */
static bool is_out_of_reach(const struct ipmpi_paths *paths,
                            int64_t *file_since_us)
{
    if (access(paths->client_file, R_OK) != 0)
        *file_since_us = 0;
    else if (*file_since_us == 0)
        *file_since_us = ipmpi_clock_now_us();
    return *file_since_us != 0 &&
           ipmpi_clock_now_us() - *file_since_us > MUTE_US;
}

/* Until the cluster answers, or the job is gone. */
static int wait_ready(const struct ipmpi_paths *paths, const char *id,
                      long wait_s)
{
    const int64_t end_us = ipmpi_clock_now_us() + wait_s * 1000000LL;
    int64_t file_since_us = 0;
    char state[256], last[256] = "";

    while (!is_ready(paths)) {
        ipmpi_slurm_state(id, state, sizeof(state));
        if (has_ended(state)) {
            fprintf(stderr,
                    "ipmpi submit: job %s ended (%s); its log tells why: ipmpi "
                    "logs --cluster-id %s\n",
                    id, state[0] != '\0' ? state : "gone", paths->cluster_id);
            return IPMPI_EXIT_FAILED;
        }
        if (strcmp(state, last) != 0) {
            snprintf(last, sizeof(last), "%s", state);
            fprintf(stderr, "job %s: %s\n", id, state);
        }
        if (strncmp(state, "RUNNING", 7) == 0 &&
            is_out_of_reach(paths, &file_since_us)) {
            fprintf(stderr,
                    "ipmpi submit: job %s runs, but its controller does not "
                    "answer here: are its nodes reachable from this machine?\n",
                    id);
            return IPMPI_EXIT_FAILED;
        }
        if (ipmpi_clock_now_us() > end_us) {
            fprintf(stderr, "ipmpi submit: job %s is still not ready\n", id);
            return IPMPI_EXIT_FAILED;
        }
        usleep(PAUSE_US);
    }
    return IPMPI_EXIT_OK;
}

static int submit_job(const struct ipmpi_submit *submit,
                      const struct ipmpi_paths *paths,
                      const struct ipmpi_slurm_job *job)
{
    char id[64], cluster_id[80];
    struct ipmpi_paths own;
    int err, status = ipmpi_slurm_submit(job, id, sizeof(id));

    if (status != IPMPI_EXIT_OK)
        return status;
    snprintf(cluster_id, sizeof(cluster_id), "slurm-%s", id);
    err = ipmpi_paths_make(
        paths->profile_dir,
        paths->cluster_id[0] != '\0' ? paths->cluster_id : cluster_id, &own);
    if (err != 0)
        return IPMPI_EXIT_FAILED;
    printf("submitted job %s; ipp.Client(cluster_id=\"%s\")\n", id,
           own.cluster_id);
    fflush(stdout);
    if (submit->wait_s > 0)
        status = wait_ready(&own, id, submit->wait_s);
    ipmpi_paths_clear(&own);
    return status;
}

static int prepare(struct ipmpi_submit *submit, const struct ipmpi_paths *paths)
{
    char engine[PATH_MAX], ipmpi[PATH_MAX];
    char **args = submit->more;
    char *only[] = {submit->python, NULL};
    struct ipmpi_slurm_job job = {
        .profile_dir = paths->profile_dir,
        .cluster_id = paths->cluster_id,
        .mpirun = submit->mpirun,
        .engine = engine,
        .ipmpi = ipmpi,
        .options = (const char *const *)submit->options,
    };

    if (args != NULL && submit->python != NULL)
        *--args = submit->python; /* where "--" or the system's name was */
    job.engine_args = args != NULL ? args : only;
    if (!ipmpi_machine_program("ipmpi-engine", engine) ||
        !ipmpi_machine_program("ipmpi", ipmpi)) {
        fputs("ipmpi submit: ipmpi-engine is neither beside ipmpi nor in "
              "PATH\n",
              stderr);
        return IPMPI_EXIT_FAILED;
    }
    if (submit->dry) {
        ipmpi_slurm_write(&job, stdout);
        return IPMPI_EXIT_OK;
    }
    if (!ipmpi_paths_make_log_dir("ipmpi submit", paths))
        return IPMPI_EXIT_FAILED;
    return submit_job(submit, paths, &job);
}

int ipmpi_verb_submit(int argc, char **argv)
{
    struct ipmpi_submit submit;
    struct ipmpi_paths paths;
    int status = IPMPI_EXIT_FAILED;

    ipmpi_submit_parse(argc, argv, &submit);
    if (!ipmpi_paths_find_for(argv[0], &submit.where, &paths))
        return IPMPI_EXIT_USAGE;
    if (ipmpi_submit_default_output(&submit, &paths))
        status = prepare(&submit, &paths);
    ipmpi_paths_clear(&paths);
    ipmpi_submit_clear(&submit);
    return status;
}
