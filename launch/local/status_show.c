/* One line for the whole, then the nodes with their engines under them. */
#include "launch/local/status_show.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_MOST = 60 }; /* bytes */

const char *ipmpi_status_duration(double s)
{
    static char text[32];

    if (s < 10)
        snprintf(text, sizeof(text), "%.1f s", s < 0 ? 0 : s);
    else if (s < 120)
        snprintf(text, sizeof(text), "%.0f s", s);
    else if (s < 2 * 3600)
        snprintf(text, sizeof(text), "%.0f min", s / 60);
    else if (s < 48 * 3600)
        snprintf(text, sizeof(text), "%.1f h", s / 3600);
    else
        snprintf(text, sizeof(text), "%.0f d", s / 86400);
    return text;
}

const char *ipmpi_status_bytes(double bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    static char text[32];
    size_t unit = 0;

    while (bytes >= 1024 && unit < 4) {
        bytes /= 1024;
        unit++;
    }
    snprintf(text, sizeof(text), bytes < 10 && unit > 0 ? "%.1f %s" : "%.0f %s",
             bytes, units[unit]);
    return text;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL && text[0] != '\0' ? text : "-";
}

static long long count_of(const json_t *object, const char *name)
{
    return json_integer_value(json_object_get(object, name));
}

static size_t count_state(const json_t *engines, const char *state)
{
    const json_t *engine;
    size_t i, n = 0;

    json_array_foreach(engines, i, engine) n +=
        strcmp(text_of(engine, "state"), state) == 0;
    return n;
}

/* Undecided work that no engine has begun. */
static long long count_waiting(const json_t *status)
{
    long long n = count_of(status, "unassigned");
    const json_t *engine;
    size_t i;

    json_array_foreach(json_object_get(status, "engines"), i, engine)
    {
        const json_t *running = json_object_get(engine, "running");
        /* stock controllers do not tell: the first is taken for begun */
        const bool begun =
            running != NULL ? json_is_number(json_object_get(running, "for_s"))
                            : strcmp(text_of(engine, "state"), "busy") == 0;

        n += count_of(engine, "queue") + count_of(engine, "tasks") - begun;
    }
    return n;
}

static void show_sum(FILE *out, const json_t *status, const char *name)
{
    const json_t *engines = json_object_get(status, "engines");
    const json_t *controller = json_object_get(status, "controller");
    const size_t n = json_array_size(engines);
    const size_t starting = count_state(engines, "starting");
    const json_t *up = json_object_get(controller, "up_s");

    fprintf(out, "%s: %zu engine%s, %zu busy", name, n, n == 1 ? "" : "s",
            count_state(engines, "busy"));
    if (starting > 0)
        fprintf(out, ", %zu starting", starting);
    fprintf(out, ", %lld requests waiting", count_waiting(status));
    if (json_is_number(up))
        fprintf(out, ", up %s", ipmpi_status_duration(json_number_value(up)));
    fputc('\n', out);
    if (controller == NULL)
        return;
    fprintf(out, "controller: %s, pid %lld", text_of(controller, "host"),
            count_of(controller, "pid"));
    if (json_is_integer(json_object_get(controller, "rss")))
        fprintf(out, ", memory %s",
                ipmpi_status_bytes((double)count_of(controller, "rss")));
    if (count_of(controller, "held_bytes") > 0)
        fprintf(out, ", requests hold %s",
                ipmpi_status_bytes((double)count_of(controller, "held_bytes")));
    fputc('\n', out);
}

/* What a client wrote must not drive the terminal. */
static void show_label(FILE *out, const char *label)
{
    fputc('"', out);
    for (size_t i = 0; label[i] != '\0' && i < LABEL_MOST; i++)
        fputc((unsigned char)label[i] < ' ' || label[i] == 127 ? '?' : label[i],
              out);
    fputc('"', out);
}

static void show_running(FILE *out, const json_t *running)
{
    const json_t *for_s = json_object_get(running, "for_s");

    fprintf(out, "  %s ", text_of(running, "type"));
    if (json_is_string(json_object_get(running, "label"))) {
        show_label(out, text_of(running, "label"));
        fputc(' ', out);
    }
    fputs(text_of(running, "msg_id"), out);
    if (json_is_number(for_s))
        fprintf(out, " for %s",
                ipmpi_status_duration(json_number_value(for_s)));
    else
        fputs(", not begun", out);
}

static void show_engine(FILE *out, const json_t *engine)
{
    const json_t *running = json_object_get(engine, "running");
    const json_t *rss = json_object_get(engine, "rss");

    fprintf(out, "  %5lld  %-9s %8s %5lld %5lld %9lld", count_of(engine, "id"),
            text_of(engine, "state"),
            json_is_integer(rss)
                ? ipmpi_status_bytes((double)json_integer_value(rss))
                : "-",
            count_of(engine, "queue"), count_of(engine, "tasks"),
            count_of(engine, "completed"));
    if (json_is_object(running))
        show_running(out, running);
    fputc('\n', out);
}

static int by_host(const void *a, const void *b)
{
    const json_t *one = *(const json_t *const *)a;
    const json_t *other = *(const json_t *const *)b;
    const int order = strcmp(text_of(one, "host"), text_of(other, "host"));
    const long long left = count_of(one, "id"), right = count_of(other, "id");

    return order != 0 ? order : (left > right) - (left < right);
}

void ipmpi_status_show(FILE *out, const json_t *status, const char *name)
{
    const json_t *engines = json_object_get(status, "engines");
    const size_t n = json_array_size(engines);
    const json_t **sorted = calloc(n + 1, sizeof(*sorted));
    const char *host = "";

    show_sum(out, status, name);
    for (size_t i = 0; sorted != NULL && i < n; i++)
        sorted[i] = json_array_get(engines, i);
    if (sorted == NULL || n == 0) {
        free(sorted);
        return;
    }
    qsort(sorted, n, sizeof(*sorted), by_host);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || strcmp(host, text_of(sorted[i], "host")) != 0) {
            host = text_of(sorted[i], "host");
            fprintf(out, "%s\n  %5s  %-9s %8s %5s %5s %9s  %s\n",
                    host[0] == '-' ? "node unknown" : host, "id", "state",
                    "memory", "queue", "tasks", "completed", "runs");
        }
        show_engine(out, sorted[i]);
    }
    free(sorted);
}
