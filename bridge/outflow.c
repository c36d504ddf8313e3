/* Bytes that wait for clients.
 *
 * Invariant: a client's entry lives while it has parcels; done() touches it
 *            last by taking its bytes away, so an entry without bytes is
 *            nobody's.
 * Threads:   the counters are atomic; the table is the loop's. */
#include "bridge/outflow.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

#define DEAF_US ((int64_t)30 * 1000 * 1000)
#define LOOK_US ((int64_t)100 * 1000) /* while holding back */
#define TIDY_US ((int64_t)10 * 1000 * 1000)

struct taker {
    atomic_size_t bytes;
    atomic_ullong ntaken;
    unsigned long long seen; /* ntaken when it last had changed ... */
    int64_t since_us;        /* ... which was then; 0: not looked at yet */
    bool deaf;
    UT_hash_handle hh;
    size_t key_len;
    unsigned char key[]; /* door, id */
};

struct ipmpi_parcel {
    struct ipmpi_outflow *outflow;
    struct taker *taker;
    size_t bytes;
};

struct ipmpi_outflow {
    size_t limit;
    atomic_size_t bytes;
    size_t deaf_bytes; /* when last looked */
    int64_t look_us;   /* when to look again */
    struct taker *takers;
};

int ipmpi_outflow_create(size_t limit, struct ipmpi_outflow **outflow_out)
{
    struct ipmpi_outflow *outflow = calloc(1, sizeof(*outflow));

    if (outflow == NULL)
        return IPMPI_ENOMEM;
    outflow->limit = limit;
    *outflow_out = outflow;
    return 0;
}

static void forget(struct ipmpi_outflow *outflow, struct taker *taker)
{
    HASH_DEL(outflow->takers, taker);
    free(taker);
}

void ipmpi_outflow_destroy(struct ipmpi_outflow **outflow)
{
    struct taker *taker, *next;

    if (*outflow == NULL)
        return;
    HASH_ITER (hh, (*outflow)->takers, taker, next)
        forget(*outflow, taker);
    free(*outflow);
    *outflow = NULL;
}

static struct taker *find(struct ipmpi_outflow *outflow, int door,
                          const void *id, size_t id_len)
{
    unsigned char key[257] = {(unsigned char)door};
    struct taker *taker;

    if (id_len >= sizeof(key))
        return NULL; /* ZMQ's names are shorter */
    memcpy(key + 1, id, id_len);
    HASH_FIND(hh, outflow->takers, key, id_len + 1, taker);
    if (taker != NULL)
        return taker;
    taker = calloc(1, sizeof(*taker) + id_len + 1);
    if (taker == NULL)
        return NULL;
    taker->key_len = id_len + 1;
    memcpy(taker->key, key, taker->key_len);
    HASH_ADD_KEYPTR(hh, outflow->takers, taker->key, taker->key_len, taker);
    return taker;
}

size_t ipmpi_outflow_bytes(const struct ipmpi_outflow *outflow)
{
    return atomic_load(&outflow->bytes);
}

static bool is_over(const struct ipmpi_outflow *outflow)
{
    return outflow->limit > 0 && ipmpi_outflow_bytes(outflow) > outflow->limit;
}

/* Results are not refused to a client that reads, however many there are: what
 * engines have when rank 0 begins to hold back must not be lost. */
static bool is_refused(const struct ipmpi_outflow *outflow,
                       const struct taker *taker, size_t bytes, bool answered)
{
    const size_t waiting = atomic_load(&taker->bytes);

    return taker->deaf || (answered && outflow->limit > 0 && waiting > 0 &&
                           waiting + bytes > 2 * outflow->limit);
}

int ipmpi_outflow_post(struct ipmpi_outflow *outflow, int door, const void *id,
                       size_t id_len, size_t bytes, bool answered,
                       struct ipmpi_parcel **parcel_out)
{
    struct taker *taker = find(outflow, door, id, id_len);
    const bool was_over = is_over(outflow);
    struct ipmpi_parcel *parcel;

    if (taker == NULL)
        return IPMPI_ENOMEM;
    if (is_refused(outflow, taker, bytes, answered))
        return IPMPI_EFULL;
    parcel = malloc(sizeof(*parcel));
    if (parcel == NULL)
        return IPMPI_ENOMEM;
    *parcel = (struct ipmpi_parcel){outflow, taker, bytes};
    atomic_fetch_add(&taker->bytes, bytes);
    atomic_fetch_add(&outflow->bytes, bytes);
    if (!was_over && is_over(outflow))
        outflow->look_us = 0;
    *parcel_out = parcel;
    return 0;
}

void ipmpi_outflow_done(struct ipmpi_parcel **parcel)
{
    struct ipmpi_parcel *p = *parcel;

    atomic_fetch_add(&p->taker->ntaken, 1);
    atomic_fetch_sub(&p->outflow->bytes, p->bytes);
    atomic_fetch_sub(&p->taker->bytes, p->bytes);
    free(p);
    *parcel = NULL;
}

bool ipmpi_outflow_holds_back(const struct ipmpi_outflow *outflow)
{
    return is_over(outflow) &&
           ipmpi_outflow_bytes(outflow) > outflow->limit + outflow->deaf_bytes;
}

static void look_at(const struct ipmpi_outflow *outflow, struct taker *taker,
                    int64_t now_us)
{
    const unsigned long long ntaken = atomic_load(&taker->ntaken);

    if (taker->since_us == 0 || ntaken != taker->seen) {
        if (taker->deaf)
            ipmpi_log_info("CLIENT-DEAF", "the client reads again");
        taker->deaf = false;
        taker->seen = ntaken;
        taker->since_us = now_us;
    } else if (!taker->deaf && is_over(outflow) &&
               now_us - taker->since_us >= DEAF_US) {
        taker->deaf = true;
        ipmpi_log_warn("CLIENT-DEAF",
                       "a client has read nothing for %d s while %zu MB wait "
                       "for it; until it reads, what comes for it is dropped "
                       "(results stay in the task database)",
                       (int)(DEAF_US / 1000000),
                       atomic_load(&taker->bytes) >> 20);
    }
}

void ipmpi_outflow_look(struct ipmpi_outflow *outflow, int64_t now_us)
{
    struct taker *taker, *next;
    size_t deaf_bytes = 0;

    if (now_us < outflow->look_us)
        return;
    HASH_ITER (hh, outflow->takers, taker, next) {
        if (atomic_load(&taker->bytes) == 0) {
            forget(outflow, taker);
            continue;
        }
        look_at(outflow, taker, now_us);
        if (taker->deaf)
            deaf_bytes += atomic_load(&taker->bytes);
    }
    outflow->deaf_bytes = deaf_bytes;
    outflow->look_us = now_us + (is_over(outflow) ? LOOK_US : TIDY_US);
}

int64_t ipmpi_outflow_deadline_us(const struct ipmpi_outflow *outflow)
{
    return is_over(outflow) ? outflow->look_us : INT64_MAX;
}
