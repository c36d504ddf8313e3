/* Files on the user's side: the two connection files that clients read, and
 * one file a job with what a later `stop` or `status` needs. All of them hold
 * keys: mode 0600, written beside and renamed.
 *
 * Threads: one. Blocks for the disk. */
#ifndef IPMPI_LAUNCH_RENDEZVOUS_FILES_H
#define IPMPI_LAUNCH_RENDEZVOUS_FILES_H

#include <jansson.h>

#include "launch/channel/secret.h"

enum { IPMPI_PATH_CAP = 4096 };

/* <profile dir>/security/ipcontroller[-<cluster id>]-client.json and
 * -engine.json. `info` is what rank 0 wrote, without its key (lent); `key` is
 * derived from the secret. An address that only means something on the
 * leader becomes `host`. `profile_dir` NULL: $IPYTHONDIR/profile_default, or
 * below ~/.ipython. IPMPI_EIO, IPMPI_EJSON. */
int ipmpi_files_connection(const char *profile_dir, const char *cluster_id,
                           json_t *info, const char *host,
                           const struct ipmpi_secret *secret, const char *job);
void ipmpi_files_forget_connection(const char *profile_dir,
                                   const char *cluster_id);

/* $IPMPI_HOME/jobs/<job>.json, default ~/.ipmpi. IPMPI_EIO; IPMPI_ENOENT;
 * IPMPI_EJSON. `load` gives a reference. */
int ipmpi_files_save(const char *job, json_t *state);
int ipmpi_files_load(const char *job, json_t **state_out);
void ipmpi_files_forget(const char *job);

#endif
