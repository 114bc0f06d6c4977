/* SPDX-License-Identifier: MIT */

/*
 * HTTP/1.1 of the load client.
 *
 * A load client that parses every head costs as much as the server it measures. But the answers to
 * one request differ in nothing that matters except, perhaps, the Date. So the first answer of a
 * connection is parsed and its shape remembered: how long the head is and where the digits of
 * Content-Length stand. Each further answer is held against the shape with three short comparisons
 * (status line, digits, the empty line at the same place); one that differs is parsed anew. Status
 * and byte count of every answer are verified either way.
 *
 * Chunked answers are refused: all that is measured sends Content-Length.
 */
#include "load/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char status_ok[] = "HTTP/1.1 200";
enum { STATUS_SIZE = sizeof status_ok - 1 };

static ssize_t failed(enum load_error error)
{
    return -1 - (ssize_t)error;
}

/* Whether the head at `at` is, in all that is checked, the one that the shape was taken from. */
static bool same_shape(const struct load_shape *s, const char *at, size_t size)
{
    return s->head_size != 0 && size >= s->head_size && memcmp(at, status_ok, STATUS_SIZE) == 0 &&
           memcmp(at + s->length_at, s->digits, s->length_digits) == 0 &&
           memcmp(at + s->head_size - 4, "\r\n\r\n", 4) == 0;
}

/* Reads the value of Content-Length at `at` into the shape. False when it is not a number. */
static bool read_length(struct load_shape *s, const char *head, const char *at)
{
    uint32_t digits = 0;
    uint64_t value = 0;

    while (*at == ' ')
        at++;
    for (; at[digits] >= '0' && at[digits] <= '9' && digits < 18; digits++)
        value = value * 10 + (uint64_t)(at[digits] - '0');
    if (digits == 0 || at[digits] != '\r')
        return false;
    s->length_at = (uint32_t)(at - head);
    s->length_digits = digits;
    memcpy(s->digits, at, digits);
    s->body_size = value;
    return true;
}

/* Takes the shape of a complete head of `size` bytes. False without a readable Content-Length. */
static bool take_shape(struct load_shape *s, const char *head, size_t size)
{
    static const char name[] = "\r\nContent-Length:";
    const size_t name_size = sizeof name - 1;

    for (const char *at = head; (size_t)(at - head) + name_size < size; at++) {
        at = memchr(at, '\r', size - (size_t)(at - head) - name_size);
        if (at == NULL)
            return false;
        if (strncasecmp(at, name, name_size) == 0) {
            s->head_size = (uint32_t)size;
            return read_length(s, head, at + name_size);
        }
    }
    return false;
}

/*
 * Reads one head. Returns its size and sets the connection's body_left; 0 when the head is not
 * complete; or an error.
 */
static ssize_t read_head(const struct load_protocol *p, struct load_conn *c, const char *at,
                         size_t size)
{
    if (!same_shape(&c->shape, at, size)) {
        const char *end = memmem(at, size < LOAD_HEAD_MAX ? size : LOAD_HEAD_MAX, "\r\n\r\n", 4);
        if (end == NULL)
            return size < LOAD_HEAD_MAX ? 0 : failed(LOAD_PROTOCOL);
        if (end - at < STATUS_SIZE || memcmp(at, "HTTP/1.1 ", 9) != 0)
            return failed(LOAD_PROTOCOL);
        if (memcmp(at, status_ok, STATUS_SIZE) != 0)
            return failed(LOAD_STATUS);
        if (!take_shape(&c->shape, at, (size_t)(end - at) + 4))
            return failed(LOAD_PROTOCOL);
    }
    if (p->expect != UINT64_MAX && c->shape.body_size != p->expect)
        return failed(LOAD_LENGTH);
    c->body_left = c->shape.body_size;
    return (ssize_t)c->shape.head_size;
}

/*
 * `body_left` tells where in an answer the connection is: in the body while it is not 0, else at a
 * head. An answer without a body ends with its head.
 */
static ssize_t consume(const struct load_protocol *p, struct load_conn *c, const char *bytes,
                       size_t size, unsigned *answers)
{
    while (size > 0) {
        if (c->body_left == 0) {
            ssize_t head = read_head(p, c, bytes, size);
            if (head < 0)
                return head;
            if (head == 0)
                return (ssize_t)size;
            bytes += head;
            size -= (size_t)head;
        }
        size_t part = size < c->body_left ? size : (size_t)c->body_left;
        c->body_left -= part;
        bytes += part;
        size -= part;
        if (c->body_left == 0)
            ++*answers;
    }
    return 0;
}

int load_http_init(struct load_protocol *p, const char *path, unsigned pipeline, uint64_t expect)
{
    char *one;
    int size = asprintf(&one, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", path);

    if (size < 0)
        return -ENOMEM;
    char *all = malloc((size_t)size * pipeline);
    if (all != NULL) {
        for (unsigned i = 0; i < pipeline; i++)
            memcpy(all + (size_t)i * (size_t)size, one, (size_t)size);
        *p = (struct load_protocol){
            .requests = all, .request_size = (size_t)size, .consume = consume, .expect = expect
        };
    }
    free(one);
    return all != NULL ? 0 : -ENOMEM;
}

void load_http_deinit(struct load_protocol *p)
{
    free((void *)(uintptr_t)p->requests);
}
