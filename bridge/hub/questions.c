/* Questions to the table. A query reads all rows and judges them with the
 * matcher that the memory back end uses: the same answers to the same
 * questions. Columns that neither the query nor its keys name are not read. */
#include "bridge/hub/questions.h"

#include <stdlib.h>
#include <string.h>

#include "bridge/hub/history.h"
#include "bridge/hub/taskdb_ops.h"
#include "runtime/base/error.h"

void ipmpi_question_refuse(struct ipmpi_op *op, int err,
                           const struct ipmpi_table *table)
{
    if (err == IPMPI_EIO)
        ipmpi_hub_error_set(&op->error, "OperationalError",
                            "the task database fails: %s",
                            ipmpi_table_message(table));
    else
        ipmpi_answer_error(err, &op->error);
}

/* Judges the row that is current, and adds it if it matches. */
static int visit(struct ipmpi_op *op, struct ipmpi_rows *rows,
                 struct ipmpi_record *scratch)
{
    const uint32_t asked = ipmpi_query_fields(op->query);
    int err = ipmpi_rows_read(rows, asked, scratch);

    if (err == 0 && ipmpi_query_matches(op->query, scratch)) {
        err = ipmpi_rows_read(rows, op->answer.fields & ~asked, scratch);
        if (err == 0)
            err = ipmpi_answer_add(&op->answer, scratch);
    }
    ipmpi_record_clear(scratch, IPMPI_ALL_FIELDS);
    return err;
}

static int visit_all(struct ipmpi_op *op, struct ipmpi_table *table,
                     struct ipmpi_record *scratch, const atomic_bool *stop)
{
    struct ipmpi_rows *rows;
    int err = ipmpi_rows_open(
        table, op->answer.fields | ipmpi_query_fields(op->query), NULL, &rows);

    if (err != 0)
        return err;
    while (err == 0 && !atomic_load(stop)) {
        err = ipmpi_rows_next(rows);
        if (err == 0)
            err = visit(op, rows, scratch);
    }
    ipmpi_rows_close(&rows);
    return err == IPMPI_EEMPTY ? 0 : err;
}

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The numbers of the rows with these ids, ascending. */
static int find_numbers(struct ipmpi_table *table, const json_t *ids,
                        int64_t *numbers, size_t *n_out)
{
    struct ipmpi_rows *rows;
    size_t n = 0;
    int err = ipmpi_rows_open(table, 0, IPMPI_ROWS_BY_ID, &rows);

    if (err != 0)
        return err;
    for (size_t i = 0; i < json_array_size(ids) && err == 0; i++) {
        const json_t *id = json_array_get(ids, i);

        if (!json_is_string(id))
            continue;
        err = ipmpi_rows_find(rows, json_string_value(id),
                              json_string_length(id));
        if (err == 0)
            numbers[n++] = ipmpi_rows_number(rows);
        else if (err == IPMPI_EEMPTY)
            err = 0;
    }
    ipmpi_rows_close(&rows);
    qsort(numbers, n, sizeof(*numbers), by_number);
    *n_out = n;
    return err;
}

static int visit_numbers(struct ipmpi_op *op, struct ipmpi_table *table,
                         struct ipmpi_record *scratch, const int64_t *numbers,
                         size_t n)
{
    struct ipmpi_rows *rows;
    int err = ipmpi_rows_open(table,
                              op->answer.fields | ipmpi_query_fields(op->query),
                              IPMPI_ROWS_BY_NUMBER, &rows);

    if (err != 0)
        return err;
    for (size_t i = 0; i < n && err == 0; i++) {
        if (i > 0 && numbers[i] == numbers[i - 1])
            continue; /* an id may come twice */
        err = ipmpi_rows_find_number(rows, numbers[i]);
        if (err == 0)
            err = visit(op, rows, scratch);
    }
    ipmpi_rows_close(&rows);
    return err == IPMPI_EEMPTY ? 0 : err;
}

static int visit_ids(struct ipmpi_op *op, struct ipmpi_table *table,
                     struct ipmpi_record *scratch, const json_t *ids)
{
    int64_t *numbers = calloc(json_array_size(ids) + 1, sizeof(*numbers));
    size_t n;
    int err;

    if (numbers == NULL)
        return IPMPI_ENOMEM;
    err = find_numbers(table, ids, numbers, &n);
    if (err == 0)
        err = visit_numbers(op, table, scratch, numbers, n);
    free(numbers);
    return err;
}

static int answer_query(struct ipmpi_op *op, struct ipmpi_table *table,
                        const atomic_bool *stop)
{
    struct ipmpi_record *scratch = ipmpi_record_blank();
    const json_t *ids;
    int err;

    if (scratch == NULL)
        return IPMPI_ENOMEM;
    if (ipmpi_query_ids(op->query, &ids))
        err = visit_ids(op, table, scratch, ids);
    else
        err = visit_all(op, table, scratch, stop);
    ipmpi_record_release(&scratch);
    return err != 0 ? err : ipmpi_answer_finish(&op->answer, &op->content);
}

static int read_record(struct ipmpi_rows *rows, uint32_t fields,
                       struct ipmpi_record **record_out)
{
    struct ipmpi_record *record = ipmpi_record_blank();
    int err =
        record != NULL ? ipmpi_rows_read(rows, fields, record) : IPMPI_ENOMEM;

    if (err != 0) {
        ipmpi_record_release(&record);
        return err;
    }
    *record_out = record;
    return 0;
}

static int answer_fetch(struct ipmpi_op *op, struct ipmpi_table *table)
{
    const uint32_t fields = op->fields | IPMPI_FETCH_STATUS;
    struct ipmpi_rows *rows;
    size_t bytes = 0;
    int err = ipmpi_rows_open(table, fields, IPMPI_ROWS_BY_ID, &rows);

    if (err != 0)
        return err;
    for (size_t i = 0; i < op->n && err == 0; i++) {
        if (op->records[i] != NULL)
            continue;
        err = ipmpi_rows_find(rows, op->ids[i], strlen(op->ids[i]));
        if (err == 0)
            err = read_record(rows, fields, &op->records[i]);
        else if (err == IPMPI_EEMPTY)
            err = 0;
        if (err == 0 && op->records[i] != NULL)
            bytes += ipmpi_record_bytes(op->records[i]);
        if (bytes > IPMPI_ANSWER_MAX)
            err = IPMPI_ETOOBIG;
    }
    ipmpi_rows_close(&rows);
    return err;
}

static int answer_history(struct ipmpi_op *op, struct ipmpi_table *table,
                          const atomic_bool *stop)
{
    const uint32_t fields =
        IPMPI_FIELD_BIT(MSG_ID) | IPMPI_FIELD_BIT(SUBMITTED);
    struct ipmpi_history history = {0};
    struct ipmpi_record *scratch = ipmpi_record_blank();
    struct ipmpi_rows *rows = NULL;
    int err = scratch != NULL ? ipmpi_rows_open(table, fields, NULL, &rows)
                              : IPMPI_ENOMEM;

    while (err == 0 && !atomic_load(stop)) {
        err = ipmpi_rows_next(rows);
        if (err == 0)
            err = ipmpi_rows_read(rows, fields, scratch);
        if (err == 0)
            err = ipmpi_history_add(&history, scratch->msg_id.data,
                                    scratch->msg_id.len, scratch->submitted_us);
        if (scratch != NULL)
            ipmpi_record_clear(scratch, fields);
    }
    if (err == 0 || err == IPMPI_EEMPTY)
        err = ipmpi_history_finish(&history, &op->content);
    ipmpi_rows_close(&rows);
    ipmpi_history_clear(&history);
    ipmpi_record_release(&scratch);
    return err;
}

void ipmpi_question_answer(struct ipmpi_op *op, struct ipmpi_table *table,
                           const atomic_bool *stop)
{
    int err = 0;

    if (op->kind == IPMPI_WRITE_QUERY)
        err = answer_query(op, table, stop);
    else if (op->kind == IPMPI_WRITE_FETCH)
        err = answer_fetch(op, table);
    else if (op->kind == IPMPI_WRITE_HISTORY)
        err = answer_history(op, table, stop);
    else
        op->content = ipmpi_taskdb_ok(); /* what was asked is done already */
    if (err != 0)
        ipmpi_question_refuse(op, err, table);
}
