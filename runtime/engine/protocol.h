/* The messages between rank 0 and the engines, and among the engines of one
 * world, documented here and nowhere else. A message is a list of frames
 * (runtime/base/frames.h) on the runtime's own communicator; frame 0 is `struct
 * ipmpi_msg_head`, in the machine's own layout: all ranks of a job run one
 * build on one architecture.
 *
 * Rank 0 decides each request once; `ref` is its number for it (never 0, never
 * re-used). What a client receives is composed and signed by the engine;
 * rank 0 only relays those frames.
 *
 * Note [theft]. Work that any engine of a world may run is stealable. A thief
 * asks a victim for some (STEAL). The victim picks half of what waits there,
 * tells rank 0 first (HANDOVER), and then sends it from rank to rank (LOOT).
 * The thief keeps it in limbo until rank 0 has entered it into its account and
 * says so (GRANT). So at every instant rank 0 can say who holds a task, and
 * whoever dies between two of these messages costs nothing: see
 * runtime/tasks/holdings.h. One theft, of however many tasks, costs rank 0 a
 * message in and a message out. Rank 0 itself may order one (GIVE).
 * Engines name each other by their rank in their world (1 ..), in `detail`. */
#ifndef IPMPI_ENGINE_PROTOCOL_H
#define IPMPI_ENGINE_PROTOCOL_H

#include <stdint.h>

#define IPMPI_PROTOCOL_VERSION 3

/* Where an agent runs the job, each node has the key in a file of its own, so
 * that it does not travel: WELCOME then carries this text in its place, and
 * the environment variable names the file. */
#define IPMPI_KEY_IN_FILE  "file:"
#define IPMPI_KEY_FILE_ENV "IPMPI_KEY_FILE"

enum ipmpi_msg_type {
    /* rank 0 -> engine */
    IPMPI_MSG_WELCOME = 1, /* detail = engine id; frames: [1] HMAC key text
                            * (may be empty; or IPMPI_KEY_IN_FILE), [2] engine
                            * uuid, [3] session id of this engine's messages,
                            * [4] user name; flags: IPMPI_WELCOME_* */
    IPMPI_MSG_WORK,        /* ref, kind = enum ipmpi_work_kind, flags;
                            * frames: [1] request header, [2] echo: members of
                            * the reply's metadata that rank 0 knows, as JSON
                            * text without braces ("label":null,...),
                            * [3] content, [4..] buffers, and with
                            * IPMPI_WORK_GATHER a last frame, struct
                            * ipmpi_gather_leg; detail = how many
                            * replies with IPMPI_REPLY_ABORT_QUEUED rank 0 has
                            * had from this engine: see note [late abort] */
    IPMPI_MSG_CONTROL,     /* as WORK; for the control thread of Python:
                            * clear_request, kernel_info_request, ... */
    IPMPI_MSG_ABORT,       /* frames: [1] array of uint64_t refs. Work among
                            * them that has not started is answered with an
                            * aborted REPLY; the others are unaffected */
    IPMPI_MSG_SIGNAL,      /* detail = signal number, for the main thread */
    IPMPI_MSG_SHUTDOWN,    /* leave: stop Python, send LEAVING, wait for BYE */
    IPMPI_MSG_BYE,         /* the job ends: stop Python, MPI_Finalize */
    IPMPI_MSG_CANCEL,      /* ref = a share of a collective; frames: [1] why,
                            * as text: another share failed, so what this one
                            * waits for will not come */
    IPMPI_MSG_MEASURE,     /* answer with MEASURED of the same ref */
    IPMPI_MSG_PARCEL,      /* also from engine to engine: the body of a request
                            * that many get; see note [parcels] */
    IPMPI_MSG_PASS,        /* ref = a parcel's number; frames: [1] as PARCEL:
                            * the receiver, which keeps the parcel, and the
                            * engines that it is to pass it to now */
    IPMPI_MSG_DROP,        /* ref = a parcel's number: keep it no longer */
    IPMPI_MSG_GONE,        /* detail = rank, in this world, of an engine that is
                            * gone: it takes nothing, and nothing of it counts;
                            * frames: [1] how it ended, as text */
    IPMPI_MSG_GIVE,        /* hand over half of what is stealable to the engine
                            * `detail`, or back to rank 0 (0). A HANDOVER
                            * follows in any case, without refs if there was
                            * nothing */
    IPMPI_MSG_GRANT,       /* the answer to a HANDOVER, for its thief: detail =
                            * the victim; frames: arrays of uint64_t, [1] refs
                            * granted, [2] refs refused: drop those */
    IPMPI_MSG_STRAIGHT,    /* ref = work whose reply was to go by a tree: see
                            * note [gathers] */

    /* engine -> rank 0 */
    IPMPI_MSG_READY = 64,    /* detail = pid; frames: [1] host name, [2] Python
                              * version, [3] the node, as segment.h names it.
                              * From now on WORK may be sent */
    IPMPI_MSG_REPLY,         /* ref, kind = enum ipmpi_status, flags, started_us
                              * and completed_us (wall clock); frames: [1]
                              * signature, [2] header, [3] parent header, [4]
                              * metadata, [5] content, [6..] buffers */
    IPMPI_MSG_CONTROL_REPLY, /* as REPLY */
    IPMPI_MSG_IOPUB,         /* kind = enum ipmpi_iopub_kind; ref = that of the
                              * work for BUSY and IDLE; frames: [1] topic,
                              * [2] signature, [3] header, [4] parent header,
                              * [5] metadata, [6] content, [7..] buffers */
    IPMPI_MSG_LACKS,         /* ref = a parcel's number, detail = rank, in this
                              * world, of an engine that cannot be passed it, or
                              * our own if we could not open what was passed */
    IPMPI_MSG_LEAVING,  /* nothing more will come from this engine's Python;
                         * flags: IPMPI_LEAVE_* */
    IPMPI_MSG_MEASURED, /* ref; frames: [1] int64_t, resident bytes */
    IPMPI_MSG_PART,     /* as REPLY, but the work goes on: of a piece of a
                         * bulk job */
    IPMPI_MSG_HANDOVER, /* this engine will not run the work [1] (refs) any
                         * more: the thief `detail` gets it; 0: rank 0 */
    IPMPI_MSG_MISSING,  /* work [1] (refs) was granted, but its victim died
                         * before it came */
    IPMPI_MSG_HUNGRY,   /* nothing to do, and a search found nothing */
    IPMPI_MSG_GATHERED, /* also from engine to engine: replies as one; see
                         * note [gathers] */
};

/* engine -> engine, in one world */
enum ipmpi_peer_msg_type {
    IPMPI_MSG_STEAL = 128,   /* have you work for me? LOOT or EMPTY follows;
                              * detail 1: children alone */
    IPMPI_MSG_EMPTY,         /* no */
    IPMPI_MSG_LOOT,          /* a WORK of the victim's, for the thief's limbo */
    IPMPI_MSG_WAKE,          /* there is work here */
    IPMPI_MSG_CHILD_STARTED, /* ref: your child begins here */
    IPMPI_MSG_CHILD_DONE,    /* ref, kind = enum ipmpi_status; frames: [1]
                              * content, [2..] buffers: your child's result */
    /* and HANDOVER, GRANT, MISSING, as to and from rank 0: of children, whose
     * origin is an engine */
};

enum ipmpi_work_kind {
    IPMPI_WORK_APPLY = 1,
    IPMPI_WORK_EXECUTE,
    IPMPI_WORK_COMM,  /* comm_open, comm_msg, comm_close: no REPLY follows */
    IPMPI_WORK_OTHER, /* any other *_request of a Jupyter front end. Exactly
                       * one REPLY follows; with no frames past the head when
                       * the engine does not know the type: rank 0 then sends
                       * nothing to the client */
    IPMPI_WORK_BULK,  /* a piece of a bulk job (bridge/schedulers/bulk.h); any
                       * number of PARTs, then a REPLY; no BUSY and no IDLE */
    IPMPI_WORK_MPI,   /* a share of a gang's task (bridge/schedulers/gang.h);
                       * REPLY, but no BUSY and no IDLE */
    IPMPI_WORK_CHILD, /* submitted by a task of an engine, which is its origin
                       * and gets its result; no BUSY, no REPLY, no IDLE */
};

enum ipmpi_status {
    IPMPI_STATUS_OK = 0,
    IPMPI_STATUS_ERROR,
    IPMPI_STATUS_ABORTED,
    IPMPI_STATUS_UNMET, /* ename is UnmetDependency */
};

enum ipmpi_iopub_kind {
    IPMPI_IOPUB_BUSY = 1,
    IPMPI_IOPUB_IDLE,
    IPMPI_IOPUB_STREAM,
    IPMPI_IOPUB_EXECUTE_INPUT,
    IPMPI_IOPUB_EXECUTE_RESULT,
    IPMPI_IOPUB_ERROR,
    IPMPI_IOPUB_OTHER,
};

/* flags of WORK */
#define IPMPI_WORK_BALANCED 1u /* from the task scheduler */
#define IPMPI_WORK_SILENT   2u /* execute_request with silent true */
#define IPMPI_WORK_PARCEL                              \
    4u /* frame [3] is a parcel's number (uint64_t) in \
        * the place of content and buffers */
#define IPMPI_WORK_STEALABLE 8u /* any engine of the world may run it */
/* More waits in the world than is running: it is worth a search when this is
 * done. */
#define IPMPI_WORK_MORE 16u
/* Its reply is gathered; from rank 0 alone. */
#define IPMPI_WORK_GATHER 32u
/* flags of WELCOME */
#define IPMPI_WELCOME_STEAL 1u /* engines steal from each other */
/* flags of PARCEL: see note [parcels] */
#define IPMPI_PARCEL_KEEP 1u
#define IPMPI_PARCEL_AT   2u
/* flags of REPLY: a non-silent execute failed, so the engine aborted the
 * execute_requests waiting in its own queue; rank 0 does so in its own */
#define IPMPI_REPLY_ABORT_QUEUED 1u

/* Note [late abort]. While a cell fails, rank 0 may have sent the next one
 * already, and neither queue holds it. So an engine counts its replies with
 * that flag, and aborts an execute_request that rank 0 sent before it had
 * them all: one whose `detail` is behind the count. */

/* Note [parcels]. Content and buffers of a broadcast travel by a tree: rank 0
 * sends them to one engine of a world, which passes them on. WORK comes from
 * rank 0 to each as always, and is held, with all that comes after it, until
 * its parcel is there; so rank 0 decides each share as it does without trees.
 *
 * Parcel numbers grow in the order in which work refers to them, on each
 * engine. A parcel that comes again, or when its work is over, is passed on
 * and otherwise ignored: so when an engine that had to pass it on dies, rank 0
 * just sends it again to all that may lack it.
 *
 * Frames of PARCEL: [1] array of struct ipmpi_leg, the receiver first; [2]
 * content, [3..] buffers. With IPMPI_PARCEL_KEEP the large ones land in a
 * segment (runtime/base/segment.h) where there is one to be had, and the
 * receiver keeps the parcel until DROP; it passes engines of its own node the
 * segment's address, others the data, which they keep alike. With
 * IPMPI_PARCEL_AT, frames: [2] struct ipmpi_segment_address, [3] array of
 * struct ipmpi_extent, one for each frame of the body, [4..] those that are not
 * in the segment. */

/* One engine of a tree. The array has the tree's engines so that each
 * is followed by those that get the parcel through it: `size` with itself. */
struct ipmpi_leg {
    int32_t rank; /* in this world */
    uint32_t size;
    uint32_t local; /* 1: on the node of the one that passes it the parcel */
};

/* A frame of a parcel's body; at IPMPI_EXTENT_APART it is not in the segment
 * but the next of those that come with the message. */
struct ipmpi_extent {
    uint64_t offset, len;
};
#define IPMPI_EXTENT_APART UINT64_MAX

/* Note [gathers]. The client of a coalescing broadcast gets one reply, so the
 * shares' replies come to rank 0 by a tree of engines. An engine holds its own
 * reply and those that its children in the tree send, and passes them up as one
 * GATHERED when all that it expects are there, or a few milliseconds after the
 * first; what comes later follows likewise. So nobody waits long for an engine
 * that is slow, stopped or dead, or whose work was aborted. An engine that does
 * not know its place (its work has not come) passes to rank 0.
 *
 * Reduced: of all replies in a GATHERED one keeps what it says, the first that
 * failed, else the first, which is what the client gets; of the others only
 * their buffers stay, and when one has failed, none at all. Refs grow in the
 * order of the targets. Replies are not signed, as rank 0 makes the client's;
 * and there is no BUSY and no IDLE, since rank 0 tells when all are idle.
 *
 * A large reply takes the straight way, as REPLY: rank 0 has to take each of
 * its bytes in any case, and the tree would only carry them twice. In the tree
 * an IPMPI_SHARE_APART stands for it, so that nobody waits for it there.
 *
 * Rank 0 decides each share once, as without trees. It gives a tree up when an
 * engine of it is gone, or after a second, in which one on the way may have
 * stood still: STRAIGHT tells the engines whose replies it has not. Who has
 * ended by then sends its own once more, the others reply straight. To this end
 * an engine keeps its own replies, until rank 0 says with later work that it
 * has them (`open`); so it keeps as many as rank 0 has sent ahead. A reply that
 * comes twice is ignored.
 *
 * Frames of GATHERED (ref = the gather's number): [1] array of struct
 * ipmpi_gathered_share, refs upward, [2] metadata and [3] content of the one
 * that speaks, empty if all are APART, [4..] buffers of all in their order. */

/* An engine's place in the tree. */
struct ipmpi_gather_leg {
    uint64_t number;  /* of the gather */
    uint64_t open;    /* rank 0 has all replies of this engine that were
                       * gathered and have a lower ref */
    int32_t parent;   /* rank in this world; 0: rank 0 */
    uint32_t replies; /* how many come this way, its own with them */
};

struct ipmpi_gathered_share {
    uint64_t ref;
    uint32_t nbuffers;
    uint16_t status; /* enum ipmpi_status */
    uint16_t flags;  /* IPMPI_SHARE_* */
};
#define IPMPI_SHARE_APART 1u /* its reply comes by itself */

/* flags of LEAVING: user code asked for it (exit, quit) */
#define IPMPI_LEAVE_BY_USER 1u

struct ipmpi_msg_head {
    uint16_t version; /* IPMPI_PROTOCOL_VERSION */
    uint16_t type;    /* enum ipmpi_msg_type */
    uint16_t kind;
    uint16_t flags;
    int32_t detail;
    uint32_t reserved;
    uint64_t ref;
    int64_t started_us;
    int64_t completed_us;
};

#endif
