/* Rank, size and job from the launcher's environment. */
#include "runtime/process/place.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The value of the variable if it is a number from 0, else -1. */
static int from_env(const char *name)
{
    const char *text = getenv(name);
    char *end;
    long n;

    if (text == NULL || text[0] == '\0')
        return -1;
    n = strtol(text, &end, 10);
    return *end == '\0' && n >= 0 && n <= INT_MAX ? (int)n : -1;
}

static int or_else(int n, int otherwise)
{
    return n >= 0 ? n : otherwise;
}

int ipmpi_place_slurm_tasks(const char *text, int index)
{
    while (text != NULL && *text != '\0') {
        char *end;
        const long tasks = strtol(text, &end, 10);
        long times = 1;

        if (end == text || tasks < 1)
            return 0;
        if (strncmp(end, "(x", 2) == 0)
            times = strtol(end + 2, &end, 10);
        if (index < times)
            return (int)tasks;
        index -= (int)times;
        end += strspn(end, ")");
        text = *end == ',' ? end + 1 : NULL;
    }
    return 0;
}

static void find_slurm(struct ipmpi_place *out, int rank)
{
    const int node = or_else(from_env("SLURM_NODEID"), 0);

    out->rank = rank;
    out->size = or_else(from_env("SLURM_STEP_NUM_TASKS"), 0);
    out->local_rank = or_else(from_env("SLURM_LOCALID"), 0);
    out->local_size =
        ipmpi_place_slurm_tasks(getenv("SLURM_STEP_TASKS_PER_NODE"), node);
}

static void find_job(struct ipmpi_place *out)
{
    static const char *const names[] = {
        "PMIX_NAMESPACE", "OMPI_MCA_orte_ess_jobid", "OMPI_MCA_ess_base_jobid"};
    const char *step = getenv("SLURM_STEP_ID");

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *text = getenv(names[i]);

        if (text != NULL && text[0] != '\0') {
            snprintf(out->job, sizeof(out->job), "%s", text);
            return;
        }
    }
    if (getenv("SLURM_JOB_ID") != NULL && step != NULL)
        snprintf(out->job, sizeof(out->job), "slurm-%s.%s",
                 getenv("SLURM_JOB_ID"), step);
    else
        snprintf(out->job, sizeof(out->job), "pid-%ld", (long)getpid());
}

static int first_added(void)
{
    const char *text = getenv(IPMPI_SPAWNED_ENV);
    const long first = text != NULL ? strtol(text, NULL, 10) : 0;

    return first > 0 && first <= INT_MAX / 2 ? (int)first : 0;
}

bool ipmpi_place_is_added(void)
{
    return first_added() > 0;
}

int ipmpi_place_number(const struct ipmpi_place *place)
{
    return first_added() + place->rank;
}

bool ipmpi_place_is_controller(const struct ipmpi_place *place)
{
    return place->rank == 0 && !ipmpi_place_is_added();
}

void ipmpi_place_find(struct ipmpi_place *out)
{
    const int ompi = from_env("OMPI_COMM_WORLD_RANK");
    const int pmix = from_env("PMIX_RANK");
    const int slurm = from_env("SLURM_PROCID");

    memset(out, 0, sizeof(*out));
    out->launched = true;
    find_job(out);
    if (ompi >= 0) {
        out->rank = ompi;
        out->size = or_else(from_env("OMPI_COMM_WORLD_SIZE"), 0);
        out->local_rank = or_else(from_env("OMPI_COMM_WORLD_LOCAL_RANK"), 0);
        out->local_size = or_else(from_env("OMPI_COMM_WORLD_LOCAL_SIZE"), 0);
    } else if (pmix >= 0) {
        find_slurm(out, pmix);
    } else if (slurm >= 0 && from_env("SLURM_STEP_NUM_TASKS") > 0) {
        find_slurm(out, slurm); /* a batch script has a PROCID, but no step */
    } else {
        out->launched = false;
        out->size = out->local_size = 1;
    }
}

bool ipmpi_place_leaves_host(const struct ipmpi_place *place)
{
    return place->size == 0 || place->local_size == 0 ||
           place->size > place->local_size;
}

bool ipmpi_place_wants_zygote(const struct ipmpi_place *place)
{
    return place->local_size >= 3; /* two engines, even beside rank 0 */
}

bool ipmpi_place_can_grow(void)
{
    return from_env("OMPI_COMM_WORLD_RANK") >= 0 ||
           from_env("SLURM_STEP_NUM_TASKS") <= 0;
}
