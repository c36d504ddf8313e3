/* Ids aborted before they came. uthash keeps the order of insertion, so its
 * first element is the oldest. */
#include "bridge/schedulers/abort_memory.h"

#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "runtime/base/error.h"

enum { MEMORY_CAP = 65536 };

struct entry {
    char *msg_id;
    UT_hash_handle hh;
};

struct ipmpi_abort_memory {
    struct entry *by_id;
};

int ipmpi_abort_memory_create(struct ipmpi_abort_memory **memory_out)
{
    struct ipmpi_abort_memory *memory = calloc(1, sizeof(*memory));

    if (memory == NULL)
        return IPMPI_ENOMEM;
    *memory_out = memory;
    return 0;
}

static void forget(struct ipmpi_abort_memory *memory, struct entry *entry)
{
    HASH_DEL(memory->by_id, entry);
    free(entry->msg_id);
    free(entry);
}

void ipmpi_abort_memory_destroy(struct ipmpi_abort_memory **memory)
{
    if (*memory == NULL)
        return;
    while ((*memory)->by_id != NULL)
        forget(*memory, (*memory)->by_id);
    free(*memory);
    *memory = NULL;
}

bool ipmpi_abort_recall(struct ipmpi_abort_memory *memory, const char *msg_id)
{
    struct entry *entry;

    HASH_FIND_STR(memory->by_id, msg_id, entry);
    if (entry == NULL)
        return false;
    forget(memory, entry);
    return true;
}

void ipmpi_abort_remember(struct ipmpi_abort_memory *memory, const char *msg_id)
{
    struct entry *entry;

    HASH_FIND_STR(memory->by_id, msg_id, entry);
    if (entry != NULL)
        return;
    if (HASH_COUNT(memory->by_id) >= MEMORY_CAP)
        forget(memory, memory->by_id); /* uthash keeps order: the oldest */
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL)
        return;
    entry->msg_id = strdup(msg_id);
    if (entry->msg_id == NULL) {
        free(entry);
        return;
    }
    HASH_ADD_KEYPTR(hh, memory->by_id, entry->msg_id, strlen(entry->msg_id),
                    entry);
}
