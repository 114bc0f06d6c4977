/* SPDX-License-Identifier: MIT */

/* Reading and writing the head of a netstring. */
#include "proto/netstring.h"

#include <thrum/error.h>

#include <stdio.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Reads the digits and the colon: their number; 0: there are more to come; an error. */
static ssize_t read_head(size_t limit, th_str bytes, size_t *len)
{
    size_t value = 0;
    size_t at = 0;
    for (; at < bytes.len && is_digit(bytes.ptr[at]); at++) {
        size_t digit = (size_t)(bytes.ptr[at] - '0');
        if (at == 1 && bytes.ptr[0] == '0')
            return TH_EPROTO;
        if (value > (SIZE_MAX - digit) / 10 || value * 10 + digit > limit)
            return TH_ELIMIT;
        value = value * 10 + digit;
    }
    if (at == bytes.len)
        return 0;
    if (at == 0 || bytes.ptr[at] != ':')
        return TH_EPROTO;
    *len = value;
    return (ssize_t)at + 1;
}

ssize_t thi_netstring_next(size_t limit, th_str bytes, th_str *payload)
{
    size_t len = 0;
    ssize_t head = read_head(limit, bytes, &len);
    if (head <= 0)
        return head;
    size_t left = bytes.len - (size_t)head;
    if (left <= len)
        return 0;
    if (bytes.ptr[(size_t)head + len] != ',')
        return TH_EPROTO;
    *payload = th_str_make(bytes.ptr + head, len);
    return head + (ssize_t)len + 1;
}

size_t thi_netstring_head(size_t len, char head[THI_NETSTRING_HEAD])
{
    return (size_t)snprintf(head, THI_NETSTRING_HEAD, "%zu:", len);
}
