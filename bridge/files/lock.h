/* Private to the room: a lock file that names its holder. */
#ifndef IPMPI_FILES_LOCK_H
#define IPMPI_FILES_LOCK_H

/* Takes the lock, waiting a fifth of a second at most, and writes "<host> <pid>" into the file; the
 * caller owns the descriptor (-1: the file system cannot lock, which is
 * logged). IPMPI_EBUSY: another has it (logged, with its name); IPMPI_ESYS
 * (logged). */
int ipmpi_lock_take(const char *path, int *fd_out);

/* Removes the file and gives the lock back; sets *fd to -1. */
void ipmpi_lock_give(const char *path, int *fd);

#endif
