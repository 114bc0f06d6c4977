/* SPDX-License-Identifier: MIT */

/* Byte strings: comparing without case, trimming, numbers and hexadecimal digits. */
#include <thrum/str.h>

#include <errno.h>

/* Lower case of an ASCII letter, any other byte as it is. No locale, no branch. */
static unsigned lower(char c)
{
    unsigned byte = (unsigned char)c;
    return byte + ((unsigned)(byte - 'A' < 26) << 5);
}

bool th_str_eq_nocase(th_str a, th_str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.ptr[i]) != lower(b.ptr[i]))
            return false;
    return true;
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static th_str trim(th_str s, bool (*drop)(char))
{
    while (s.len > 0 && drop(s.ptr[s.len - 1]))
        s.len--;
    while (s.len > 0 && drop(s.ptr[0])) {
        s.ptr++;
        s.len--;
    }
    return s;
}

th_str th_str_trim(th_str s)
{
    return trim(s, is_space);
}

th_str th_str_trim_ows(th_str s)
{
    return trim(s, is_ows);
}

/* The value of a digit of any base up to 16, or 16 for another byte. */
static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return (unsigned)(c - '0');
    unsigned letter = lower(c) - 'a';
    return letter < 6 ? letter + 10 : 16;
}

static int to_u64(th_str s, unsigned base, uint64_t *value)
{
    uint64_t sum = 0;
    bool overflow = false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = digit_of(s.ptr[i]);
        if (digit >= base)
            return -EINVAL;
        overflow |= __builtin_mul_overflow(sum, base, &sum);
        overflow |= __builtin_add_overflow(sum, digit, &sum);
    }
    if (s.len == 0)
        return -EINVAL;
    if (overflow)
        return -ERANGE;
    *value = sum;
    return 0;
}

int th_str_to_u64(th_str s, uint64_t *value)
{
    return to_u64(s, 10, value);
}

int th_str_hex_to_u64(th_str s, uint64_t *value)
{
    return to_u64(s, 16, value);
}

void th_str_hex_encode(th_str s, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < s.len; i++) {
        unsigned byte = (unsigned char)s.ptr[i];
        *out++ = digits[byte >> 4];
        *out++ = digits[byte & 15];
    }
}

int th_str_hex_decode(th_str s, char *out)
{
    if (s.len % 2 != 0)
        return -EINVAL;
    for (size_t i = 0; i < s.len; i++)
        if (digit_of(s.ptr[i]) == 16)
            return -EINVAL;
    for (size_t i = 0; i < s.len; i += 2)
        out[i / 2] = (char)(digit_of(s.ptr[i]) << 4 | digit_of(s.ptr[i + 1]));
    return 0;
}
