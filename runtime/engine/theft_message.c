/* The messages of thefts. */
#include "runtime/engine/theft_message.h"

#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/engine/state.h"

_Noreturn void ipmpi_theft_no_memory(void)
{
    ipmpi_log_error("ENGINE-SEND", "out of memory in a theft; leaving");
    _exit(71);
}

void ipmpi_refs_add(struct ipmpi_refs *refs, uint64_t ref)
{
    if (refs->n == refs->cap) {
        refs->cap = refs->cap > 0 ? 2 * refs->cap : 64;
        refs->at = reallocarray(refs->at, refs->cap, sizeof(ref));
        if (refs->at == NULL)
            ipmpi_theft_no_memory();
    }
    refs->at[refs->n++] = ref;
}

struct ipmpi_frame ipmpi_refs_frame(const struct ipmpi_refs *refs)
{
    return (struct ipmpi_frame){(const uint8_t *)refs->at,
                                refs->n * sizeof(refs->at[0]), NULL};
}

struct ipmpi_msg_head ipmpi_theft_head(int type, int detail)
{
    return (struct ipmpi_msg_head){.version = IPMPI_PROTOCOL_VERSION,
                                   .type = (uint16_t)type,
                                   .detail = detail};
}

void ipmpi_theft_say(struct ipmpi_engine *engine, int rank,
                     const struct ipmpi_msg_head *head,
                     const struct ipmpi_refs *refs,
                     const struct ipmpi_frames *more)
{
    struct ipmpi_frames out = {0};
    int err = ipmpi_frames_add_copy(&out, head, sizeof(*head));

    if (err == 0 && refs != NULL)
        err = ipmpi_frames_add_copy(&out, refs->at,
                                    refs->n * sizeof(refs->at[0]));
    if (err == 0 && more != NULL)
        err = ipmpi_frames_add_from(&out, more, 1, more->n - 1);
    if (err != 0 || ipmpi_comm_send(engine->comm, rank, &out) == IPMPI_ENOMEM)
        ipmpi_theft_no_memory();
}

void ipmpi_theft_say_plain(struct ipmpi_engine *engine, int rank, int type)
{
    const struct ipmpi_msg_head head = ipmpi_theft_head(type, 0);

    ipmpi_theft_say(engine, rank, &head, NULL, NULL);
}
