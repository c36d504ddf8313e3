/* The options of `ipmpi marathon`, as an argp parser whose input is a struct
 * ipmpi_launch. */
#ifndef IPMPI_LAUNCH_MARATHON_OPTIONS_H
#define IPMPI_LAUNCH_MARATHON_OPTIONS_H

#include <argp.h>

extern const struct argp ipmpi_marathon_argp;

#endif
