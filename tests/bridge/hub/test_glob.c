/* Shell patterns, beside what Python's fnmatch.fnmatchcase says. */
#include "bridge/hub/glob.h"

#include "tests/check.h"

static const struct {
    const char *pattern, *text;
    bool matches;
} rows[] = {
    {"", "", true},
    {"", "a", false},
    {"*", "", true},
    {"*", "a/b.c", true},
    {"?", "", false},
    {"group_a*", "group_a", true},
    {"group_a*", "group_a/subgroup_a", true},
    {"group_a*", "group_b", false},
    {"group_a*", "Group_a", false},
    {"group_a/subgroup_?", "group_a/subgroup_b", true},
    {"group_b", "group_b/subgroup_a", false},
    {"group_b/subgroup_[ab]", "group_b/subgroup_b", true},
    {"group_b/subgroup_[ab]", "group_b/subgroup_c", false},
    {"[!ab]", "c", true},
    {"[!ab]", "a", false},
    {"[^a]", "b", false}, /* ^ is no negation in fnmatch */
    {"[^a]", "^", true},
    {"[a-c]x", "bx", true},
    {"[a-c]x", "dx", false},
    {"[a-]", "-", true},
    {"[]]", "]", true},
    {"[!]]", "]", false},
    {"[", "[", true},
    {"a[", "a[", true},
    {"[!]", "[!]", true},
    {"*/subgroup_a", "group_a/subgroup_a", true},
    {"*[*]*", "label*task", true},
    {"*[*]*", "label?task", false},
    {"*[?]*", "label?task", true},
    {"\\a", "\\a", true},
    {".*", ".hidden", true},
    {"*a", ".a", true},
    {"?", "\xc3\xa9", true}, /* one character */
    {"??", "\xc3\xa9", false},
    {"[\xc3\xa8-\xc3\xaa]", "\xc3\xa9", true},
    {"*\xe2\x82\xac", "5 \xe2\x82\xac", true},
    {"*a*b*c*", "xxaxxbxxcxx", true},
    {"*a*b*c*", "xxaxxcxxbxx", false},
};

static void every_row(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const bool is =
            ipmpi_glob_matches(rows[i].pattern, strlen(rows[i].pattern),
                               rows[i].text, strlen(rows[i].text));

        if (is != rows[i].matches)
            fail_msg("%s on %s", rows[i].pattern, rows[i].text);
    }
}

/* Would take hours if every * were tried again. */
static void many_stars_are_cheap(void **state)
{
    char text[2000], pattern[201];

    (void)state;
    memset(text, 'a', sizeof(text));
    for (int i = 0; i < 200; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[200] = 'b';
    CHECK(!ipmpi_glob_matches(pattern, 201, text, sizeof(text)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(many_stars_are_cheap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
