/* The batch script, as sbatch and its shell will read it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/slurm/slurm.h"
#include "tests/check.h"

static char *script_of(const struct ipmpi_slurm_job *job)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    ipmpi_slurm_write(job, out);
    fclose(out);
    return text;
}

static void writes_the_batch_script(void **state)
{
    static const char *const options[] = {"--nodes=4", "--time=8:00:00", NULL};
    static char *const args[] = {(char *)"--db", (char *)"it's", NULL};
    struct ipmpi_slurm_job job = {.profile_dir = "/home/u/a b",
                                  .cluster_id = "",
                                  .engine = "/opt/ipmpi-engine",
                                  .ipmpi = "/opt/ipmpi",
                                  .options = options,
                                  .engine_args = args};
    char *text = script_of(&job);

    (void)state;
    assert_int_equal(strncmp(text, "#!/bin/bash\n#SBATCH ", 20), 0);
    assert_non_null(strstr(text, "\n#SBATCH --nodes=4\n"));
    assert_non_null(strstr(text, "\nid=slurm-$SLURM_JOB_ID\n"));
    assert_non_null(strstr(text, "\nprofile='/home/u/a b'\n"));
    assert_non_null(strstr(text, "srun --mpi=pmix "));
    assert_non_null(strstr(text, "--db 'it'\\''s' &\n"));
    free(text);
    job.mpirun = true;
    job.cluster_id = "mine";
    job.engine_args = NULL;
    text = script_of(&job);
    assert_non_null(strstr(text, "\nmpirun /opt/ipmpi-engine "));
    assert_non_null(strstr(text, "\nid=mine\n"));
    assert_null(strstr(text, "srun"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_the_batch_script),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
