/* What is not on the disk yet: one entry a msg_id, into which later changes
 * of the same record are merged, so that most tasks are written once.
 *
 * An entry stays until a transaction that holds it has been committed, so a
 * disk that is full for a while costs nothing but memory.
 *
 * Threads: the writer's only. */
#ifndef IPMPI_HUB_DIRTY_H
#define IPMPI_HUB_DIRTY_H

#include "bridge/hub/table.h"

struct ipmpi_dirty_entry;
struct ipmpi_dirty_sweep;

/* Zero-initialised is empty. */
struct ipmpi_dirty {
    struct ipmpi_dirty_entry *by_id; /* in order of first change */
    struct ipmpi_dirty_sweep *sweeps;
    size_t bytes; /* held by entries */
};

/* A change of the record `change->msg_id`: `fields` of it are set (output:
 * appended). With `insert` it is a new record. Shares what it keeps.
 * IPMPI_ENOMEM: the change is lost. */
int ipmpi_dirty_merge(struct ipmpi_dirty *dirty,
                      const struct ipmpi_record *change, uint32_t fields,
                      bool insert);
int ipmpi_dirty_delete(struct ipmpi_dirty *dirty, const void *msg_id,
                       size_t len);

/* Deletes all records that are decided by now; engine_uuid NULL: of all
 * engines. IPMPI_ENOMEM. */
int ipmpi_dirty_sweep(struct ipmpi_dirty *dirty, const char *engine_uuid);

bool ipmpi_dirty_is_empty(const struct ipmpi_dirty *dirty);

/* Writes everything in one transaction. On failure everything is kept and the
 * transaction may be open: ask for the message, then roll back. */
int ipmpi_dirty_flush(struct ipmpi_dirty *dirty, struct ipmpi_table *table);

/* Forgets entries, the oldest first, until at most `goal` bytes are held;
 * returns how many. */
size_t ipmpi_dirty_forget(struct ipmpi_dirty *dirty, size_t goal);

/* Forgets everything; returns the number of entries. */
size_t ipmpi_dirty_clear(struct ipmpi_dirty *dirty);

#endif
