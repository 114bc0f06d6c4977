/* SPDX-License-Identifier: MIT */

/*
 * HTTP dates, without the C library's calendar: strptime() and gmtime_r() depend on a locale and a
 * time zone and accept what HTTP does not.
 *
 * Days are counted by the proleptic Gregorian calendar in years that begin in March, so that the
 * leap day comes last and the lengths of the months before it are one linear formula.
 *
 * Each form is described by a pattern that is walked along the text: a letter stands for a part of
 * the date, everything else for itself.
 */
#include "proto/http_date.h"

#include "proto/chars.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SECONDS_PER_DAY INT64_C(86400)
#define DAYS_PER_ERA    INT64_C(146097) /* 400 years, after which the calendar repeats */
#define ERA_OFFSET      INT64_C(719468) /* days from 0000-03-01 to 1970-01-01 */

typedef struct date {
    int64_t year;
    int month; /* 1 to 12 */
    int day, hour, minute, second;
    int weekday; /* 0 is Sunday */
} date;

static const char day_names[] = "SunMonTueWedThuFriSat";
static const char *const long_day_names[] = { "Sunday",   "Monday", "Tuesday", "Wednesday",
                                              "Thursday", "Friday", "Saturday" };
static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static int64_t days_from_date(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
           day_of_year - ERA_OFFSET;
}

/* The day of the week; days may be negative. */
static int weekday_of(int64_t days)
{
    return (int)(((days + 4) % 7 + 7) % 7);
}

static date date_from_seconds(int64_t seconds)
{
    int64_t days = seconds / SECONDS_PER_DAY;
    int rest = (int)(seconds % SECONDS_PER_DAY);
    if (rest < 0) {
        rest += (int)SECONDS_PER_DAY;
        days--;
    }
    int64_t shifted = days + ERA_OFFSET;
    int64_t era = (shifted >= 0 ? shifted : shifted - DAYS_PER_ERA + 1) / DAYS_PER_ERA;
    int64_t day_of_era = shifted - era * DAYS_PER_ERA;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int day_of_year = (int)(day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100));
    int month = (5 * day_of_year + 2) / 153; /* 0 is March */
    return (date){ .year = year_of_era + era * 400 + (month >= 10),
                   .month = month + (month < 10 ? 3 : -9),
                   .day = day_of_year - (153 * month + 2) / 5 + 1,
                   .hour = rest / 3600,
                   .minute = rest / 60 % 60,
                   .second = rest % 60,
                   .weekday = weekday_of(days) };
}

static void write_pair(char *out, int n)
{
    out[0] = (char)('0' + n / 10);
    out[1] = (char)('0' + n % 10);
}

int thi_http_date_write(char *out, int64_t seconds)
{
    date d = date_from_seconds(seconds);
    if (d.year < 0 || d.year > 9999)
        return -ERANGE;
    memcpy(out, "ddd, 00 mmm 0000 00:00:00 GMT", THI_HTTP_DATE_LEN);
    memcpy(out, day_names + (size_t)(3 * d.weekday), 3);
    write_pair(out + 5, d.day);
    memcpy(out + 8, month_names + (size_t)(3 * (d.month - 1)), 3);
    write_pair(out + 12, (int)(d.year / 100));
    write_pair(out + 14, (int)(d.year % 100));
    write_pair(out + 17, d.hour);
    write_pair(out + 20, d.minute);
    write_pair(out + 23, d.second);
    return 0;
}

/* Takes exactly n digits off the front; -1 if there are fewer. */
static int take_number(th_str *s, size_t n)
{
    int value = 0;
    if (s->len < n)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (!thi_char_is(s->ptr[i], THI_CHAR_DIGIT))
            return -1;
        value = value * 10 + (s->ptr[i] - '0');
    }
    *s = th_str_make(s->ptr + n, s->len - n);
    return value;
}

/* Takes one of `count` names of three letters off the front; its index, or -1. */
static int take_name(th_str *s, const char *names, int count)
{
    for (int i = 0; s->len >= 3 && i < count; i++) {
        if (memcmp(s->ptr, names + (size_t)(3 * i), 3) == 0) {
            *s = th_str_make(s->ptr + 3, s->len - 3);
            return i;
        }
    }
    return -1;
}

static int take_long_day(th_str *s)
{
    for (int i = 0; i < 7; i++) {
        size_t len = strlen(long_day_names[i]);
        if (s->len >= len && memcmp(s->ptr, long_day_names[i], len) == 0) {
            *s = th_str_make(s->ptr + len, s->len - len);
            return i;
        }
    }
    return -1;
}

/* Two digits, of which the first may be a space (asctime). */
static int take_padded(th_str *s)
{
    if (s->len == 0 || *s->ptr != ' ')
        return take_number(s, 2);
    *s = th_str_make(s->ptr + 1, s->len - 1);
    return take_number(s, 1);
}

/*
 * Walks the pattern along the text: a day name, A long day name, d day, p padded day, b month, Y
 * and y year of four and two digits, H, M, S time. Two-digit years are left as they are.
 */
static bool match(th_str s, const char *pattern, date *out)
{
    int n;
    for (; *pattern; pattern++) {
        switch (*pattern) {
        case 'a':
            n = out->weekday = take_name(&s, day_names, 7);
            break;
        case 'A':
            n = out->weekday = take_long_day(&s);
            break;
        case 'd':
            n = out->day = take_number(&s, 2);
            break;
        case 'p':
            n = out->day = take_padded(&s);
            break;
        case 'b':
            n = take_name(&s, month_names, 12);
            out->month = n + 1;
            break;
        case 'Y':
            n = take_number(&s, 4);
            out->year = n;
            break;
        case 'y':
            n = take_number(&s, 2);
            out->year = n;
            break;
        case 'H':
            n = out->hour = take_number(&s, 2);
            break;
        case 'M':
            n = out->minute = take_number(&s, 2);
            break;
        case 'S':
            n = out->second = take_number(&s, 2);
            break;
        default:
            n = s.len > 0 && *s.ptr == *pattern ? 0 : -1;
            s = n < 0 ? s : th_str_make(s.ptr + 1, s.len - 1);
        }
        if (n < 0)
            return false;
    }
    return s.len == 0;
}

/* RFC 9110, 5.6.7: a two-digit year more than 50 years ahead is the last one with these digits. */
static int64_t full_year(int64_t two_digits, int64_t now)
{
    int64_t this_year = date_from_seconds(now).year;
    int64_t year = this_year - this_year % 100 + two_digits;
    if (year > this_year + 50)
        year -= 100;
    else if (year + 100 <= this_year + 50)
        year += 100;
    return year;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

int thi_http_date_parse(th_str text, int64_t now, int64_t *seconds)
{
    static const uint8_t month_days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    date d = { 0 };
    /* The zone is no part of the patterns: its M would be the minute. */
    bool zoned = th_str_has_suffix(text, TH_STR(" GMT"));
    th_str local = th_str_make(text.ptr, zoned ? text.len - 4 : 0);
    bool fixdate = zoned && match(local, "a, d b Y H:M:S", &d);
    bool rfc850 = zoned && !fixdate && match(local, "A, d-b-y H:M:S", &d);
    if (!fixdate && !rfc850 && !match(text, "a b p H:M:S Y", &d))
        return -EINVAL;
    if (rfc850)
        d.year = full_year(d.year, now);
    int last = month_days[d.month - 1] + (d.month == 2 && is_leap(d.year));
    /* A leap second is written as :60. */
    if (d.day < 1 || d.day > last || d.hour > 23 || d.minute > 59 || d.second > 60)
        return -EINVAL;
    int64_t days = days_from_date(d.year, d.month, d.day);
    if (weekday_of(days) != d.weekday)
        return -EINVAL;
    *seconds = days * SECONDS_PER_DAY + d.hour * 3600 + d.minute * 60 + d.second;
    return 0;
}
