/* Private to the room: signed messages of ipyparallel's protocol on a socket.
 *
 * Threads: the socket's. Nothing blocks. */
#ifndef IPMPI_LAUNCH_CLUSTERS_HUB_MESSAGE_H
#define IPMPI_LAUNCH_CLUSTERS_HUB_MESSAGE_H

#include <jansson.h>

#include "runtime/message/compose.h"
#include "runtime/message/sign.h"

/* Sends a request, to an engine by its uuid or (NULL) to the controller;
 * content NULL: {}. header_out (if not NULL) becomes what was sent, and the
 * caller's. IPMPI_ENOMEM, IPMPI_EIO: the socket is full. */
int ipmpi_hub_message_send(void *socket, struct ipmpi_composer *composer,
                           const char *uuid, const char *request,
                           const json_t *content, json_t **header_out);

/* Takes one message off the socket: its content, the caller's, if it is signed
 * and answers the request with this header; else NULL. */
json_t *ipmpi_hub_message_answer(void *socket, const struct ipmpi_key *key,
                                 const json_t *header);

#endif
