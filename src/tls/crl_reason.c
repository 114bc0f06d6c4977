/* SPDX-License-Identifier: MIT */

/* Reasons for a revocation, by name and by number (RFC 5280, 5.3.1). */
#include "tls/crl_reason.h"

#include "base/util.h"

#include <thrum/crl.h>

#include <stdbool.h>

static const struct reason {
    int number;
    const char *name;
} reasons[] = {
    { 0, "unspecified" },        { 1, "keyCompromise" }, { 2, "CACompromise" },
    { 3, "affiliationChanged" }, { 4, "superseded" },    { 5, "cessationOfOperation" },
    { 6, "certificateHold" },    { 8, "removeFromCRL" }, { 9, "privilegeWithdrawn" },
    { 10, "AACompromise" },
};

const char *th_crl_reason(size_t index)
{
    return index < thi_array_len(reasons) ? reasons[index].name : NULL;
}

const char *thi_crl_reason_name(int number)
{
    for (size_t i = 0; i < thi_array_len(reasons); i++)
        if (reasons[i].number == number)
            return reasons[i].name;
    return NULL;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Whether both have the same letters: "Key compromise" is keyCompromise. */
static bool same(const char *a, const char *b)
{
    for (;;) {
        while (*a == ' ')
            a++;
        if (lower(*a) != lower(*b))
            return false;
        if (*a == '\0')
            return true;
        a++;
        b++;
    }
}

int thi_crl_reason_number(const char *name)
{
    for (size_t i = 0; i < thi_array_len(reasons); i++)
        if (same(name, reasons[i].name))
            return reasons[i].number;
    return -1;
}
