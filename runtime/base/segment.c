/* Memory files of the kernel (memfd), reached through /proc.
 *
 * Invariant: a buffer of ipmpi_segment_create holds the mapping and the
 * descriptor; one of ipmpi_segment_open holds a mapping alone. */
#include "runtime/base/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/error.h"

static void free_made(void *data, void *hint)
{
    struct ipmpi_segment_address *at = hint;

    munmap(data, (size_t)at->len);
    close(at->fd);
    free(at);
}

static void free_view(void *data, void *hint)
{
    munmap(data, (size_t)(uintptr_t)hint);
}

/* Another function, so that such a view is known by it. */
static void free_filler(void *data, void *hint)
{
    free_view(data, hint);
}

static int refuse_if_told(void)
{
    const char *word = getenv(IPMPI_SEGMENT_ENV);

    if (word == NULL || strcmp(word, "no") != 0)
        return 0;
    errno = EPERM;
    return IPMPI_ESYS;
}

static int describe(int fd, size_t len, struct ipmpi_segment_address *out)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return IPMPI_ESYS;
    *out = (struct ipmpi_segment_address){
        .device = (uint64_t)status.st_dev,
        .inode = (uint64_t)status.st_ino,
        .len = len,
        .pid = (int32_t)getpid(),
        .fd = fd,
    };
    return 0;
}

/* Fresh memory costs a fault a page: huge pages where the system has them. */
static void *map(int fd, size_t len, int protection, int flags)
{
    void *data = mmap(NULL, len, protection, flags, fd, 0);

    if (data == MAP_FAILED)
        return NULL;
    madvise(data, len, MADV_HUGEPAGE);
    return data;
}

static int make(size_t len, struct ipmpi_segment_address *at,
                struct ipmpi_buffer **buffer_out)
{
    void *data;
    int err = IPMPI_ESYS;

    if (ftruncate(at->fd, (off_t)len) == 0)
        err = describe(at->fd, len, at);
    if (err != 0)
        return err;
    data = map(at->fd, len, PROT_READ | PROT_WRITE, MAP_SHARED);
    if (data == NULL)
        return IPMPI_ENOMEM;
    err = ipmpi_buffer_wrap(data, len, free_made, at, buffer_out);
    if (err != 0)
        munmap(data, len);
    return err;
}

int ipmpi_segment_create(size_t len, struct ipmpi_buffer **buffer_out)
{
    struct ipmpi_segment_address *at;
    int err = len == 0 ? IPMPI_EINVAL : refuse_if_told();

    if (err != 0)
        return err;
    at = malloc(sizeof(*at));
    if (at == NULL)
        return IPMPI_ENOMEM;
    at->fd = memfd_create("ipmpi-array", MFD_CLOEXEC);
    err = at->fd < 0 ? IPMPI_ESYS : make(len, at, buffer_out);
    if (err == 0)
        return 0;
    if (at->fd >= 0)
        close(at->fd);
    free(at);
    return err;
}

int ipmpi_segment_address(const struct ipmpi_buffer *buffer,
                          struct ipmpi_segment_address *address_out)
{
    const struct ipmpi_segment_address *at =
        ipmpi_buffer_hint(buffer, free_made);

    if (at == NULL)
        return IPMPI_ENOENT;
    *address_out = *at;
    return 0;
}

bool ipmpi_segment_is_huge(const char *setting)
{
    return strstr(setting, "[advise]") != NULL ||
           strstr(setting, "[within_size]") != NULL ||
           strstr(setting, "[always]") != NULL ||
           strstr(setting, "[force]") != NULL;
}

bool ipmpi_segment_has_huge_pages(void)
{
    FILE *file = fopen(IPMPI_SEGMENT_HUGE, "re");
    char setting[128] = "";

    if (file == NULL)
        return false;
    if (fgets(setting, sizeof(setting), file) == NULL)
        setting[0] = '\0';
    fclose(file);
    return ipmpi_segment_is_huge(setting);
}

/* By its mapping if that has huge pages; small ones cost a fault each, which
 * data that is written to the file does not need. */
void ipmpi_segment_fill(struct ipmpi_buffer *buffer, const void *data,
                        size_t len)
{
    const struct ipmpi_segment_address *at =
        ipmpi_buffer_hint(buffer, free_made);
    const uint8_t *from = data;
    size_t done = 0;
    ssize_t n = ipmpi_segment_has_huge_pages() ? 0 : 1;

    while (at != NULL && done < len && n > 0) {
        n = pwrite(at->fd, from + done, len - done, (off_t)done);
        done += n > 0 ? (size_t)n : 0;
    }
    if (done < len)
        memcpy((uint8_t *)ipmpi_buffer_data(buffer) + done, from + done,
               len - done);
}

void ipmpi_segment_prepare(const struct ipmpi_buffer *buffer,
                           const uint8_t *data, size_t len)
{
#ifdef MADV_POPULATE_WRITE
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t start = ((uintptr_t)data + page - 1) & ~(page - 1);
    const uintptr_t end = ((uintptr_t)data + len) & ~(page - 1);

    if (end > start && (ipmpi_buffer_hint(buffer, free_made) != NULL ||
                        ipmpi_buffer_hint(buffer, free_filler) != NULL))
        madvise((void *)start, end - start, MADV_POPULATE_WRITE);
#else
    (void)buffer;
    (void)data;
    (void)len;
#endif
}

static bool is_it(int fd, const struct ipmpi_segment_address *address)
{
    struct stat status;

    return fstat(fd, &status) == 0 &&
           (uint64_t)status.st_dev == address->device &&
           (uint64_t)status.st_ino == address->inode &&
           (uint64_t)status.st_size == address->len && address->len > 0;
}

static int map_view(int fd, size_t len, enum ipmpi_segment_access access,
                    struct ipmpi_buffer **buffer_out)
{
    const bool fill = access == IPMPI_SEGMENT_FILL;
    const int write = access == IPMPI_SEGMENT_READ ? 0 : PROT_WRITE;
    void *data =
        map(fd, len, PROT_READ | write, fill ? MAP_SHARED : MAP_PRIVATE);
    int err;

    if (data == NULL)
        return IPMPI_ENOMEM;
    err = ipmpi_buffer_wrap(data, len, fill ? free_filler : free_view,
                            (void *)(uintptr_t)len, buffer_out);
    if (err != 0)
        munmap(data, len);
    return err;
}

int ipmpi_segment_open(const struct ipmpi_segment_address *address,
                       enum ipmpi_segment_access access,
                       struct ipmpi_buffer **buffer_out)
{
    const int mode = access == IPMPI_SEGMENT_FILL ? O_RDWR : O_RDONLY;
    char path[64];
    int fd, err = IPMPI_ENOENT;

    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)address->pid,
             (int)address->fd);
    fd = open(path, mode | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err;
    if (is_it(fd, address))
        err = map_view(fd, (size_t)address->len, access, buffer_out);
    close(fd);
    return err;
}

/* The machine's boot, the processes in sight, the user. */
void ipmpi_segment_node(char text_out[IPMPI_NODE_LEN + 1])
{
    char boot[40] = "";
    struct stat sight = {0};
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (file != NULL) {
        if (fgets(boot, sizeof(boot), file) == NULL)
            boot[0] = '\0';
        fclose(file);
    }
    boot[strcspn(boot, "\n")] = '\0';
    if (boot[0] == '\0')
        gethostname(boot, sizeof(boot) - 1);
    (void)stat("/proc/self/ns/pid", &sight);
    snprintf(text_out, IPMPI_NODE_LEN + 1, "%.36s.%lx.%x", boot,
             (unsigned long)sight.st_ino, (unsigned)getuid());
}
