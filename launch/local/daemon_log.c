/* The turn is a lock on a file beside the log: PATH.starting. */
#include "launch/local/daemon_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TAIL_BYTES = 8000 };

static bool say_cannot_write(const char *path)
{
    fprintf(stderr, "ipmpi start: cannot write %s: %s\n", path,
            strerror(errno));
    return false;
}

/* A file without a name was another's, which ended just now. */
static bool lock(int fd)
{
    struct stat info;

    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &info) == 0 &&
        info.st_nlink > 0)
        return true;
    fputs("ipmpi start: another start of this cluster is under way\n", stderr);
    return false;
}

static bool begin_turn(struct ipmpi_daemon_log *log)
{
    log->turn_fd = open(log->turn_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (log->turn_fd < 0)
        return say_cannot_write(log->turn_path);
    if (lock(log->turn_fd))
        return true;
    close(log->turn_fd);
    return false;
}

static void end_turn(struct ipmpi_daemon_log *log)
{
    unlink(log->turn_path); /* still locked: nobody has it in between */
    close(log->turn_fd);
}

static bool open_fresh(const char *path, struct ipmpi_daemon_log *log)
{
    char *old = NULL;

    if (asprintf(&old, "%s.1", path) >= 0)
        rename(path, old);
    free(old);
    log->fd =
        open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    return log->fd >= 0 ? true : say_cannot_write(path);
}

bool ipmpi_daemon_log_open(const char *path, struct ipmpi_daemon_log *log_out)
{
    struct ipmpi_daemon_log log = {.fd = -1, .turn_fd = -1};

    if (asprintf(&log.turn_path, "%s.starting", path) < 0)
        return false;
    if (!begin_turn(&log))
        goto free_path;
    if (!open_fresh(path, &log))
        goto end_turn;
    *log_out = log;
    return true;

end_turn:
    end_turn(&log);
free_path:
    free(log.turn_path);
    return false;
}

void ipmpi_daemon_log_close(struct ipmpi_daemon_log *log)
{
    close(log->fd);
    end_turn(log);
    free(log->turn_path);
}

void ipmpi_daemon_log_show_tail(const char *path)
{
    FILE *log = fopen(path, "r");
    char line[1024];

    if (log == NULL)
        return;
    if (fseek(log, -TAIL_BYTES, SEEK_END) == 0)
        (void)fgets(line, sizeof(line), log); /* a part of a line */
    else
        rewind(log);
    while (fgets(line, sizeof(line), log) != NULL)
        fputs(line, stderr);
    fclose(log);
}
