/* Messages at a ZMQ socket: in as lists of frames, and out. Large frames are
 * not copied.
 *
 * Threads: that of the socket. Nothing blocks. */
#ifndef IPMPI_BRIDGE_MESSAGES_H
#define IPMPI_BRIDGE_MESSAGES_H

#include <stddef.h>

#include "bridge/outflow.h"
#include "runtime/base/frames.h"

/* Takes one whole message if there is one: 0 or IPMPI_EEMPTY. `frames_out`
 * must be empty. IPMPI_ENOMEM, IPMPI_ETOOBIG (more than `max_frames`): the
 * message was read to its end and dropped. */
int ipmpi_message_receive(void *socket, size_t max_frames,
                          struct ipmpi_frames *frames_out);

/* Sends a message; the frames are lent. The parcel, if *parcel is not NULL, is
 * given: it is done when the message was taken or could not be sent. */
void ipmpi_message_send(void *socket, const struct ipmpi_frames *frames,
                        struct ipmpi_parcel **parcel);

#endif
