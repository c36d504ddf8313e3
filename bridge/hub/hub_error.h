/* A failure that a client is told of: the class name and str() of the Python
 * exception that ipyparallel's hub would have raised (compat 3.1).
 *
 * Threads: a value; any. */
#ifndef IPMPI_HUB_ERROR_H
#define IPMPI_HUB_ERROR_H

struct ipmpi_hub_error {
    const char *ename; /* static; NULL: no error */
    char evalue[512];  /* UTF-8, cut at a character if too long */
};

/* `ename` is a literal. */
void ipmpi_hub_error_set(struct ipmpi_hub_error *error, const char *ename,
                         const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A KeyError, whose str() is the repr of its argument: 'text' in quotes. */
void ipmpi_hub_error_key(struct ipmpi_hub_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The MemoryError and the errors that an IPMPI_E* code stands for. */
void ipmpi_hub_error_from(struct ipmpi_hub_error *error, int err);

#endif
