/* The comm thread's side of the outbox: composes, signs and sends items in
 * order, and gathers texts into `stream` messages.
 *
 * Threads: the comm thread. */
#ifndef IPMPI_ENGINE_SENDER_H
#define IPMPI_ENGINE_SENDER_H

#include <stdbool.h>

#include "runtime/comm/comm.h"
#include "runtime/engine/echo.h"
#include "runtime/engine/branches.h"
#include "runtime/engine/outbox.h"
#include "runtime/engine/speaker.h"
#include "runtime/message/compose.h"

/* Output of one descriptor on its way into a message. */
struct ipmpi_stream {
    struct ipmpi_frame parent; /* has a share */
    char *text;
    size_t len;
};

struct ipmpi_sender {
    bool parted; /* rank 0 has said goodbye; set by the comm thread */
    struct ipmpi_comm *comm; /* lent, as the next four */
    struct ipmpi_composer *composer;
    struct ipmpi_outbox *outbox;
    struct ipmpi_branches *branches;
    const struct ipmpi_speaker *speaker;
    struct ipmpi_item *rest; /* taken from the outbox */
    struct ipmpi_stream stream[2];
    struct ipmpi_echo echo[2];
    char *content; /* where streams are written */
};

/* IPMPI_ENOMEM. Fill in the lent pointers and echo before. */
int ipmpi_sender_init(struct ipmpi_sender *sender);
void ipmpi_sender_clear(struct ipmpi_sender *sender);

/* Sends items that are due, at most `budget`, and no more than MPI takes.
 * Returns how many. Without memory it does not return: see sender.c. */
unsigned ipmpi_sender_turn(struct ipmpi_sender *sender, unsigned budget);

/* Whether items taken from the outbox are still to be sent. */
bool ipmpi_sender_is_behind(const struct ipmpi_sender *sender);
/* Whether MPI takes more now. */
bool ipmpi_sender_may_send(const struct ipmpi_sender *sender);

#endif
