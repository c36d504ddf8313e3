/* Private to the room: paths, and the directories of a profile. */
#ifndef IPMPI_FILES_PATH_H
#define IPMPI_FILES_PATH_H

/* Like asprintf; the caller frees it. NULL without memory. */
char *ipmpi_path_format(const char *text, ...)
    __attribute__((format(printf, 1, 2)));

/* Makes what is missing: the path itself, not empty, and a profile's children.
 * The path is written to and restored. IPMPI_ESYS (logged), IPMPI_ENOMEM. */
int ipmpi_path_make_tree(char *dir);

#endif
