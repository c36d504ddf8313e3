/* Joining and leaving: main alone, before the comm thread starts and after it
 * has ended.
 *
 * Invariant: MPI is initialised and finalised on the same thread, main, as
 *            MPI asks. */
#include "runtime/engine/engine.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"
#include "runtime/base/segment.h"
#include "runtime/engine/protocol.h"
#include "runtime/engine/state.h"
#include "runtime/process/interfaces.h"
#include "runtime/process/link.h"
#include "runtime/process/seat.h"
#include "runtime/process/vigil.h"

enum {
    WELCOME_US = 120 * 1000 * 1000, /* rank 0 may open many sockets first */
    FINALIZE_MS = 2500,             /* the whole job ends within 5 s */
    RECEIVE_BUDGET = 16,
};

/* ---- joining -------------------------------------------------------- */

/* One turn of waiting for the welcome. */
static void await_message(struct ipmpi_engine *engine, int wait_ms)
{
    struct pollfd fds[3] = {{engine->link_fd, POLLIN, 0}};
    int bell[2], wait, n;

    if (ipmpi_comm_progress(engine->comm, RECEIVE_BUDGET, ipmpi_engine_receive,
                            engine) > 0)
        return;
    n = ipmpi_comm_fds(engine->comm, bell);
    for (int i = 0; i < n; i++)
        fds[1 + i] = (struct pollfd){bell[i], POLLIN, 0};
    wait = ipmpi_comm_before_sleep(engine->comm);
    if (wait < 0 || wait > wait_ms)
        wait = wait_ms;
    poll(fds, (nfds_t)(1 + n), wait);
    if (fds[0].revents != 0)
        ipmpi_engine_check_link(engine);
    ipmpi_comm_after_sleep(engine->comm, NULL, NULL);
}

/* Whether it is time to go without a welcome: the job has ended, or the nanny
 * wanted us to end a while ago. */
static bool is_hopeless(const struct ipmpi_engine *engine, int64_t now_us)
{
    return engine->job_ended ||
           (engine->gone_by_us != 0 && now_us >= engine->gone_by_us);
}

/* Who is told to end meanwhile waits, too: welcomed, it can leave in order. */
static int await_welcome(struct ipmpi_engine *engine)
{
    const int64_t until = ipmpi_clock_now_us() + WELCOME_US;

    while (!engine->welcomed && !is_hopeless(engine, ipmpi_clock_now_us())) {
        if (ipmpi_clock_now_us() > until) {
            ipmpi_log_error("ENGINE-WELCOME", "rank 0 did not answer in %d s",
                            WELCOME_US / 1000000);
            return IPMPI_ETIMEOUT;
        }
        await_message(engine, engine->gone_by_us != 0 ? 100 : 1000);
    }
    return engine->welcomed ? 0 : IPMPI_ESTATE;
}

/* The key, when it is in a file of this node. */
static int read_key(char *text, size_t cap)
{
    const char *path = getenv(IPMPI_KEY_FILE_ENV);
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    size_t len;

    if (file == NULL)
        return IPMPI_ENOENT;
    len = fread(text, 1, cap - 1, file);
    fclose(file);
    text[len] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return 0;
}

static int find_key(struct ipmpi_engine *engine)
{
    static const char in_file[] = IPMPI_KEY_IN_FILE;
    struct ipmpi_engine_identity *id = &engine->identity;
    const struct ipmpi_frame *key = &engine->welcome.at[1];
    int err;

    id->key = key->data;
    id->key_len = key->len;
    if (key->len != sizeof(in_file) - 1 ||
        memcmp(key->data, in_file, key->len) != 0)
        return 0;
    err = read_key(engine->key_text, sizeof(engine->key_text));
    id->key = (const uint8_t *)engine->key_text;
    id->key_len = strlen(engine->key_text);
    return err;
}

/* The welcome's frames as strings with NULs. */
static int keep_strings(struct ipmpi_engine *engine)
{
    struct ipmpi_engine_identity *id = &engine->identity;
    const struct ipmpi_frame *f = engine->welcome.at;
    char *at = malloc(f[2].len + f[3].len + f[4].len + 3);
    const char **const string[] = {&id->uuid, &id->session, &id->username};

    if (at == NULL)
        return IPMPI_ENOMEM;
    engine->strings = at;
    for (int i = 0; i < 3; i++) {
        memcpy(at, f[2 + i].data, f[2 + i].len);
        at[f[2 + i].len] = '\0';
        *string[i] = at;
        at += f[2 + i].len + 1;
    }
    return find_key(engine);
}

static int tell_nanny(struct ipmpi_engine *engine)
{
    struct ipmpi_link_packet packet = {.type = IPMPI_LINK_JOINED};
    int account_fd = -1;

    if (engine->link_fd < 0)
        return 0;
    if (ipmpi_account_open(&engine->account) == 0)
        account_fd = ipmpi_account_fd(engine->account);
    else
        ipmpi_log_warn("ENGINE-ACCOUNT",
                       "no shared memory (%m): should this engine die, what "
                       "it had begun is guessed");
    packet.rank = ipmpi_comm_number(engine->comm);
    packet.controller = *ipmpi_comm_address(engine->comm, 0);
    return ipmpi_link_send_fd(engine->link_fd, &packet, account_fd);
}

static void fill_identity(struct ipmpi_engine *engine)
{
    struct ipmpi_engine_identity *id = &engine->identity;

    id->rank = ipmpi_comm_rank(engine->comm) - 1;
    id->size = ipmpi_comm_size(engine->comm) - 1;
    id->user_world = ipmpi_comm_user_world(engine->comm);
    id->collective_world = ipmpi_comm_collective_world(engine->comm);
    id->wake_fd = engine->wake_fd;
    id->stdout_fd = ipmpi_output_original(engine->output, 0);
    id->stderr_fd = ipmpi_output_original(engine->output, 1);
}

static int open_speech(struct ipmpi_engine *engine)
{
    struct ipmpi_engine_identity *id = &engine->identity;
    struct ipmpi_sender *sender = &engine->sender;
    int err = keep_strings(engine);

    if (err == 0)
        err =
            ipmpi_key_create((const char *)id->key, id->key_len, &engine->key);
    if (err == 0)
        err = ipmpi_composer_create(engine->key, id->session, id->username,
                                    &engine->composer);
    if (err == 0)
        err = ipmpi_speaker_init(&engine->speaker, id->engine_id, id->uuid);
    if (err == 0)
        err = ipmpi_output_open(engine->outbox, &engine->output);
    if (err != 0)
        return err;
    fill_identity(engine);
    *sender = (struct ipmpi_sender){
        .parted = engine->job_ended,
        .comm = engine->comm,
        .composer = engine->composer,
        .outbox = engine->outbox,
        .branches = &engine->branches,
        .speaker = &engine->speaker,
        .echo = {IPMPI_ECHO_TO(id->stdout_fd), IPMPI_ECHO_TO(id->stderr_fd)},
    };
    return ipmpi_sender_init(sender);
}

/* The log must not go through the pipes: it is no user's output. */
static void redirect_log(const struct ipmpi_engine *engine)
{
    char name[32];

    snprintf(name, sizeof(name), "e%d", engine->identity.engine_id);
    ipmpi_log_set_name(name);
    if (engine->identity.stderr_fd >= 0)
        ipmpi_log_set_fd(engine->identity.stderr_fd);
}

static int start_thread(struct ipmpi_engine *engine)
{
    sigset_t all, before;
    int failed;

    sigfillset(&all); /* signals are for main and Python's threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed =
        pthread_create(&engine->comm_thread, NULL, ipmpi_engine_run, engine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        ipmpi_log_error("ENGINE-THREAD", "cannot start the comm thread: %s",
                        strerror(failed));
        return IPMPI_ESYS;
    }
    pthread_setname_np(engine->comm_thread, "ipmpi-comm");
    return 0;
}

static int open_comm(struct ipmpi_engine *engine)
{
    struct ipmpi_comm_options options = {.protocol = IPMPI_PROTOCOL_VERSION};
    const struct ipmpi_room room = {ipmpi_parcels_room, engine};
    struct ipmpi_interface interface;
    struct ipmpi_vigil *vigil;
    int err;

    if (ipmpi_interface_choose(&interface) == 0)
        options.bell_ipv4_be = interface.ipv4_be;
    ipmpi_seat_find(&options.spot.package, &options.spot.cache);
    vigil = ipmpi_vigil_begin(engine->link_fd);
    err = ipmpi_comm_open(&options, &engine->comm);
    ipmpi_vigil_end(&vigil);
    if (err != 0)
        return err;
    ipmpi_comm_set_room(engine->comm, &room);
    engine->branches.comm = engine->comm;
    err = ipmpi_theft_open(engine);
    return err == 0 ? ipmpi_children_open(engine) : err;
}

static int create(struct ipmpi_engine **engine_out)
{
    struct ipmpi_engine *engine = calloc(1, sizeof(*engine));
    int err;

    if (engine == NULL)
        return IPMPI_ENOMEM;
    engine->pid = getpid();
    engine->main_thread = pthread_self();
    engine->link_fd = ipmpi_link_fd();
    engine->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ipmpi_controls_init(&engine->controls);
    ipmpi_cancels_init(&engine->cancels);
    err = engine->wake_fd < 0 ? IPMPI_ESYS : ipmpi_queue_create(&engine->queue);
    if (err == 0)
        err = ipmpi_outbox_open(&engine->outbox);
    if (err != 0) {
        ipmpi_engine_destroy(&engine);
        return err;
    }
    *engine_out = engine;
    return 0;
}

int ipmpi_engine_join(struct ipmpi_engine **engine_out)
{
    struct ipmpi_engine *engine;
    int err = create(&engine);

    if (err != 0)
        return err;
    err = open_comm(engine);
    if (err != 0)
        goto destroy;
    err = tell_nanny(engine);
    if (err == 0)
        err = await_welcome(engine);
    if (err == 0)
        err = open_speech(engine);
    if (err != 0)
        goto close_comm;
    redirect_log(engine);
    err = start_thread(engine);
    if (err != 0)
        goto restore_output;
    *engine_out = engine;
    return 0;

restore_output:
    ipmpi_log_set_fd(STDERR_FILENO);
    ipmpi_output_restore(engine->output);
close_comm:
    ipmpi_comm_close(&engine->comm, FINALIZE_MS);
destroy:
    ipmpi_engine_destroy(&engine);
    return err;
}

const struct ipmpi_engine_identity *
ipmpi_engine_identity(const struct ipmpi_engine *engine)
{
    return &engine->identity;
}

int ipmpi_engine_ready(struct ipmpi_engine *engine, const char *version)
{
    char host[256] = "", node[IPMPI_NODE_LEN + 1];
    struct ipmpi_item *item;
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    gethostname(host, sizeof(host) - 1);
    ipmpi_segment_node(node);
    item = ipmpi_speaker_plain(IPMPI_MSG_READY);
    if (item == NULL)
        return IPMPI_ENOMEM;
    item->head.detail = engine->pid;
    err = ipmpi_frames_add_copy(&item->buffers, host, strlen(host));
    if (err == 0)
        err = ipmpi_frames_add_copy(&item->buffers, version, strlen(version));
    if (err == 0)
        err = ipmpi_frames_add_copy(&item->buffers, node, strlen(node));
    if (err == 0)
        ipmpi_outbox_post(engine->outbox, &item);
    ipmpi_item_destroy(&item);
    return err;
}

/* ---- leaving -------------------------------------------------------- */

static int say_leaving(struct ipmpi_engine *engine)
{
    struct ipmpi_item *item = ipmpi_speaker_plain(IPMPI_MSG_LEAVING);

    if (item == NULL)
        return IPMPI_ENOMEM;
    if (atomic_load(&engine->stop) == IPMPI_STOP_NOT)
        item->head.flags = IPMPI_LEAVE_BY_USER;
    ipmpi_outbox_post(engine->outbox, &item);
    return 0;
}

static void finalize(struct ipmpi_engine *engine)
{
    const struct ipmpi_link_packet packet = {
        .type = IPMPI_LINK_LEAVING,
        .rank = ipmpi_comm_rank(engine->comm),
    };

    if (engine->link_fd >= 0)
        ipmpi_link_send(engine->link_fd, &packet);
    if (ipmpi_comm_close(&engine->comm, FINALIZE_MS) == IPMPI_ETIMEOUT)
        _exit(0); /* a rank died: MPI cannot be finalised */
}

int ipmpi_engine_leave(struct ipmpi_engine *engine)
{
    int err = ipmpi_engine_check(engine);

    if (err != 0)
        return err;
    fflush(stdout);
    fflush(stderr);
    ipmpi_output_restore(engine->output);
    atomic_store(&engine->leaving, true); /* first: no theft after LEAVING */
    err = say_leaving(engine);
    if (err != 0)
        return err;
    ipmpi_controls_end(&engine->controls);
    ipmpi_outbox_ring(engine->outbox);
    pthread_join(engine->comm_thread, NULL);
    ipmpi_outbox_close(engine->outbox);
    atomic_store(&engine->left, true);
    for (int i = 0; i < 2; i++)
        ipmpi_echo_write(&engine->sender.echo[i]);
    ipmpi_log_set_fd(STDERR_FILENO);
    finalize(engine);
    return 0;
}

void ipmpi_engine_destroy(struct ipmpi_engine **engine)
{
    struct ipmpi_engine *e = *engine;

    *engine = NULL;
    if (e == NULL)
        return;
    ipmpi_sender_clear(&e->sender);
    ipmpi_parcels_clear(&e->parcels);
    ipmpi_branches_clear(&e->branches);
    ipmpi_output_destroy(&e->output);
    ipmpi_speaker_clear(&e->speaker);
    ipmpi_composer_destroy(&e->composer);
    ipmpi_key_destroy(&e->key);
    ipmpi_work_destroy(&e->started);
    ipmpi_account_close(&e->account);
    ipmpi_theft_clear(&e->theft);
    ipmpi_children_clear(&e->children);
    ipmpi_controls_clear(&e->controls);
    ipmpi_cancels_clear(&e->cancels);
    ipmpi_outbox_destroy(&e->outbox);
    ipmpi_queue_destroy(&e->queue);
    ipmpi_frames_clear(&e->welcome);
    free(e->strings);
    if (e->wake_fd >= 0)
        close(e->wake_fd);
    free(e);
}
