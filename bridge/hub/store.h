/* Records in memory: found by msg_id, kept in order of arrival, the oldest
 * decided ones dropped when there are too many. What all back ends stand on.
 *
 * Invariant: a record is in the decided list exactly if it is decided; only
 * records in that list are ever culled. Every operation is O(1), culling
 * amortised.
 * Threads: one. */
#ifndef IPMPI_HUB_STORE_H
#define IPMPI_HUB_STORE_H

#include "bridge/hub/record.h"

/* A walk over the records that survives the removal of any of them. */
struct ipmpi_store_walk {
    struct ipmpi_record *at; /* NULL: finished */
    uint64_t end_seq;        /* records that arrive later are not visited */
    struct ipmpi_store_walk *prev, *next;
};

struct ipmpi_store {
    struct ipmpi_record *by_id;
    struct ipmpi_record *first;         /* in order of arrival */
    struct ipmpi_record *first_decided; /* in order of decision */
    struct ipmpi_store_walk *walks;
    size_t n, ndecided, bytes, culled;
    size_t record_limit, size_limit;
    uint64_t next_seq;
};

/* Limits are of decided records and of all bytes (ipmpi_record_bytes). */
void ipmpi_store_init(struct ipmpi_store *store, size_t record_limit,
                      size_t size_limit);
void ipmpi_store_clear(struct ipmpi_store *store);

/* Takes one share of the record, on success. IPMPI_EEXIST, IPMPI_ENOMEM. */
int ipmpi_store_add(struct ipmpi_store *store, struct ipmpi_record *record);

/* Borrows from the store; NULL if there is none. */
struct ipmpi_record *ipmpi_store_find(const struct ipmpi_store *store,
                                      const char *msg_id, size_t len);

/* A record of the store got its result, or output. Culls, so a borrowed
 * record may be gone afterwards. `bytes_before` is what it counted then. */
void ipmpi_store_decided(struct ipmpi_store *store, struct ipmpi_record *record,
                         size_t bytes_before);
void ipmpi_store_grown(struct ipmpi_store *store, struct ipmpi_record *record,
                       size_t bytes_before);

void ipmpi_store_remove(struct ipmpi_store *store, struct ipmpi_record *record);

/* Begin, then use walk->at and step until it is NULL; end always. */
void ipmpi_store_walk_begin(struct ipmpi_store *store,
                            struct ipmpi_store_walk *walk);
void ipmpi_store_walk_step(struct ipmpi_store_walk *walk);
void ipmpi_store_walk_end(struct ipmpi_store *store,
                          struct ipmpi_store_walk *walk);

#endif
