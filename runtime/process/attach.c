/* Packets with descriptors. */
#include "runtime/process/attach.h"

#include <string.h>
#include <sys/socket.h>

#include "runtime/base/error.h"

ssize_t ipmpi_attach_send(int socket, const void *data, size_t len,
                          const int *fds, size_t n, int flags)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(IPMPI_ATTACH_MOST * sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)data, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *head;

    IPMPI_ASSERT(n <= IPMPI_ATTACH_MOST);
    if (n > 0) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(n * sizeof(int));
        head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(head), fds, n * sizeof(int));
    }
    return sendmsg(socket, &message, flags);
}

ssize_t ipmpi_attach_receive(int socket, void *data, size_t cap, int *fd_out,
                             int flags)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int))]; /* the kernel closes the rest */
    } control;
    struct iovec part = {data, cap};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof(control.bytes)};
    const ssize_t len = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    struct cmsghdr *head;

    *fd_out = -1;
    if (len < 0)
        return len;
    head = CMSG_FIRSTHDR(&message);
    if (head != NULL && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len >= CMSG_LEN(sizeof(int)))
        memcpy(fd_out, CMSG_DATA(head), sizeof(int));
    return len;
}
