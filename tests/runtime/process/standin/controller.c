/* A controller that is none: it hangs a bell, writes its address to
 * $STANDIN_DIR/address, and a line to $STANDIN_DIR/notices for each notice.
 * It leaves when its nanny says so or is gone, or when $STANDIN_DIR/leave
 * appears; that file's number is its exit code. */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/bell/bell.h"
#include "runtime/process/link.h"

static const char *dir;
static volatile sig_atomic_t told;

static FILE *open_file(const char *name, const char *mode)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return fopen(path, mode);
}

static void hear(void *ctx, const struct ipmpi_exit_notice *notice)
{
    FILE *file = open_file("notices", "a");

    (void)ctx;
    fprintf(file, "%d %d %d %s %u %llu %llx\n", notice->rank, notice->pid,
            notice->wait_status, notice->host, notice->flags,
            (unsigned long long)notice->begun.n,
            (unsigned long long)notice->begun.refs[0]);
    fclose(file);
}

static void note(int signal)
{
    told = signal;
}

static void publish(const struct ipmpi_bell *bell)
{
    struct ipmpi_bell_address address;
    char from[4096], to[4096];
    FILE *file = open_file("address.new", "w");

    ipmpi_bell_address(bell, &address);
    fwrite(&address, sizeof(address), 1, file);
    fclose(file);
    snprintf(from, sizeof(from), "%s/address.new", dir);
    snprintf(to, sizeof(to), "%s/address", dir);
    rename(from, to);
    file = open_file("controller.pid", "w");
    fprintf(file, "%d\n", (int)getpid());
    fclose(file);
}

/* The exit code, or -1 to go on. */
static int asked_to_leave(int link)
{
    struct ipmpi_link_packet packet;
    FILE *file = open_file("leave", "r");
    int code = -1;

    if (file != NULL) {
        if (fscanf(file, "%d", &code) != 1)
            code = 0;
        fclose(file);
    }
    if (told != 0)
        code = 0;
    if (ipmpi_link_receive(link, &packet) == 0 &&
        packet.type == IPMPI_LINK_TERMINATE)
        code = 0;
    return code;
}

int main(void)
{
    static const uint8_t token[IPMPI_TOKEN_LEN] = "standin";
    struct ipmpi_link_packet packet = {.type = IPMPI_LINK_LEAVING};
    const int link = ipmpi_link_fd();
    struct ipmpi_bell *bell;
    struct pollfd items[2];
    int fds[2], code;

    dir = getenv("STANDIN_DIR");
    signal(SIGTERM, getenv("STANDIN_DEAF") != NULL ? SIG_IGN : note);
    if (dir == NULL || ipmpi_bell_open(token, 0, &bell) != 0)
        return 99;
    publish(bell);
    ipmpi_bell_fds(bell, fds);
    items[0] = (struct pollfd){.fd = fds[0], .events = POLLIN};
    items[1] = (struct pollfd){.fd = link, .events = POLLIN};
    while ((code = asked_to_leave(link)) < 0 ||
           getenv("STANDIN_DEAF") != NULL) {
        poll(items, 2, 20);
        if (items[1].revents & POLLHUP)
            return 1; /* no nanny, no rank */
        ipmpi_bell_drain(bell, hear, NULL);
    }
    packet.code = code;
    ipmpi_link_send(link, &packet);
    ipmpi_bell_close(&bell);
    return code;
}
