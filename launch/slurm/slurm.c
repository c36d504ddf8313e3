/* The script starts the ranks as a step in the background, since bash runs
 * its traps only between commands: Slurm's early USR1 then ends the cluster
 * while there is time to tell its clients. */
#include "launch/slurm/slurm.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/machine/run_program.h"
#include "launch/machine/shell.h"
#include "launch/verb.h"

enum { SLURM_MS = 30 * 1000 };

static void write_command(const struct ipmpi_slurm_job *job, FILE *out)
{
    fputs(job->mpirun ? "mpirun " : "srun --mpi=pmix --kill-on-bad-exit=0 ",
          out);
    ipmpi_shell_quote(job->engine, out);
    fputs(" --profile-dir=\"$profile\" --cluster-id=\"$id\" \\\n    --ip='*'",
          out);
    for (char *const *arg = job->engine_args; arg != NULL && *arg; arg++) {
        fputc(' ', out);
        ipmpi_shell_quote(*arg, out);
    }
    fputs(" &\n", out);
}

void ipmpi_slurm_write(const struct ipmpi_slurm_job *job, FILE *out)
{
    fputs("#!/bin/bash\n#SBATCH --job-name=ipmpi\n", out);
    fputs("#SBATCH --signal=B:USR1@120\n", out);
    for (const char *const *option = job->options; *option != NULL; option++)
        fprintf(out, "#SBATCH %s\n", *option);
    fputs("umask 077\nid=", out);
    if (job->cluster_id[0] != '\0')
        ipmpi_shell_quote(job->cluster_id, out);
    else
        fputs("slurm-$SLURM_JOB_ID", out);
    fputs("\nprofile=", out);
    ipmpi_shell_quote(job->profile_dir, out);
    fputs("\nstop() {\n    ", out);
    ipmpi_shell_quote(job->ipmpi, out);
    fputs(" stop --profile-dir \"$profile\" --cluster-id \"$id\"\n}\n", out);
    fputs("end() {\n    echo \"$(date +%T) $1: the cluster ends\"\n    stop\n"
          "}\n"
          "trap 'end \"the time is nearly over\"' USR1\n"
          "trap 'end \"the job was cancelled\"' TERM\n",
          out);
    write_command(job, out);
    /* wait returns early for each trap; until the step has ended */
    fputs("step=$!\n"
          "while :; do\n"
          "    wait $step\n"
          "    status=$?\n"
          "    kill -0 $step 2>/dev/null || break\n"
          "done\n"
          "exit $status\n",
          out);
}

/* Slurm keeps a job's environment where administrators read it. */
static void forget_secrets(void)
{
    unsetenv("IPP_SESSION_KEY");
    unsetenv("IPP_CONNECTION_INFO");
    unsetenv("IPP_CURVE_SECRETKEY");
}

static int keep_script(const struct ipmpi_slurm_job *job, char path[])
{
    const int fd = mkstemp(path);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;

    if (file == NULL) {
        perror("ipmpi submit: temporary file");
        if (fd >= 0)
            close(fd);
        return IPMPI_EXIT_FAILED;
    }
    ipmpi_slurm_write(job, file);
    if (fclose(file) != 0) {
        perror("ipmpi submit: temporary file");
        unlink(path);
        return IPMPI_EXIT_FAILED;
    }
    return IPMPI_EXIT_OK;
}

int ipmpi_slurm_submit(const struct ipmpi_slurm_job *job, char *id_out,
                       size_t cap)
{
    char path[] = "/tmp/ipmpi-submit-XXXXXX";
    char output[2048];
    char *last;
    int status = keep_script(job, path);

    if (status != IPMPI_EXIT_OK)
        return status;
    forget_secrets();
    status = ipmpi_run_program(
        (char *const[]){(char *)"sbatch", (char *)"--parsable", path, NULL},
        SLURM_MS, output, sizeof(output));
    unlink(path);
    output[strcspn(output, ";")] = '\0'; /* of a federation: ID;CLUSTER */
    while (strlen(output) > 0 && output[strlen(output) - 1] == '\n')
        output[strlen(output) - 1] = '\0';
    last = strrchr(output, '\n'); /* after warnings */
    last = last != NULL ? last + 1 : output;
    if (status != 0 || strspn(last, "0123456789") != strlen(last) ||
        last[0] == '\0') {
        fprintf(stderr, "ipmpi submit: %s\n",
                status == 127 ? "sbatch is not in PATH: is this a node of a "
                                "Slurm cluster?"
                              : output);
        return IPMPI_EXIT_SCHEDULER;
    }
    snprintf(id_out, cap, "%s", last);
    return IPMPI_EXIT_OK;
}

void ipmpi_slurm_state(const char *id, char *state_out, size_t cap)
{
    char *const argv[] = {
        (char *)"squeue", (char *)"-h",      (char *)"-j", (char *)id,
        (char *)"-o",     (char *)"%T (%r)", NULL};

    if (ipmpi_run_program(argv, SLURM_MS, state_out, cap) != 0)
        state_out[0] = '\0';
    state_out[strcspn(state_out, "\n")] = '\0';
}

bool ipmpi_slurm_cancel(const char *id)
{
    char output[256];

    return ipmpi_run_program(
               (char *const[]){(char *)"scancel", (char *)id, NULL}, SLURM_MS,
               output, sizeof(output)) == 0;
}
