/* SPDX-License-Identifier: MIT */

/* Look-ups in the fields of a head. */
#include "proto/http1_head.h"

uint32_t thi_http1_find(const thi_http1_head *head, thi_http_field id, uint32_t from)
{
    if (!thi_http1_has(head, id))
        return head->count;
    while (from < head->count && head->fields[from].id != id)
        from++;
    return from;
}

uint32_t thi_http1_find_name(const thi_http1_head *head, th_str name, uint32_t from)
{
    while (from < head->count && !th_str_eq_nocase(thi_http1_name(head, from), name))
        from++;
    return from;
}
