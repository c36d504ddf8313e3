/* cmocka with the headers it forgets to include, and the names our tests use.
 * In every C test: #include "tests/check.h" */
#ifndef IPMPI_TESTS_CHECK_H
#define IPMPI_TESTS_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define CHECK(cond)       assert_true(cond)
#define CHECK_EQ(a, b)    assert_int_equal((a), (b))
#define CHECK_STR(a, b)   assert_string_equal((a), (b))
#define CHECK_MEM(a, b, n) assert_memory_equal((a), (b), (n))

#endif
