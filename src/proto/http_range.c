/* SPDX-License-Identifier: MIT */

/*
 * Byte ranges.
 *
 *     ranges-specifier = "bytes=" 1#( first "-" [ last ] / "-" length )
 *
 * A client may ask for the same bytes over and over in one field and make a server send many times
 * the file; hence the two limits.
 */
#include "proto/http_range.h"

#include <thrum/error.h>

#include "proto/http_list.h"

#include <errno.h>
#include <stdbool.h>

/* RFC 9110, 14.2: "more than two overlapping ranges" are a sign of an attack. */
#define OVERLAPS_MAX 2

/* A number beyond what fits is as good as the greatest: it lies behind every end. */
static int parse_number(th_str s, uint64_t *n)
{
    int result = th_str_to_u64(s, n);
    if (result == -ERANGE)
        *n = UINT64_MAX;
    return result == -ERANGE ? 0 : result;
}

/*
 * Reads one range. Returns 1, 0 when it has no byte in common with the file, or -EINVAL when the
 * field is to be ignored: also for the last bytes of an empty file, which is satisfiable (RFC
 * 9110, 14.1.2), though no Content-Range can say so.
 */
static int parse_one(th_str spec, uint64_t size, thi_http_range *out)
{
    th_str before, after;
    uint64_t first = 0, last = UINT64_MAX;
    if (!th_str_split_once(spec, '-', &before, &after))
        return -EINVAL;
    if (before.len == 0) {
        uint64_t length;
        if (parse_number(after, &length) < 0)
            return -EINVAL;
        first = length < size ? size - length : 0;
        if (length == 0)
            return 0;
        if (size == 0)
            return -EINVAL;
    } else {
        if (parse_number(before, &first) < 0 || (after.len > 0 && parse_number(after, &last) < 0) ||
            first > last)
            return -EINVAL;
        if (first >= size)
            return 0;
    }
    *out = (thi_http_range){ first, last < size ? last : size - 1 };
    return 1;
}

static bool too_many_overlaps(const thi_http_range *ranges, size_t count)
{
    size_t overlaps = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t k = i + 1; k < count; k++)
            overlaps += ranges[i].first <= ranges[k].last && ranges[k].first <= ranges[i].last;
    }
    return overlaps > OVERLAPS_MAX;
}

int thi_http_range_parse(th_str value, uint64_t size, thi_http_range *ranges, size_t max)
{
    th_str unit, rest, spec;
    size_t asked = 0, count = 0;
    if (!th_str_split_once(value, '=', &unit, &rest) || !th_str_eq_nocase(unit, TH_STR("bytes")))
        return 0;
    while (thi_http_list_next(&rest, &spec)) {
        thi_http_range range;
        int found = parse_one(spec, size, &range);
        if (found < 0)
            return 0;
        if (++asked > max)
            return TH_ELIMIT;
        if (found > 0)
            ranges[count++] = range;
    }
    if (asked > 0 && count == 0)
        return -ERANGE;
    return too_many_overlaps(ranges, count) ? TH_ELIMIT : (int)count;
}
