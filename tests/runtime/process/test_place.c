/* Where a process stands: each launcher's environment, and none. */
#include "runtime/process/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/check.h"

enum { VARIABLES = 8 };

static const char *const all[] = {
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
    "PMIX_RANK",
    "PMIX_NAMESPACE",
    "OMPI_MCA_orte_ess_jobid",
    "OMPI_MCA_ess_base_jobid",
    "SLURM_PROCID",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_STEP_TASKS_PER_NODE",
    "SLURM_NODEID",
    "SLURM_LOCALID",
    "SLURM_STEP_ID",
    "SLURM_JOB_ID",
};

static void clean(void)
{
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        unsetenv(all[i]);
}

static const struct {
    const char *name;
    const char *set[VARIABLES][2];
    struct ipmpi_place want;
} launchers[] = {
    {"none", {{0}}, {false, 0, 1, 0, 1, ""}},
    {"mpirun",
     {{"OMPI_COMM_WORLD_RANK", "3"},
      {"OMPI_COMM_WORLD_SIZE", "8"},
      {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
      {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"},
      {"PMIX_RANK", "3"},
      {"PMIX_NAMESPACE", "prterun-h-1@1"}},
     {true, 3, 8, 1, 4, "prterun-h-1@1"}},
    {"mpirun without PMIx's name",
     {{"OMPI_COMM_WORLD_RANK", "0"},
      {"OMPI_COMM_WORLD_SIZE", "2"},
      {"OMPI_COMM_WORLD_LOCAL_RANK", "0"},
      {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
      {"OMPI_MCA_orte_ess_jobid", "77"}},
     {true, 0, 2, 0, 2, "77"}},
    {"srun with PMIx",
     {{"PMIX_RANK", "5"},
      {"PMIX_NAMESPACE", "slurm.pmix.9.0"},
      {"SLURM_PROCID", "5"},
      {"SLURM_STEP_NUM_TASKS", "7"},
      {"SLURM_STEP_TASKS_PER_NODE", "4,3"},
      {"SLURM_NODEID", "1"},
      {"SLURM_LOCALID", "1"}},
     {true, 5, 7, 1, 3, "slurm.pmix.9.0"}},
    {"srun without",
     {{"SLURM_PROCID", "2"},
      {"SLURM_STEP_NUM_TASKS", "4"},
      {"SLURM_STEP_TASKS_PER_NODE", "2(x2)"},
      {"SLURM_NODEID", "1"},
      {"SLURM_LOCALID", "0"},
      {"SLURM_STEP_ID", "3"},
      {"SLURM_JOB_ID", "12"}},
     {true, 2, 4, 0, 2, "slurm-12.3"}},
    {"a batch script, no step",
     {{"SLURM_PROCID", "0"}, {"SLURM_JOB_ID", "12"}, {"SLURM_LOCALID", "0"}},
     {false, 0, 1, 0, 1, ""}},
    {"nonsense",
     {{"OMPI_COMM_WORLD_RANK", "x"}, {"PMIX_RANK", "-1"}},
     {false, 0, 1, 0, 1, ""}},
};

static void each_launcher_is_understood(void **state)
{
    char own[32];

    (void)state;
    snprintf(own, sizeof(own), "pid-%ld", (long)getpid());
    for (size_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++) {
        const struct ipmpi_place *want = &launchers[i].want;
        struct ipmpi_place got;

        clean();
        for (int v = 0; v < VARIABLES && launchers[i].set[v][0]; v++)
            setenv(launchers[i].set[v][0], launchers[i].set[v][1], 1);
        ipmpi_place_find(&got);
        CHECK_EQ(got.launched, want->launched);
        CHECK_EQ(got.rank, want->rank);
        CHECK_EQ(got.size, want->size);
        CHECK_EQ(got.local_rank, want->local_rank);
        CHECK_EQ(got.local_size, want->local_size);
        CHECK_STR(got.job, want->job[0] != '\0' ? want->job : own);
    }
    clean();
}

static void slurm_lists_tasks_by_node(void **state)
{
    static const struct {
        const char *text;
        int index, tasks;
    } rows[] = {
        {"4", 0, 4},       {"4", 1, 0},       {"4(x2),3", 0, 4},
        {"4(x2),3", 1, 4}, {"4(x2),3", 2, 3}, {"4(x2),3", 3, 0},
        {"1,2,3", 1, 2},   {"", 0, 0},        {"x", 0, 0},
        {"2(x", 0, 0},     {NULL, 0, 0},      {"16(x100),1", 100, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CHECK_EQ(ipmpi_place_slurm_tasks(rows[i].text, rows[i].index),
                 rows[i].tasks);
}

static void a_job_may_leave_its_host(void **state)
{
    static const struct {
        int size, local_size;
        bool leaves, zygote;
    } rows[] = {
        {1, 1, false, false}, {2, 2, false, false}, {3, 3, false, true},
        {8, 4, true, true},   {8, 2, true, false},  {0, 0, true, false},
        {5, 0, true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct ipmpi_place place = {.size = rows[i].size,
                                          .local_size = rows[i].local_size};

        CHECK_EQ(ipmpi_place_leaves_host(&place), rows[i].leaves);
        CHECK_EQ(ipmpi_place_wants_zygote(&place), rows[i].zygote);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_launcher_is_understood),
        cmocka_unit_test(slurm_lists_tasks_by_node),
        cmocka_unit_test(a_job_may_leave_its_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
