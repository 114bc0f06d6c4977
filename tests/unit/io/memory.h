/* SPDX-License-Identifier: MIT */

/* Both ends of a connection in memory, and what tests do with them. */
#ifndef THI_TEST_IO_MEMORY_H
#define THI_TEST_IO_MEMORY_H

#include "runtime/in_fiber.h"

#include <thrum/str.h>
#include <thrum/stream.h>

static th_stream *ends[2]; /* the test reads from [0] and writes to [1] */

static inline void open_ends(size_t size)
{
    ck_assert_int_eq(th_stream_memory(size, ends), 0);
}

static inline void close_ends(void)
{
    th_stream_free(ends[0]);
    th_stream_free(ends[1]);
}

static inline void send_text(const char *text)
{
    ck_assert_int_eq(th_stream_write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
}

static inline void send_end(void)
{
    ck_assert_int_eq(th_stream_shutdown(ends[1]), 0);
}

static inline void let_others_run(void)
{
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(th_yield(), 0);
}

#define ck_assert_str(bytes, text)                                                                 \
    ck_assert_msg(th_str_eq(bytes, th_str_of(text)), "%.*s", (int)(bytes).len, (bytes).ptr)

#endif
