/* Files on the user's side. */
#include "launch/rendezvous/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

static int make_dirs(const char *path, mode_t last_mode)
{
    char text[IPMPI_PATH_CAP];

    snprintf(text, sizeof(text), "%s", path);
    for (char *at = text + 1; *at; at++)
        if (*at == '/') {
            *at = 0;
            if (mkdir(text, 0755) != 0 && errno != EEXIST)
                return IPMPI_EIO;
            *at = '/';
        }
    if (mkdir(text, last_mode) != 0 && errno != EEXIST)
        return IPMPI_EIO;
    return 0;
}

/* Beside it, then renamed: a reader sees a whole file or none. */
static int write_private(const char *path, json_t *content)
{
    char beside[IPMPI_PATH_CAP + 8];
    FILE *file;
    int fd, err = 0;

    snprintf(beside, sizeof(beside), "%s.new", path);
    unlink(beside);
    fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return IPMPI_EIO;
    file = fdopen(fd, "w");
    if (file == NULL) {
        close(fd);
        return IPMPI_ENOMEM;
    }
    if (json_dumpf(content, file, JSON_INDENT(2)) != 0)
        err = IPMPI_EIO;
    if (fclose(file) != 0 || (err == 0 && rename(beside, path) != 0))
        err = IPMPI_EIO;
    if (err != 0)
        unlink(beside);
    return err;
}

static void security_dir(const char *profile_dir, char *text, size_t cap)
{
    const char *ipython = getenv("IPYTHONDIR"), *home = getenv("HOME");

    if (profile_dir != NULL)
        snprintf(text, cap, "%s/security", profile_dir);
    else if (ipython != NULL)
        snprintf(text, cap, "%s/profile_default/security", ipython);
    else
        snprintf(text, cap, "%s/.ipython/profile_default/security",
                 home ? home : "");
}

static void connection_path(const char *profile_dir, const char *cluster_id,
                            const char *kind, char *text, size_t cap)
{
    char dir[IPMPI_PATH_CAP - 300];

    security_dir(profile_dir, dir, sizeof(dir));
    snprintf(text, cap, "%s/ipcontroller%s%.200s-%s.json", dir,
             cluster_id[0] ? "-" : "", cluster_id, kind);
}

static int is_local(const char *interface)
{
    return strstr(interface, "://0.0.0.0") != NULL ||
           strstr(interface, "://*") != NULL ||
           strstr(interface, "://127.") != NULL;
}

int ipmpi_files_connection(const char *profile_dir, const char *cluster_id,
                           json_t *info, const char *host,
                           const struct ipmpi_secret *secret, const char *job)
{
    static const char *const kinds[] = {"client", "engine"};
    const char *interface =
        json_string_value(json_object_get(info, "interface"));
    char dir[IPMPI_PATH_CAP], path[IPMPI_PATH_CAP], hex[IPMPI_SECRET_HEX];
    char address[512];
    struct ipmpi_secret key;
    json_t *content;
    int err;

    if (interface == NULL)
        return IPMPI_EJSON;
    content = json_copy(info);
    if (content == NULL)
        return IPMPI_ENOMEM;
    if (is_local(interface)) {
        snprintf(address, sizeof(address), "tcp://%s", host);
        json_object_set_new(content, "interface", json_string(address));
    }
    json_object_set_new(content, "location", json_string(host));
    ipmpi_secret_derive(secret, "clients", job, strlen(job), &key);
    ipmpi_secret_to_hex(&key, hex);
    json_object_set_new(content, "key", json_string(hex));
    ipmpi_secret_wipe(&key);

    security_dir(profile_dir, dir, sizeof(dir));
    err = make_dirs(dir, 0700);
    for (size_t i = 0; err == 0 && i < 2; i++) {
        connection_path(profile_dir, cluster_id, kinds[i], path, sizeof(path));
        err = write_private(path, content);
    }
    if (err == 0)
        ipmpi_log_info("JOB-FILE",
                       "connection file: %s/ipcontroller%s%s-"
                       "client.json",
                       dir, cluster_id[0] ? "-" : "", cluster_id);
    json_decref(content);
    return err;
}

void ipmpi_files_forget_connection(const char *profile_dir,
                                   const char *cluster_id)
{
    char path[IPMPI_PATH_CAP];

    connection_path(profile_dir, cluster_id, "client", path, sizeof(path));
    unlink(path);
    connection_path(profile_dir, cluster_id, "engine", path, sizeof(path));
    unlink(path);
}

static void job_path(const char *job, char *dir, char *path)
{
    const char *given = getenv("IPMPI_HOME"), *home = getenv("HOME");

    if (given != NULL)
        snprintf(dir, IPMPI_PATH_CAP - 200, "%s/jobs", given);
    else
        snprintf(dir, IPMPI_PATH_CAP - 200, "%s/.ipmpi/jobs", home ? home : "");
    snprintf(path, IPMPI_PATH_CAP, "%s/%.150s.json", dir, job);
}

int ipmpi_files_save(const char *job, json_t *state)
{
    char dir[IPMPI_PATH_CAP - 200], path[IPMPI_PATH_CAP];
    int err;

    job_path(job, dir, path);
    err = make_dirs(dir, 0700);
    return err != 0 ? err : write_private(path, state);
}

int ipmpi_files_load(const char *job, json_t **state_out)
{
    char dir[IPMPI_PATH_CAP - 200], path[IPMPI_PATH_CAP];
    json_t *state;

    job_path(job, dir, path);
    if (access(path, R_OK) != 0)
        return IPMPI_ENOENT;
    state = json_load_file(path, 0, NULL);
    if (!json_is_object(state)) {
        json_decref(state);
        return IPMPI_EJSON;
    }
    *state_out = state;
    return 0;
}

void ipmpi_files_forget(const char *job)
{
    char dir[IPMPI_PATH_CAP - 200], path[IPMPI_PATH_CAP];

    job_path(job, dir, path);
    unlink(path);
}
