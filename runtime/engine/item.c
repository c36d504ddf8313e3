/* Items of the outbox: made by whoever posts, freed by the comm thread. */
#include <stdlib.h>

#include "runtime/engine/outbox.h"

struct ipmpi_item *ipmpi_item_create(enum ipmpi_item_kind kind,
                                     const struct ipmpi_frame *parent,
                                     size_t text_cap)
{
    struct ipmpi_item *item = calloc(1, sizeof(*item) + text_cap);

    if (item == NULL)
        return NULL;
    item->kind = kind;
    item->cap = text_cap;
    if (parent != NULL)
        ipmpi_frame_share(&item->parent, parent);
    return item;
}

void ipmpi_item_destroy(struct ipmpi_item **list)
{
    struct ipmpi_item *item;

    while ((item = *list) != NULL) {
        *list = item->next;
        ipmpi_buffer_release(&item->parent.owner);
        ipmpi_buffer_release(&item->topic.owner);
        ipmpi_buffer_release(&item->metadata.owner);
        ipmpi_buffer_release(&item->content.owner);
        ipmpi_frames_clear(&item->buffers);
        free(item);
    }
}
