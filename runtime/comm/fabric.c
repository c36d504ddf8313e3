/* Open MPI's own files of parameters are read, since a variable of the
 * environment replaces what they say. */
#include "runtime/comm/fabric.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With one of these somebody has decided, or reads files of his own. */
static const char *const decided[] = {IPMPI_FABRIC_ENV, "OMPI_MCA_pml",
                                      "OMPI_MCA_mca_base_param_files",
                                      "OMPI_MCA_mca_component_path"};

static bool exists(const char *pattern)
{
    glob_t found;
    const bool any = glob(pattern, GLOB_NOSORT, NULL, &found) == 0;

    if (any)
        globfree(&found);
    return any;
}

static bool is_decided(void)
{
    for (size_t i = 0; i < sizeof(decided) / sizeof(decided[0]); i++)
        if (getenv(decided[i]) != NULL)
            return true;
    return false;
}

static bool has_device(void)
{
    return exists("/dev/hfi1*") || exists("/dev/ipath*");
}

/* The directory of the MPI library that this process runs with. */
static bool library_dir(char dir_out[PATH_MAX])
{
    Dl_info info;
    char *slash;

    if (dladdr((void *)MPI_Init_thread, &info) == 0 || info.dli_fname == NULL ||
        realpath(info.dli_fname, dir_out) == NULL)
        return false;
    slash = strrchr(dir_out, '/');
    if (slash != NULL)
        *slash = '\0';
    return slash != NULL;
}

static bool has_components(const char *dir)
{
    char pattern[PATH_MAX + 64];

    snprintf(pattern, sizeof(pattern), "%s/openmpi/lib/openmpi3/mca_mtl_psm*",
             dir);
    return exists(pattern);
}

bool ipmpi_fabric_param(const char *path, const char *name, char *value_out,
                        size_t cap)
{
    FILE *file = fopen(path, "re");
    char line[1024];
    bool found = false;

    if (file == NULL)
        return false;
    while (fgets(line, sizeof(line), file) != NULL) {
        char *rest = NULL, *key, *value;

        line[strcspn(line, "#\n")] = '\0';
        key = strtok_r(line, "= \t", &rest);
        if (key == NULL || strcmp(key, name) != 0)
            continue;
        value = strtok_r(NULL, "= \t", &rest);
        snprintf(value_out, cap, "%s", value != NULL ? value : "");
        found = true;
    }
    fclose(file);
    return found;
}

bool ipmpi_fabric_exclude(const char *list, char *list_out, size_t cap)
{
    const char *sign = list[0] == '\0' ? "^" : ",";

    if (list[0] != '\0' && list[0] != '^')
        return false;
    return snprintf(list_out, cap, "%s%spsm,psm2", list, sign) < (int)cap;
}

/* What the files of user and system say; empty if nothing. */
static void read_list(char list_out[IPMPI_FABRIC_CAP])
{
    const char *home = getenv("HOME");
    char path[PATH_MAX];

    list_out[0] = '\0';
    snprintf(path, sizeof(path), "%s/.openmpi/mca-params.conf",
             home != NULL ? home : "");
    if (!ipmpi_fabric_param(path, "mtl", list_out, IPMPI_FABRIC_CAP))
        ipmpi_fabric_param("/etc/openmpi/openmpi-mca-params.conf", "mtl",
                           list_out, IPMPI_FABRIC_CAP);
}

bool ipmpi_fabric_choose(char *list_out, size_t cap)
{
    char dir[PATH_MAX], list[IPMPI_FABRIC_CAP];

    if (is_decided() || !library_dir(dir) || !has_components(dir) ||
        has_device())
        return false;
    read_list(list);
    return ipmpi_fabric_exclude(list, list_out, cap);
}
