/* SPDX-License-Identifier: MIT */

/*
 * Options of sockets as text.
 *
 * A list is read into a copy, so that what is wrong in its middle leaves the caller's as it was.
 * What a profile stands for is text as well: it is read by the same function, and what it has set
 * is marked as optional, until an entry of its own sets an option again.
 */
#include "net/tune_table.h"

#include "base/error.h"
#include "base/util.h"

#include <thrum/str.h>
#include <thrum/time.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define FASTOPEN_ON 256

static const struct {
    const char *name;
    const char *text;
} profiles[] = {
    { "latency", "nodelay,quickack,thin,notsent_lowat=16K" },
    { "throughput", "nodelay=0,zerocopy,notsent_lowat=1M" },
    { "many-idle", "keepalive=120/30/4,user_timeout=4m,rcvbuf=64K,sndbuf=64K,notsent_lowat=16K" },
};

/* ---- values ---- */

static int wrong(th_str name, th_str value, const char *what)
{
    return thi_err_set(TH_ECONFIG, "%.*s=%.*s: %s", (int)thi_min(name.len, (size_t)40), name.ptr,
                       (int)thi_min(value.len, (size_t)60), value.ptr, what);
}

/* The digits at the front, and how many there are; 0 digits or too many make no number. */
static size_t read_digits(th_str s, uint64_t *n)
{
    size_t len = 0;
    while (len < s.len && s.ptr[len] >= '0' && s.ptr[len] <= '9')
        len++;
    return len > 0 && th_str_to_u64(th_str_make(s.ptr, len), n) == 0 ? len : 0;
}

/* A number with one of the units behind it, or none; false when it is none or too large. */
typedef struct unit {
    const char *name;
    uint64_t size;
} unit;

static bool read_amount(th_str s, const unit *units, size_t count, int64_t *out)
{
    uint64_t n;
    size_t len = read_digits(s, &n);
    if (len == 0)
        return false;
    th_str rest = th_str_make(s.ptr + len, s.len - len);
    for (size_t i = 0; i < count; i++) {
        if (!th_str_eq(rest, th_str_of(units[i].name)))
            continue;
        *out = (int64_t)(n * units[i].size);
        return n <= (uint64_t)INT64_MAX / units[i].size;
    }
    return false;
}

static bool read_bytes(th_str s, int64_t *out)
{
    static const unit units[] = { { "", 1 }, { "K", 1024 }, { "M", 1 << 20 }, { "G", 1 << 30 } };
    return read_amount(s, units, thi_array_len(units), out);
}

static bool read_time(th_str s, int64_t *out)
{
    static const unit units[] = { { "", TH_SECOND },        { "ns", 1 },
                                  { "us", TH_MICROSECOND }, { "ms", TH_MILLISECOND },
                                  { "s", TH_SECOND },       { "m", 60 * TH_SECOND },
                                  { "h", 3600 * TH_SECOND } };
    return read_amount(s, units, thi_array_len(units), out);
}

static bool read_number(th_str s, int64_t *out)
{
    static const unit none[] = { { "", 1 } };
    return read_amount(s, none, 1, out);
}

static bool read_flag(th_str s, int64_t *out)
{
    *out = th_str_eq(s, TH_STR("1")) || th_str_eq(s, TH_STR("on"));
    return *out || th_str_eq(s, TH_STR("0")) || th_str_eq(s, TH_STR("off"));
}

static bool is_name(th_str s, size_t room)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && c != '_' && c != '-' && c != '.' && c != ':' && c != '@')
            return false;
    }
    return s.len > 0 && s.len < room;
}

/* A code point of RFC 2474, 2597 (af11 to af43) or 3246 (ef), as the upper six bits of a TOS. */
static bool read_dscp(th_str s, int64_t *out)
{
    uint64_t n;
    if (th_str_eq(s, TH_STR("ef"))) {
        *out = 46 << 2;
    } else if (s.len == 3 && s.ptr[0] == 'c' && s.ptr[1] == 's' && s.ptr[2] >= '0' &&
               s.ptr[2] <= '7') {
        *out = (int64_t)(s.ptr[2] - '0') << 5;
    } else if (s.len == 4 && s.ptr[0] == 'a' && s.ptr[1] == 'f' && s.ptr[2] >= '1' &&
               s.ptr[2] <= '4' && s.ptr[3] >= '1' && s.ptr[3] <= '3') {
        *out = (int64_t)(8 * (s.ptr[2] - '0') + 2 * (s.ptr[3] - '0')) << 2;
    } else {
        if (read_digits(s, &n) != s.len || s.len == 0 || n > 63)
            return false;
        *out = (int64_t)n << 2;
    }
    return true;
}

/* The length of a queue; "on" is for those who dial, and for listeners one that is long enough. */
static bool read_queue(th_str s, int64_t *out)
{
    if (th_str_eq(s, TH_STR("on")) || th_str_eq(s, TH_STR("off"))) {
        *out = s.len == 2 ? FASTOPEN_ON : 0;
        return true;
    }
    return read_number(s, out);
}

static bool read_value(const thi_tune_entry *e, th_str s, int64_t *out)
{
    if (e == &thi_tune_entries[TH_TUNE_FASTOPEN])
        return read_queue(s, out);
    switch (e->kind) {
    case THI_TUNE_FLAG:
        return read_flag(s, out);
    case THI_TUNE_BYTES:
    case THI_TUNE_BUFFER:
    case THI_TUNE_RATE:
        return read_bytes(s, out);
    case THI_TUNE_TIME:
        return read_time(s, out);
    case THI_TUNE_LINGER:
        *out = -1;
        return th_str_eq(s, TH_STR("off")) || read_time(s, out);
    default:
        return read_number(s, out);
    }
}

static const char *expected(const thi_tune_entry *e)
{
    if (e == &thi_tune_entries[TH_TUNE_FASTOPEN])
        return "must be the length of the queue, on or off";
    switch (e->kind) {
    case THI_TUNE_FLAG:
        return "must be 0, 1, on or off";
    case THI_TUNE_BYTES:
    case THI_TUNE_BUFFER:
    case THI_TUNE_RATE:
        return "must be a number of bytes, such as 65536 or 64K";
    case THI_TUNE_TIME:
        return "must be a time, such as 30s or 500ms";
    case THI_TUNE_LINGER:
        return "must be a time or off";
    case THI_TUNE_TEXT:
        return "must be a name of up to 15 letters, digits and _ - . : @";
    default:
        return e->max == 255 ? "must be a number from 0 to 255" : "must be a whole number";
    }
}

/* ---- entries ---- */

static int set_option(th_tune *tune, enum th_tune_option option, th_str name, th_str value)
{
    const thi_tune_entry *e = &thi_tune_entries[option];
    int64_t n;
    if (e->kind == THI_TUNE_TEXT) {
        if (!is_name(value, e->size))
            return wrong(name, value, expected(e));
        thi_tune_put_text(tune, option, value.ptr, value.len);
    } else {
        if (!read_value(e, value, &n) || !thi_tune_in_range(e, n))
            return wrong(name, value, expected(e));
        thi_tune_put(tune, option, n);
    }
    tune->optional &= ~TH_TUNE_BIT(option);
    return 0;
}

/* keepalive=on, or IDLE[/INTERVAL[/COUNT]] for four options at once. */
static int set_keepalive(th_tune *tune, th_str name, th_str value)
{
    static const enum th_tune_option parts[] = { TH_TUNE_KEEPALIVE_IDLE, TH_TUNE_KEEPALIVE_INTERVAL,
                                                 TH_TUNE_KEEPALIVE_COUNT };
    int64_t flag;
    if (read_flag(value, &flag))
        return set_option(tune, TH_TUNE_KEEPALIVE, name, value);
    int err = set_option(tune, TH_TUNE_KEEPALIVE, name, TH_STR("on"));
    th_str rest = value;
    for (size_t i = 0; err == 0 && rest.ptr; i++) {
        if (i == thi_array_len(parts))
            return wrong(name, value, "must be on, off or IDLE/INTERVAL/COUNT");
        const char *slash = memchr(rest.ptr, '/', rest.len);
        size_t len = slash ? (size_t)(slash - rest.ptr) : rest.len;
        err = set_option(tune, parts[i], th_str_of(thi_tune_entries[parts[i]].name),
                         th_str_make(rest.ptr, len));
        rest = slash ? th_str_make(slash + 1, rest.len - len - 1) : th_str_make(NULL, 0);
    }
    return err;
}

static int parse(th_str list, th_tune *tune);

static int set_profile(th_tune *tune, th_str name, bool *found)
{
    *found = false;
    for (size_t i = 0; i < thi_array_len(profiles); i++) {
        if (!th_str_eq(name, th_str_of(profiles[i].name)))
            continue;
        th_tune own = { .size = sizeof own };
        *found = true;
        int err = parse(th_str_of(profiles[i].text), &own);
        for (int option = 0; err == 0 && option < TH_TUNE_OPTIONS; option++) {
            const thi_tune_entry *e = &thi_tune_entries[option];
            if (!thi_tune_is_set(&own, (enum th_tune_option)option))
                continue;
            thi_tune_put(tune, (enum th_tune_option)option, thi_tune_get(&own, e));
            tune->optional |= TH_TUNE_BIT(option);
        }
        return err;
    }
    return 0;
}

static int set_entry(th_tune *tune, th_str entry)
{
    const char *equals = memchr(entry.ptr, '=', entry.len);
    size_t len = equals ? (size_t)(equals - entry.ptr) : entry.len;
    th_str name = th_str_make(entry.ptr, len);
    th_str value = equals ? th_str_make(equals + 1, entry.len - len - 1) : TH_STR("on");
    bool found = false;
    int64_t n;
    for (int i = 0; i < TH_TUNE_OPTIONS; i++) {
        if (!th_str_eq(name, th_str_of(thi_tune_entries[i].name)))
            continue;
        return i == TH_TUNE_KEEPALIVE ? set_keepalive(tune, name, value)
                                      : set_option(tune, (enum th_tune_option)i, name, value);
    }
    if (th_str_eq(name, TH_STR("dscp"))) {
        if (!read_dscp(value, &n))
            return wrong(name, value, "must be 0 to 63, ef, cs0 to cs7, or af11 to af43");
        thi_tune_put(tune, TH_TUNE_TOS, n);
        tune->optional &= ~TH_TUNE_BIT(TH_TUNE_TOS);
        return 0;
    }
    int err = 0;
    if (!equals)
        err = set_profile(tune, name, &found);
    else if (th_str_eq(name, TH_STR("profile")))
        err = set_profile(tune, value, &found);
    if (found || err < 0)
        return err;
    return thi_err_set(-ENOPROTOOPT, "there is no option '%.*s'",
                       (int)thi_min(entry.len, (size_t)60), entry.ptr);
}

static int parse(th_str list, th_tune *tune)
{
    int err = 0;
    if (th_str_trim(list).len == 0)
        return 0;
    while (err == 0 && list.ptr) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        th_str entry = th_str_trim(th_str_make(list.ptr, len));
        list = comma ? th_str_make(comma + 1, list.len - len - 1) : th_str_make(NULL, 0);
        err = entry.len == 0 ? thi_err_set(TH_ECONFIG, "the list of options has an empty entry")
                             : set_entry(tune, entry);
    }
    return err;
}

int th_tune_parse(const char *text, th_tune *tune)
{
    if (!text || !tune || tune->size > sizeof *tune)
        return thi_err_clear(-EINVAL);
    th_tune copy = *tune;
    int err = parse(th_str_of(text), &copy);
    if (err == 0)
        *tune = copy;
    return err;
}

/* ---- writing ---- */

typedef struct writer {
    char *text;
    size_t size;
    size_t len; /* as if there were room */
} writer;

static void TH_PRINTF(2, 3) put(writer *w, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t room = w->len < w->size ? w->size - w->len : 0;
    int n = vsnprintf(room ? w->text + w->len : NULL, room, format, args);
    va_end(args);
    w->len += n > 0 ? (size_t)n : 0;
}

/* The largest unit that leaves no rest. */
static void put_amount(writer *w, int64_t n, const unit *units, size_t count)
{
    size_t i = count - 1;
    while (i > 0 && (n == 0 || n % (int64_t)units[i].size != 0))
        i--;
    put(w, "%lld%s", (long long)(n / (int64_t)units[i].size), units[i].name);
}

static void put_value(writer *w, const thi_tune_entry *e, const th_tune *tune)
{
    static const unit bytes[] = { { "", 1 }, { "K", 1024 }, { "M", 1 << 20 }, { "G", 1 << 30 } };
    static const unit times[] = {
        { "ns", 1 }, { "us", TH_MICROSECOND }, { "ms", TH_MILLISECOND }, { "s", TH_SECOND }
    };
    if (e->kind == THI_TUNE_TEXT) {
        put(w, "%s", thi_tune_text(tune, e));
        return;
    }
    int64_t n = thi_tune_get(tune, e);
    if (e->kind == THI_TUNE_LINGER && n < 0)
        put(w, "off");
    else if (e->kind == THI_TUNE_TIME || e->kind == THI_TUNE_LINGER)
        put_amount(w, n, times, thi_array_len(times));
    else if (e->kind == THI_TUNE_FLAG || e->kind == THI_TUNE_NUMBER)
        put(w, "%lld", (long long)n);
    else
        put_amount(w, n, bytes, thi_array_len(bytes));
}

char *th_tune_format(const th_tune *tune, char *text, size_t size)
{
    writer w = { .text = text, .size = size };
    if (size > 0)
        *text = '\0';
    for (int i = 0; i < TH_TUNE_OPTIONS; i++) {
        const thi_tune_entry *e = &thi_tune_entries[i];
        if (!thi_tune_is_set(tune, (enum th_tune_option)i))
            continue;
        put(&w, "%s%s=", w.len ? "," : "", e->name);
        put_value(&w, e, tune);
    }
    return text;
}
