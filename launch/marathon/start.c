/* `ipmpi marathon start`. */
#include <pwd.h>
#include <unistd.h>

#include "launch/channel/protocol.h"
#include "launch/marathon/actions.h"
#include "launch/marathon/deploy.h"
#include "launch/marathon/memory.h"
#include "launch/rendezvous/files.h"
#include "launch/verb.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

static const char *user_name(void)
{
    const struct passwd *entry = getpwuid(getuid());

    return entry != NULL ? entry->pw_name : "user";
}

static void on_list(struct ipmpi_driver *driver, void *arg)
{
    struct ipmpi_launch *m = arg;
    static struct ipmpi_place places[IPMPI_NODES_MAX];

    ipmpi_driver_list(driver, places,
                      ipmpi_watch_take(m->watch, places, IPMPI_NODES_MAX));
}

static void on_explain(void *arg, char *text, size_t cap)
{
    struct ipmpi_launch *m = arg;

    ipmpi_watch_explain(m->watch, text, cap);
}

static void on_file(void *arg, json_t *file, const char *host)
{
    struct ipmpi_launch *m = arg;
    const int err =
        ipmpi_files_connection(m->spec.profile_dir, m->spec.cluster_id, file,
                               host, &m->spec.job.secret, m->spec.job.name);

    if (err != 0)
        ipmpi_log_error("JOB-FILE",
                        "the connection file cannot be written: "
                        "%s",
                        ipmpi_strerror(err));
}

static void fill_request(struct ipmpi_launch *m)
{
    struct ipmpi_job_spec *job = &m->spec.job;

    ipmpi_app_id(user_name(), job->name, m->id);
    m->app.id = m->id;
    m->app.job = job->name;
    m->app.user = user_name();
    m->app.nonce = m->nonce;
    m->app.instances = m->spec.max;
    if (job->ranks_per_node == 0)
        job->ranks_per_node = 2;
    m->app.ranks = job->ranks_per_node;
    m->app.port_prefix = m->prefix;
    job->readable = on_list;
    job->explain = on_explain;
    if (job->file != NULL)
        job->file = on_file;
    job->arg = m;
}

static int run_job(struct ipmpi_launch *m)
{
    struct ipmpi_driver *driver = NULL;
    int err, status;

    /* The driver first: it blocks the signals that the watcher's thread must
     * not take. The descriptor is known before anyone polls it. */
    err = ipmpi_driver_create(&m->spec.job, &driver);
    if (err == 0)
        err = ipmpi_watch_create(&m->access, m->id, m->app.network != NULL,
                                 &m->watch);
    if (err != 0) {
        ipmpi_log_error("MARATHON-WATCH", "%s", ipmpi_strerror(err));
        if (driver != NULL)
            ipmpi_driver_destroy(&driver);
        return IPMPI_EXIT_FAILED;
    }
    m->spec.job.fd = ipmpi_watch_fd(m->watch);
    status = ipmpi_driver_run(driver);
    ipmpi_driver_destroy(&driver);
    ipmpi_watch_destroy(&m->watch);
    return status;
}

int ipmpi_marathon_start(struct ipmpi_launch *m)
{
    int err, status, gone;

    if (ipmpi_files_load(m->spec.job.name, &m->state) == 0) {
        ipmpi_log_error("MARATHON-EXISTS",
                        "job %s is there already: `ipmpi marathon stop "
                        "--job=%s` first",
                        m->spec.job.name, m->spec.job.name);
        return IPMPI_EXIT_USAGE;
    }
    err = ipmpi_memory_make_keys(m);
    if (err != 0) {
        ipmpi_log_error("MARATHON-KEYS", "%s: %s",
                        m->secret_file ? m->secret_file : "random bytes",
                        ipmpi_strerror(err));
        return IPMPI_EXIT_USAGE;
    }
    status = ipmpi_deploy_check_version(m);
    if (status != 0)
        return status;
    fill_request(m);
    err = ipmpi_memory_save(m);
    if (err != 0) {
        ipmpi_log_error("MARATHON-STATE", "~/.ipmpi cannot be written: %s",
                        ipmpi_strerror(err));
        return IPMPI_EXIT_FAILED;
    }
    status = ipmpi_deploy_create(m);
    if (status != 0) {
        ipmpi_files_forget(m->spec.job.name);
        return status;
    }
    status = run_job(m);
    if (m->spec.job.detach && status == IPMPI_EXIT_OK)
        return status;
    gone = ipmpi_deploy_delete(m);
    if (gone == 0)
        ipmpi_files_forget(m->spec.job.name);
    ipmpi_spec_forget_files(&m->spec);
    return status != 0 ? status : gone;
}
