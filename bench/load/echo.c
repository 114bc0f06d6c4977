/* SPDX-License-Identifier: MIT */

/*
 * TCP echo of the load client.
 *
 * The stream is one message repeated, so the byte expected next follows from the position in the
 * message alone. Every byte is compared: for 64 bytes this costs nothing, for 16 KiB in the cache
 * little beside the copies that the kernel makes of them.
 */
#include "load/echo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static ssize_t consume(const struct load_protocol *p, struct load_conn *c, const char *bytes,
                       size_t size, unsigned *answers)
{
    while (size > 0) {
        size_t part = p->request_size - c->position;
        if (part > size)
            part = size;
        if (memcmp(bytes, p->requests + c->position, part) != 0)
            return -1 - (ssize_t)LOAD_LENGTH;
        bytes += part;
        size -= part;
        c->position += (uint32_t)part;
        if (c->position == p->request_size) {
            c->position = 0;
            ++*answers;
        }
    }
    return 0;
}

int load_echo_init(struct load_protocol *p, size_t size, unsigned pipeline)
{
    char *all = malloc(size * pipeline);

    if (all == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < size * pipeline; i++)
        all[i] = (char)('!' + i % size % 89);
    *p = (struct load_protocol){
        .requests = all, .request_size = size, .consume = consume, .expect = UINT64_MAX
    };
    return 0;
}

void load_echo_deinit(struct load_protocol *p)
{
    free((void *)(uintptr_t)p->requests);
}
