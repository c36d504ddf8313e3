/* Fabrics left out: lists, files of parameters, and who decides. */
#include "runtime/comm/fabric.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/check.h"

static void lists_keep_what_they_exclude(void **state)
{
    static const struct {
        const char *list, *want; /* NULL: it stays */
    } rows[] = {
        {"", "^psm,psm2"}, {"^ofi", "^ofi,psm,psm2"}, {"ofi", NULL},
        {"psm2", NULL},    {"^psm", "^psm,psm,psm2"},
    };
    char got[64], little[10];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_EQ(ipmpi_fabric_exclude(rows[i].list, got, sizeof(got)),
                 rows[i].want != NULL);
        if (rows[i].want != NULL)
            CHECK_STR(got, rows[i].want);
    }
    CHECK(ipmpi_fabric_exclude("", little, sizeof(little)));
    CHECK(!ipmpi_fabric_exclude("^ofi", little, sizeof(little)));
}

static void files_are_read_as_open_mpi_reads_them(void **state)
{
    static const char text[] = "# mtl = comment\n"
                               "mtl_base_verbose = 1\n"
                               "mtl = first\n"
                               "\n"
                               "\tmtl=^ofi,portals4 # the last one counts\n"
                               "pml =\n";
    char path[] = "/tmp/ipmpi-fabric-XXXXXX", got[64] = "untouched";
    const int fd = mkstemp(path);

    (void)state;
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
    close(fd);
    CHECK(!ipmpi_fabric_param(path, "btl", got, sizeof(got)));
    CHECK_STR(got, "untouched");
    CHECK(ipmpi_fabric_param(path, "mtl", got, sizeof(got)));
    CHECK_STR(got, "^ofi,portals4");
    CHECK(ipmpi_fabric_param(path, "pml", got, sizeof(got)));
    CHECK_STR(got, "");
    unlink(path);
    CHECK(!ipmpi_fabric_param(path, "mtl", got, sizeof(got)));
}

static void who_has_decided_is_left_alone(void **state)
{
    static const char *const names[] = {"OMPI_MCA_mtl", "OMPI_MCA_pml",
                                        "OMPI_MCA_mca_base_param_files"};
    char got[IPMPI_FABRIC_CAP];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        setenv(names[i], "ofi", 1);
        CHECK(!ipmpi_fabric_choose(got, sizeof(got)));
        unsetenv(names[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_keep_what_they_exclude),
        cmocka_unit_test(files_are_read_as_open_mpi_reads_them),
        cmocka_unit_test(who_has_decided_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
