/* Connection files. */
#include "bridge/files/connection_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <jansson.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"

static const struct {
    const char *name;
    size_t offset;
} ports[] = {
    {"registration", offsetof(struct ipmpi_ports, registration)},
    {"control", offsetof(struct ipmpi_ports, control)},
    {"mux", offsetof(struct ipmpi_ports, mux)},
    {"task", offsetof(struct ipmpi_ports, task)},
    {"broadcast", offsetof(struct ipmpi_ports, broadcast)},
    {"iopub", offsetof(struct ipmpi_ports, iopub)},
    {"notification", offsetof(struct ipmpi_ports, notification)},
};

enum { NPORTS = sizeof(ports) / sizeof(ports[0]) };

static uint16_t *port_at(struct ipmpi_ports *all, size_t i)
{
    return (uint16_t *)((char *)all + ports[i].offset);
}

/* NULL if a text is not UTF-8, or without memory. */
static json_t *describe(const struct ipmpi_connection *c)
{
    struct ipmpi_ports copy = c->ports;
    json_t *object = json_pack(
        "{s:s, s:s, s:s, s:s?, s:s, s:s, s:s, s:s, s:s?}", "interface",
        c->interface, "ssh", c->ssh != NULL ? c->ssh : "", "task_scheme",
        c->task_scheme, "location", c->location, "key", c->key,
        "signature_scheme", "hmac-sha256", "pack", "json", "unpack", "json",
        "curve_serverkey", c->curve_serverkey);

    for (size_t i = 0; object != NULL && i < NPORTS; i++)
        if (json_object_set_new(object, ports[i].name,
                                json_integer(*port_at(&copy, i))) != 0) {
            json_decref(object);
            object = NULL;
        }
    return object;
}

/* An engine's file has one broadcast port for each leaf scheduler: a list. */
static json_t *describe_for_engines(const struct ipmpi_connection *c)
{
    json_t *object = describe(c);

    if (object != NULL &&
        json_object_set_new(object, "broadcast",
                            json_pack("[i]", (int)c->ports.broadcast)) != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        const ssize_t n = write(fd, text, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        text += n;
        len -= (size_t)n;
    }
    return true;
}

static int log_cannot_write(const char *path)
{
    ipmpi_log_error("FILES-CONNECTION", "cannot write %s: %s", path,
                    strerror(errno));
    return IPMPI_ESYS;
}

/* Whole or not at all, also for a reader that polls, also after a crash. */
static int replace_file(const char *path, const char *text)
{
    char *temp;
    int fd, err = 0;

    if (asprintf(&temp, "%s.XXXXXX", path) < 0)
        return IPMPI_ENOMEM;
    fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
    if (fd < 0) {
        err = log_cannot_write(path);
        goto free_temp;
    }
    if (!write_all(fd, text, strlen(text)) || fsync(fd) != 0)
        err = log_cannot_write(path);
    if (close(fd) != 0 && err == 0)
        err = log_cannot_write(path);
    if (err == 0 && rename(temp, path) != 0)
        err = log_cannot_write(path);
    if (err != 0)
        unlink(temp);
free_temp:
    free(temp);
    return err;
}

/* Takes over the object; NULL stands for one that could not be made. */
static int write_object(const char *path, json_t *object)
{
    char *text = NULL;
    int err = IPMPI_EINVAL;

    if (object == NULL) {
        ipmpi_log_error("FILES-CONNECTION",
                        "cannot write %s: a text in it is "
                        "not UTF-8",
                        path);
        return err;
    }
    text = json_dumps(object, JSON_INDENT(2));
    err = text != NULL ? replace_file(path, text) : IPMPI_ENOMEM;
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
    json_decref(object);
    return err;
}

/* Makes the new names last through a crash; only a wish. */
static void sync_dir(const char *dir)
{
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

int ipmpi_connection_write(const struct ipmpi_profile *profile,
                           const struct ipmpi_connection *connection)
{
    int err = write_object(ipmpi_profile_engine_file(profile),
                           describe_for_engines(connection));

    if (err == 0)
        err = write_object(ipmpi_profile_client_file(profile),
                           describe(connection));
    if (err != 0)
        ipmpi_connection_remove(profile);
    sync_dir(ipmpi_profile_security_dir(profile));
    return err;
}

static void remove_file(const char *path)
{
    if (unlink(path) != 0 && errno != ENOENT)
        ipmpi_log_warn("FILES-CONNECTION",
                       "cannot remove %s: %s; remove it, or clients will try "
                       "to reach this cluster",
                       path, strerror(errno));
}

void ipmpi_connection_remove(const struct ipmpi_profile *profile)
{
    remove_file(ipmpi_profile_client_file(profile));
    remove_file(ipmpi_profile_engine_file(profile));
}

static int log_cannot_reuse(const char *path, const char *why)
{
    ipmpi_log_error("FILES-CONNECTION",
                    "cannot reuse %s: %s; remove it, or start without --reuse",
                    path, why);
    return IPMPI_EJSON;
}

static int load(const char *path, json_t **object_out)
{
    json_error_t why;
    FILE *file = fopen(path, "re");
    json_t *object;

    if (file == NULL && errno == ENOENT)
        return IPMPI_ENOENT;
    if (file == NULL) {
        ipmpi_log_error("FILES-CONNECTION", "cannot read %s: %s", path,
                        strerror(errno));
        return IPMPI_ESYS;
    }
    object = json_loadf(file, 0, &why);
    fclose(file);
    if (object == NULL)
        return log_cannot_reuse(path, why.text);
    *object_out = object;
    return 0;
}

static bool read_ports(const json_t *object, struct ipmpi_ports *all)
{
    for (size_t i = 0; i < NPORTS; i++) {
        const json_t *value = json_object_get(object, ports[i].name);
        const json_int_t port = json_integer_value(value);

        if (port < 1 || port > UINT16_MAX)
            return false;
        *port_at(all, i) = (uint16_t)port;
    }
    return true;
}

int ipmpi_connection_read(const struct ipmpi_profile *profile,
                          struct ipmpi_ports *ports_out, char **key_out)
{
    const char *path = ipmpi_profile_client_file(profile), *key;
    struct ipmpi_ports all = {0};
    json_t *object;
    char *copy;
    int err = load(path, &object);

    if (err != 0)
        return err;
    key = json_string_value(json_object_get(object, "key"));
    if (key == NULL)
        err = log_cannot_reuse(path, "no key in it");
    else if (!read_ports(object, &all))
        err = log_cannot_reuse(path, "a port is missing in it");
    else if ((copy = strdup(key)) == NULL)
        err = IPMPI_ENOMEM;
    else {
        *ports_out = all;
        *key_out = copy;
    }
    json_decref(object);
    return err;
}

int ipmpi_connection_make_key(char **key_out)
{
    uint32_t bits[4];
    char *key;
    int len;

    if (getrandom(bits, sizeof(bits), 0) != sizeof(bits)) {
        ipmpi_log_error("FILES-KEY", "no random bytes for a key: %s",
                        strerror(errno));
        return IPMPI_ESYS;
    }
    len =
        asprintf(&key, "%08x-%08x%08x%08x", bits[0], bits[1], bits[2], bits[3]);
    explicit_bzero(bits, sizeof(bits));
    if (len < 0)
        return IPMPI_ENOMEM;
    *key_out = key;
    return 0;
}

void ipmpi_connection_destroy_key(char **key)
{
    if (*key != NULL)
        explicit_bzero(*key, strlen(*key));
    free(*key);
    *key = NULL;
}
