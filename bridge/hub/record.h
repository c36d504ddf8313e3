/* A task record: what the hub knows of one request and its result, in the
 * fields of ipyparallel's hub (compat 11.1).
 *
 * JSON is kept as the bytes that came, in memory shared with the message, and
 * is parsed only where a query asks for it. Absent is a frame whose data is
 * NULL, or the date 0; both are null on the wire.
 *
 * Threads: a record belongs to one thread at a time. */
#ifndef IPMPI_HUB_RECORD_H
#define IPMPI_HUB_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uthash.h>

#include "bridge/hub/text.h"
#include "runtime/base/frames.h"

/* How the value of a field is held and shown. */
enum ipmpi_field_kind {
    IPMPI_FIELD_TEXT,    /* struct ipmpi_frame, UTF-8 */
    IPMPI_FIELD_JSON,    /* struct ipmpi_frame, JSON text */
    IPMPI_FIELD_DATE,    /* int64_t, microseconds since 1970 UTC */
    IPMPI_FIELD_BUFFERS, /* struct ipmpi_frames */
    IPMPI_FIELD_OUTPUT,  /* struct ipmpi_text; never null */
};

/* X(ENUM, member, name on the wire, SQLite's type, kind), in the order of the
 * SQLite columns. */
#define IPMPI_FIELDS(X)                                                       \
    X(MSG_ID, msg_id, "msg_id", "text", TEXT)                                 \
    X(HEADER, header, "header", "dict text", JSON)                            \
    X(METADATA, metadata, "metadata", "dict text", JSON)                      \
    X(CONTENT, content, "content", "dict text", JSON)                         \
    X(BUFFERS, buffers, "buffers", "bufs blob", BUFFERS)                      \
    X(SUBMITTED, submitted_us, "submitted", "timestamp", DATE)                \
    X(CLIENT_UUID, client_uuid, "client_uuid", "text", TEXT)                  \
    X(ENGINE_UUID, engine_uuid, "engine_uuid", "text", TEXT)                  \
    X(STARTED, started_us, "started", "timestamp", DATE)                      \
    X(COMPLETED, completed_us, "completed", "timestamp", DATE)                \
    X(RESUBMITTED, resubmitted, "resubmitted", "text", TEXT)                  \
    X(RECEIVED, received_us, "received", "timestamp", DATE)                   \
    X(RESULT_HEADER, result_header, "result_header", "dict text", JSON)       \
    X(RESULT_METADATA, result_metadata, "result_metadata", "dict text", JSON) \
    X(RESULT_CONTENT, result_content, "result_content", "dict text", JSON)    \
    X(RESULT_BUFFERS, result_buffers, "result_buffers", "bufs blob", BUFFERS) \
    X(QUEUE, queue, "queue", "text", TEXT)                                    \
    X(EXECUTE_INPUT, execute_input, "execute_input", "text", TEXT)            \
    X(EXECUTE_RESULT, execute_result, "execute_result", "text", JSON)         \
    X(ERROR, error, "error", "text", JSON)                                    \
    X(STDOUT, out, "stdout", "text", OUTPUT)                                  \
    X(STDERR, err, "stderr", "text", OUTPUT)                                  \
    X(LABEL, label, "label", "text", TEXT)

enum ipmpi_field {
#define X(id, member, name, sql, kind) IPMPI_RECORD_##id,
    IPMPI_FIELDS(X)
#undef X
        IPMPI_NFIELDS,
};

/* A set of fields. */
#define IPMPI_FIELD_BIT(id) (UINT32_C(1) << IPMPI_RECORD_##id)
#define IPMPI_ALL_FIELDS    ((UINT32_C(1) << IPMPI_NFIELDS) - 1)

struct ipmpi_field_info {
    const char *name, *sql_type;
    enum ipmpi_field_kind kind;
    size_t offset; /* in struct ipmpi_record */
};

extern const struct ipmpi_field_info ipmpi_fields[IPMPI_NFIELDS];

/* More output than this of one stream of one task is not kept. */
#define IPMPI_RECORD_OUTPUT_MAX (4u << 20)

struct ipmpi_record {
    struct ipmpi_frame msg_id; /* its data is followed by a NUL */
    struct ipmpi_frame header, metadata, content;
    struct ipmpi_frames buffers;
    int64_t submitted_us;
    struct ipmpi_frame client_uuid, engine_uuid;
    int64_t started_us, completed_us; /* completed_us != 0: decided */
    struct ipmpi_frame resubmitted;
    int64_t received_us;
    struct ipmpi_frame result_header, result_metadata, result_content;
    struct ipmpi_frames result_buffers;
    struct ipmpi_frame queue, execute_input, execute_result, error;
    struct ipmpi_text out, err;
    struct ipmpi_frame label;

    /* Book-keeping of who stores it. */
    unsigned shares;
    uint64_t seq; /* order of arrival */
    struct ipmpi_record *prev, *next;
    struct ipmpi_record *decided_prev, *decided_next;
    UT_hash_handle hh;
};

/* What a record is made from; everything is lent, frames get shared. The
 * strings are NUL-terminated UTF-8. */
struct ipmpi_submission {
    const char *msg_id;
    const char *client_uuid; /* the header's session */
    const char *engine_uuid; /* NULL if none is chosen yet */
    const char *queue;       /* "mux", "task" or NULL; outlives all records */
    const char *label;       /* or NULL */
    int64_t submitted_us;    /* the header's date */
    const struct ipmpi_frame *header, *metadata, *content;
    const struct ipmpi_frames *frames; /* buffers: from first_buffer on */
    size_t first_buffer;
};

/* The outcome of a request, lent as above. */
struct ipmpi_result {
    const char *engine_uuid; /* NULL: leave what is known */
    int64_t started_us;      /* 0: never started */
    int64_t completed_us;    /* 0: now */
    const struct ipmpi_frame *header, *metadata, *content;
    const struct ipmpi_frames *frames; /* NULL: no buffers */
    size_t first_buffer;
};

/* The caller owns one share. IPMPI_ENOMEM. */
int ipmpi_record_create(const struct ipmpi_submission *submission,
                        struct ipmpi_record **record_out);

/* A record with nothing set. NULL: out of memory. */
struct ipmpi_record *ipmpi_record_blank(void);

struct ipmpi_record *ipmpi_record_share(struct ipmpi_record *record);

/* Gives one share back and nulls the pointer; NULL is fine. */
void ipmpi_record_release(struct ipmpi_record **record);

/* NUL-terminated; borrows from the record. */
const char *ipmpi_record_id(const struct ipmpi_record *record);
bool ipmpi_record_is_decided(const struct ipmpi_record *record);

/* Sets the result fields. IPMPI_ENOMEM: nothing changed. */
int ipmpi_record_set_result(struct ipmpi_record *record,
                            const struct ipmpi_result *result);

/* Sets a field of kind TEXT (copied; NULL is null). IPMPI_ENOMEM. */
int ipmpi_record_set_text(struct ipmpi_record *record, enum ipmpi_field field,
                          const void *text, size_t len);

/* Sets a field of kind JSON or TEXT to a share of the frame. */
void ipmpi_record_set_frame(struct ipmpi_record *record, enum ipmpi_field field,
                            const struct ipmpi_frame *frame);

/* Appends to a field of kind OUTPUT, up to IPMPI_RECORD_OUTPUT_MAX: the last
 * line then says that there was more. IPMPI_ENOMEM: nothing changed. */
int ipmpi_record_add_output(struct ipmpi_record *record, enum ipmpi_field field,
                            const char *text, size_t len);

/* Makes the given fields null. */
void ipmpi_record_clear(struct ipmpi_record *record, uint32_t fields);

/* Sets the given fields to those of `change`, sharing frames; appends to those
 * of kind OUTPUT, without a bound. IPMPI_ENOMEM: some are set. */
int ipmpi_record_merge(struct ipmpi_record *record,
                       const struct ipmpi_record *change, uint32_t fields);

/* The bytes that count against a database's size limit: buffers, result
 * buffers and output. */
size_t ipmpi_record_bytes(const struct ipmpi_record *record);

/* The place of a field's value, to be cast by its kind. */
void *ipmpi_record_at(const struct ipmpi_record *record,
                      enum ipmpi_field field);

/* -1: no field of this name. */
int ipmpi_field_find(const char *name, size_t len);

/* Parses a frame of JSON, as tolerant as ipmpi_json_load; a database that
 * others wrote may hold values that are no objects. A new reference, or NULL
 * if it is absent or not JSON. */
struct json_t *ipmpi_record_parse(const struct ipmpi_frame *frame);

/* Appends a JSON object of the given fields, never of buffers (compat 3.7). */
void ipmpi_record_to_json(const struct ipmpi_record *record, uint32_t fields,
                          struct ipmpi_text *out);

/* Appends the object that answers a result_request (compat 3.5). */
void ipmpi_record_result_json(const struct ipmpi_record *record,
                              struct ipmpi_text *out);

/* Whether the result buffers go with that object: the client reads them for
 * apply results with status ok, and for nothing else. */
bool ipmpi_record_result_has_buffers(const struct ipmpi_record *record);

#endif
