/* The IPython profile that a cluster belongs to: its directories, and the lock
 * that keeps a second cluster of the same id out.
 *
 * Threads: one. Blocks on the file system only. Whatever fails is logged here,
 * with the path and what to do. */
#ifndef IPMPI_FILES_PROFILE_H
#define IPMPI_FILES_PROFILE_H

struct ipmpi_profile; /* opaque: paths and the held lock */

/* The profile's directory, by the rules of ipyparallel's clients: profile_dir,
 * else profile_<profile> in ipython_dir. What is NULL or empty comes from
 * IPP_PROFILE_DIR (only if no profile is named either), IPYTHONDIR, else
 * ~/.ipython and "default". Absolute; the caller frees it. Creates nothing.
 * IPMPI_EINVAL (no such home, or a profile name with a slash), IPMPI_ESYS (no
 * current directory), IPMPI_ENOMEM. */
int ipmpi_profile_locate(const char *profile_dir, const char *ipython_dir,
                         const char *profile, char **dir_out);

/* Makes what is missing of the tree: dir, security and pid (mode 0700), log,
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
