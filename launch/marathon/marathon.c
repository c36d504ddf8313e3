/* `ipmpi marathon start|stop|status|scale`: a job in containers that Marathon
 * places. The application is only how containers come to be and go; the job
 * itself is the rendezvous' business (driver.h).
 *
 * Threads: one, and the watcher's. */
#include <argp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch/rendezvous/driver.h"
#include "launch/rendezvous/files.h"
#include "launch/marathon/app.h"
#include "launch/marathon/http.h"
#include "launch/marathon/watch.h"
#include "launch/channel/protocol.h"
#include "launch/rendezvous/spec.h"
#include "launch/verb.h"
#include "launch/rendezvous/visit.h"
#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

enum {
    KEY_IMAGE = 0x200,
    KEY_NETWORK,
    KEY_CPUS,
    KEY_MEM,
    KEY_SHM,
    KEY_CONSTRAINT,
    KEY_PARAMETER,
    KEY_SHARE_HOSTS,
    KEY_PULL,
    KEY_HEADER,
    KEY_BASIC,
    KEY_CA,
    KEY_INSECURE,
    KEY_SECRET,
    KEY_SECRET_HOST,
    KEY_SECRET_STORE,
    KEY_FORCE,
    GONE_WAIT_S = 60,
    LOCK_WAIT_S = 30,
    VISIT_S = 5,
    VISITS_MAX = IPMPI_NODES_MAX,
};

/* Where a secret lies inside the container. */
static const char inner_secret[] = "/run/secrets/ipmpi";

static const struct argp_option options[] = {
    {"marathon", 'm', "URL[,URL..]", 0,
     "its instances (MARATHON_URL); any of them will do", 0},
    {"header-file", KEY_HEADER, "FILE", 0,
     "headers for every request, as Authorization", 0},
    {"basic-file", KEY_BASIC, "FILE", 0, "one line USER:PASSWORD", 0},
    {"ca-file", KEY_CA, "FILE", 0, "who may vouch for Marathon (TLS)", 0},
    {"insecure", KEY_INSECURE, NULL, 0,
     "send credentials over http to other hosts, too", 0},
    {"image", KEY_IMAGE, "IMAGE", 0, "default: ipmpi/engine", 1},
    {"container-network", KEY_NETWORK, "NAME", 0,
     "a network that containers share; default: the hosts'", 1},
    {"cpus", KEY_CPUS, "N", 0, "of a container; default: its ranks", 1},
    {"mem", KEY_MEM, "MIB", 0, "default: 512 a rank", 1},
    {"shm", KEY_SHM, "MIB", 0, "/dev/shm; default: 64 and 8 a rank", 1},
    {"constraint", KEY_CONSTRAINT, "FIELD:OPERATOR[:VALUE]", 0,
     "where containers may be placed", 1},
    {"docker-parameter", KEY_PARAMETER, "KEY=VALUE", 0,
     "an option of `docker run`", 1},
    {"share-hosts", KEY_SHARE_HOSTS, NULL, 0,
     "several containers on one host are fine", 1},
    {"force-pull", KEY_PULL, NULL, 0, "fetch the image anew", 1},
    {"secret-file", KEY_SECRET, "FILE", 0,
     "a site's key, the same as the containers have; default: a fresh key "
     "pair for each job",
     2},
    {"secret-host-file", KEY_SECRET_HOST, "PATH", 0,
     "where it lies on each host", 2},
    {"secret-store", KEY_SECRET_STORE, "NAME", 0,
     "what it is called in Marathon's store of secrets", 2},
    {"force", KEY_FORCE, NULL, 0, "scale: busy nodes may go", 3},
    {0},
};

struct marathon {
    struct ipmpi_spec spec;
    struct ipmpi_marathon_access access;
    struct ipmpi_app_request app;
    const char *secret_file;
    bool force;
    char id[IPMPI_APP_ID_CAP];
    char prefix[64], nonce[IPMPI_SECRET_HEX], launcher_key[IPMPI_SECRET_HEX];
    struct ipmpi_marathon *http;
    struct ipmpi_watch *watch;
    json_t *state; /* what stop and status find again */
};

/* -- arguments ------------------------------------------------------------ */

static void add_constraint(struct argp_state *state, json_t *list,
                           const char *text)
{
    json_t *one = json_array();
    const char *at = text;

    for (int i = 0; i < 3 && at != NULL; i++) {
        const char *colon = i < 2 ? strchr(at, ':') : NULL;

        json_array_append_new(
            one, json_stringn(at, colon ? (size_t)(colon - at) : strlen(at)));
        at = colon != NULL ? colon + 1 : NULL;
    }
    if (json_array_size(one) < 2)
        argp_error(state, "%s is not FIELD:OPERATOR[:VALUE]", text);
    json_array_append_new(list, one);
}

static void add_parameter(struct argp_state *state, json_t *list,
                          const char *text)
{
    const char *equals = strchr(text, '=');

    if (equals == NULL || equals == text)
        argp_error(state, "%s is not KEY=VALUE", text);
    json_array_append_new(list,
                          json_pack("{s:o, s:s}", "key",
                                    json_stringn(text, (size_t)(equals - text)),
                                    "value", equals + 1));
}

static double amount(struct argp_state *state, const char *text)
{
    char *end;
    const double value = strtod(text, &end);

    if (*text == 0 || *end != 0 || !(value > 0) || value > 1e9)
        argp_error(state, "%s is not an amount", text);
    return value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct marathon *m = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &m->spec;
        break;
    case 'm':
        m->access.urls = text;
        break;
    case KEY_HEADER:
        m->access.header_file = text;
        break;
    case KEY_BASIC:
        m->access.basic_file = text;
        break;
    case KEY_CA:
        m->access.ca_file = text;
        break;
    case KEY_INSECURE:
        m->access.insecure = true;
        break;
    case KEY_IMAGE:
        m->app.image = text;
        break;
    case KEY_NETWORK:
        m->app.network = text;
        break;
    case KEY_CPUS:
        m->app.cpus = amount(state, text);
        break;
    case KEY_MEM:
        m->app.mem_mib = amount(state, text);
        break;
    case KEY_SHM:
        m->app.shm_mib = (unsigned)amount(state, text);
        break;
    case KEY_CONSTRAINT:
        add_constraint(state, m->app.constraints, text);
        break;
    case KEY_PARAMETER:
        add_parameter(state, m->app.parameters, text);
        break;
    case KEY_SHARE_HOSTS:
        m->app.unique = false;
        break;
    case KEY_PULL:
        m->app.force_pull = true;
        break;
    case KEY_SECRET:
        m->secret_file = text;
        break;
    case KEY_SECRET_HOST:
        m->app.secret_host_file = text;
        break;
    case KEY_SECRET_STORE:
        m->app.marathon_secret = text;
        break;
    case KEY_FORCE:
        m->force = true;
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

/* -- common --------------------------------------------------------------- */

static int report(const char *what, const struct ipmpi_marathon_answer *answer)
{
    char text[1024];

    ipmpi_marathon_explain(answer, text, sizeof(text));
    ipmpi_log_error("MARATHON-ANSWER", "%s: %s", what, text);
    return IPMPI_EXIT_SCHEDULER;
}

static void app_path(const struct marathon *m, const char *rest, char *path,
                     size_t cap)
{
    snprintf(path, cap, "/v2/apps%s%s", m->id, rest);
}

static const char *user_name(void)
{
    const struct passwd *entry = getpwuid(getuid());

    return entry != NULL ? entry->pw_name : "user";
}

/* Keys of a new job: a site's secret, or a fresh secret and key pair. */
static int make_keys(struct marathon *m)
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

static int save_state(struct marathon *m)
{
    char secret[IPMPI_SECRET_HEX], private[IPMPI_SECRET_HEX];
    json_t *state;
    int err;

    ipmpi_secret_to_hex(&m->spec.job.secret, secret);
    ipmpi_secret_to_hex(&m->spec.job.private_key, private);
    state = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:s, s:s?, s:s?, "
        "s:s?, s:b}",
        "scheduler", "marathon", "marathon", m->access.urls, "app", m->id,
        "nonce", m->nonce, "secret", secret, "private", private, "mode",
        (int)m->spec.job.mode, "nodes", (int)m->spec.max, "container_network",
        m->app.network != NULL, "cluster_id", m->spec.cluster_id, "profile_dir",
        m->spec.profile_dir, "header_file", m->access.header_file, "basic_file",
        m->access.basic_file, "insecure", m->access.insecure);
    err = state ? ipmpi_files_save(m->spec.job.name, state) : IPMPI_ENOMEM;
    json_decref(state);
    explicit_bzero(secret, sizeof(secret));
    explicit_bzero(private, sizeof(private));
    return err;
}

static const char *remembered(const struct marathon *m, const char *name)
{
    return json_string_value(json_object_get(m->state, name));
}

/* What start left for those who come later. */
static int load_state(struct marathon *m)
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
    m->access.insecure |= json_is_true(json_object_get(m->state, "insecure"));
    m->spec.profile_dir = remembered(m, "profile_dir");
    m->spec.cluster_id = remembered(m, "cluster_id");
    if (m->spec.cluster_id == NULL)
        m->spec.cluster_id = "";
    return err;
}

/* -- the application ------------------------------------------------------ */

static int check_version(struct marathon *m)
{
    struct ipmpi_marathon_answer answer;
    const char *version, *prefix;
    int major = 0, minor = 0, status = 0;

    if (ipmpi_marathon_call(m->http, "GET", "/v2/info", NULL, &answer) != 0) {
        status = report("Marathon", &answer);
        ipmpi_marathon_clear(&answer);
        return status;
    }
    version = json_string_value(json_object_get(answer.body, "version"));
    prefix = json_string_value(json_object_get(
        json_object_get(answer.body, "marathon_config"), "env_vars_prefix"));
    if (prefix != NULL)
        snprintf(m->prefix, sizeof(m->prefix), "%s", prefix);
    if (version == NULL || sscanf(version, "%d.%d", &major, &minor) != 2 ||
        major < 1 || (major == 1 && minor < 5)) {
        ipmpi_log_error("MARATHON-VERSION",
                        "Marathon %s is too old: 1.5 or newer is needed",
                        version ? version : "of no version");
        status = IPMPI_EXIT_SCHEDULER;
    }
    ipmpi_marathon_clear(&answer);
    return status;
}

/* Did our request arrive, though its answer did not? The nonce tells. */
static bool is_there(struct marathon *m)
{
    struct ipmpi_marathon_answer answer;
    char path[IPMPI_APP_ID_CAP + 32];
    const char *nonce;
    bool same;

    app_path(m, "", path, sizeof(path));
    if (ipmpi_marathon_call(m->http, "GET", path, NULL, &answer) != 0) {
        ipmpi_marathon_clear(&answer);
        return false;
    }
    nonce = json_string_value(json_object_get(
        json_object_get(json_object_get(answer.body, "app"), "labels"),
        "IPMPI_NONCE"));
    same = nonce != NULL && strcmp(nonce, m->nonce) == 0;
    ipmpi_marathon_clear(&answer);
    return same;
}

static int create_app(struct marathon *m)
{
    struct ipmpi_marathon_answer answer;
    json_t *body = ipmpi_app_make(&m->app);
    const int64_t end_us =
        ipmpi_clock_now_us() + (int64_t)LOCK_WAIT_S * IPMPI_SECOND_US;
    int status = 0;

    for (;;) {
        if (ipmpi_marathon_call(m->http, "POST", "/v2/apps", body, &answer) ==
            0)
            break;
        /* No answer, or one that a proxy made up: has it arrived? */
        if ((answer.status == 0 || answer.status >= 500 ||
             answer.status == 409) &&
            is_there(m))
            break;
        if (ipmpi_clock_now_us() < end_us &&
            (answer.status == 0 || answer.status == 502 ||
             answer.status == 503 || ipmpi_marathon_lock(&answer) != NULL)) {
            ipmpi_marathon_clear(&answer);
            usleep(500 * 1000);
            continue;
        }
        status = report("the application is not created", &answer);
        break;
    }
    if (status == 0)
        ipmpi_log_info("MARATHON-APP", "application %s, deployment %s", m->id,
                       answer.deployment[0] ? answer.deployment : "unknown");
    ipmpi_marathon_clear(&answer);
    json_decref(body);
    return status;
}

/* Deletes the application and waits until it, and its tasks, are gone. */
static int delete_app(struct marathon *m)
{
    const int64_t end_us =
        ipmpi_clock_now_us() + (int64_t)GONE_WAIT_S * IPMPI_SECOND_US;
    struct ipmpi_marathon_answer answer;
    char path[IPMPI_APP_ID_CAP + 32];
    int status = 0;
    bool gone;

    app_path(m, "", path, sizeof(path));
    if (ipmpi_marathon_call(m->http, "DELETE", path, NULL, &answer) != 0 &&
        answer.status != 404)
        status = report("the application is not deleted", &answer);
    gone = status != 0;
    while (!gone && ipmpi_clock_now_us() < end_us) {
        ipmpi_marathon_clear(&answer);
        ipmpi_marathon_call(m->http, "GET", path, NULL, &answer);
        gone = answer.status == 404;
        if (!gone)
            usleep(300 * 1000);
    }
    if (!gone) {
        ipmpi_log_warn("MARATHON-GONE",
                       "application %s is being deleted for over %d s", m->id,
                       GONE_WAIT_S);
        status = IPMPI_EXIT_SCHEDULER;
    } else if (status == 0) {
        ipmpi_log_info("MARATHON-GONE",
                       "application %s and its containers "
                       "are gone",
                       m->id);
    }
    ipmpi_marathon_clear(&answer);
    return status;
}

/* -- start ---------------------------------------------------------------- */

static void on_list(struct ipmpi_driver *driver, void *arg)
{
    struct marathon *m = arg;
    static struct ipmpi_place places[IPMPI_NODES_MAX];

    ipmpi_driver_list(driver, places,
                      ipmpi_watch_take(m->watch, places, IPMPI_NODES_MAX));
}

static void on_explain(void *arg, char *text, size_t cap)
{
    struct marathon *m = arg;

    ipmpi_watch_explain(m->watch, text, cap);
}

static void on_file(void *arg, json_t *file, const char *host)
{
    struct marathon *m = arg;
    const int err =
        ipmpi_files_connection(m->spec.profile_dir, m->spec.cluster_id, file,
                               host, &m->spec.job.secret, m->spec.job.name);

    if (err != 0)
        ipmpi_log_error("JOB-FILE",
                        "the connection file cannot be written: "
                        "%s",
                        ipmpi_strerror(err));
}

static void fill_request(struct marathon *m)
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

static int run_job(struct marathon *m)
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

static int start(struct marathon *m)
{
    int err, status, gone;

    if (ipmpi_files_load(m->spec.job.name, &m->state) == 0) {
        ipmpi_log_error("MARATHON-EXISTS",
                        "job %s is there already: `ipmpi marathon stop "
                        "--job=%s` first",
                        m->spec.job.name, m->spec.job.name);
        return IPMPI_EXIT_USAGE;
    }
    err = make_keys(m);
    if (err != 0) {
        ipmpi_log_error("MARATHON-KEYS", "%s: %s",
                        m->secret_file ? m->secret_file : "random bytes",
                        ipmpi_strerror(err));
        return IPMPI_EXIT_USAGE;
    }
    status = check_version(m);
    if (status != 0)
        return status;
    fill_request(m);
    err = save_state(m);
    if (err != 0) {
        ipmpi_log_error("MARATHON-STATE", "~/.ipmpi cannot be written: %s",
                        ipmpi_strerror(err));
        return IPMPI_EXIT_FAILED;
    }
    status = create_app(m);
    if (status != 0) {
        ipmpi_files_forget(m->spec.job.name);
        return status;
    }
    status = run_job(m);
    if (m->spec.job.detach && status == IPMPI_EXIT_OK)
        return status;
    gone = delete_app(m);
    if (gone == 0)
        ipmpi_files_forget(m->spec.job.name);
    ipmpi_spec_forget_files(&m->spec);
    return status != 0 ? status : gone;
}

/* -- stop, status, scale -------------------------------------------------- */

/* The application as it is, and its agents' places. */
static json_t *read_app(struct marathon *m, struct ipmpi_place *places,
                        size_t *nplaces)
{
    struct ipmpi_marathon_answer answer;
    char path[IPMPI_APP_ID_CAP + 32];
    json_t *app = NULL;

    app_path(m, "", path, sizeof(path));
    if (ipmpi_marathon_call(m->http, "GET", path, NULL, &answer) == 0)
        app = json_incref(json_object_get(answer.body, "app"));
    else
        report(m->id, &answer);
    ipmpi_marathon_clear(&answer);
    *nplaces = ipmpi_app_places(
        json_object_get(app, "tasks"),
        json_is_true(json_object_get(m->state, "container_network")), places,
        VISITS_MAX);
    return app;
}

static void forget_offers(json_t **offers, size_t n)
{
    for (size_t i = 0; i < n; i++)
        json_decref(offers[i]);
}

static int stop(struct marathon *m)
{
    static struct ipmpi_place places[VISITS_MAX];
    static json_t *offers[VISITS_MAX];
    size_t n = 0;
    json_t *app = read_app(m, places, &n);
    int status;

    /* The job first, so that engines can flush; then what it ran in. */
    ipmpi_visit(&m->spec.job, places, n, true,
                (int64_t)(IPMPI_KILL_GRACE_S + VISIT_S) * IPMPI_SECOND_US,
                offers);
    forget_offers(offers, n);
    json_decref(app);
    status = delete_app(m);
    if (status == 0) {
        ipmpi_files_forget(m->spec.job.name);
        ipmpi_files_forget_connection(m->spec.profile_dir, m->spec.cluster_id);
    }
    return status;
}

static const char *does_what(json_t *offer)
{
    if (offer == NULL)
        return "no answer";
    if (json_is_true(json_object_get(offer, "leads")))
        return "leader";
    return json_is_true(json_object_get(offer, "running")) ? "engines"
                                                           : "spare";
}

static int status(struct marathon *m)
{
    static struct ipmpi_place places[VISITS_MAX];
    static json_t *offers[VISITS_MAX];
    struct ipmpi_marathon_answer queue;
    char text[1024];
    size_t n = 0;
    json_t *app = read_app(m, places, &n);

    if (app == NULL)
        return IPMPI_EXIT_SCHEDULER;
    ipmpi_marathon_call(m->http, "GET", "/v2/queue", NULL, &queue);
    ipmpi_app_explain(m->id, app, queue.body, text, sizeof(text));
    printf("%s: %s\n", m->id, text);
    ipmpi_visit(&m->spec.job, places, n, false,
                (int64_t)VISIT_S * IPMPI_SECOND_US, offers);
    for (size_t i = 0; i < n; i++)
        printf("  %-24s %5u  %-9s generation %lld  %s\n", places[i].host,
               places[i].port, does_what(offers[i]),
               (long long)json_integer_value(
                   json_object_get(offers[i], "generation")),
               places[i].id);
    ipmpi_marathon_clear(&queue);
    forget_offers(offers, n);
    json_decref(app);
    return IPMPI_EXIT_OK;
}

/* A change of the application; a lock is waited for, then overridden: all
 * deployments of this application are ours. */
static int change(struct marathon *m, const char *method, const char *rest,
                  const char *forced_rest, json_t *body)
{
    const int64_t end_us =
        ipmpi_clock_now_us() + (int64_t)LOCK_WAIT_S * IPMPI_SECOND_US;
    struct ipmpi_marathon_answer answer;
    char path[1024];
    int err, result = 0;

    for (;;) {
        const bool late = ipmpi_clock_now_us() >= end_us;

        app_path(m, late ? forced_rest : rest, path, sizeof(path));
        err = ipmpi_marathon_call(m->http, method, path, body, &answer);
        if (err == 0 || late || ipmpi_marathon_lock(&answer) == NULL)
            break;
        ipmpi_log_info("MARATHON-LOCK", "waiting for deployment %s",
                       ipmpi_marathon_lock(&answer));
        ipmpi_marathon_clear(&answer);
        usleep(1000 * 1000);
    }
    if (err != 0)
        result = report(m->id, &answer);
    ipmpi_marathon_clear(&answer);
    return result;
}

static int scale_up(struct marathon *m, unsigned nodes)
{
    json_t *body = json_pack("{s:i}", "instances", (int)nodes);
    const int result = change(m, "PUT", "", "?force=true", body);

    json_decref(body);
    if (result == 0)
        printf("%s: %u nodes; new ones are spares until the next generation\n",
               m->id, nodes);
    return result;
}

/* Marathon would choose any; we choose nodes where nothing of the job runs. */
static int scale_down(struct marathon *m, struct ipmpi_place *places, size_t n,
                      unsigned surplus)
{
    static json_t *offers[VISITS_MAX];
    int result = 0;
    size_t spares = 0;

    ipmpi_visit(&m->spec.job, places, n, false,
                (int64_t)VISIT_S * IPMPI_SECOND_US, offers);
    for (size_t i = 0; i < n; i++)
        spares += !json_is_true(json_object_get(offers[i], "running"));
    if (spares < surplus && !m->force) {
        ipmpi_log_error("MARATHON-SCALE",
                        "%zu nodes are spare, %u would have to go; --force "
                        "ends engines",
                        spares, surplus);
        result = IPMPI_EXIT_FAILED;
    }
    for (int pass = 0; pass < 2 && result == 0; pass++)
        for (size_t i = 0; i < n && surplus > 0 && result == 0; i++) {
            const bool busy =
                json_is_true(json_object_get(offers[i], "running"));
            char rest[600], forced[640];

            if (busy != (pass == 1) ||
                json_is_true(json_object_get(offers[i], "leads")))
                continue;
            snprintf(rest, sizeof(rest), "/tasks/%.500s?scale=true",
                     places[i].id);
            snprintf(forced, sizeof(forced), "%.600s&force=true", rest);
            result = change(m, "DELETE", rest, forced, NULL);
            surplus--;
        }
    forget_offers(offers, n);
    return result;
}

static int scale(struct marathon *m)
{
    static struct ipmpi_place places[VISITS_MAX];
    size_t n = 0;
    json_t *app = read_app(m, places, &n);
    const json_int_t now =
        json_integer_value(json_object_get(app, "instances"));
    int result = IPMPI_EXIT_OK;

    if (app == NULL)
        return IPMPI_EXIT_SCHEDULER;
    if (m->spec.max == 0) {
        ipmpi_log_error("MARATHON-SCALE", "--nodes tells how many");
        result = IPMPI_EXIT_USAGE;
    } else if (m->spec.max > now) {
        result = scale_up(m, m->spec.max);
    } else if (m->spec.max < now) {
        result = scale_down(m, places, n, (unsigned)(now - m->spec.max));
    }
    json_decref(app);
    return result;
}

/* -- the verb ------------------------------------------------------------- */

static const struct action {
    const char *name;
    int (*run)(struct marathon *m);
    bool knows; /* about a job that was started */
} actions[] = {
    {"start", start, false},
    {"stop", stop, true},
    {"status", status, true},
    {"scale", scale, true},
};

static const struct action *find_action(const char *name)
{
    for (size_t i = 0; name && i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(actions[i].name, name) == 0)
            return &actions[i];
    return NULL;
}

static int perform(struct marathon *m, const struct action *action)
{
    int err = 0, result = IPMPI_EXIT_USAGE;

    if (action->knows) {
        err = load_state(m);
        if (err != 0)
            ipmpi_log_error("MARATHON-STATE", "no job %s was started here: %s",
                            m->spec.job.name, ipmpi_strerror(err));
    } else {
        err = ipmpi_spec_finish(&m->spec);
        if (err != 0)
            ipmpi_log_error("MARATHON-SPEC",
                            "--min-nodes is above --nodes, or the job's name "
                            "is not of a-z, 0-9, '-' and '.'");
    }
    if (err == 0)
        err = ipmpi_marathon_open(&m->access, &m->http);
    if (err == 0)
        result = action->run(m);
    ipmpi_marathon_close(&m->http);
    return result;
}

int ipmpi_verb_marathon(int argc, char **argv)
{
    static const struct argp_child children[] = {
        {&ipmpi_spec_argp, 0, "The job:", 4}, {0}};
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .args_doc = "[PROGRAM [ARG...]]",
        .doc = "usage: ipmpi marathon start|stop|status|scale\n\nRuns a job "
               "in containers that Marathon places. `start` stays until the "
               "job ends, unless --detach is given; without a program it is a "
               "cluster for ipyparallel clients.",
        .children = children};
    static struct marathon m;
    const struct action *action = find_action(argc > 1 ? argv[1] : NULL);
    int result;

    ipmpi_spec_init(&m.spec);
    m.access.urls = getenv("MARATHON_URL");
    m.app.image = "ipmpi/engine";
    m.app.unique = true;
    m.app.constraints = json_array();
    m.app.parameters = json_array();
    if (action == NULL && argc > 1 && argv[1][0] != '-') {
        fprintf(stderr,
                "ipmpi marathon: %s is none of start, stop, status, "
                "scale\n",
                argv[1]);
        return IPMPI_EXIT_USAGE;
    }
    if (action != NULL) {
        argv[1] = argv[0];
        argc--;
        argv++;
    }
    argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &m);
    if (action == NULL) {
        fprintf(stderr, "ipmpi marathon: start, stop, status or scale?\n");
        return IPMPI_EXIT_USAGE;
    }
    ipmpi_log_set_name("marathon");
    result = perform(&m, action);
    json_decref(m.app.constraints);
    json_decref(m.app.parameters);
    json_decref(m.state);
    ipmpi_spec_clear(&m.spec);
    return result;
}
