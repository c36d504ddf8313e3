/* Where Marathon is, and who we are to it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "launch/marathon/http_inside.h"
#include "runtime/base/error.h"
#include "runtime/base/log.h"

/* All of a file that only its owner and group may read. */
static int read_private(const char *path, char *text, size_t cap)
{
    FILE *file = fopen(path, "re");
    struct stat st;
    size_t len;

    if (file == NULL) {
        ipmpi_log_error("MARATHON-FILE", "%s cannot be read", path);
        return IPMPI_ENOENT;
    }
    if (fstat(fileno(file), &st) != 0 || (st.st_mode & 07) != 0) {
        ipmpi_log_error("MARATHON-FILE", "others may read %s; chmod o-rwx",
                        path);
        fclose(file);
        return IPMPI_EAUTH;
    }
    len = fread(text, 1, cap - 1, file);
    text[len] = 0;
    fclose(file);
    return 0;
}

static int add_urls(struct ipmpi_marathon *marathon, const char *urls)
{
    const char *at = urls;

    while (at != NULL && *at != 0 && marathon->nurls < IPMPI_URLS_MAX) {
        size_t len = strcspn(at, ",");
        const char *next = at[len] != 0 ? at + len + 1 : NULL;

        while (len > 0 && at[len - 1] == '/')
            len--;
        if (len >= IPMPI_URL_CAP ||
            (strncmp(at, "http://", 7) != 0 && strncmp(at, "https://", 8) != 0))
            return IPMPI_EINVAL;
        snprintf(marathon->url[marathon->nurls++], IPMPI_URL_CAP, "%.*s",
                 (int)len, at);
        at = next;
    }
    return marathon->nurls > 0 ? 0 : IPMPI_EINVAL;
}

static bool in_clear(const char *url)
{
    return strncmp(url, "http://", 7) == 0 &&
           strncmp(url + 7, "127.", 4) != 0 &&
           strncmp(url + 7, "localhost", 9) != 0 &&
           strncmp(url + 7, "[::1]", 5) != 0;
}

static int add_headers(struct ipmpi_marathon *marathon, const char *path)
{
    char text[8192];
    const int err = read_private(path, text, sizeof(text));

    if (err != 0)
        return err;
    for (char *rest = NULL, *line = strtok_r(text, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest))
        if (strchr(line, ':') != NULL)
            marathon->headers = curl_slist_append(marathon->headers, line);
    explicit_bzero(text, sizeof(text));
    return 0;
}

static int add_basic(struct ipmpi_marathon *marathon, const char *path)
{
    char text[1024];
    const int err = read_private(path, text, sizeof(text));

    if (err != 0)
        return err;
    text[strcspn(text, "\r\n")] = 0;
    marathon->basic = strdup(text);
    explicit_bzero(text, sizeof(text));
    return marathon->basic != NULL ? 0 : IPMPI_ENOMEM;
}

int ipmpi_marathon_open(const struct ipmpi_marathon_access *access,
                        struct ipmpi_marathon **marathon_out)
{
    struct ipmpi_marathon *marathon = calloc(1, sizeof(*marathon));
    int err;

    if (marathon == NULL)
        return IPMPI_ENOMEM;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    err = add_urls(marathon, access->urls ? access->urls : "");
    if (err != 0)
        ipmpi_log_error("MARATHON-URL", "--marathon wants http:// or https:// "
                                        "addresses");
    if (err == 0 && access->header_file != NULL)
        err = add_headers(marathon, access->header_file);
    if (err == 0 && access->basic_file != NULL)
        err = add_basic(marathon, access->basic_file);
    for (size_t i = 0; err == 0 && i < marathon->nurls; i++)
        if ((access->header_file || access->basic_file) && !access->insecure &&
            in_clear(marathon->url[i])) {
            ipmpi_log_error("MARATHON-CLEAR",
                            "credentials would travel in clear to %s; use "
                            "https, or --insecure",
                            marathon->url[i]);
            err = IPMPI_EINVAL;
        }
    if (err == 0 && access->ca_file != NULL &&
        (marathon->ca_file = strdup(access->ca_file)) == NULL)
        err = IPMPI_ENOMEM;
    if (err == 0 && (marathon->curl = curl_easy_init()) == NULL)
        err = IPMPI_ENOMEM;
    marathon->headers = curl_slist_append(marathon->headers, "Expect:");
    marathon->headers =
        curl_slist_append(marathon->headers, "Content-Type: application/json");
    if (err != 0) {
        ipmpi_marathon_close(&marathon);
        return err;
    }
    *marathon_out = marathon;
    return 0;
}

void ipmpi_marathon_close(struct ipmpi_marathon **marathon)
{
    if (*marathon == NULL)
        return;
    curl_easy_cleanup((*marathon)->curl);
    curl_slist_free_all((*marathon)->headers);
    if ((*marathon)->basic != NULL)
        explicit_bzero((*marathon)->basic, strlen((*marathon)->basic));
    free((*marathon)->basic);
    free((*marathon)->ca_file);
    free(*marathon);
    *marathon = NULL;
}
