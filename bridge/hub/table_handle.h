/* What is inside a table; for table.c and rows.c only. */
#ifndef IPMPI_HUB_TABLE_HANDLE_H
#define IPMPI_HUB_TABLE_HANDLE_H

#include <sqlite3.h>

#include "bridge/hub/table.h"

struct ipmpi_table {
    sqlite3 *db;
    char name[32];
    sqlite3_stmt *insert, *update, *remove; /* prepared when first used */
    uint32_t update_fields;
    int claim_fd; /* see claim.h */
    bool is_alone;
};

/* The code that a result of SQLite's stands for. */
int ipmpi_table_error(int rc);

#endif
