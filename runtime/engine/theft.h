/* Stealing between the engines of a world: the comm thread's side of note
 * [theft] in protocol.h. The rules are runtime/tasks/, this is their messages;
 * the two sides of a theft are in theft_victim.h and theft_thief.h.
 *
 * Threads: the comm thread; before it starts, main. Nothing blocks. */
#ifndef IPMPI_ENGINE_THEFT_H
#define IPMPI_ENGINE_THEFT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "runtime/base/frames.h"
#include "runtime/engine/protocol.h"
#include "runtime/tasks/limbo.h"
#include "runtime/tasks/stealer.h"

struct ipmpi_engine;

struct ipmpi_theft {
    struct ipmpi_seating *seating;
    struct ipmpi_stealer stealer;
    struct ipmpi_limbo limbo;
    int64_t answer_by_us; /* until when an answer is waited for; 0: for none */
    bool children_only;   /* what the one who asks now can use */
    /* Whoever finds the queue dry is to wake the comm thread. Any thread. */
    atomic_bool watches_dryness;
    /* Somebody is to be woken when children wait. Any thread. */
    atomic_bool has_lifelines;
};

/* With the transport open. Nothing is stolen until `on`. IPMPI_ENOMEM. */
int ipmpi_theft_open(struct ipmpi_engine *engine);
void ipmpi_theft_on(struct ipmpi_engine *engine);
/* The engine leaves: from now on it asks for nothing and gives nothing. */
void ipmpi_theft_off(struct ipmpi_engine *engine);
void ipmpi_theft_clear(struct ipmpi_theft *theft);

/* Looks whether the queue is dry, and asks around if that is worth it. */
void ipmpi_theft_turn(struct ipmpi_engine *engine);

/* More waits in the world: flag IPMPI_WORK_MORE. */
void ipmpi_theft_hint(struct ipmpi_engine *engine);

/* Children wait here: others that are idle shall know. Any thread. */
void ipmpi_theft_has_surplus(struct ipmpi_engine *engine);

/* GONE of rank 0: an engine of this world is dead. Nothing of `frames` is kept.
 * IPMPI_EINVAL: there is no such engine. */
int ipmpi_theft_gone(struct ipmpi_engine *engine,
                     const struct ipmpi_msg_head *head,
                     struct ipmpi_frames *frames);

/* What other engines say of thefts and of children. IPMPI_EFRAME;
 * IPMPI_EINVAL: it is none of these; IPMPI_ENOMEM. */
int ipmpi_theft_from_peer(struct ipmpi_engine *engine, int source,
                          const struct ipmpi_msg_head *head,
                          struct ipmpi_frames *frames);

#endif
