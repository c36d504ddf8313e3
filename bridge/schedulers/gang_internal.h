/* What a gang and its members consist of; for gang.c, gang_shares.c and
 * gang_reply.c only.
 *
 * Threads: rank 0's loop only. Nothing blocks. */
#ifndef IPMPI_SCHEDULERS_GANG_INTERNAL_H
#define IPMPI_SCHEDULERS_GANG_INTERNAL_H

#include "bridge/schedulers/gang.h"

struct ipmpi_gang_member {
    struct ipmpi_gang *gang;
    struct ipmpi_engine *engine; /* NULL: it has ended its share, or is gone */
    int id;
    char uuid[IPMPI_UUID_LEN + 1];
    struct ipmpi_job *job;    /* NULL: not made yet, or at its end */
    struct ipmpi_reply reply; /* its parts are kept until all have come */
};

struct ipmpi_gang {
    struct ipmpi_task *task; /* NULL: decided; the last shares are awaited */
    size_t size, nmembers, nopen;
    int world;  /* of its members */
    bool begun; /* it is in hub->gangs, or has started */
    bool started, resting;
    unsigned nholds;
    int64_t until_us; /* of holding or resting; 0: it holds nobody */
    struct ipmpi_gang *prev, *next;
    struct ipmpi_gang_member member[];
};

/* ---- gang.c: the gang ------------------------------------------------ */

/* Frees it with the replies that it keeps. It must be in no list, and no share
 * of it open. */
void ipmpi_gang_forget(struct ipmpi_gang *gang);

/* Ends the task, which is gone then (the reply is lent, its parts may be
 * moved; engine may be NULL). The gang is nobody's afterwards, but for shares
 * that still run. */
void ipmpi_gang_decide(struct ipmpi_hub *hub, struct ipmpi_gang *gang,
                       struct ipmpi_engine *engine, struct ipmpi_reply *reply);

/* ---- gang_shares.c: what each member does --------------------------- */

/* Puts the members in the order of ranks and makes a HELD job for each, to be
 * dispatched; the gang ends by itself with the last. On an error there is no
 * job: IPMPI_ENOMEM, or what ipmpi_job_create_piece says. */
int ipmpi_gang_make_shares(struct ipmpi_hub *hub, struct ipmpi_gang *gang);

/* ---- gang_reply.c: what it says ------------------------------------- */

/* Members with what they returned, as a coalesced reply: the client makes a
 * list of it. The caller clears the parts, on errors too: IPMPI_EFRAME,
 * IPMPI_EJSON (the first reply is not as it should be), IPMPI_ENOMEM. */
int ipmpi_gang_join(struct ipmpi_hub *hub, const struct ipmpi_gang *gang,
                    struct ipmpi_reply *reply_out);

/* Why a share has failed, in one line. */
void ipmpi_gang_describe(const struct ipmpi_reply *reply, char *out,
                         size_t cap);

#endif
