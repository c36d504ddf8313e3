/* The options that an engine's Python side needs, as JSON. */
#include <stdio.h>
#include <stdlib.h>

#include "runtime/base/options.h"

static void put_text(FILE *out, const char *text)
{
    if (text == NULL) {
        fputs("null", out);
        return;
    }
    putc('"', out);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(out, "\\%c", *p);
        else if (*p < 0x20 || *p == 0x7f)
            fprintf(out, "\\u%04x", *p);
        else
            putc(*p, out);
    }
    putc('"', out);
}

static void put_list(FILE *out, const struct ipmpi_strings *list)
{
    putc('[', out);
    for (size_t i = 0; i < list->n; i++) {
        if (i > 0)
            putc(',', out);
        put_text(out, list->at[i]);
    }
    putc(']', out);
}

char *ipmpi_options_json(const struct ipmpi_options *o)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    int bad;

    if (out == NULL)
        return NULL;
    fputs("{\"profile\":", out);
    put_text(out, o->profile);
    fputs(",\"profile_dir\":", out);
    put_text(out, o->profile_dir);
    fputs(",\"ipython_dir\":", out);
    put_text(out, o->ipython_dir);
    fputs(",\"cluster_id\":", out);
    put_text(out, o->cluster_id);
    fputs(",\"exec_lines\":", out);
    put_list(out, &o->exec_lines);
    fputs(",\"exec_files\":", out);
    put_list(out, &o->exec_files);
    fputs(",\"colors\":", out);
    put_text(out, o->colors);
    fprintf(out, ",\"log_level\":%d,\"log_to_file\":%s}",
            10 * ((int)o->log_level + 1), o->log_to_file ? "true" : "false");
    bad = ferror(out);
    if (fclose(out) != 0 || bad) {
        free(text);
        return NULL;
    }
    return text;
}
