/* ipmpi list: the clusters of this user's profiles, and whether they answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "launch/clusters/ask.h"
#include "launch/clusters/profiles.h"
#include "launch/verb.h"
#include "runtime/base/error.h"

enum { KEY_JSON = 256, ASK_MS = 1500 };

struct list {
    struct ipmpi_where where;
    bool json;
};

static const struct argp_option table[] = {
    {"json", KEY_JSON, 0, 0, "one JSON array instead of a table", 1},
    {0},
};

static error_t on_option(int key, char *value, struct argp_state *state)
{
    struct list *list = state->input;

    (void)value;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &list->where;
        return 0;
    case KEY_JSON:
        list->json = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char doc[] =
    "Lists clusters: those of all profiles, or of one.\v"
    "State: starting; running (it answers); silent (it holds its lock but does "
    "not answer); dead (only its files are left; `ipmpi stop` and the next "
    "start remove them).\n\n"
    "Exit status: 0, also if there are none; 1 no profiles can be looked for; "
    "64 wrong use.";
static const struct argp_child children[] = {{&ipmpi_where_argp, 0, 0, 0}, {0}};
static const struct argp parser = {table, on_option, 0, doc, children, 0, 0};

/* What is known of one cluster; NULL if there is nothing worth a line. */
static json_t *look_at(const struct ipmpi_paths *paths)
{
    json_t *info = ipmpi_where_load(paths->client_file);
    const char *host = json_string_value(json_object_get(info, "location"));
    struct ipmpi_holder holder;
    json_t *status = NULL, *row = NULL;
    const char *state = "dead";

    ipmpi_holder_read(paths, &holder);
    if (info != NULL && !ipmpi_holder_died(&holder) &&
        ipmpi_ask_status(paths, ASK_MS, &status) == 0)
        state = "running";
    else if (holder.held)
        state = info != NULL ? "silent" : "starting";
    if (info != NULL || holder.held)
        row = json_pack(
            "{s:s,s:s,s:s,s:s,s:i,s:o}", "profile_dir", paths->profile_dir,
            "cluster_id", paths->cluster_id, "state", state, "host",
            holder.held    ? holder.host
            : host != NULL ? host
                           : "",
            "pid", holder.held ? (int)holder.pid : 0, "engines",
            status != NULL ? json_integer((json_int_t)json_array_size(
                                 json_object_get(status, "engines")))
                           : json_null());
    json_decref(status);
    json_decref(info);
    return row;
}

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));

    return text != NULL && text[0] != '\0' ? text : "-";
}

static const char *profile_of(const json_t *row)
{
    const char *dir = text_of(row, "profile_dir");
    const char *name = strstr(dir, "/profile_");

    return name != NULL && strchr(name + 1, '/') == NULL ? name + 9 : dir;
}

static void show(const json_t *rows)
{
    const json_t *row;
    size_t i;

    if (json_array_size(rows) == 0) {
        puts("no clusters");
        return;
    }
    printf("%-16s %-24s %-8s %7s  %s\n", "PROFILE", "CLUSTER ID", "STATE",
           "ENGINES", "HOST");
    json_array_foreach(rows, i, row)
    {
        const json_t *engines = json_object_get(row, "engines");
        char count[24] = "-";

        if (json_is_integer(engines))
            snprintf(count, sizeof(count), "%lld",
                     (long long)json_integer_value(engines));
        printf("%-16s %-24s %-8s %7s  %s\n", profile_of(row),
               text_of(row, "cluster_id"), text_of(row, "state"), count,
               text_of(row, "host"));
    }
}

int ipmpi_verb_list(int argc, char **argv)
{
    struct list list = {0};
    struct ipmpi_profiles profiles;
    json_t *rows = json_array();

    argp_parse(&parser, argc, argv, 0, NULL, &list);
    if (rows == NULL || ipmpi_profiles_find(&list.where, &profiles) != 0) {
        fputs("ipmpi list: cannot look for profiles\n", stderr);
        json_decref(rows);
        return IPMPI_EXIT_FAILED;
    }
    for (size_t i = 0; i < profiles.n; i++) {
        json_t *row = look_at(&profiles.at[i]);

        if (row != NULL)
            json_array_append_new(rows, row);
    }
    if (list.json) {
        json_dumpf(rows, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        show(rows);
    }
    json_decref(rows);
    ipmpi_profiles_clear(&profiles);
    return IPMPI_EXIT_OK;
}
