/* The IPython profile that a cluster belongs to: its directories, and the lock
 * that keeps a second cluster of the same id out.
 *
 * Threads: one. Blocks on the file system only. Whatever fails is logged here,
 * with the path and what to do. */
#ifndef IPMPI_FILES_PROFILE_H
#define IPMPI_FILES_PROFILE_H

struct ipmpi_profile; /* opaque: paths and the held lock */

/* Makes what is missing of the tree: dir (see base/options.h for which),
 * security and pid (mode 0700), log,
 * startup; then takes the lock of this cluster id (NULL or "": none) and holds
 * it until close. The lock is an flock on security/.ipmpi[-ID].lock, a line
 * "<host> <pid>"; it vanishes with the process, however that ends. On a file
 * system that cannot lock, a warning takes its place.
 * IPMPI_EBUSY (another cluster holds it), IPMPI_EINVAL (not a usable id),
 * IPMPI_ESYS (cannot be made or written), IPMPI_ENOMEM. */
int ipmpi_profile_open(const char *dir, const char *cluster_id,
                       struct ipmpi_profile **profile_out);

/* Gives the lock back; leaves the directories. NULL is fine. */
void ipmpi_profile_close(struct ipmpi_profile **profile);

/* Borrowed from the profile. */
const char *ipmpi_profile_dir(const struct ipmpi_profile *profile);
const char *ipmpi_profile_security_dir(const struct ipmpi_profile *profile);
const char *ipmpi_profile_client_file(const struct ipmpi_profile *profile);
const char *ipmpi_profile_engine_file(const struct ipmpi_profile *profile);

#endif
