/* Output of other nodes' programs.
 *
 * Threads: the loop that has the session. */
#include "launch/channel/show.h"

#include <unistd.h>

void ipmpi_channel_show(const struct ipmpi_record *record)
{
    size_t at = 1;

    if (record->len < 1 || record->body[0] < STDOUT_FILENO ||
        record->body[0] > STDERR_FILENO)
        return;
    while (at < record->len) {
        const ssize_t put =
            write(record->body[0], record->body + at, record->len - at);

        if (put <= 0)
            return;
        at += (size_t)put;
    }
}
