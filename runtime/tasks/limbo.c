/* A list: a theft moves IPMPI_STEAL_MAX tasks at most, and a thief has hardly
 * ever two of them open.
 *
 * Invariant: an entry lacks its task, or its grant, or was refused before its
 *            task came. */
#include "runtime/tasks/limbo.h"

#include <stdlib.h>
#include <utlist.h>

#include "runtime/base/error.h"

enum state { HERE, GRANTED, WITHDRAWN, REFUSED };

struct ipmpi_limbo_entry {
    struct ipmpi_limbo_entry *prev, *next;
    uint64_t ref;
    int victim;
    enum state state;
    void *what; /* while HERE */
};

static struct ipmpi_limbo_entry *find(const struct ipmpi_limbo *limbo,
                                      uint64_t ref, int victim)
{
    struct ipmpi_limbo_entry *entry;

    DL_FOREACH (limbo->entries, entry) {
        if (entry->ref == ref && entry->victim == victim)
            return entry;
    }
    return NULL;
}

static int add(struct ipmpi_limbo *limbo, uint64_t ref, int victim,
               enum state state, void *what)
{
    struct ipmpi_limbo_entry *entry = calloc(1, sizeof(*entry));

    if (entry == NULL)
        return IPMPI_ENOMEM;
    entry->ref = ref;
    entry->victim = victim;
    entry->state = state;
    entry->what = what;
    DL_APPEND(limbo->entries, entry);
    limbo->n++;
    return IPMPI_LIMBO_WAIT;
}

static void *forget(struct ipmpi_limbo *limbo, struct ipmpi_limbo_entry *entry)
{
    void *what = entry->what;

    DL_DELETE(limbo->entries, entry);
    limbo->n--;
    free(entry);
    return what;
}

int ipmpi_limbo_arrived(struct ipmpi_limbo *limbo, uint64_t ref, int victim,
                        void *what)
{
    static const enum ipmpi_limbo_verdict verdicts[] = {
        [GRANTED] = IPMPI_LIMBO_RUN,
        [WITHDRAWN] = IPMPI_LIMBO_ABORT,
        [REFUSED] = IPMPI_LIMBO_DROP,
    };
    struct ipmpi_limbo_entry *entry = find(limbo, ref, victim);
    enum state state;

    if (entry == NULL)
        return add(limbo, ref, victim, HERE, what);
    state = entry->state;
    if (state == HERE)
        return IPMPI_LIMBO_DROP; /* a second copy: only a bug sends one */
    forget(limbo, entry);
    return verdicts[state];
}

/* The origin's word, for one that is here or still to come. */
static int settle(struct ipmpi_limbo *limbo, uint64_t ref, int victim,
                  enum state state, enum ipmpi_limbo_verdict here,
                  void **what_out)
{
    struct ipmpi_limbo_entry *entry = find(limbo, ref, victim);

    if (entry == NULL)
        return add(limbo, ref, victim, state, NULL);
    if (entry->state != HERE)
        return IPMPI_LIMBO_WAIT; /* said before */
    *what_out = forget(limbo, entry);
    return here;
}

int ipmpi_limbo_granted(struct ipmpi_limbo *limbo, uint64_t ref, int victim,
                        void **what_out)
{
    return settle(limbo, ref, victim, GRANTED, IPMPI_LIMBO_RUN, what_out);
}

int ipmpi_limbo_refused(struct ipmpi_limbo *limbo, uint64_t ref, int victim,
                        void **what_out)
{
    return settle(limbo, ref, victim, REFUSED, IPMPI_LIMBO_DROP, what_out);
}

bool ipmpi_limbo_withdraw(struct ipmpi_limbo *limbo, uint64_t ref)
{
    struct ipmpi_limbo_entry *entry;

    DL_FOREACH (limbo->entries, entry) {
        if (entry->ref == ref && entry->state == GRANTED) {
            entry->state = WITHDRAWN;
            return true;
        }
    }
    return false;
}

bool ipmpi_limbo_orphan(struct ipmpi_limbo *limbo, int victim,
                        uint64_t *ref_out, void **what_out)
{
    struct ipmpi_limbo_entry *entry, *next;

    DL_FOREACH_SAFE (limbo->entries, entry, next) {
        const enum state state = entry->state;

        if (entry->victim != victim)
            continue;
        *ref_out = entry->ref;
        *what_out = forget(limbo, entry);
        if (state != REFUSED)
            return true;
    }
    return false;
}

bool ipmpi_limbo_take_if(struct ipmpi_limbo *limbo,
                         bool (*matches)(uint64_t ref, const void *ctx),
                         const void *ctx, void **what_out)
{
    struct ipmpi_limbo_entry *entry;

    DL_FOREACH (limbo->entries, entry) {
        if (matches(entry->ref, ctx)) {
            *what_out = forget(limbo, entry);
            return true;
        }
    }
    return false;
}

bool ipmpi_limbo_take(struct ipmpi_limbo *limbo, void **what_out)
{
    if (limbo->entries == NULL)
        return false;
    *what_out = forget(limbo, limbo->entries);
    return true;
}
