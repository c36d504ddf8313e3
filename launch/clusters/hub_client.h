/* Questions to a running controller, over the registration port of its
 * connection file, in ipyparallel's own protocol.
 *
 * Threads: one each. Asking blocks, until its deadline. */
#ifndef IPMPI_LAUNCH_CLUSTERS_HUB_CLIENT_H
#define IPMPI_LAUNCH_CLUSTERS_HUB_CLIENT_H

#include <jansson.h>

struct ipmpi_hub_client; /* opaque */

/* `info` is a parsed client connection file; lent. IPMPI_EJSON: not such a
 * file; IPMPI_ENOMEM, IPMPI_ESYS. Connects in the background: that nobody is
 * there shows when asking. */
int ipmpi_hub_client_open(const json_t *info,
                          struct ipmpi_hub_client **client_out);
void ipmpi_hub_client_close(struct ipmpi_hub_client **client);

/* Sends a request (`content` lent; NULL: {}) and waits for its reply, whose
 * content becomes the caller's. IPMPI_ETIMEOUT; IPMPI_EINVAL: the controller
 * refused, *content_out is its error content; IPMPI_ENOMEM, IPMPI_EIO. */
int ipmpi_hub_client_ask(struct ipmpi_hub_client *client, const char *request,
                         json_t *content, int timeout_ms, json_t **content_out);

/* A control request to an engine (by its uuid); does not wait. */
int ipmpi_hub_client_tell(struct ipmpi_hub_client *client, const char *uuid,
                          const char *request, json_t *content);

#endif
