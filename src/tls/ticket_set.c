/* SPDX-License-Identifier: MIT */

/* Keys of tickets as data. They are secrets: whoever has a copy wipes it. */
#include "tls/ticket_set.h"

#include "sys/sys.h"

#include <openssl/crypto.h>
#include <string.h>

static bool same_name(const th_tls_ticket_key *a, const th_tls_ticket_key *b)
{
    return memcmp(a->bytes, b->bytes, THI_TICKET_NAME) == 0;
}

static bool is_empty(const th_tls_ticket_key *key)
{
    static const th_tls_ticket_key zero;
    return memcmp(key, &zero, sizeof zero) == 0;
}

bool thi_ticket_set_valid(const th_tls_ticket_set *set)
{
    return !same_name(&set->previous, &set->current) && !same_name(&set->current, &set->next) &&
           !same_name(&set->previous, &set->next) && !is_empty(&set->previous) &&
           !is_empty(&set->current) && !is_empty(&set->next);
}

int thi_ticket_set_make(th_tls_ticket_set *set)
{
    return thi_sys_random(set, sizeof *set);
}

int thi_ticket_set_rotate(th_tls_ticket_set *set)
{
    th_tls_ticket_key fresh;
    int err = thi_sys_random(&fresh, sizeof fresh);
    if (err < 0)
        return err;
    set->previous = set->current;
    set->current = set->next;
    set->next = fresh;
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return 0;
}
