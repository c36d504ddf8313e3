/* The private directory, 0700: nobody else reads what lies in it. */
#include "launch/agent/dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "launch/agent/reap.h"
#include "runtime/base/error.h"

int ipmpi_agent_open_dir(struct agent *agent)
{
    const char *tmp = getenv("TMPDIR");
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    char path[256];

    snprintf(agent->dir, sizeof(agent->dir), "%.90s/ipmpi-agent.XXXXXX",
             tmp ? tmp : "/tmp");
    if (mkdtemp(agent->dir) == NULL)
        return IPMPI_EIO;
    snprintf(path, sizeof(path), "%s/profile", agent->dir);
    mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/profile/security", agent->dir);
    if (mkdir(path, 0700) != 0)
        return IPMPI_EIO;
    agent->watch_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (agent->watch_fd < 0 ||
        inotify_add_watch(agent->watch_fd, path, IN_MOVED_TO | IN_CLOSE_WRITE) <
            0)
        return IPMPI_ESYS;
    snprintf(name.sun_path, sizeof(name.sun_path), "%.90s/socket", agent->dir);
    agent->local_fd =
        socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (agent->local_fd < 0 ||
        bind(agent->local_fd, (struct sockaddr *)&name, sizeof(name)) != 0)
        return IPMPI_ESYS;
    return 0;
}

static void remove_tree(const char *path)
{
    char *const argv[] = {"rm", "-rf", "--", (char *)path, NULL};
    const pid_t pid = fork();
    int status;

    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    while (pid > 0 && ipmpi_reap_next(&status) != pid)
        usleep(1000);
}

void ipmpi_agent_close_dir(struct agent *agent)
{
    if (agent->dir[0] != 0)
        remove_tree(agent->dir);
}

static int write_file(const struct agent *agent, const char *name,
                      const char *text)
{
    char path[256];
    const size_t len = strlen(text);
    int fd, err = 0;

    snprintf(path, sizeof(path), "%s/%s", agent->dir, name);
    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return IPMPI_EIO;
    if (write(fd, text, len) != (ssize_t)len)
        err = IPMPI_EIO;
    close(fd);
    return err;
}

/* Calls back with each file that rank 0 has written, until it says false. */
static void each_connection(const struct agent *agent,
                            bool (*take)(void *arg, const char *path),
                            void *arg)
{
    char path[512];
    struct dirent *entry;
    bool more = true;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/profile/security", agent->dir);
    dir = opendir(path);
    while (dir != NULL && more && (entry = readdir(dir)) != NULL) {
        if (strstr(entry->d_name, ".json") == NULL)
            continue;
        snprintf(path, sizeof(path), "%s/profile/security/%.200s", agent->dir,
                 entry->d_name);
        more = take(arg, path);
    }
    if (dir != NULL)
        closedir(dir);
}

bool ipmpi_agent_has_controller(const struct agent *agent)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/bell", agent->dir);
    return access(path, F_OK) == 0;
}

bool ipmpi_agent_is_connection(const char *name)
{
    static const char end[] = "-client.json";
    const size_t len = strlen(name);

    return len >= sizeof(end) - 1 &&
           strcmp(name + len - (sizeof(end) - 1), end) == 0;
}

static bool load_clients(void *arg, const char *path)
{
    json_t **info = arg;

    if (ipmpi_agent_is_connection(path))
        *info = json_load_file(path, 0, NULL);
    return *info == NULL;
}

json_t *ipmpi_agent_read_connection(const struct agent *agent)
{
    json_t *info = NULL;

    each_connection(agent, load_clients, &info);
    return info;
}

static bool remove_file(void *arg, const char *path)
{
    (void)arg;
    unlink(path);
    return true;
}

void ipmpi_agent_forget_files(const struct agent *agent)
{
    static const char *const names[] = {"table", "key", "bell"};
    char path[256];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", agent->dir, names[i]);
        unlink(path);
    }
    each_connection(agent, remove_file, NULL);
}

int ipmpi_agent_write_key(const struct agent *agent)
{
    char hex[IPMPI_SECRET_HEX];
    struct ipmpi_secret key;
    int err;

    ipmpi_secret_derive(&agent->secret, "clients", agent->name,
                        strlen(agent->name), &key);
    ipmpi_secret_to_hex(&key, hex);
    err = write_file(agent, "key", hex);
    ipmpi_secret_wipe(&key);
    explicit_bzero(hex, sizeof(hex));
    return err;
}

int ipmpi_agent_write_table(struct agent *agent)
{
    struct agent_job *job = &agent->job;
    char hex[IPMPI_SECRET_HEX];
    json_t *table;
    char *text;
    int err;

    ipmpi_secret_to_hex(&job->exec_key, hex);
    table =
        json_pack("{s:s, s:I, s:s, s:b, s:O}", "job", agent->name, "generation",
                  (json_int_t)job->generation, "key", hex, "recover",
                  json_is_true(json_object_get(job->commit, "recover")),
                  "nodes", json_object_get(job->commit, "nodes"));
    explicit_bzero(hex, sizeof(hex));
    text = table ? json_dumps(table, JSON_COMPACT) : NULL;
    err = text ? write_file(agent, "table", text) : IPMPI_ENOMEM;
    if (text != NULL)
        explicit_bzero(text, strlen(text));
    free(text);
    json_decref(table);
    return err;
}
