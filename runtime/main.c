/* ipmpi-engine: what mpirun starts. It becomes a nanny; run again by a nanny
 * under another name, it becomes the process that embeds Python. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/base/options.h"
#include "runtime/process/host.h"
#include "runtime/process/interfaces.h"
#include "runtime/process/nanny.h"
#include "runtime/process/parts.h"
#include "runtime/process/place.h"

/* Rank 0 speaks for the job, which the launcher then ends. */
static int wrong_use(const struct ipmpi_place *place)
{
    if (!ipmpi_place_is_controller(place))
        poll(NULL, 0, IPMPI_SILENT_MS);
    return IPMPI_EXIT_USAGE;
}

static int show(const struct ipmpi_place *place, enum ipmpi_action action)
{
    if (place->rank == 0)
        ipmpi_options_show(action);
    return 0;
}

/* What an engine finds in its environment, besides what the launcher put
 * there. */
static int set_environment(const struct ipmpi_place *place,
                           const struct ipmpi_options *options,
                           const struct ipmpi_parts *parts)
{
    char *json = ipmpi_options_json(options);
    int err;

    if (json == NULL)
        return IPMPI_ENOMEM;
    err = setenv(IPMPI_ENGINE_OPTIONS_ENV, json, 1);
    free(json);
    if (err != 0 || setenv("IPP_PROFILE_DIR", options->profile_dir, 1) != 0 ||
        setenv("IPYTHONDIR", options->ipython_dir, 1) != 0 ||
        setenv(IPMPI_SELF_ENV, parts->self, 1) != 0)
        return IPMPI_ENOMEM;
    return ipmpi_interface_set(ipmpi_place_leaves_host(place));
}

static int prepare(const struct ipmpi_place *place,
                   const struct ipmpi_options *options,
                   struct ipmpi_parts *parts)
{
    ipmpi_parts_find(parts);
    if (ipmpi_place_is_controller(place) && parts->controller[0] == '\0') {
        ipmpi_log_error("NANNY-PATHS", "ipmpi-controller is missing beside %s",
                        parts->self);
        return 1;
    }
    if (set_environment(place, options, parts) != 0) {
        ipmpi_log_error("NANNY-START", "%s", ipmpi_strerror(IPMPI_ENOMEM));
        return 1;
    }
    if (!ipmpi_place_is_controller(place) && options->work_dir != NULL &&
        chdir(options->work_dir) != 0) {
        ipmpi_log_error("NANNY-START", "--work-dir %s: %m", options->work_dir);
        return IPMPI_EXIT_USAGE;
    }
    return 0;
}

/* No descriptor of ours may become a standard one. */
static void open_standard(void)
{
    int fd;

    while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
        ;
    if (fd > STDERR_FILENO)
        close(fd);
}

int main(int argc, char **argv)
{
    static struct ipmpi_parts parts;
    struct ipmpi_place place;
    struct ipmpi_options options;
    struct ipmpi_nanny_task task = {.place = &place,
                                    .options = &options,
                                    .parts = &parts,
                                    .argc = argc,
                                    .argv = argv};
    char name[32];
    int code;

    open_standard();
    if (ipmpi_host_is(argc, argv))
        return ipmpi_host_main(argc, argv);
    ipmpi_place_find(&place);
    snprintf(name, sizeof(name), "nanny %d", ipmpi_place_number(&place));
    ipmpi_log_set_name(name);
    if (ipmpi_options_parse(argc, argv, place.rank == 0, &options) != 0)
        return wrong_use(&place);
    ipmpi_log_set_level(options.log_level);
    if (options.action != IPMPI_RUN) {
        code = show(&place, options.action);
    } else {
        code = prepare(&place, &options, &parts);
        if (code == 0)
            code = ipmpi_nanny_run(&task);
    }
    ipmpi_options_clear(&options);
    return code;
}
