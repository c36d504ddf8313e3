/* Sorting by instants: dates of other time zones may be among them, so the
 * order of their texts would not do. */
#include "bridge/hub/history.h"

#include <stdlib.h>

#include "runtime/base/error.h"

int ipmpi_history_add(struct ipmpi_history *history, const void *msg_id,
                      size_t len, int64_t submitted_us)
{
    struct ipmpi_history_entry *grown;
    size_t cap = history->cap > 0 ? history->cap : 256;

    if (submitted_us == 0)
        return 0;
    if (history->n == history->cap) {
        cap = history->cap > 0 ? 2 * cap : cap;
        grown = reallocarray(history->entries, cap, sizeof(*grown));
        if (grown == NULL)
            return IPMPI_ENOMEM;
        history->entries = grown;
        history->cap = cap;
    }
    history->entries[history->n] = (struct ipmpi_history_entry){
        submitted_us, history->n, history->ids.len, len};
    ipmpi_text_add(&history->ids, msg_id, len);
    if (history->ids.failed)
        return IPMPI_ENOMEM;
    history->n++;
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct ipmpi_history_entry *x = a, *y = b;

    if (x->submitted_us != y->submitted_us)
        return x->submitted_us > y->submitted_us ? 1 : -1;
    return (x->order > y->order) - (x->order < y->order);
}

int ipmpi_history_finish(struct ipmpi_history *history,
                         struct ipmpi_frame *content_out)
{
    struct ipmpi_text json = {0};

    if (history->n > 0)
        qsort(history->entries, history->n, sizeof(*history->entries), by_time);
    ipmpi_text_puts(&json, "{\"status\":\"ok\",\"history\":[");
    for (size_t i = 0; i < history->n; i++) {
        const struct ipmpi_history_entry *e = &history->entries[i];

        if (i > 0)
            ipmpi_text_puts(&json, ",");
        ipmpi_text_string(&json, history->ids.data + e->at, e->len);
    }
    ipmpi_text_puts(&json, "]}");
    return ipmpi_text_to_frame(&json, content_out);
}

void ipmpi_history_clear(struct ipmpi_history *history)
{
    free(history->entries);
    ipmpi_text_clear(&history->ids);
    *history = (struct ipmpi_history){0};
}
