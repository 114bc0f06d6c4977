/* SPDX-License-Identifier: MIT */

/* Taking a PROXY header off a connection on the loop, without a fiber. */
#ifndef THI_NET_PROXY_READER_H
#define THI_NET_PROXY_READER_H

#include "base/list.h"
#include "loop/loop.h"
#include "proto/proxy_protocol.h"

typedef struct thi_proxy_reader thi_proxy_reader;

struct thi_proxy_reader {
    thi_list link; /* the user's */
    thi_loop *loop;
    thi_watch watch;
    thi_timer timer;
    /* Called once, on the loop, when the reader has let go of the descriptor: with 0 and a header,
     * of which the views are valid during the call, or -ETIMEDOUT, TH_EPROTO, TH_ELIMIT, TH_EOF, or
     * -errno, and a reason. It may free the reader. */
    void (*done)(thi_proxy_reader *reader, int result, const thi_proxy_header *header,
                 const char *reason);
    size_t len; /* bytes of the header that were taken */
    char buf[THI_PROXY_V2_MAX];
};

/* Starts to read from a connected descriptor, until the time `due`; -errno when it cannot. */
TH_MUST int thi_proxy_reader_start(thi_proxy_reader *reader, thi_loop *loop, int fd, int64_t due);

/* Lets go of the descriptor without a call. */
void thi_proxy_reader_stop(thi_proxy_reader *reader);

#endif
