/* Embedding: libpython is loaded globally, then our module, whose Python
 * symbols are open and meet the library just loaded. So one build of ours runs
 * any CPython. */
#include "runtime/process/host.h"

#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/process/interpreter.h"
#include "runtime/process/parts.h"

enum { FIXED_ARGS = 3, WHY_CAP = 1024 };

typedef int embed_main_fn(int argc, char **argv);

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

bool ipmpi_host_is(int argc, char **argv)
{
    static const char *const names[] = {IPMPI_HOST_RANK, IPMPI_HOST_ZYGOTE,
                                        IPMPI_HOST_CHECK};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (argc >= FIXED_ARGS && strcmp(base_name(argv[0]), names[i]) == 0)
            return true;
    return false;
}

static int refuse(bool speak, const char *why)
{
    if (!speak)
        poll(NULL, 0, IPMPI_SILENT_MS); /* rank 0 has the same to say */
    ipmpi_log_error("PYTHON", "%s", why);
    return IPMPI_EXIT_PYTHON;
}

/* The program that Python runs: its options follow as sys.argv[1:]. */
static char *make_code(const char *package_dir, bool zygote)
{
    char *code;

    if (strpbrk(package_dir, "'\\\n") != NULL ||
        asprintf(&code,
                 "import sys; sys.path.append('%s'); "
                 "from ipmpi_engine.%s import main; sys.exit(main())",
                 package_dir, zygote ? "zygote" : "engine") < 0)
        return NULL;
    return code;
}

static int embed(const struct ipmpi_interpreter *python,
                 const struct ipmpi_parts *parts, bool zygote, int argc,
                 char **argv)
{
    char **args = calloc((size_t)argc + 4, sizeof(*args));
    char *code = make_code(parts->package, zygote);
    embed_main_fn *embed_main = NULL;
    void *module = NULL;

    if (args == NULL || code == NULL) {
        ipmpi_log_error("PYTHON", "cannot run a package in %s", parts->package);
        return IPMPI_EXIT_PYTHON;
    }
    args[0] = (char *)python->python;
    args[1] = (char *)"-c";
    args[2] = code;
    memcpy(&args[3], argv, (size_t)argc * sizeof(*args));
    if (dlopen(python->libpython, RTLD_NOW | RTLD_GLOBAL) != NULL)
        module = dlopen(parts->embed, RTLD_NOW | RTLD_GLOBAL);
    if (module != NULL)
        *(void **)&embed_main = dlsym(module, "ipmpi_embed_main");
    if (embed_main == NULL) {
        ipmpi_log_error("PYTHON", "Python %s cannot be embedded: %s",
                        python->version, dlerror());
        return IPMPI_EXIT_PYTHON;
    }
    return embed_main(argc + 3, args);
}

int ipmpi_host_main(int argc, char **argv)
{
    const char *name = base_name(argv[0]);
    const bool speak = strcmp(argv[1], "1") == 0;
    struct ipmpi_interpreter *python = calloc(1, sizeof(*python));
    struct ipmpi_parts *parts = calloc(1, sizeof(*parts));
    char why[WHY_CAP];

    ipmpi_log_set_name(name);
    if (python == NULL || parts == NULL)
        return refuse(speak, ipmpi_strerror(IPMPI_ENOMEM));
    if (ipmpi_interpreter_find(argv[2], python, why, sizeof(why)) != 0)
        return refuse(speak, why);
    ipmpi_parts_find(parts);
    if (parts->embed[0] == '\0' || parts->package[0] == '\0')
        return refuse(speak, "ipmpi is not installed as a whole: "
                             "ipmpi_embed.so or the package ipmpi_engine is "
                             "not where it belongs");
    if (strcmp(name, IPMPI_HOST_CHECK) == 0)
        return 0;
    return embed(python, parts, strcmp(name, IPMPI_HOST_ZYGOTE) == 0,
                 argc - FIXED_ARGS, argv + FIXED_ARGS);
}
