/* Records in memory.
 *
 * Note [oldest]. ipyparallel culls by time of submission, pending records
 * too. Pending records must stay here, so the limit is on decided records and
 * the oldest is the one decided longest ago: a task that ran for hours does
 * not lose its result the moment that it ends. */
#define HASH_NONFATAL_OOM        1
#define uthash_nonfatal_oom(elt) ((elt)->seq = 0)
#include "bridge/hub/store.h"

#include <utlist.h>

#include "runtime/base/error.h"

#define CULL_PART 10 /* a tenth goes at a time */

void ipmpi_store_init(struct ipmpi_store *store, size_t record_limit,
                      size_t size_limit)
{
    *store = (struct ipmpi_store){
        .record_limit = record_limit, .size_limit = size_limit, .next_seq = 1};
}

void ipmpi_store_clear(struct ipmpi_store *store)
{
    while (store->first != NULL)
        ipmpi_store_remove(store, store->first);
}

static void cull_oldest(struct ipmpi_store *store)
{
    store->culled++;
    ipmpi_store_remove(store, store->first_decided);
}

static void cull(struct ipmpi_store *store)
{
    size_t goal = store->size_limit - store->size_limit / CULL_PART;

    if (store->ndecided > store->record_limit) {
        size_t n = store->record_limit / CULL_PART;

        for (n = n > 0 ? n : 1; n > 0; n--)
            cull_oldest(store);
    }
    if (store->bytes <= store->size_limit)
        return;
    while (store->bytes > goal && store->first_decided != NULL)
        cull_oldest(store);
}

int ipmpi_store_add(struct ipmpi_store *store, struct ipmpi_record *record)
{
    const size_t len = record->msg_id.len;

    if (ipmpi_store_find(store, ipmpi_record_id(record), len) != NULL)
        return IPMPI_EEXIST;
    record->seq = store->next_seq;
    HASH_ADD_KEYPTR(hh, store->by_id, ipmpi_record_id(record), len, record);
    if (record->seq == 0) /* the hash had no memory */
        return IPMPI_ENOMEM;
    store->next_seq++;
    DL_APPEND(store->first, record);
    store->n++;
    store->bytes += ipmpi_record_bytes(record);
    if (ipmpi_record_is_decided(record)) {
        DL_APPEND2(store->first_decided, record, decided_prev, decided_next);
        store->ndecided++;
    }
    cull(store);
    return 0;
}

struct ipmpi_record *ipmpi_store_find(const struct ipmpi_store *store,
                                      const char *msg_id, size_t len)
{
    struct ipmpi_record *record;

    HASH_FIND(hh, store->by_id, msg_id, len, record);
    return record;
}

void ipmpi_store_grown(struct ipmpi_store *store, struct ipmpi_record *record,
                       size_t bytes_before)
{
    store->bytes += ipmpi_record_bytes(record) - bytes_before;
    cull(store);
}

void ipmpi_store_decided(struct ipmpi_store *store, struct ipmpi_record *record,
                         size_t bytes_before)
{
    DL_APPEND2(store->first_decided, record, decided_prev, decided_next);
    store->ndecided++;
    ipmpi_store_grown(store, record, bytes_before);
}

/* The record is about to leave: walks that stand on it go on. */
static void move_walks(struct ipmpi_store *store,
                       const struct ipmpi_record *record)
{
    struct ipmpi_store_walk *walk;

    DL_FOREACH (store->walks, walk) {
        if (walk->at == record)
            ipmpi_store_walk_step(walk);
    }
}

void ipmpi_store_remove(struct ipmpi_store *store, struct ipmpi_record *record)
{
    move_walks(store, record);
    HASH_DEL(store->by_id, record);
    DL_DELETE(store->first, record);
    store->n--;
    store->bytes -= ipmpi_record_bytes(record);
    if (ipmpi_record_is_decided(record)) {
        DL_DELETE2(store->first_decided, record, decided_prev, decided_next);
        store->ndecided--;
    }
    ipmpi_record_release(&record);
}

void ipmpi_store_walk_begin(struct ipmpi_store *store,
                            struct ipmpi_store_walk *walk)
{
    *walk = (struct ipmpi_store_walk){.at = store->first,
                                      .end_seq = store->next_seq};
    DL_APPEND(store->walks, walk);
}

void ipmpi_store_walk_step(struct ipmpi_store_walk *walk)
{
    walk->at = walk->at->next;
    if (walk->at != NULL && walk->at->seq >= walk->end_seq)
        walk->at = NULL;
}

void ipmpi_store_walk_end(struct ipmpi_store *store,
                          struct ipmpi_store_walk *walk)
{
    DL_DELETE(store->walks, walk);
}
