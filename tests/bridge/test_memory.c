/* Memory of the machine and of containers. */
#include "bridge/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/check.h"

static char root[] = "/tmp/ipmpi-test-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", root, name);
    file = fopen(path, "w");
    CHECK(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void the_least_counts(void **state)
{
    size_t whole;

    (void)state;
    whole = ipmpi_memory_total(root);
    CHECK(whole > 1 << 20);
    put("memory.max", "max\n");
    CHECK_EQ(ipmpi_memory_total(root), whole);
    put("memory.max", "1048576\n");
    CHECK_EQ(ipmpi_memory_total(root), 1 << 20);
    put("memory/memory.limit_in_bytes", "9223372036854771712\n");
    CHECK_EQ(ipmpi_memory_total(root), 1 << 20);
    put("memory/memory.limit_in_bytes", "4096\n");
    CHECK_EQ(ipmpi_memory_total(root), 4096);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_least_counts)};
    char path[256];
    int failed;

    CHECK(mkdtemp(root) != NULL);
    snprintf(path, sizeof(path), "%s/memory", root);
    CHECK_EQ(mkdir(path, 0700), 0);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    snprintf(path, sizeof(path), "%s/memory/memory.limit_in_bytes", root);
    unlink(path);
    snprintf(path, sizeof(path), "%s/memory.max", root);
    unlink(path);
    snprintf(path, sizeof(path), "%s/memory", root);
    rmdir(path);
    rmdir(root);
    return failed;
}
