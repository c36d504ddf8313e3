/* A job whose ranks run different versions does not start, on any rank. */
#include <stdlib.h>

#include "runtime/base/error.h"
#include "runtime/comm/comm.h"
#include "tests/check.h"

static void versions_must_match(void **state)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    const struct ipmpi_comm_options options = {
        .protocol = rank != NULL && atoi(rank) == 1 ? 8 : 7};
    struct ipmpi_comm *comm = NULL;
    const bool mixed = size != NULL && atoi(size) > 1;

    (void)state;
    CHECK_EQ(ipmpi_comm_open(&options, &comm), mixed ? IPMPI_EVERSION : 0);
    CHECK_EQ(comm == NULL, mixed);
    CHECK_EQ(ipmpi_comm_close(&comm, 20000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(versions_must_match),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
