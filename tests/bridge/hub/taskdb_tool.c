/* Writes and reads task databases for test_upstream_sqlite.py:
 *
 *     taskdb_tool write FILE         two tasks: "done", with output, and
 *                                    "waiting", which stays pending
 *     taskdb_tool query FILE QUERY   prints {"content": reply of a query for
 *                                    everything, "buffers": [hex, ..]} */
#include <inttypes.h>
#include <stdio.h>

#include "tests/bridge/hub/asking.h"

static void print_hex(const struct ipmpi_frame *frame)
{
    putchar('"');
    for (size_t i = 0; i < frame->len; i++)
        printf("%02x", frame->data[i]);
    putchar('"');
}

static int write_tasks(struct ipmpi_taskdb *db)
{
    CHECK_EQ(add_task(db, "done", T0_US, "group/a", 300), 0);
    CHECK_EQ(add_task(db, "waiting", T0_US + 1500000, NULL, 0), 0);
    output(db, "done", IPMPI_IOPUB_EXECUTE_INPUT, "{\"code\": \"1 + 1\"}");
    output(db, "done", IPMPI_IOPUB_STREAM,
           "{\"name\": \"stdout\", \"text\": \"gr\\u00fc\\u00df\\n\"}");
    CHECK_EQ(decide_task(db, "done", "engine-1", 7), 0);
    return 0;
}

static int print_answer(struct ipmpi_taskdb *db, const char *query)
{
    json_t *all = json_array();
    struct asked asked;
    char *keys, *content;

    for (int i = 0; i < IPMPI_NFIELDS; i++)
        json_array_append_new(all, json_string(ipmpi_fields[i].name));
    keys = json_dumps(all, 0);
    asked = ask(db, query, keys);
    if (asked.error.ename != NULL) {
        fprintf(stderr, "%s: %s\n", asked.error.ename, asked.error.evalue);
        return 1;
    }
    content = json_dumps(asked.content, 0);
    printf("{\"content\": %s, \"buffers\": [", content);
    for (size_t i = 0; i < asked.buffers.n; i++) {
        if (i > 0)
            putchar(',');
        print_hex(&asked.buffers.at[i]);
    }
    puts("]}");
    free(content);
    free(keys);
    json_decref(all);
    forget(&asked);
    return 0;
}

int main(int argc, char **argv)
{
    struct ipmpi_taskdb_options options = {.kind = IPMPI_TASKDB_SQLITE};
    struct ipmpi_taskdb *db;
    int status;

    if (argc < 3 || (strcmp(argv[1], "write") != 0 && argc < 4)) {
        fputs("usage: taskdb_tool write FILE | query FILE QUERY\n", stderr);
        return 2;
    }
    options.path = argv[2];
    if (ipmpi_taskdb_open(&options, &db) != 0)
        return 1;
    status = strcmp(argv[1], "write") == 0 ? write_tasks(db)
                                           : print_answer(db, argv[3]);
    ipmpi_taskdb_destroy(&db);
    return status;
}
