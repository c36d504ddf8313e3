/* Choice and examination of the Python that engines embed.
 *
 * The answer of the interpreter is lines "@key=value" among whatever else its
 * start-up prints; a key may come again (candidates for the library). */
#include "runtime/process/interpreter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/clock.h"
#include "runtime/base/error.h"

extern char **environ;

enum { ANSWER_CAP = 16384, ASK_MS = 60 * 1000, MINOR_LEAST = 11 };

/* Old interpreters get as far as their version. */
static const char question[] =
    "import sys\n"
    "print('@version=%d.%d' % sys.version_info[:2])\n"
    "print('@python=' + sys.executable)\n"
    "import os, sysconfig, importlib.util\n"
    "get = lambda name: sysconfig.get_config_var(name) or ''\n"
    "for line in open('/proc/self/maps'):\n"
    "    path = line.split(None, 5)[5:]\n"
    "    if path and os.path.basename(path[0]).startswith('libpython3.'):\n"
    "        print('@lib=' + path[0].strip())\n"
    "        break\n"
    "dirs = [get('LIBDIR'), os.path.join(get('LIBDIR'), get('MULTIARCH')),\n"
    "        os.path.join(sys.base_prefix, 'lib'), get('LIBPL')]\n"
    "for name in (get('INSTSONAME'), get('LDLIBRARY')):\n"
    "    for where in dirs:\n"
    "        if where and '.so' in name:\n"
    "            print('@lib=' + os.path.join(where, name))\n"
    "for name in ('ipyparallel', 'ipykernel', 'IPython'):\n"
    "    if importlib.util.find_spec(name) is None:\n"
    "        print('@missing=' + name)\n"
    "print('@end=')\n";

static bool is_executable(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
           access(path, X_OK) == 0;
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* DIR/NAME (or NAME, if DIR is empty), made absolute, if it can be run. */
static bool try_path(const char *dir, const char *name, char out[PATH_MAX])
{
    const bool is_absolute = dir[0] == '/' || (dir[0] == '\0' && *name == '/');
    char cwd[PATH_MAX] = "";
    int len;

    if (!is_absolute && getcwd(cwd, sizeof(cwd)) == NULL)
        return false;
    len = snprintf(out, PATH_MAX, "%s%s%s%s%s", cwd, cwd[0] ? "/" : "", dir,
                   dir[0] ? "/" : "", name);
    return len < PATH_MAX && is_executable(out);
}

static bool search_path(const char *name, char out[PATH_MAX])
{
    const char *path = getenv("PATH");
    char *copy = strdup(path != NULL ? path : "/usr/local/bin:/usr/bin:/bin");
    char *rest = NULL;
    bool found = false;

    if (copy == NULL)
        return false;
    for (char *dir = strtok_r(copy, ":", &rest); dir != NULL && !found;
         dir = strtok_r(NULL, ":", &rest))
        found = try_path(dir, name, out);
    free(copy);
    return found;
}

static bool choose_wanted(const char *wanted, char out[PATH_MAX])
{
    char bin[PATH_MAX];

    if (is_directory(wanted) &&
        snprintf(bin, sizeof(bin), "%s/bin", wanted) < (int)sizeof(bin))
        return try_path(bin, "python3", out);
    if (strchr(wanted, '/') != NULL)
        return try_path("", wanted, out);
    return search_path(wanted, out);
}

/* The interpreter of an active environment, named by a variable. */
static bool choose_active(const char *variable, char out[PATH_MAX])
{
    const char *dir = getenv(variable);

    return dir != NULL && dir[0] == '/' && choose_wanted(dir, out);
}

int ipmpi_interpreter_choose(const char *wanted, char path_out[PATH_MAX],
                             char *why_out, size_t cap)
{
    if (wanted != NULL && wanted[0] != '\0') {
        if (choose_wanted(wanted, path_out))
            return 0;
        snprintf(why_out, cap,
                 "--python %s is no program; give the path of a python3, or "
                 "the directory of an environment",
                 wanted);
        return IPMPI_EPYTHON;
    }
    if (choose_active("VIRTUAL_ENV", path_out) ||
        choose_active("CONDA_PREFIX", path_out) ||
        search_path("python3", path_out))
        return 0;
    snprintf(why_out, cap,
             "there is no python3 in PATH; install Python 3.%d or later, or "
             "name one by --python PATH",
             MINOR_LEAST);
    return IPMPI_EPYTHON;
}

/* Reads until end of file, until `cap` is full, or until the deadline. */
static void read_answer(int fd, char *answer, size_t cap)
{
    const int64_t end_us = ipmpi_clock_now_us() + (int64_t)ASK_MS * 1000;
    struct pollfd item = {.fd = fd, .events = POLLIN};
    int64_t left_us;
    size_t at = 0;
    ssize_t len;

    while (at < cap - 1 && (left_us = end_us - ipmpi_clock_now_us()) > 0) {
        if (poll(&item, 1, (int)(left_us / 1000) + 1) < 1)
            continue;
        len = read(fd, answer + at, cap - 1 - at);
        if (len == 0 || (len < 0 && errno != EINTR))
            break;
        at += len > 0 ? (size_t)len : 0;
    }
    answer[at] = '\0';
}

static int spawn_question(const char *python, int out_fd, pid_t *pid_out)
{
    char *argv[] = {(char *)python, (char *)"-c", (char *)question, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none;
    int err;

    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out_fd, 1);
    posix_spawn_file_actions_adddup2(&actions, out_fd, 2);
    posix_spawnattr_init(&attr);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attr, &none);
    err = posix_spawn(pid_out, python, &actions, &attr, argv, environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&actions);
    return err == 0 ? 0 : IPMPI_ESYS;
}

static int ask(const char *python, char answer[ANSWER_CAP])
{
    int ends[2], err;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return IPMPI_ESYS;
    err = spawn_question(python, ends[1], &pid);
    close(ends[1]);
    if (err == 0) {
        read_answer(ends[0], answer, ANSWER_CAP);
        kill(pid, SIGKILL); /* it has ended, or will not */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    close(ends[0]);
    return err;
}

/* The next value of `key` after `from`; NULL when there is none. The line's
 * end is replaced by a NUL in a copy of the caller's. */
static const char *next_value(const char *from, const char *key, char *out,
                              size_t cap)
{
    char start[32];
    const char *at;
    size_t len;

    snprintf(start, sizeof(start), "@%s=", key);
    at = strstr(from, start);
    if (at == NULL)
        return NULL;
    at += strlen(start);
    len = strcspn(at, "\r\n");
    if (len >= cap)
        len = cap - 1;
    memcpy(out, at, len);
    out[len] = '\0';
    return at + len;
}

static const char *last_line(char *text)
{
    size_t len = strlen(text);
    char *line;

    while (len > 0 && strchr("\r\n ", text[len - 1]) != NULL)
        text[--len] = '\0';
    line = strrchr(text, '\n');
    return line != NULL ? line + 1 : text;
}

static bool find_library(const char *answer, char out[PATH_MAX])
{
    while ((answer = next_value(answer, "lib", out, PATH_MAX)) != NULL)
        if (access(out, R_OK) == 0)
            return true;
    return false;
}

/* Names all packages that are missing, "a, b". */
static void list_missing(const char *answer, char *out, size_t cap)
{
    char name[64];
    size_t at = 0;

    out[0] = '\0';
    while ((answer = next_value(answer, "missing", name, sizeof(name))) != NULL)
        if (at < cap)
            at += (size_t)snprintf(out + at, cap - at, "%s%s",
                                   at > 0 ? ", " : "", name);
}

static int judge(char *answer, struct ipmpi_interpreter *out, char *why,
                 size_t cap)
{
    const char *python = out->python;
    char missing[256], end[8];
    int major = 0, minor = 0;

    if (next_value(answer, "version", out->version, sizeof(out->version)) ==
            NULL ||
        sscanf(out->version, "%d.%d", &major, &minor) != 2)
        snprintf(why, cap, "%s does not run: %s", python, last_line(answer));
    else if (major != 3 || minor < MINOR_LEAST)
        snprintf(why, cap,
                 "%s is Python %s; engines need 3.%d or later. Install one "
                 "and name it by --python PATH",
                 python, out->version, MINOR_LEAST);
    else if (next_value(answer, "end", end, sizeof(end)) == NULL)
        snprintf(why, cap, "%s does not answer: %s", python, last_line(answer));
    else if (list_missing(answer, missing, sizeof(missing)), missing[0])
        snprintf(why, cap,
                 "%s (Python %s) has no %s. Install: %s -m pip install "
                 "ipyparallel ipykernel (Debian: apt install "
                 "python3-ipyparallel python3-ipykernel)",
                 python, out->version, missing, python);
    else if (!find_library(answer, out->libpython))
        snprintf(why, cap,
                 "%s (Python %s) has no shared libpython. Install it (Debian: "
                 "apt install libpython%s), or build Python with "
                 "--enable-shared (pyenv: PYTHON_CONFIGURE_OPTS="
                 "--enable-shared pyenv install)",
                 python, out->version, out->version);
    else
        return 0;
    return IPMPI_EPYTHON;
}

/* What was run may be a wrapper, as pyenv's; Python knows its own path. */
static void take_true_path(const char *answer, struct ipmpi_interpreter *out)
{
    char path[PATH_MAX];

    if (next_value(answer, "python", path, sizeof(path)) != NULL &&
        path[0] == '/')
        memcpy(out->python, path, sizeof(path));
}

int ipmpi_interpreter_find(const char *wanted, struct ipmpi_interpreter *out,
                           char *why_out, size_t cap)
{
    struct ipmpi_interpreter found = {0};
    char *answer = calloc(1, ANSWER_CAP);
    int err;

    if (answer == NULL)
        return IPMPI_ENOMEM;
    err = ipmpi_interpreter_choose(wanted, found.python, why_out, cap);
    if (err == 0 && ask(found.python, answer) != 0) {
        snprintf(why_out, cap, "%s cannot be run: %s", found.python,
                 strerror(errno));
        err = IPMPI_EPYTHON;
    }
    if (err == 0)
        err = judge(answer, &found, why_out, cap);
    if (err == 0)
        take_true_path(answer, &found);
    free(answer);
    if (err == 0)
        *out = found;
    return err;
}
