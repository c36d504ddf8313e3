/* Dates of the wire. The calendar is computed, not asked of libc: formatting
 * happens for every message that is sent. Only text without a zone needs
 * libc's idea of local time.
 *
 * Days to and from a date: Howard Hinnant, "chrono-compatible low-level date
 * algorithms"; the year starts in March, so that the leap day is its last. */
#include "runtime/message/date.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "runtime/base/error.h"

#define SECOND_US 1000000
#define DAY_S     86400
/* 0001-01-01T00:00:00 and the end of 9999, in days since 1970 */
#define FIRST_DAY (-719162)
#define LAST_DAY  2932896

struct date {
    int year, month, day, hour, minute, second, us;
};

static int64_t days_from_date(int year, int month, int day)
{
    const int64_t y = month <= 2 ? year - 1 : year;
    const int64_t era = (y >= 0 ? y : y - 399) / 400;
    const int64_t year_of_era = y - era * 400;
    const int64_t day_of_year =
        (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    const int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;

    return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, struct date *date)
{
    const int64_t since = days + 719468; /* 0000-03-01 */
    const int64_t era = (since >= 0 ? since : since - 146096) / 146097;
    const int64_t day_of_era = since - era * 146097;
    const int64_t year_of_era = (day_of_era - day_of_era / 1460 +
                                 day_of_era / 36524 - day_of_era / 146096) /
                                365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t month = (5 * day_of_year + 2) / 153; /* 0 is March */

    date->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    date->month = (int)(month < 10 ? month + 3 : month - 9);
    date->year = (int)(year_of_era + era * 400 + (date->month <= 2));
}

static char *put_digits(char *at, int value, int width)
{
    for (int i = width - 1; i >= 0; i--, value /= 10)
        at[i] = (char)('0' + value % 10);
    return at + width;
}

void ipmpi_date_format(int64_t wall_us, char text_out[IPMPI_DATE_LEN + 1])
{
    int64_t seconds = wall_us / SECOND_US, us = wall_us % SECOND_US, days;
    struct date date;
    char *at = text_out;
    int second;

    if (us < 0) {
        us += SECOND_US;
        seconds--;
    }
    days = seconds / DAY_S - (seconds % DAY_S < 0);
    second = (int)(seconds - days * DAY_S);
    days = days < FIRST_DAY ? FIRST_DAY : days > LAST_DAY ? LAST_DAY : days;
    date_from_days(days, &date);
    at = put_digits(at, date.year, 4);
    *at++ = '-';
    at = put_digits(at, date.month, 2);
    *at++ = '-';
    at = put_digits(at, date.day, 2);
    *at++ = 'T';
    at = put_digits(at, second / 3600, 2);
    *at++ = ':';
    at = put_digits(at, second / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, second % 60, 2);
    *at++ = '.';
    at = put_digits(at, (int)us, 6);
    memcpy(at, "Z", 2);
}

/* What is left of the text. */
struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *c, char want)
{
    if (c->at == c->end || *c->at != want)
        return false;
    c->at++;
    return true;
}

/* Exactly `width` digits, the value within [low, high]. */
static bool take_number(struct cursor *c, int width, int low, int high,
                        int *value_out)
{
    int value = 0;

    if (c->end - c->at < width)
        return false;
    for (int i = 0; i < width; i++, c->at++) {
        if (*c->at < '0' || *c->at > '9')
            return false;
        value = value * 10 + (*c->at - '0');
    }
    *value_out = value;
    return value >= low && value <= high;
}

static bool take_fraction(struct cursor *c, int *us_out)
{
    int digits = 0, value = 0;

    for (; c->at != c->end && *c->at >= '0' && *c->at <= '9'; c->at++) {
        if (++digits > 6)
            return false;
        value = value * 10 + (*c->at - '0');
    }
    if (digits == 0)
        return false;
    for (; digits < 6; digits++)
        value *= 10;
    *us_out = value;
    return true;
}

/* Nothing (local time), Z, or an offset from UTC. */
static bool take_zone(struct cursor *c, bool *local_out, int *offset_s_out)
{
    int hours, minutes, sign = 1;

    *offset_s_out = 0;
    *local_out = c->at == c->end;
    if (*local_out || take(c, 'Z'))
        return true;
    if (take(c, '-'))
        sign = -1;
    else if (!take(c, '+'))
        return false;
    if (!take_number(c, 2, 0, 23, &hours))
        return false;
    take(c, ':');
    if (!take_number(c, 2, 0, 59, &minutes))
        return false;
    *offset_s_out = sign * (hours * 3600 + minutes * 60);
    return true;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return days[month - 1] + (month == 2 && leap);
}

static bool take_day_and_time(struct cursor *c, struct date *date)
{
    return take_number(c, 4, 1, 9999, &date->year) && take(c, '-') &&
           take_number(c, 2, 1, 12, &date->month) && take(c, '-') &&
           take_number(c, 2, 1, days_in_month(date->year, date->month),
                       &date->day) &&
           take(c, 'T') && take_number(c, 2, 0, 23, &date->hour) &&
           take(c, ':') && take_number(c, 2, 0, 59, &date->minute) &&
           take(c, ':') && take_number(c, 2, 0, 59, &date->second);
}

static int from_local(const struct date *date, int64_t *seconds_out)
{
    struct tm tm = {
        .tm_year = date->year - 1900,
        .tm_mon = date->month - 1,
        .tm_mday = date->day,
        .tm_hour = date->hour,
        .tm_min = date->minute,
        .tm_sec = date->second,
        .tm_isdst = -1,
        .tm_wday = -1,
    };
    time_t seconds = mktime(&tm);

    if (seconds == -1 && tm.tm_wday == -1)
        return IPMPI_EINVAL;
    *seconds_out = seconds;
    return 0;
}

int ipmpi_date_parse(const char *text, size_t len, int64_t *wall_us_out)
{
    struct cursor c = {text, text + len};
    struct date date = {0};
    bool local;
    int offset_s;
    int64_t seconds;

    if (!take_day_and_time(&c, &date))
        return IPMPI_EINVAL;
    if (take(&c, '.') && !take_fraction(&c, &date.us))
        return IPMPI_EINVAL;
    if (!take_zone(&c, &local, &offset_s) || c.at != c.end)
        return IPMPI_EINVAL;
    if (local) {
        if (from_local(&date, &seconds) != 0)
            return IPMPI_EINVAL;
    } else {
        seconds = days_from_date(date.year, date.month, date.day) * DAY_S +
                  date.hour * 3600 + date.minute * 60 + date.second - offset_s;
    }
    *wall_us_out = seconds * SECOND_US + date.us;
    return 0;
}
