/* Sleep, flood and idleness once more between ranks that share no page of
 * flags, as those of different hosts. */
#define JOB_REMOTE
#include "test_sleep.c"
