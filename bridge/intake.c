/* From the doors to the schedulers. */
#include "bridge/intake.h"

#include <string.h>

#include "bridge/hub/taskdb.h"
#include "bridge/requests/requests.h"
#include "bridge/schedulers/balanced.h"
#include "bridge/schedulers/broadcast.h"
#include "bridge/schedulers/control.h"
#include "bridge/schedulers/direct.h"
#include "runtime/base/error.h"

static const char *const door_names[IPMPI_NDOORS] = {
    [IPMPI_DOOR_QUERY] = "query",
    [IPMPI_DOOR_CONTROL] = "control",
    [IPMPI_DOOR_MUX] = "mux",
    [IPMPI_DOOR_TASK] = "task",
    [IPMPI_DOOR_BROADCAST] = "broadcast",
    [IPMPI_DOOR_IOPUB] = "iopub",
    [IPMPI_DOOR_NOTIFICATION] = "notification",
};

#define DOOR_BIT(door) (1u << (door))
#define WORK_DOORS                                          \
    (DOOR_BIT(IPMPI_DOOR_MUX) | DOOR_BIT(IPMPI_DOOR_TASK) | \
     DOOR_BIT(IPMPI_DOOR_BROADCAST))
#define ALL_DOORS (DOOR_BIT(IPMPI_NDOORS) - 1)

int ipmpi_intake_open(struct ipmpi_intake *intake, struct ipmpi_doors *doors,
                      struct ipmpi_hub *hub, const struct ipmpi_key *key)
{
    *intake = (struct ipmpi_intake){
        .doors = doors,
        .hub = hub,
        .key = key,
        .limits = IPMPI_LIMITS_DEFAULT,
    };
    return ipmpi_replay_create(IPMPI_REPLAY_CAP, &intake->replay);
}

void ipmpi_intake_close(struct ipmpi_intake *intake)
{
    ipmpi_joiners_clear(&intake->joiners);
    ipmpi_replay_destroy(&intake->replay);
}

static bool is_full(const struct ipmpi_intake *intake)
{
    const size_t held =
        intake->hub->ledger.held_bytes + intake->joiners.held_bytes;

    return (intake->held_limit > 0 && held > intake->held_limit) ||
           ipmpi_taskdb_is_behind(intake->hub->db) || intake->hub->held_back;
}

unsigned ipmpi_intake_mask(const struct ipmpi_intake *intake)
{
    return is_full(intake) ? ALL_DOORS & ~WORK_DOORS : ALL_DOORS;
}

static int64_t now_us(const struct ipmpi_intake *intake)
{
    return intake->hub->out.now_us(intake->hub->out.ctx);
}

static void deliver(void *ctx, enum ipmpi_door door,
                    struct ipmpi_request *request)
{
    struct ipmpi_intake *intake = ctx;
    struct ipmpi_hub *hub = intake->hub;

    switch (door) {
    case IPMPI_DOOR_QUERY:
        ipmpi_requests_submit(hub, request);
        if (strcmp(request->msg_type, "connection_request") == 0)
            ipmpi_joiners_expect(&intake->joiners, request->session,
                                 now_us(intake));
        break;
    case IPMPI_DOOR_CONTROL:
        ipmpi_control_submit(hub, request);
        break;
    case IPMPI_DOOR_MUX:
        ipmpi_direct_submit(hub, request);
        break;
    case IPMPI_DOOR_TASK:
        ipmpi_balanced_submit(hub, request, true);
        break;
    case IPMPI_DOOR_BROADCAST:
        ipmpi_broadcast_submit(hub, request);
        break;
    default:
        break;
    }
}

static void take_request(struct ipmpi_intake *intake, enum ipmpi_door door,
                         struct ipmpi_frames *frames)
{
    struct ipmpi_request *request;
    int err = ipmpi_request_open(frames, intake->key, intake->replay,
                                 &intake->limits, &request);

    if (err != 0) {
        intake->dropped++;
        ipmpi_log_limited(&intake->log_limit, IPMPI_LOG_WARN, "BRIDGE-DROPPED",
                          "a message at the %s door: %s; dropped (%llu so far)",
                          door_names[door], ipmpi_strerror(err),
                          (unsigned long long)intake->dropped);
        return;
    }
    intake->taken++;
    if (!(DOOR_BIT(door) & WORK_DOORS) ||
        !ipmpi_joiners_hold(&intake->joiners, door, request))
        deliver(intake, door, request);
    ipmpi_request_release(&request);
}

/* A new subscriber to the notifications hears of all engines again: what was
 * published while it was on its way is lost to it (compat 1.7). */
static void take_subscription(struct ipmpi_intake *intake, enum ipmpi_door door,
                              const struct ipmpi_frames *frames)
{
    struct ipmpi_hub *hub = intake->hub;
    struct ipmpi_engine *engine, *next;

    if (frames->n == 0 || frames->at[0].len == 0 || frames->at[0].data[0] != 1)
        return; /* 1: subscribe, 0: unsubscribe */
    if (door == IPMPI_DOOR_IOPUB) {
        ipmpi_joiners_subscribed(&intake->joiners);
        return;
    }
    HASH_ITER (by_id, hub->registry.by_id, engine, next) {
        if (engine->state == IPMPI_ENGINE_LIVE)
            ipmpi_hub_notify_registration(hub, engine);
    }
}

static unsigned take_from(struct ipmpi_intake *intake, enum ipmpi_door door,
                          unsigned budget)
{
    const bool is_work = (DOOR_BIT(door) & WORK_DOORS) != 0;
    unsigned n;

    for (n = 0; n < budget; n++) {
        struct ipmpi_frames frames = {0};
        int err;

        if (is_work && is_full(intake))
            break; /* not all of a budget's large messages first */
        err = ipmpi_doors_receive(intake->doors, door, intake->limits.frames,
                                  &frames);
        if (err == IPMPI_EEMPTY)
            break;
        if (err != 0) {
            intake->dropped++;
            ipmpi_log_limited(&intake->log_limit, IPMPI_LOG_WARN,
                              "BRIDGE-DROPPED",
                              "a message at the %s door: %s; dropped",
                              door_names[door], ipmpi_strerror(err));
        } else if (door == IPMPI_DOOR_IOPUB ||
                   door == IPMPI_DOOR_NOTIFICATION) {
            take_subscription(intake, door, &frames);
        } else {
            take_request(intake, door, &frames);
        }
        ipmpi_frames_clear(&frames);
    }
    return n;
}

unsigned ipmpi_intake_turn(struct ipmpi_intake *intake, unsigned mask,
                           unsigned budget)
{
    unsigned did = 0;

    for (int door = 0; door < IPMPI_NDOORS; door++) {
        if (mask & DOOR_BIT(door))
            did += take_from(intake, door, budget);
    }
    ipmpi_joiners_release(&intake->joiners, now_us(intake), deliver, intake);
    return did;
}
