/* The body of a parcel, content and buffers, as work gets it and as others do:
 * in a segment where there is one. See note [own view].
 *
 * Threads: the comm thread. */
#ifndef IPMPI_ENGINE_PARCEL_BODY_H
#define IPMPI_ENGINE_PARCEL_BODY_H

#include <stdbool.h>

#include "runtime/base/frames.h"

/* If large frames of `data` lie in a segment of ours: appends what others need
 * to open it to `at`, and our own view of all to `body`. False: they do not, or
 * it cannot be opened; nothing was appended. */
bool ipmpi_body_share(const struct ipmpi_frames *data, struct ipmpi_frames *at,
                      struct ipmpi_frames *body);

/* Appends the body that `at` describes. `passes`: the frames of `at` are passed
 * on, too. IPMPI_ENOENT: the segment is out of reach; IPMPI_EFRAME,
 * IPMPI_ENOMEM: part of it may have been appended. */
int ipmpi_body_open(const struct ipmpi_frames *at, bool passes,
                    struct ipmpi_frames *body);

/* Appends the body that came as data, of which `passes` says the same. */
int ipmpi_body_own(const struct ipmpi_frames *data, bool passes,
                   struct ipmpi_frames *body);

#endif
