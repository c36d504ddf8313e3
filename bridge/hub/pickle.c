/* A list of bytes as a pickle. The reader is no general one: it knows the
 * opcodes that Python's picklers write for such a list, executes nothing, and
 * refuses everything else. The format: Lib/pickletools.py of CPython. */
#include "bridge/hub/pickle.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/error.h"

enum opcode {
    OP_MARK = '(',
    OP_STOP = '.',
    OP_BINBYTES = 'B',       /* 4 bytes of length */
    OP_SHORT_BINBYTES = 'C', /* 1 byte of length */
    OP_BINBYTES8 = 0x8e,     /* 8 bytes of length */
    OP_EMPTY_LIST = ']',
    OP_APPEND = 'a',
    OP_APPENDS = 'e',
    OP_BINGET = 'h',
    OP_LONG_BINGET = 'j',
    OP_BINPUT = 'q',
    OP_LONG_BINPUT = 'r',
    OP_PROTO = 0x80,
    OP_MEMOIZE = 0x94,
    OP_FRAME = 0x95,
};

enum { ITEM_HEAD_MAX = 9, ENDS = 8 };

static uint8_t *put_head(uint8_t *at, size_t len)
{
    const int width = len < 256 ? 1 : len <= UINT32_MAX ? 4 : 8;

    *at++ = width == 1   ? OP_SHORT_BINBYTES
            : width == 4 ? OP_BINBYTES
                         : OP_BINBYTES8;
    for (int i = 0; i < width; i++)
        *at++ = (uint8_t)((uint64_t)len >> (8 * i));
    return at;
}

int ipmpi_pickle_dump(const struct ipmpi_frames *buffers, void **data_out,
                      size_t *len_out)
{
    /* Protocol 4 is where BINBYTES8 came in, and nothing else that we use. */
    uint8_t *data =
        malloc(ipmpi_frames_bytes(buffers) + buffers->n * ITEM_HEAD_MAX + ENDS);
    uint8_t *at = data;

    if (data == NULL)
        return IPMPI_ENOMEM;
    *at++ = OP_PROTO;
    *at++ = 3;
    *at++ = OP_EMPTY_LIST;
    *at++ = OP_MARK;
    for (size_t i = 0; i < buffers->n; i++) {
        const struct ipmpi_frame *frame = &buffers->at[i];

        if (frame->len > UINT32_MAX)
            data[1] = 4;
        at = put_head(at, frame->len);
        if (frame->len > 0)
            memcpy(at, frame->data, frame->len);
        at += frame->len;
    }
    *at++ = OP_APPENDS;
    *at++ = OP_STOP;
    *data_out = data;
    *len_out = (size_t)(at - data);
    return 0;
}

/* One bytes object, in the pickle. */
struct item {
    size_t at, len;
};

struct items {
    struct item *at;
    size_t n, cap;
};

struct reader {
    const uint8_t *data;
    size_t at, len;
    bool has_list;
    struct items stack; /* bytes that no append has taken yet */
    struct items memo;  /* the list is in it too, as an item never asked for */
    struct items list;
};

static int push(struct items *items, struct item item)
{
    size_t cap = items->cap > 0 ? 2 * items->cap : 16;
    struct item *grown;

    if (items->n == items->cap) {
        grown = reallocarray(items->at, cap, sizeof(*grown));
        if (grown == NULL)
            return IPMPI_ENOMEM;
        items->at = grown;
        items->cap = cap;
    }
    items->at[items->n++] = item;
    return 0;
}

/* A little-endian number of `width` bytes. */
static bool number(struct reader *r, size_t width, uint64_t *value_out)
{
    uint64_t value = 0;

    if (r->len - r->at < width)
        return false;
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)r->data[r->at + i] << (8 * i);
    r->at += width;
    *value_out = value;
    return true;
}

static int read_bytes(struct reader *r, size_t width)
{
    uint64_t len;
    struct item item;

    if (!number(r, width, &len) || len > r->len - r->at)
        return IPMPI_EINVAL;
    item = (struct item){r->at, (size_t)len};
    r->at += item.len;
    return push(&r->stack, item);
}

/* Memoises what is on top: the last bytes, or the list. Python numbers the
 * memo's entries in order, so other numbers are not ours to read. */
static int memoize(struct reader *r, size_t width)
{
    const size_t n = r->stack.n;
    uint64_t index = r->memo.n;

    if ((width > 0 && !number(r, width, &index)) || index != r->memo.n ||
        !r->has_list)
        return IPMPI_EINVAL;
    return push(&r->memo, n > 0 ? r->stack.at[n - 1] : (struct item){0});
}

static int recall(struct reader *r, size_t width)
{
    uint64_t index;

    if (!number(r, width, &index) || index == 0 || index >= r->memo.n)
        return IPMPI_EINVAL; /* entry 0 is the list itself */
    return push(&r->stack, r->memo.at[index]);
}

/* Moves what is on the stack to the list. */
static int append(struct reader *r, bool one)
{
    int err = 0;

    if (!r->has_list || (one && r->stack.n != 1))
        return IPMPI_EINVAL;
    for (size_t i = 0; i < r->stack.n && err == 0; i++)
        err = push(&r->list, r->stack.at[i]);
    r->stack.n = 0;
    return err;
}

static int step(struct reader *r, uint8_t opcode)
{
    uint64_t ignored;

    switch (opcode) {
    case OP_PROTO:
        return number(r, 1, &ignored) ? 0 : IPMPI_EINVAL;
    case OP_FRAME:
        return number(r, 8, &ignored) ? 0 : IPMPI_EINVAL;
    case OP_EMPTY_LIST:
        if (r->has_list)
            return IPMPI_EINVAL; /* a list in the list */
        r->has_list = true;
        return 0;
    case OP_MARK:
        return r->stack.n == 0 ? 0 : IPMPI_EINVAL;
    case OP_SHORT_BINBYTES:
        return read_bytes(r, 1);
    case OP_BINBYTES:
        return read_bytes(r, 4);
    case OP_BINBYTES8:
        return read_bytes(r, 8);
    case OP_MEMOIZE:
        return memoize(r, 0);
    case OP_BINPUT:
        return memoize(r, 1);
    case OP_LONG_BINPUT:
        return memoize(r, 4);
    case OP_BINGET:
        return recall(r, 1);
    case OP_LONG_BINGET:
        return recall(r, 4);
    case OP_APPEND:
        return append(r, true);
    case OP_APPENDS:
        return append(r, false);
    default:
        return IPMPI_EINVAL;
    }
}

static int parse(struct reader *r)
{
    while (r->at < r->len) {
        const uint8_t opcode = r->data[r->at++];
        int err;

        if (opcode == OP_STOP)
            return r->has_list && r->stack.n == 0 ? 0 : IPMPI_EINVAL;
        err = step(r, opcode);
        if (err != 0)
            return err;
    }
    return IPMPI_EINVAL;
}

static int add_items(const struct items *list, struct ipmpi_buffer *buffer,
                     struct ipmpi_frames *out)
{
    int err = 0;

    for (size_t i = 0; i < list->n && err == 0; i++)
        err =
            ipmpi_frames_add_view(out, buffer, list->at[i].at, list->at[i].len);
    if (err != 0)
        ipmpi_frames_clear(out);
    return err;
}

int ipmpi_pickle_load(const void *data, size_t len,
                      struct ipmpi_frames *buffers_out)
{
    struct reader r = {.data = data, .len = len};
    struct ipmpi_buffer *buffer = NULL;
    int err = parse(&r);

    if (err == 0 && r.list.n > 0)
        err = ipmpi_buffer_alloc(len, &buffer);
    if (err == 0 && r.list.n > 0) {
        memcpy(ipmpi_buffer_data(buffer), data, len);
        err = add_items(&r.list, buffer, buffers_out);
    }
    ipmpi_buffer_release(&buffer);
    free(r.stack.at);
    free(r.memo.at);
    free(r.list.at);
    return err;
}
