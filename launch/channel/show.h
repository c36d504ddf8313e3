/* What a program on another node wrote, shown here. */
#ifndef IPMPI_LAUNCH_CHANNEL_SHOW_H
#define IPMPI_LAUNCH_CHANNEL_SHOW_H

#include "launch/channel/session.h"

/* Writes the body of an OUTPUT record (protocol.h) to our standard output or
 * error, as its first byte says. A record that names neither is ignored, and
 * so is the rest of one that cannot be written. Blocks while the reader of our
 * output does. */
void ipmpi_channel_show(const struct ipmpi_record *record);

#endif
