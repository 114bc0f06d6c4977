/* SPDX-License-Identifier: MIT */

/*
 * Answering with a file.
 *
 * The order is that of RFC 9110, 13.2.2: If-Match or If-Unmodified-Since, If-None-Match or
 * If-Modified-Since, and last Range, which If-Range may switch off. Requests without any of them
 * are told by one test of a bit set.
 *
 * A Range field that asks for too much is ignored, as the standard allows, and the whole file is
 * sent: for more ranges than a reasonable client needs, for ranges that overlap again and again,
 * and for ranges that add up to the file or more.
 */
#include "http/site_send.h"

#include "http/site_parts.h"

#include <thrum/time.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BIT(field) (UINT64_C(1) << (field))
#define CONDITIONAL                                                                                \
    (BIT(THI_FIELD_IF_MATCH) | BIT(THI_FIELD_IF_NONE_MATCH) | BIT(THI_FIELD_IF_MODIFIED_SINCE) |   \
     BIT(THI_FIELD_IF_UNMODIFIED_SINCE) | BIT(THI_FIELD_RANGE))

/*
 * Puts prepared lines into a reply. Mostly they are the only ones: then they are not even copied.
 * What is added afterwards finds no room behind them and moves all to the arena.
 */
static int add_lines(th_http_request *q, th_http_reply *r, const char *lines, size_t len)
{
    char *all = (char *)(uintptr_t)lines;
    if (r->fields_len > 0) {
        all = th_arena_alloc(&q->arena, r->fields_len + len);
        if (!all)
            return -ENOMEM;
        memcpy(mempcpy(all, r->fields, r->fields_len), lines, len);
    }
    r->fields = all;
    r->fields_len += len;
    r->fields_room = r->fields_len;
    return 0;
}

static int add_all_fields(th_http_request *q, th_http_reply *r, const thi_site_meta *meta)
{
    r->has_type = true;
    return add_lines(q, r, meta->fields, meta->fields_len);
}

/* A stretch of the file as the body of the reply. */
static int send_stretch(th_http_reply *r, int status, const thi_site_file *file, int64_t first,
                        int64_t size)
{
    if (file->content)
        return th_http_reply_bytes(r, status, NULL, file->content + first, (size_t)size);
    return th_http_reply_file(r, status, file->fd, first, size);
}

static int send_whole(th_http_request *q, th_http_reply *r, const thi_site_file *file)
{
    int err = add_all_fields(q, r, &file->meta);
    return err < 0 ? err : send_stretch(r, 200, file, 0, file->meta.stamp.size);
}

static int send_range(th_http_request *q, th_http_reply *r, const thi_site_file *file,
                      const thi_http_range *range)
{
    char value[80];
    int err = add_all_fields(q, r, &file->meta);
    (void)snprintf(value, sizeof value, "bytes %" PRIu64 "-%" PRIu64 "/%" PRId64, range->first,
                   range->last, file->meta.stamp.size);
    if (err == 0)
        err = th_http_reply_header(r, "Content-Range", value);
    if (err < 0)
        return err;
    return send_stretch(r, 206, file, (int64_t)range->first,
                        (int64_t)(range->last - range->first) + 1);
}

static int send_parts(th_http_request *q, th_http_reply *r, const thi_site_file *file,
                      const thi_http_range *ranges, size_t count)
{
    int err = add_lines(q, r, file->meta.fields, file->meta.common_len);
    return err < 0 ? err : thi_site_send_parts(q, r, file, ranges, count);
}

static int refuse_range(th_http_reply *r, const thi_site_file *file)
{
    char value[40];
    (void)snprintf(value, sizeof value, "bytes */%" PRId64, file->meta.stamp.size);
    int err = th_http_reply_header(r, "Content-Range", value);
    return err < 0 ? err : th_http_reply_text(r, 416, "416 Range Not Satisfiable\n");
}

/* RFC 9110, 15.4.5: the tag, which the client needs to find its copy, and little else. */
static int send_not_modified(th_http_request *q, th_http_reply *r, const thi_site_file *file)
{
    int err = add_lines(q, r, file->meta.fields, file->meta.etag_len);
    return err < 0 ? err : th_http_reply_bytes(r, 304, NULL, NULL, 0);
}

/* Whether the ranges together are less than the file. */
static bool is_worth_it(const thi_http_range *ranges, size_t count, uint64_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += ranges[i].last - ranges[i].first + 1; /* at most 16 times a file's size: it fits */
    return count == 1 || sum < size;
}

/* The ranges to send: their number, 0 for the whole file, or -ERANGE. */
static int ranges_wanted(const th_http_request *q, const thi_site_file *file, int64_t now,
                         thi_http_range *ranges)
{
    const thi_http1_head *head = &q->head.head;
    uint64_t size = (uint64_t)file->meta.stamp.size;
    thi_http_version version = thi_site_version(&file->meta);
    uint32_t i = thi_http1_find(head, THI_FIELD_RANGE, 0);
    if (q->head.method_id != THI_HTTP_GET || i == head->count ||
        thi_http1_find(head, THI_FIELD_RANGE, i + 1) < head->count || /* two fields: malformed */
        !thi_http_if_range(head, &version, now))
        return 0;
    int count = thi_http_range_parse(thi_http1_value(head, i), size, ranges, THI_SITE_RANGES_MAX);
    if (count == -ERANGE)
        return count;
    return count > 0 && is_worth_it(ranges, (size_t)count, size) ? count : 0;
}

int thi_site_send(th_http_request *q, th_http_reply *r, const thi_site_file *file)
{
    thi_http_range ranges[THI_SITE_RANGES_MAX];
    if (!(q->head.head.known & CONDITIONAL))
        return send_whole(q, r, file);
    int64_t now = thi_sys_wall() / TH_SECOND;
    thi_http_version version = thi_site_version(&file->meta);
    int verdict = thi_http_condition(&q->head.head, q->head.method_id, &version, now);
    if (verdict == 304)
        return send_not_modified(q, r, file);
    if (verdict == 412)
        return th_http_reply_text(r, 412, "412 Precondition Failed\n");
    int count = ranges_wanted(q, file, now, ranges);
    if (count == -ERANGE)
        return refuse_range(r, file);
    if (count > 1)
        return send_parts(q, r, file, ranges, (size_t)count);
    return count == 1 ? send_range(q, r, file, ranges) : send_whole(q, r, file);
}
