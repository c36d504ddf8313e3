/* What the members of a group agree on before anything else. */
#include "collectives/internal.h"

#include <string.h>

#include "runtime/base/error.h"

struct vote {
    uint64_t id;
    bool plain;
};

int ipmpi_agree(struct ipmpi_group *group, const void *mine, size_t len,
                void *all_out)
{
    const struct vote vote = {group->id, ipmpi_group_may_plain(group)};
    const size_t size = sizeof(vote) + len, n = (size_t)group->n;
    uint8_t *one = ipmpi_group_alloc(group, size);
    uint8_t *all = ipmpi_group_alloc(group, size * n);
    int err;

    if (one == NULL || all == NULL)
        return IPMPI_ENOMEM;
    memset(one, 0, sizeof(vote));
    memcpy(one, &vote, sizeof(vote));
    memcpy(one + sizeof(vote), mine, len);
    err = ipmpi_allgather_bruck(group, one, size, all, true);
    if (err != 0)
        return err;
    for (size_t i = 0; i < n; i++) {
        struct vote other;

        memcpy(&other, all + i * size, sizeof(other));
        group->plain = group->plain && other.plain;
        if (other.id != group->id) { /* what a failed group left behind */
            group->failed = true;
            return IPMPI_ESTATE;
        }
        memcpy((uint8_t *)all_out + i * len, all + i * size + sizeof(other),
               len);
    }
    return 0;
}
