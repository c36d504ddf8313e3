/* ipmpi-controller: rank 0 of a job. Started by its nanny with the arguments
 * of ipmpi-engine; it does not know Python. */
#include <stdlib.h>
#include <unistd.h>

#include "bridge/controller.h"
#include "runtime/base/log.h"

int main(int argc, char **argv)
{
    struct ipmpi_options options;
    struct ipmpi_controller *controller;
    int code = EXIT_FAILURE;

    ipmpi_log_set_name("r0");
    if (ipmpi_options_parse(argc, argv, true, &options) != 0)
        return 2;
    ipmpi_log_set_level(options.log_level);
    if (ipmpi_controller_open(&options, argv, &controller) == 0) {
        code = ipmpi_controller_run(controller);
        ipmpi_controller_close(&controller);
    }
    ipmpi_options_clear(&options);
    return code;
}
