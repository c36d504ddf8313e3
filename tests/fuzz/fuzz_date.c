/* Dates: what was read is written as the same instant; and any number of
 * microseconds within the years we write comes back. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "runtime/base/error.h"
#include "runtime/message/date.h"

#define FIRST_US (-62135596800LL * 1000000)
#define LAST_US  (253402300800LL * 1000000 - 1)

static void check_round(int64_t us)
{
    char text[IPMPI_DATE_LEN + 1];
    int64_t back;

    ipmpi_date_format(us, text);
    IPMPI_ASSERT(strlen(text) == IPMPI_DATE_LEN);
    IPMPI_ASSERT(ipmpi_date_parse(text, strlen(text), &back) == 0);
    if (us >= FIRST_US && us <= LAST_US)
        IPMPI_ASSERT(back == us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t us;

    if (ipmpi_date_parse((const char *)data, size, &us) == 0)
        check_round(us);
    if (size >= sizeof(us)) {
        memcpy(&us, data, sizeof(us));
        check_round(us);
    }
    return 0;
}
