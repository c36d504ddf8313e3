/* What a job is remembered by. */
#include "launch/marathon/memory.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "launch/rendezvous/files.h"
#include "runtime/base/error.h"

/* Where a secret lies inside the container. */
static const char inner_secret[] = "/run/secrets/ipmpi";

int ipmpi_memory_make_keys(struct ipmpi_launch *m)
{
    struct ipmpi_job_spec *job = &m->spec.job;
    struct ipmpi_secret nonce, public;
    int err = ipmpi_secret_make(&nonce);

    if (err != 0)
        return err;
    ipmpi_secret_to_hex(&nonce, m->nonce);
    if (m->secret_file != NULL) {
        job->mode = IPMPI_MODE_SECRET;
        m->app.secret_file =
            m->app.marathon_secret == NULL ? inner_secret : NULL;
        return ipmpi_secret_read(m->secret_file, job->name, &job->secret);
    }
    job->mode = IPMPI_MODE_PUBLIC;
    err = ipmpi_secret_make(&job->secret);
    if (err == 0)
        err = ipmpi_secret_make(&job->private_key);
    if (err == 0) {
        ipmpi_secret_public(&job->private_key, &public);
        ipmpi_secret_to_hex(&public, m->launcher_key);
        m->app.launcher_key = m->launcher_key;
    }
    return err;
}

/* A path that means the same from another directory; JSON null for none. */
static json_t *lasting_path(const char *path)
{
    char here[PATH_MAX];

    if (path == NULL)
        return json_null();
    if (path[0] == '/' || getcwd(here, sizeof(here)) == NULL)
        return json_string(path);
    return json_sprintf("%s/%s", here, path);
}

int ipmpi_memory_save(struct ipmpi_launch *m)
{
    const struct ipmpi_marathon_access *access = &m->access;
    char secret[IPMPI_SECRET_HEX], private[IPMPI_SECRET_HEX];
    json_t *state;
    int err;

    ipmpi_secret_to_hex(&m->spec.job.secret, secret);
    ipmpi_secret_to_hex(&m->spec.job.private_key, private);
    state = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:s, s:o, s:o, s:o, "
        "s:o, s:b}",
        "scheduler", "marathon", "marathon", access->urls, "app", m->id,
        "nonce", m->nonce, "secret", secret, "private", private, "mode",
        (int)m->spec.job.mode, "nodes", (int)m->spec.max, "container_network",
        m->app.network != NULL, "cluster_id", m->spec.cluster_id, "profile_dir",
        lasting_path(m->spec.profile_dir), "header_file",
        lasting_path(access->header_file), "basic_file",
        lasting_path(access->basic_file), "ca_file",
        lasting_path(access->ca_file), "insecure", access->insecure);
    err = state ? ipmpi_files_save(m->spec.job.name, state) : IPMPI_ENOMEM;
    json_decref(state);
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(private, sizeof(private));
    return err;
}

static const char *remembered(const struct ipmpi_launch *m, const char *name)
{
    return json_string_value(json_object_get(m->state, name));
}

int ipmpi_memory_load(struct ipmpi_launch *m)
{
    struct ipmpi_job_spec *job = &m->spec.job;
    const char *secret, *private, *id;
    int err = ipmpi_files_load(job->name, &m->state);

    if (err != 0)
        return err;
    secret = remembered(m, "secret");
    private = remembered(m, "private");
    id = remembered(m, "app");
    if (secret == NULL || private == NULL || id == NULL)
        return IPMPI_EJSON;
    err = ipmpi_secret_from_hex(secret, &job->secret);
    if (err == 0)
        err = ipmpi_secret_from_hex(private, &job->private_key);
    job->mode =
        (enum ipmpi_mode)json_integer_value(json_object_get(m->state, "mode"));
    snprintf(m->id, sizeof(m->id), "%s", id);
    if (m->access.urls == NULL)
        m->access.urls = remembered(m, "marathon");
    if (m->access.header_file == NULL)
        m->access.header_file = remembered(m, "header_file");
    if (m->access.basic_file == NULL)
        m->access.basic_file = remembered(m, "basic_file");
    if (m->access.ca_file == NULL)
        m->access.ca_file = remembered(m, "ca_file");
    m->access.insecure |= json_is_true(json_object_get(m->state, "insecure"));
    m->spec.profile_dir = remembered(m, "profile_dir");
    m->spec.cluster_id = remembered(m, "cluster_id");
    if (m->spec.cluster_id == NULL)
        m->spec.cluster_id = "";
    return err;
}
