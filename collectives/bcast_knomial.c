/* k-nomial tree: who has the data sends it to K - 1 others in each round, a
 * generalisation of the binomial tree (k = 2); Thakur, Rabenseifner, Gropp
 * 2005, section 4.
 * Cost: log_k(p) rounds, each latency + (k - 1) n bytes. */
#include "collectives/internal.h"

enum { K = 4 };

int ipmpi_bcast_knomial(struct ipmpi_group *group, void *data, size_t len,
                        int root)
{
    const int n = group->n, me = (group->me - root + n) % n;
    int step = 1, err = 0;

    /* Our parent differs from us in the lowest digit, base K, that is not 0;
     * our children in the digits below. */
    while (step < n && me / step % K == 0)
        step *= K;
    if (me > 0) {
        const int parent = me - me / step % K * step;

        err = ipmpi_group_receive(group, data, len, (parent + root) % n);
        if (err == 0)
            err = ipmpi_group_wait(group, false);
    }
    for (step /= K; step > 0 && err == 0; step /= K) {
        for (int digit = 1; digit < K && err == 0; digit++) {
            const int child = me + digit * step;

            if (child < n)
                err = ipmpi_group_send(group, data, len, (child + root) % n);
        }
    }
    return err == 0 ? ipmpi_group_wait(group, false) : err;
}
