/* Puts what an engine says into items of the outbox: status, replies,
 * publications. They are composed and signed later, by the comm thread.
 *
 * Threads: any, once initialised. */
#ifndef IPMPI_ENGINE_SPEAKER_H
#define IPMPI_ENGINE_SPEAKER_H

#include "runtime/engine/engine.h"
#include "runtime/engine/outbox.h"

struct ipmpi_speaker {
    int engine_id;
    char *uuid;                  /* escaped for JSON */
    struct ipmpi_frame metadata; /* {"engine": uuid} */
    struct ipmpi_frame topic;    /* of status */
};

/* IPMPI_ENOMEM. */
int ipmpi_speaker_init(struct ipmpi_speaker *speaker, int engine_id,
                       const char *uuid);
void ipmpi_speaker_clear(struct ipmpi_speaker *speaker);

/* busy or idle, for whoever asked. NULL: no memory. */
struct ipmpi_item *ipmpi_speaker_status(const struct ipmpi_speaker *speaker,
                                        uint64_t ref,
                                        const struct ipmpi_frame *parent,
                                        enum ipmpi_iopub_kind kind);

/* The reply to `work`, of message type REPLY or CONTROL_REPLY. The answer's
 * frames move to the item. IPMPI_ENOMEM, IPMPI_EJSON (the request's header),
 * IPMPI_EINVAL (an error without content). */
int ipmpi_speaker_reply(const struct ipmpi_speaker *speaker,
                        const struct ipmpi_work *work,
                        struct ipmpi_answer *answer, enum ipmpi_msg_type type,
                        struct ipmpi_item **item_out);

/* The same for a request that never started. */
int ipmpi_speaker_aborted(const struct ipmpi_speaker *speaker,
                          const struct ipmpi_work *work,
                          struct ipmpi_item **item_out);

/* `parent` is used if the publication has none. Its buffers move.
 * IPMPI_ENOMEM, IPMPI_EINVAL. */
int ipmpi_speaker_publish(const struct ipmpi_speaker *speaker,
                          struct ipmpi_publication *publication,
                          const struct ipmpi_frame *parent,
                          struct ipmpi_item **item_out);

/* A message of the head alone, for the caller to add `buffers` to.
 * NULL: no memory. */
struct ipmpi_item *ipmpi_speaker_plain(enum ipmpi_msg_type type);

#endif
