/* A stand-in for the nanny, for tests in which a rank dies: what mpirun
 * started forks, and the child becomes the rank. The nanny of a dead rank
 * stays until the others have gone (Open MPI 5 ends the job otherwise).
 *
 * mpirun's exit code says that a rank ended improperly, whatever happens: so
 * rank 0's nanny prints "survived" when its rank succeeded, and that is what
 * ctest looks for. */
#ifndef IPMPI_TESTS_COMM_NANNY_H
#define IPMPI_TESTS_COMM_NANNY_H

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

/* Waits until all other nannies have let go of the file; at most 50 s. */
static void nanny_outlive(int fd)
{
    for (int i = 0; i < 5000 && flock(fd, LOCK_EX | LOCK_NB) != 0; i++)
        poll(NULL, 0, 10);
}

/* Returns in the child only. */
static void nanny_start(void)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    char path[64];
    int fd, status;
    pid_t pid;

    snprintf(path, sizeof(path), "/tmp/ipmpi-test-nanny-%d", (int)getppid());
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || flock(fd, LOCK_SH) != 0)
        exit(99);
    pid = fork();
    if (pid < 0)
        exit(99);
    if (pid == 0) {
        close(fd);
        return;
    }
    while (waitpid(pid, &status, 0) < 0)
        ;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        nanny_outlive(fd);
    else if (rank != NULL && atoi(rank) == 0 && WIFEXITED(status) &&
             WEXITSTATUS(status) == 0)
        printf("survived\n");
    else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        printf("FAILED: rank %s, status %x\n", rank, (unsigned)status);
    fflush(stdout);
    unlink(path);
    exit(0);
}

#endif
