/* An MPI program for the launcher's tests. Each rank says where it is; ranks
 * send a ring round; with --hold FILE rank 0 and those on its node go on
 * exchanging messages, whatever becomes of others, until FILE is there. Each
 * rank forks behind a parent that never calls MPI, as our engines do, so that
 * its death is not a job's.
 *
 *     hello [--hold FILE] [--exit CODE] */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void ring(int rank, int size)
{
    int token = 0;

    if (size == 1)
        return;
    if (rank == 0) {
        MPI_Send(&token, 1, MPI_INT, 1, 0, MPI_COMM_WORLD);
        MPI_Recv(&token, 1, MPI_INT, size - 1, 0, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
        printf("ring of %d: %s\n", size, token == size - 1 ? "good" : "bad");
    } else {
        MPI_Recv(&token, 1, MPI_INT, rank - 1, 0, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
        token++;
        MPI_Send(&token, 1, MPI_INT, (rank + 1) % size, 0, MPI_COMM_WORLD);
    }
    fflush(stdout);
}

/* Ranks 0 and 1 talk until the file is there. */
static void hold(int rank, int size, const char *file)
{
    int go = 1, rounds = 0;

    while (go && size > 1 && rank < 2) {
        if (rank == 0) {
            go = access(file, F_OK) != 0;
            MPI_Send(&go, 1, MPI_INT, 1, 1, MPI_COMM_WORLD);
            MPI_Recv(&rounds, 1, MPI_INT, 1, 1, MPI_COMM_WORLD,
                     MPI_STATUS_IGNORE);
        } else {
            MPI_Recv(&go, 1, MPI_INT, 0, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            rounds++;
            MPI_Send(&rounds, 1, MPI_INT, 0, 1, MPI_COMM_WORLD);
        }
        usleep(20000);
    }
    if (rank == 0)
        printf("held for %d rounds\n", rounds);
    fflush(stdout);
    if (rank >= 2)
        for (;;)
            pause();
}

static int body(int argc, char **argv)
{
    const char *file = NULL;
    int rank, size, code = 0;
    char host[256];

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--hold") == 0)
            file = argv[i + 1];
        if (strcmp(argv[i], "--exit") == 0)
            code = atoi(argv[i + 1]);
    }
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    gethostname(host, sizeof(host));
    printf("rank %d of %d on %s key %d port %s\n", rank, size, host,
           getenv("IPP_SESSION_KEY") != NULL,
           getenv("OMPI_MCA_btl_tcp_port_min_v4")
               ? getenv("OMPI_MCA_btl_tcp_port_min_v4")
               : "any");
    fflush(stdout);
    ring(rank, size);
    if (file != NULL) {
        hold(rank, size, file);
        _exit(code); /* others may be dead: Finalize is not for us */
    }
    MPI_Finalize();
    return code;
}

int main(int argc, char **argv)
{
    const pid_t pid = fork();
    int status;

    if (pid == 0)
        return body(argc, argv);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
