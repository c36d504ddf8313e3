/* The shape is ipyparallel's: compat 12.3. */
#include "launch/local/cluster_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static json_t *state_of(const struct ipmpi_paths *paths, pid_t pid)
{
    return json_pack("{s:s,s:s,s:s,s:i,s:s}", "profile_dir", paths->profile_dir,
                     "cluster_id", paths->cluster_id, "state", "running", "pid",
                     (int)pid, "output_file", paths->log_file);
}

static json_t *sets_of(const struct ipmpi_paths *paths, int engines)
{
    json_t *ids = json_array();

    for (int id = 0; id < engines; id++)
        json_array_append_new(ids, json_integer(id));
    return json_pack("{s:{s:s,s:s,s:s,s:i,s:o,s:s}}", "0", "profile_dir",
                     paths->profile_dir, "cluster_id", paths->cluster_id,
                     "state", "running", "n", engines, "engine_ids", ids,
                     "output_file", paths->log_file);
}

bool ipmpi_cluster_file_write(const struct ipmpi_paths *paths, pid_t pid,
                              int engines)
{
    json_t *file = json_pack(
        "{s:{s:s,s:[],s:s,s:s,s:f,s:i,s:s,s:s},s:{s:s,s:o},s:{s:s,s:o}}",
        "cluster", "cluster_id", paths->cluster_id, "controller_args",
        "controller_ip", "", "controller_location", "", "delay", 1.0, "n",
        engines, "profile_dir", paths->profile_dir, "class",
        "ipyparallel.cluster.cluster.Cluster", "controller", "class", "ipmpi",
        "state", state_of(paths, pid), "engines", "class", "ipmpi", "sets",
        sets_of(paths, engines));
    const mode_t mask = umask(077);
    const bool written =
        file != NULL && json_dump_file(file, paths->cluster_file, 0) == 0;

    umask(mask);
    json_decref(file);
    return written;
}

char *ipmpi_cluster_file_log(const struct ipmpi_paths *paths)
{
    json_t *file = ipmpi_where_load(paths->cluster_file);
    const json_t *state =
        json_object_get(json_object_get(file, "controller"), "state");
    const char *named =
        json_string_value(json_object_get(state, "output_file"));
    char *path =
        named != NULL && access(named, R_OK) == 0 ? strdup(named) : NULL;

    json_decref(file);
    return path;
}
