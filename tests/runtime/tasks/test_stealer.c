/* Every cell of the stealer's table, and a whole world of stealers that shares
 * out a pile of work and then falls silent. */
#include "runtime/tasks/stealer.h"

#include <stdlib.h>

#include "tests/check.h"

/* ---- one stealer, whose actions are written down -------------------- */

struct diary {
    char did[256];
    size_t gives; /* what give() returns */
};

struct solo {
    struct ipmpi_stealer stealer;
    struct diary diary;
    struct ipmpi_seating *seating;
};

static void note(struct diary *diary, char what, int whom)
{
    const size_t at = strlen(diary->did);

    CHECK(at + 4 < sizeof(diary->did));
    diary->did[at] = what;
    diary->did[at + 1] = (char)('0' + whom);
}

static void ask(void *ctx, int victim)
{
    note(ctx, 'a', victim);
}

static void refuse(void *ctx, int thief)
{
    note(ctx, 'r', thief);
}

static size_t give(void *ctx, int thief)
{
    struct diary *diary = ctx;

    note(ctx, 'g', thief);
    return diary->gives;
}

static void wake(void *ctx, int member)
{
    note(ctx, 'w', member);
}

static void quiet(void *ctx)
{
    note(ctx, 'q', 0);
}

/* What it did since it was last looked at. */
static void did(struct solo *solo, const char *expected)
{
    struct diary *diary = &solo->diary;

    CHECK_STR(diary->did, expected);
    memset(diary->did, 0, sizeof(diary->did));
}

/* Member 0 of three, all alike. */
static int begin(void **state)
{
    const struct ipmpi_seat seats[3] = {{1, 0, 0}, {1, 0, 0}, {2, 0, 0}};
    struct solo *solo = calloc(1, sizeof(*solo));

    if (solo == NULL)
        return -1;
    *state = solo;
    CHECK_EQ(ipmpi_seating_create(seats, 3, &solo->seating), 0);
    ipmpi_stealer_init(&solo->stealer,
                       &(struct ipmpi_steal_actions){&solo->diary, ask, refuse,
                                                     give, wake, quiet},
                       solo->seating, 0, 1);
    return 0;
}

static int end(void **state)
{
    struct solo *solo = *state;

    ipmpi_seating_destroy(&solo->seating);
    free(solo);
    return 0;
}

/* It runs dry where there is said to be work, and asks its neighbour. */
static struct ipmpi_stealer *seek(struct solo *solo)
{
    ipmpi_stealer_hint(&solo->stealer);
    did(solo, "");
    ipmpi_stealer_dry(&solo->stealer);
    did(solo, "a1");
    return &solo->stealer;
}

static void a_search(void **state)
{
    struct solo *solo = *state;
    struct ipmpi_stealer *s = &solo->stealer;

    ipmpi_stealer_dry(s); /* no hint: nobody is asked */
    did(solo, "");
    ipmpi_stealer_fed(s);
    seek(solo);
    ipmpi_stealer_dry(s); /* one question at a time */
    did(solo, "");
    ipmpi_stealer_refused(s, 2); /* nobody asked that one */
    did(solo, "");
    ipmpi_stealer_refused(s, 1);
    did(solo, "a2");
    ipmpi_stealer_refused(s, 2);
    did(solo, "q0");
    CHECK_EQ(s->state, IPMPI_STEALER_QUIET);
    ipmpi_stealer_dry(s); /* silence */
    did(solo, "");
    CHECK_EQ(s->nasked, 2);
}

static void who_does_not_answer_is_passed_over(void **state)
{
    struct solo *solo = *state;
    struct ipmpi_stealer *s = &solo->stealer;

    ipmpi_stealer_stalled(s); /* nobody was asked */
    seek(solo);
    ipmpi_stealer_stalled(s);
    did(solo, "a2");
    ipmpi_stealer_refused(s, 2);
    did(solo, "q0");
    ipmpi_stealer_woken(s, 2); /* the next search: 1 is still silent */
    did(solo, "a2");
    ipmpi_stealer_refused(s, 2);
    did(solo, "a2");
    ipmpi_stealer_refused(s, 2);
    did(solo, "q0");
    ipmpi_stealer_refused(s, 1); /* at last */
    ipmpi_stealer_woken(s, 2);
    did(solo, "a2");
    ipmpi_stealer_refused(s, 2);
    did(solo, "a1");
}

/* What the silent one gives after all is welcome. */
static void a_late_answer(void **state)
{
    struct solo *solo = *state;
    struct ipmpi_stealer *s = seek(solo);

    ipmpi_stealer_stalled(s);
    did(solo, "a2");
    ipmpi_stealer_got(s, 1, 2);
    CHECK_EQ(s->state, IPMPI_STEALER_FED);
    CHECK_EQ(s->asked, 2);
    ipmpi_stealer_refused(s, 2);
    did(solo, "");
    ipmpi_stealer_dry(s);
    did(solo, "a1");
}

static void success(void **state)
{
    struct solo *solo = *state;
    struct ipmpi_stealer *s = seek(solo);

    ipmpi_stealer_got(s, 1, 3);
    CHECK_EQ(s->state, IPMPI_STEALER_FED);
    ipmpi_stealer_dry(s); /* there may be more: near ones first again */
    did(solo, "a1");
}

/* Work comes by another way while an answer is awaited. */
static void fed_meanwhile(void **state)
{
    struct solo *solo = *state;
    struct ipmpi_stealer *s = seek(solo);

    ipmpi_stealer_fed(s);
    ipmpi_stealer_dry(s); /* still waits for the answer */
    did(solo, "");
    ipmpi_stealer_fed(s);
    ipmpi_stealer_refused(s, 1);
    did(solo, "");
    CHECK_EQ(s->state, IPMPI_STEALER_FED);
}

static void woken(void **state)
{
    struct solo *solo = *state;
    struct ipmpi_stealer *s = &solo->stealer;

    ipmpi_stealer_woken(s, 2);
    did(solo, "a2");
    ipmpi_stealer_woken(s, 1); /* next, before all others */
    ipmpi_stealer_refused(s, 2);
    did(solo, "a1");
    ipmpi_stealer_got(s, 1, 1);
    ipmpi_stealer_woken(s, 2); /* busy: later */
    did(solo, "");
    ipmpi_stealer_dry(s);
    did(solo, "a2");
}

static void deaths(void **state)
{
    struct solo *solo = *state;
    struct ipmpi_stealer *s = seek(solo);

    ipmpi_stealer_died(s, 1); /* will not answer */
    did(solo, "a2");
    ipmpi_stealer_died(s, 2);
    did(solo, "q0");
    ipmpi_stealer_surplus(s); /* nobody is left to be woken */
    did(solo, "");
}

static void victims(void **state)
{
    struct solo *solo = *state;
    struct ipmpi_stealer *s = &solo->stealer;

    solo->diary.gives = 2;
    ipmpi_stealer_asked(s, 1);
    did(solo, "g1");
    CHECK_EQ(s->ngiven, 2);
    ipmpi_stealer_surplus(s); /* lifelines: 0 is tied to 1 and 2 */
    did(solo, "w1w2");
    ipmpi_stealer_surplus(s); /* each once */
    did(solo, "");
    solo->diary.gives = 0;
    ipmpi_stealer_asked(s, 2);
    ipmpi_stealer_asked(s, 2);
    did(solo, "g2r2g2r2");
    ipmpi_stealer_surplus(s);
    did(solo, "w2");
    s->off = true;
    ipmpi_stealer_asked(s, 1);
    did(solo, "r1");
}

static void many_lifelines(void **state)
{
    struct ipmpi_lifelines lifelines;

    (void)state;
    ipmpi_lifelines_init(&lifelines, 5, 7); /* 4, 7 is not there, 1 */
    CHECK_EQ(lifelines.n, 2);
    for (int i = 0; i < 2 * IPMPI_LIFELINES_CAP; i++)
        ipmpi_lifelines_tie(&lifelines, i);
    CHECK_EQ(lifelines.n, IPMPI_LIFELINES_CAP);
    ipmpi_lifelines_cut(&lifelines, IPMPI_LIFELINES_CAP);
    CHECK_EQ(ipmpi_lifelines_next(&lifelines), IPMPI_LIFELINES_CAP + 1);
}

/* ---- a world -------------------------------------------------------- */

enum { MEMBERS = 37, TASKS = 20000, MESSAGES_CAP = 1 << 16 };

struct member {
    struct ipmpi_stealer stealer;
    int number;
    int waiting, done;
    bool in_vain; /* its last search was, and rank 0 was told */
};

struct message {
    char what; /* s: steal, e: empty, l: loot, w: wake */
    int from, to, n;
};

static struct member members[MEMBERS];
static struct message messages[MESSAGES_CAP];
static int first_message, n_messages;

static void post(char what, const struct member *from, int to, int n)
{
    CHECK(n_messages < MESSAGES_CAP);
    messages[n_messages++] = (struct message){what, from->number, to, n};
}

static void world_ask(void *ctx, int victim)
{
    struct member *m = ctx;

    m->in_vain = false;
    post('s', m, victim, 0);
}

static void world_refuse(void *ctx, int thief)
{
    post('e', ctx, thief, 0);
}

static size_t world_give(void *ctx, int thief)
{
    struct member *m = ctx;
    const int n = m->waiting / 2;

    if (n > 0)
        post('l', m, thief, n);
    m->waiting -= n;
    return (size_t)n;
}

static void world_wake(void *ctx, int who)
{
    post('w', ctx, who, 0);
}

static void world_quiet(void *ctx)
{
    struct member *m = ctx;

    m->in_vain = true;
}

static void deliver(const struct message *message)
{
    struct member *m = &members[message->to];

    switch (message->what) {
    case 's':
        ipmpi_stealer_asked(&m->stealer, message->from);
        break;
    case 'e':
        ipmpi_stealer_refused(&m->stealer, message->from);
        break;
    case 'w':
        ipmpi_stealer_woken(&m->stealer, message->from);
        break;
    default:
        m->waiting += message->n;
        ipmpi_stealer_got(&m->stealer, message->from, (size_t)message->n);
    }
}

static void work(struct member *m)
{
    if (m->waiting > 1)
        ipmpi_stealer_surplus(&m->stealer);
    if (m->waiting > 0) {
        m->waiting--;
        m->done++;
    } else {
        ipmpi_stealer_dry(&m->stealer);
    }
}

static struct ipmpi_seating *open_world(void)
{
    struct ipmpi_seat seats[MEMBERS];
    struct ipmpi_seating *seating = NULL;

    for (int i = 0; i < MEMBERS; i++)
        seats[i] = (struct ipmpi_seat){(uint64_t)(i / 8), 0, i / 4};
    CHECK_EQ(ipmpi_seating_create(seats, MEMBERS, &seating), 0);
    for (int i = 0; i < MEMBERS; i++) {
        const struct ipmpi_steal_actions actions = {&members[i],  world_ask,
                                                    world_refuse, world_give,
                                                    world_wake,   world_quiet};

        members[i].number = i;
        ipmpi_stealer_init(&members[i].stealer, &actions, seating, i,
                           (unsigned)i);
    }
    return seating;
}

/* All messages arrive, then all work; a task takes as long as ten messages.
 * Returns how many tasks are done. */
static int one_turn(int turn)
{
    const int until = n_messages;
    int done = 0;

    while (first_message < until)
        deliver(&messages[first_message++]);
    for (int i = 0; i < MEMBERS; i++) {
        if ((turn + i) % 10 == 0 || members[i].waiting == 0)
            work(&members[i]);
        done += members[i].done;
    }
    return done;
}

/* Dry members ask nobody, as often as they say it, and rank 0 was told so. */
static void check_silence(void)
{
    for (int i = 0; i < 10 * MEMBERS; i++)
        work(&members[i % MEMBERS]);
    CHECK_EQ(first_message, n_messages);
    for (int i = 0; i < MEMBERS; i++) {
        CHECK_EQ(members[i].stealer.state, IPMPI_STEALER_QUIET);
        CHECK(members[i].in_vain);
    }
}

/* All tasks begin at one member. */
static void a_pile_is_shared_out(void **state)
{
    struct ipmpi_seating *seating = open_world();
    int done = 0, turns = 0;

    (void)state;
    members[MEMBERS - 1].waiting = TASKS;
    while (done < TASKS || first_message < n_messages) {
        CHECK(++turns < 100000);
        done = one_turn(turns);
    }
    CHECK_EQ(done, TASKS);
    for (int i = 0; i < MEMBERS; i++)
        CHECK(members[i].done > 0);
    CHECK(turns < 10 * TASKS / MEMBERS * 5 / 4); /* 80 % of the ideal */
    CHECK(n_messages < TASKS); /* where a task is sent, it costs two */
    check_silence();
    ipmpi_seating_destroy(&seating);
}

#define SOLO(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SOLO(a_search),
        SOLO(who_does_not_answer_is_passed_over),
        SOLO(a_late_answer),
        SOLO(success),
        SOLO(fed_meanwhile),
        SOLO(woken),
        SOLO(deaths),
        SOLO(victims),
        cmocka_unit_test(many_lifelines),
        cmocka_unit_test(a_pile_is_shared_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
