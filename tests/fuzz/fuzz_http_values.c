/* SPDX-License-Identifier: MIT */

/* Field values: lists, parameters, media types, dates, ranges, entity tags. */
#include "proto/http_condition.h"
#include "proto/http_date.h"
#include "proto/http_list.h"
#include "proto/http_range.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW INT64_C(1700000000)

static void expect(bool condition)
{
    if (!condition)
        abort();
}

static void check_params(th_str member)
{
    th_str params, name, value;
    char *out = malloc(member.len + 1);
    expect(out != NULL);
    (void)thi_http_param_start(member, &params);
    while (thi_http_param_next(&params, &name, &value) > 0) {
        expect(thi_http_is_token(name) && value.len > 0);
        expect(thi_http_unquote(value, out) <= value.len);
        expect(thi_http_weight(value) <= 1000);
    }
    free(out);
}

static void check_list(th_str s)
{
    th_str rest = s, member;
    size_t bytes = 0;
    while (thi_http_list_next(&rest, &member)) {
        expect(member.len > 0);
        expect(thi_http_list_has(s, member));
        bytes += member.len;
        check_params(member);
    }
    expect(bytes <= s.len);
}

static void check_date(th_str s)
{
    int64_t seconds, again;
    char text[THI_HTTP_DATE_LEN];
    if (thi_http_date_parse(s, NOW, &seconds) < 0)
        return;
    if (thi_http_date_write(text, seconds) < 0) {
        expect(seconds == INT64_C(253402300800)); /* the leap second that ends the year 9999 */
        return;
    }
    expect(thi_http_date_parse(th_str_make(text, sizeof text), NOW, &again) == 0);
    expect(again == seconds);
}

static void check_ranges(th_str s)
{
    static const uint64_t sizes[] = { 0, 1, 1000, UINT64_MAX };
    thi_http_range ranges[8];
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int n = thi_http_range_parse(s, sizes[i], ranges, 8);
        expect(n <= 8);
        for (int k = 0; k < n; k++)
            expect(ranges[k].first <= ranges[k].last && ranges[k].last < sizes[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    th_str s = th_str_make((const char *)data, size);
    thi_http_version version = { TH_STR("\"a\""), NOW, true };
    thi_http_media media;
    if (size > 2000)
        return 0; /* check_list() is quadratic */
    check_list(s);
    check_params(s);
    check_date(s);
    check_ranges(s);
    int strong = thi_http_etag_match(s, &version, true);
    expect(strong <= 0 || thi_http_etag_match(s, &version, false) == 1);
    if (thi_http_media_parse(s, &media) == 0)
        expect(thi_http_is_token(media.type) && thi_http_is_token(media.subtype));
    return 0;
}
