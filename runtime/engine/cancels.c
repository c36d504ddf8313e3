/* What rank 0 said of collectives that failed elsewhere: written by the comm
 * thread, read by main while it waits inside a collective.
 *
 * Invariant: an entry's text is NULL only for want of memory; the oldest entry
 * gives way. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/engine/state.h"

void ipmpi_cancels_init(struct ipmpi_cancels *cancels)
{
    *cancels = (struct ipmpi_cancels){0};
    pthread_mutex_init(&cancels->lock, NULL);
}

void ipmpi_cancels_clear(struct ipmpi_cancels *cancels)
{
    for (unsigned i = 0; i < IPMPI_CANCELS_CAP; i++)
        free(cancels->at[i].why);
    pthread_mutex_destroy(&cancels->lock);
}

void ipmpi_cancels_add(struct ipmpi_cancels *cancels, uint64_t ref,
                       const struct ipmpi_frame *why)
{
    struct ipmpi_cancel *cancel;
    char *text = strndup(why->len > 0 ? (const char *)why->data : "", why->len);

    if (text == NULL)
        ipmpi_log_error("ENGINE-MEMORY", "out of memory; the reason of a "
                                         "failed collective is lost");
    pthread_mutex_lock(&cancels->lock);
    cancel = &cancels->at[cancels->next++ % IPMPI_CANCELS_CAP];
    free(cancel->why);
    cancel->ref = ref;
    cancel->why = text;
    pthread_mutex_unlock(&cancels->lock);
}

bool ipmpi_engine_is_cancelled(struct ipmpi_engine *engine, char *why_out,
                               size_t cap)
{
    struct ipmpi_cancels *cancels = &engine->cancels;
    bool found = false;

    if (engine->started == NULL)
        return false;
    pthread_mutex_lock(&cancels->lock);
    for (unsigned i = 0; i < IPMPI_CANCELS_CAP && !found; i++) {
        const struct ipmpi_cancel *cancel = &cancels->at[i];

        found = cancel->ref == engine->started->ref;
        if (found)
            snprintf(why_out, cap, "%s",
                     cancel->why != NULL ? cancel->why : "out of memory");
    }
    pthread_mutex_unlock(&cancels->lock);
    return found;
}
