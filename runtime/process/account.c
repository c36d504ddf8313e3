/* The account: a page of shared memory without a name.
 *
 * Invariant: a ref is in its place before `n` counts it, so that at whichever
 *            instruction the rank dies, what `n` counts is there.
 *
 * The nanny reads with pread and maps nothing: a rank that damages or shortens
 * its account cannot hurt its nanny. */
#include "runtime/process/account.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/base/error.h"

#define MAGIC UINT64_C(0x69706d70692d6163)

struct page {
    uint64_t magic;
    _Atomic uint64_t n;
    _Atomic uint64_t refs[IPMPI_BEGUN_CAP];
    _Atomic uint64_t step;
    uint64_t magic_again;
};

struct ipmpi_account {
    int fd;
    struct page *page;
};

int ipmpi_account_open(struct ipmpi_account **account_out)
{
    struct ipmpi_account *account = calloc(1, sizeof(*account));
    void *page = MAP_FAILED;

    if (account == NULL)
        return IPMPI_ENOMEM;
    account->fd = memfd_create("ipmpi-account", MFD_CLOEXEC);
    if (account->fd >= 0 && ftruncate(account->fd, sizeof(struct page)) == 0)
        page = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE,
                    MAP_SHARED, account->fd, 0);
    if (page == MAP_FAILED) {
        ipmpi_account_close(&account);
        return IPMPI_ESYS;
    }
    account->page = page;
    account->page->magic = account->page->magic_again = MAGIC;
    *account_out = account;
    return 0;
}

void ipmpi_account_close(struct ipmpi_account **account)
{
    struct ipmpi_account *a = *account;

    if (a == NULL)
        return;
    if (a->page != NULL)
        munmap(a->page, sizeof(*a->page));
    if (a->fd >= 0)
        close(a->fd);
    free(a);
    *account = NULL;
}

int ipmpi_account_fd(const struct ipmpi_account *account)
{
    return account->fd;
}

void ipmpi_account_begin(struct ipmpi_account *account, uint64_t ref)
{
    struct page *page;
    uint64_t n;

    if (account == NULL)
        return;
    page = account->page;
    n = atomic_load_explicit(&page->n, memory_order_relaxed);
    atomic_store_explicit(&page->step, 0, memory_order_relaxed);
    atomic_store_explicit(&page->refs[n % IPMPI_BEGUN_CAP], ref,
                          memory_order_relaxed);
    atomic_store_explicit(&page->n, n + 1, memory_order_release);
}

void ipmpi_account_step(struct ipmpi_account *account, uint64_t step)
{
    if (account != NULL)
        atomic_store_explicit(&account->page->step, step, memory_order_release);
}

void ipmpi_account_end(struct ipmpi_account *account, uint64_t ref)
{
    struct page *page;
    uint64_t n;

    if (account == NULL)
        return;
    page = account->page;
    n = atomic_load_explicit(&page->n, memory_order_relaxed);
    for (uint64_t i = n; i > 0 && i + IPMPI_BEGUN_CAP > n; i--) {
        _Atomic uint64_t *at = &page->refs[(i - 1) % IPMPI_BEGUN_CAP];

        if (atomic_load_explicit(at, memory_order_relaxed) == ref) {
            atomic_store_explicit(at, ref | IPMPI_BEGUN_ENDED,
                                  memory_order_release);
            return;
        }
    }
}

int ipmpi_account_read(int fd, struct ipmpi_begun *begun_out)
{
    struct page page;

    if (pread(fd, &page, sizeof(page), 0) != (ssize_t)sizeof(page) ||
        page.magic != MAGIC || page.magic_again != MAGIC)
        return IPMPI_EFRAME;
    begun_out->n = atomic_load(&page.n);
    for (int i = 0; i < IPMPI_BEGUN_CAP; i++)
        begun_out->refs[i] = atomic_load(&page.refs[i]);
    begun_out->step = atomic_load(&page.step);
    return 0;
}
