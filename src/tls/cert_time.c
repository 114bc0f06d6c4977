/* SPDX-License-Identifier: MIT */

/*
 * Times as certificates have them, and as seconds since 1970.
 *
 * All is reckoned here, in the proleptic Gregorian calendar and UTC: mktime(3) knows of time zones,
 * and time_t of a year 2038 in places.
 */
#include "tls/cert_time.h"

#include "base/error.h"
#include "tls/ossl.h"

#include <thrum/time.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY INT64_C(86400)

/* A date and a time of day; month and day from 1. */
typedef struct moment {
    int year, month, day, hour, minute, second;
} moment;

/* Days since 1970-01-01: years begin in March, so that the leap day is the last of one. */
static int64_t days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static moment moment_of(int64_t seconds)
{
    int64_t days = seconds / DAY - (seconds % DAY < 0);
    int rest = (int)(seconds - days * DAY);
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t march = (5 * of_year + 2) / 153;
    int month = (int)(march < 10 ? march + 3 : march - 9);
    return (moment){ .year = (int)(year + era * 400 + (month <= 2)),
                     .month = month,
                     .day = (int)(of_year - (153 * march + 2) / 5 + 1),
                     .hour = rest / 3600,
                     .minute = rest / 60 % 60,
                     .second = rest % 60 };
}

static bool exists(const moment *m)
{
    if (m->month < 1 || m->month > 12 || m->day < 1 || m->hour > 23 || m->minute > 59 ||
        m->second > 59)
        return false;
    int next = m->month == 12 ? 1 : m->month + 1;
    int64_t length = days_of(m->year + (m->month == 12), next, 1) - days_of(m->year, m->month, 1);
    return m->day <= length;
}

/* ---- reading ---- */

/* Takes `digits` digits off the text. */
static bool take_number(th_str *text, int digits, int *number)
{
    int n = 0;
    if (text->len < (size_t)digits)
        return false;
    for (int i = 0; i < digits; i++) {
        char c = text->ptr[i];
        if (c < '0' || c > '9')
            return false;
        n = n * 10 + (c - '0');
    }
    *text = th_str_make(text->ptr + digits, text->len - (size_t)digits);
    *number = n;
    return true;
}

static bool take_char(th_str *text, char c)
{
    if (text->len == 0 || text->ptr[0] != c)
        return false;
    *text = th_str_make(text->ptr + 1, text->len - 1);
    return true;
}

static bool take_clock(th_str *text, bool colons, moment *m)
{
    return take_number(text, 2, &m->hour) && (!colons || take_char(text, ':')) &&
           take_number(text, 2, &m->minute) && (!colons || take_char(text, ':')) &&
           take_number(text, 2, &m->second);
}

/* What follows the time of day: a Z, or how far the clock is ahead of UTC, in minutes. */
static bool take_zone(th_str *text, int *ahead)
{
    int hours, minutes;
    *ahead = 0;
    if (take_char(text, 'Z'))
        return text->len == 0;
    bool west = take_char(text, '-');
    if (!west && !take_char(text, '+'))
        return false;
    if (!take_number(text, 2, &hours) || !take_number(text, 2, &minutes) || hours > 23 ||
        minutes > 59)
        return false;
    *ahead = (west ? -1 : 1) * (hours * 60 + minutes);
    return text->len == 0;
}

/* The forms differ in how long the digits at the beginning are. */
static bool take_date(th_str *text, moment *m, bool *colons)
{
    size_t digits = 0;
    while (digits < text->len && text->ptr[digits] >= '0' && text->ptr[digits] <= '9')
        digits++;
    *colons = digits == 4;
    if (digits == 12) {
        if (!take_number(text, 2, &m->year))
            return false;
        m->year += m->year < 50 ? 2000 : 1900; /* RFC 5280, 4.1.2.5.1 */
    } else if ((digits != 14 && digits != 4) || !take_number(text, 4, &m->year)) {
        return false;
    }
    return (!*colons || take_char(text, '-')) && take_number(text, 2, &m->month) &&
           (!*colons || take_char(text, '-')) && take_number(text, 2, &m->day) &&
           (!*colons || take_char(text, 'T'));
}

int th_cert_time_parse(th_str text, int64_t *seconds)
{
    moment m = { 0 };
    bool colons;
    int ahead;
    th_str rest = text;
    if (!seconds || !text.ptr)
        return thi_err_clear(-EINVAL);
    if (!take_date(&rest, &m, &colons) || !take_clock(&rest, colons, &m) ||
        !take_zone(&rest, &ahead) || !exists(&m))
        return thi_err_set(-EINVAL, "\"%.*s\" is no time such as 20260102030405Z",
                           TH_STR_ARG(text));
    *seconds = days_of(m.year, m.month, m.day) * DAY + m.hour * 3600 + m.minute * 60 + m.second -
               (int64_t)ahead * 60;
    return 0;
}

/* ---- writing ---- */

int th_cert_time_text(int64_t seconds, char text[TH_CERT_TIME_TEXT])
{
    if (!text)
        return thi_err_clear(-EINVAL);
    if (seconds < days_of(0, 1, 1) * DAY || seconds >= days_of(10000, 1, 1) * DAY)
        return thi_err_set(-ERANGE, "the year has more than four digits");
    moment m = moment_of(seconds);
    char wide[96]; /* as far as the compiler knows, the numbers are of any size */
    snprintf(wide, sizeof wide, "%04d%02d%02d%02d%02d%02dZ", m.year, m.month, m.day, m.hour,
             m.minute, m.second);
    memcpy(text, wide, TH_CERT_TIME_TEXT);
    return 0;
}

const char *thi_cert_time_words(int64_t seconds, char text[32])
{
    char wide[96];
    moment m = moment_of(seconds);
    snprintf(wide, sizeof wide, "%04d-%02d-%02d %02d:%02d:%02d UTC", m.year, m.month, m.day, m.hour,
             m.minute, m.second);
    memcpy(text, wide, 31);
    text[31] = '\0';
    return text;
}

/* ---- OpenSSL's ---- */

int64_t thi_cert_now(void)
{
    return th_wall() / TH_SECOND;
}

int thi_cert_time_of(const ASN1_TIME *time, int64_t *seconds)
{
    struct tm tm;
    thi_ossl_begin();
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
        return thi_ossl_fail(TH_ETLS, "a time in it cannot be read");
    *seconds = days_of(tm.tm_year + INT64_C(1900), tm.tm_mon + 1, tm.tm_mday) * DAY +
               tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
    return 0;
}

int thi_cert_time_make(int64_t seconds, ASN1_TIME **time)
{
    char text[TH_CERT_TIME_TEXT];
    int err = th_cert_time_text(seconds, text);
    if (err < 0)
        return err;
    thi_ossl_begin();
    ASN1_TIME *made = ASN1_TIME_new();
    /* In X.509's form: two digits for the year up to 2049 (RFC 5280, 4.1.2.5). */
    if (!made || ASN1_TIME_set_string_X509(made, text) != 1) {
        ASN1_TIME_free(made);
        return thi_ossl_fail(-ENOMEM, "a time");
    }
    *time = made;
    return 0;
}
