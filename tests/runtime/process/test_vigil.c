/* The vigil: a rank without nanny goes, whatever it waits for. */
#include "runtime/process/vigil.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/process/link.h"
#include "tests/check.h"

static void the_rank_goes_with_its_nanny(void **state)
{
    int nanny, rank, status;
    pid_t pid;

    (void)state;
    CHECK_EQ(ipmpi_link_pair(&nanny, &rank), 0);
    pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        close(nanny);
        alarm(20); /* the deadline: a signal is not the code we want */
        if (ipmpi_vigil_begin(rank) == NULL)
            _exit(1);
        for (;;)
            pause(); /* as in MPI_Init */
    }
    close(rank);
    close(nanny);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), IPMPI_EXIT_NO_NANNY);
}

static void packets_disturb_nobody_and_stay(void **state)
{
    const struct ipmpi_link_packet packet = {.type = IPMPI_LINK_TERMINATE,
                                             .code = 15};
    struct ipmpi_link_packet got;
    struct ipmpi_vigil *vigil;
    int nanny, rank;

    (void)state;
    CHECK_EQ(ipmpi_link_pair(&nanny, &rank), 0);
    vigil = ipmpi_vigil_begin(rank);
    CHECK(vigil != NULL);
    CHECK_EQ(ipmpi_link_send(nanny, &packet), 0);
    ipmpi_vigil_end(&vigil);
    CHECK(vigil == NULL);
    CHECK_EQ(ipmpi_link_receive(rank, &got), 0);
    CHECK_EQ(got.code, 15);
    close(nanny);
    close(rank);
    ipmpi_vigil_end(&vigil); /* NULL is fine */
    CHECK(ipmpi_vigil_begin(-1) == NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rank_goes_with_its_nanny),
        cmocka_unit_test(packets_disturb_nobody_and_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
