/* The rendezvous, cell by cell: its tables against the drawings in
 * rendezvous.h. */
#include "launch/rendezvous/rendezvous.h"

#include "tests/check.h"

/* Letters of the states, '.' for an empty cell; columns as the events. */
static const char *const member_want[IPMPI_MEMBER_NSTATES] = {
    /* LIST PROVED OFFER ASK READY REFUSED COMMIT RELEASE BACK GONE UNLIST */
    /* UNSEEN */ "L..........",    /* LISTED */ "LO.......X.",
    /* OPEN */ "O.F.....CX.",      /* OFFERED */ "F.FA.....X.",
    /* ASKED */ "A...RF.F.X.",     /* READY */ "R....FCF.X.",
    /* COMMITTED */ "C....F.F.X.", /* LOST */ "L........XU",
};
static const char member_letter[] = "ULOFARCX";

static const char *const round_want[IPMPI_ROUND_NSTATES] = {
    /* BELOW ENOUGH FULL TIMEOUT ALL_READY BROKEN RUNS ONE LEADER BACK END
       FALSE STOP */
    /* GATHERING */ "GLPF.....R..E",
    /* LAST_CALL */ "GLPP.....R..E",
    /* PREPARING */ "PPPGCG......E",
    /* COMMITTED */ "CCCG.GRGG.EGD",
    /* RUNNING */ "RRR...RRG.E.D",
    /* DRAINING */ "DDDE..DDE.EED",
    /* ENDED */ ".............",
    /* FAILED */ ".............",
};
static const char round_letter[] = "GLPCRDEF";

static void test_every_cell_of_the_members(void **state)
{
    (void)state;
    for (int s = 0; s < IPMPI_MEMBER_NSTATES; s++)
        for (int e = 0; e < IPMPI_MEMBER_NEVENTS; e++) {
            enum ipmpi_member_state next = 0;
            const bool full = ipmpi_rendezvous_member_rule(s, e, &next);

            CHECK_EQ(full ? member_letter[next] : '.', member_want[s][e]);
        }
}

static void test_every_cell_of_the_round(void **state)
{
    (void)state;
    for (int s = 0; s < IPMPI_ROUND_NSTATES; s++)
        for (int e = 0; e < IPMPI_ROUND_NEVENTS; e++) {
            enum ipmpi_round_state next = 0;
            const bool full = ipmpi_rendezvous_round_rule(s, e, &next);

            CHECK_EQ(full ? round_letter[next] : '.', round_want[s][e]);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell_of_the_members),
        cmocka_unit_test(test_every_cell_of_the_round),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
