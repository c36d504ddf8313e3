/* run_embed LIBPYTHON MODULE PYTHON [ARG...]: enters Python as a rank does:
 * libpython globally, then the embedding module, then its main function. */
#include <dlfcn.h>
#include <stdio.h>

#include "runtime/python/embed.h"

int main(int argc, char **argv)
{
    ipmpi_embed_main_fn *embed_main;
    void *module;

    if (argc < 4) {
        fprintf(stderr, "usage: run_embed LIBPYTHON MODULE PYTHON [ARG...]\n");
        return 2;
    }
    if (dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL) == NULL)
        goto failed;
    module = dlopen(argv[2], RTLD_NOW);
    if (module == NULL)
        goto failed;
    embed_main = (ipmpi_embed_main_fn *)dlsym(module, IPMPI_EMBED_MAIN);
    if (embed_main == NULL)
        goto failed;
    return embed_main(argc - 3, argv + 3);

failed:
    fprintf(stderr, "run_embed: %s\n", dlerror());
    return 1;
}
