/* A stage for the rendezvous' stories: a stepped clock, and what was decided.
 * A check that does not hold ends the test. */
#ifndef IPMPI_TESTS_RENDEZVOUS_STAGE_H
#define IPMPI_TESTS_RENDEZVOUS_STAGE_H

#include "launch/rendezvous/rendezvous.h"

enum { S = 1000000 };

/* How often something was called for, and for whom the last time. */
struct calls {
    unsigned n, member;
};

struct stage {
    struct ipmpi_rendezvous *rdv;
    int64_t now_us;
    uint64_t prepared, committed;
    unsigned chosen[16], nchosen;
    struct calls drains, drops, asked, taken_in;
    unsigned a, b; /* open_pair */
};

/* cmocka's set-up and tear-down. */
int make_stage(void **state);
int remove_stage(void **state);

/* A rendezvous that waits for so many. */
struct stage *open_with(void **state, unsigned min, unsigned max, bool grow);
struct stage *open_stage(void **state, unsigned min, unsigned max);

/* The two that the round waits for are there. */
struct stage *open_pair(void **state, bool grow);

/* What happened to a member; then: and what the round makes of it. */
int tell(struct stage *stage, unsigned member, enum ipmpi_member_event event);
enum ipmpi_round_state told(struct stage *stage, unsigned member,
                            enum ipmpi_member_event event);

/* A member from the scheduler's list to its offer. */
unsigned join_on(struct stage *stage, const char *id, const char *host);
unsigned join(struct stage *stage, const char *id);
int ended(struct stage *stage, uint64_t generation, bool started);
enum ipmpi_round_state step_s(struct stage *stage, int seconds);
void all_ready(struct stage *stage);
void run(struct stage *stage);
enum ipmpi_round_state round_of(const struct stage *stage);
enum ipmpi_member_state state_of(const struct stage *stage, unsigned member);
void check_calls(const struct calls *calls, unsigned n, unsigned member);

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, make_stage, remove_stage)

#endif
