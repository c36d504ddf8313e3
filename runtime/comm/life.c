/* MPI_Init and MPI_Finalize.
 *
 * Note [in place]. Through shared memory Open MPI sends a packet of more than
 * 256 bytes "in place": it is in flight until its receiver has taken it, and
 * meanwhile we test for it, and yield, and do not sleep. Without that flag the
 * same packet is copied as before, but has left when MPI_Isend returns. These
 * are the other flags that it has by itself; large messages need them. */
#include "runtime/comm/life.h"

#include <mpi.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "runtime/base/error.h"
#include "runtime/base/log.h"
#include "runtime/comm/fabric.h"

#define FLAGS_ENV "OMPI_MCA_btl_vader_flags"
#define FLAGS     "send,put,get,atomics,fetching-atomics"

/* What was told Open MPI by the environment, which is the user's. */
struct told {
    bool mtl, flags;
};

static struct told tell(void)
{
    char mtl[IPMPI_FABRIC_CAP];
    struct told told = {false, false};

    if (ipmpi_fabric_choose(mtl, sizeof(mtl)))
        told.mtl = setenv(IPMPI_FABRIC_ENV, mtl, 1) == 0;
    if (getenv(FLAGS_ENV) == NULL) /* see note [in place] */
        told.flags = setenv(FLAGS_ENV, FLAGS, 1) == 0;
    return told;
}

static void take_back(const struct told *told)
{
    if (told->mtl)
        unsetenv(IPMPI_FABRIC_ENV);
    if (told->flags)
        unsetenv(FLAGS_ENV);
}

int ipmpi_life_begin(void)
{
    const struct told told = tell();
    int provided = MPI_THREAD_SINGLE;
    const int code =
        MPI_Init_thread(NULL, NULL, MPI_THREAD_MULTIPLE, &provided);

    take_back(&told);
    if (code != MPI_SUCCESS) {
        ipmpi_log_error("COMM-INIT", "MPI_Init_thread failed (%d)", code);
        return IPMPI_EMPI;
    }
    if (provided < MPI_THREAD_MULTIPLE) {
        ipmpi_log_error("COMM-THREADS", "this MPI library is built without "
                                        "MPI_THREAD_MULTIPLE, which is needed");
        MPI_Finalize();
        return IPMPI_EMPI;
    }
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    return 0;
}

/* MPI_Finalize in a thread of its own; Open MPI asks only that no other thread
 * is inside MPI. */
struct finalizer {
    pthread_mutex_t lock; /* guards done and left */
    pthread_cond_t ended;
    bool done;
    bool left; /* the caller has given up: the thread cleans up */
};

static void drop_finalizer(struct finalizer *f)
{
    pthread_cond_destroy(&f->ended);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static void *finalize(void *arg)
{
    struct finalizer *f = arg;
    bool left;

    pthread_setname_np(pthread_self(), "mpi-finalize");
    MPI_Finalize();
    pthread_mutex_lock(&f->lock);
    f->done = true;
    left = f->left;
    pthread_cond_signal(&f->ended);
    pthread_mutex_unlock(&f->lock);
    if (left)
        drop_finalizer(f);
    return NULL;
}

int ipmpi_life_end(int64_t deadline_us)
{
    struct finalizer *f = calloc(1, sizeof(*f));
    const struct timespec until = {.tv_sec = deadline_us / 1000000,
                                   .tv_nsec = deadline_us % 1000000 * 1000};
    pthread_condattr_t clock;
    pthread_t thread;
    bool done;

    if (f == NULL)
        return IPMPI_ENOMEM;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->ended, &clock);
    pthread_condattr_destroy(&clock);
    if (pthread_create(&thread, NULL, finalize, f) != 0) {
        drop_finalizer(f);
        return IPMPI_ESYS;
    }
    pthread_mutex_lock(&f->lock);
    while (!f->done && pthread_cond_timedwait(&f->ended, &f->lock, &until) == 0)
        ;
    done = f->done;
    f->left = !done;
    pthread_mutex_unlock(&f->lock);
    if (!done) {
        pthread_detach(thread);
        return IPMPI_ETIMEOUT;
    }
    pthread_join(thread, NULL);
    drop_finalizer(f);
    return 0;
}
