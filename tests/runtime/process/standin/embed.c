/* The embedding module without its built-in module. */
extern int Py_BytesMain(int argc, char **argv);
__attribute__((visibility("default"))) int ipmpi_embed_main(int argc,
                                                            char **argv);

int ipmpi_embed_main(int argc, char **argv)
{
    return Py_BytesMain(argc, argv);
}
