/* A load: so many tasks, so many of them in flight, and how long each took. */
#ifndef IPMPI_TESTS_BENCH_GENERATOR_LOAD_H
#define IPMPI_TESTS_BENCH_GENERATOR_LOAD_H

#include "tests/bench/generator/client.h"

struct bench_load {
    uint64_t tasks, in_flight;
    uint64_t warm_up; /* tasks before those that count */
    int timeout_ms;   /* for the whole */
};

struct bench_result {
    uint64_t replies, failed, forged, twice;
    uint64_t idle; /* tasks whose end was published, too */
    double seconds;
    double p50_us, p99_us, worst_us;
    double client_cpu_s;
};

/* Runs it. IPMPI_ETIMEOUT: *result_out says how far it came. IPMPI_ENOMEM,
 * IPMPI_EFULL. */
int bench_load_run(struct bench_client *client, const struct ipmpi_frames *call,
                   const struct bench_load *load, bool iopub,
                   struct bench_result *result_out);

#endif
