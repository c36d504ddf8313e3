/* The embedding module ipmpi_embed.so, as its loader sees it: dlopen libpython
 * with RTLD_GLOBAL, then this, and find this one function by its name. */
#ifndef IPMPI_PYTHON_EMBED_H
#define IPMPI_PYTHON_EMBED_H

#define IPMPI_EMBED_MAIN "ipmpi_embed_main"

typedef int ipmpi_embed_main_fn(int argc, char **argv);

/* Becomes the interpreter whose path is argv[0], with the built-in module
 * `_ipmpi`; the other arguments are as for python itself. Returns the exit
 * status. Call once, on the process's main thread. */
__attribute__((visibility("default"))) int ipmpi_embed_main(int argc,
                                                            char **argv);

#endif
