/* The account: what a rank had begun can be read when it is dead, whenever it
 * died. */
#include "runtime/process/account.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "tests/check.h"

static void it_counts_and_names(void **state)
{
    struct ipmpi_account *account;
    struct ipmpi_begun begun;

    (void)state;
    CHECK_EQ(ipmpi_account_open(&account), 0);
    CHECK_EQ(ipmpi_account_read(ipmpi_account_fd(account), &begun), 0);
    CHECK_EQ(begun.n, 0);
    ipmpi_account_begin(account, 7);
    ipmpi_account_end(account, 7);
    ipmpi_account_begin(account, 9);
    ipmpi_account_end(account, 8); /* never begun: nothing happens */
    CHECK_EQ(ipmpi_account_read(ipmpi_account_fd(account), &begun), 0);
    CHECK_EQ(begun.n, 2);
    CHECK_EQ(begun.refs[0], 7 | IPMPI_BEGUN_ENDED);
    CHECK_EQ(begun.refs[1], 9);
    CHECK_EQ(begun.step, 0);
    ipmpi_account_step(account, 5);
    CHECK_EQ(ipmpi_account_read(ipmpi_account_fd(account), &begun), 0);
    CHECK_EQ(begun.step, 5);
    ipmpi_account_begin(account, 10); /* none of its items has begun */
    CHECK_EQ(ipmpi_account_read(ipmpi_account_fd(account), &begun), 0);
    CHECK_EQ(begun.step, 0);
    ipmpi_account_close(&account);
    ipmpi_account_close(&account);
}

static void it_keeps_the_last(void **state)
{
    enum { MANY = 3 * IPMPI_BEGUN_CAP + 5 };
    struct ipmpi_account *account;
    struct ipmpi_begun begun;

    (void)state;
    CHECK_EQ(ipmpi_account_open(&account), 0);
    for (uint64_t ref = 1; ref <= MANY; ref++) {
        ipmpi_account_begin(account, ref);
        if (ref != MANY)
            ipmpi_account_end(account, ref);
    }
    ipmpi_account_end(account, 1); /* forgotten: nothing happens */
    CHECK_EQ(ipmpi_account_read(ipmpi_account_fd(account), &begun), 0);
    CHECK_EQ(begun.n, MANY);
    for (uint64_t i = MANY - IPMPI_BEGUN_CAP; i < MANY; i++)
        CHECK_EQ(begun.refs[i % IPMPI_BEGUN_CAP],
                 i + 1 == MANY ? MANY : (i + 1) | IPMPI_BEGUN_ENDED);
    ipmpi_account_close(&account);
}

static void nobody_keeps_account(void **state)
{
    (void)state;
    ipmpi_account_begin(NULL, 1);
    ipmpi_account_step(NULL, 1);
    ipmpi_account_end(NULL, 1);
}

static void damage_is_seen(void **state)
{
    struct ipmpi_account *account;
    struct ipmpi_begun begun;
    int fd;

    (void)state;
    CHECK_EQ(ipmpi_account_open(&account), 0);
    fd = ipmpi_account_fd(account);
    CHECK_EQ(pwrite(fd, "zzzz", 4, 0), 4);
    CHECK_EQ(ipmpi_account_read(fd, &begun), IPMPI_EFRAME);
    CHECK_EQ(ftruncate(fd, 8), 0);
    CHECK_EQ(ipmpi_account_read(fd, &begun), IPMPI_EFRAME);
    CHECK_EQ(ipmpi_account_read(-1, &begun), IPMPI_EFRAME);
    ipmpi_account_close(&account);
}

static _Noreturn void work_for_ever(struct ipmpi_account *account)
{
    for (uint64_t ref = 1;; ref++) {
        ipmpi_account_begin(account, ref);
        ipmpi_account_end(account, ref);
    }
}

/* Whatever the writer was at: all but the last work it counts have ended, and
 * none is missing. */
static void it_is_whole_at_any_moment(void **state)
{
    struct ipmpi_account *account;
    struct ipmpi_begun begun;
    pid_t pid;

    (void)state;
    for (int i = 0; i < 200; i++) {
        CHECK_EQ(ipmpi_account_open(&account), 0);
        pid = fork();
        if (pid == 0)
            work_for_ever(account);
        CHECK(pid > 0);
        do
            CHECK_EQ(ipmpi_account_read(ipmpi_account_fd(account), &begun), 0);
        while (begun.n < (uint64_t)i + 1);
        CHECK_EQ(kill(pid, SIGKILL), 0);
        CHECK_EQ(waitpid(pid, NULL, 0), pid);
        CHECK_EQ(ipmpi_account_read(ipmpi_account_fd(account), &begun), 0);
        for (uint64_t k = begun.n, j = 1; k > 1 && j < IPMPI_BEGUN_CAP - 1;
             k--, j++)
            CHECK_EQ(begun.refs[(k - 2) % IPMPI_BEGUN_CAP],
                     (k - 1) | IPMPI_BEGUN_ENDED);
        CHECK_EQ(begun.refs[(begun.n - 1) % IPMPI_BEGUN_CAP] &
                     ~IPMPI_BEGUN_ENDED,
                 begun.n);
        ipmpi_account_close(&account);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_counts_and_names),
        cmocka_unit_test(it_keeps_the_last),
        cmocka_unit_test(nobody_keeps_account),
        cmocka_unit_test(damage_is_seen),
        cmocka_unit_test(it_is_whole_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
