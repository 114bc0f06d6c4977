/* SPDX-License-Identifier: MIT */

/* A chat, as the files of this folder see it. */
#ifndef THI_CALLBACK_CHAT_H
#define THI_CALLBACK_CHAT_H

#include "callback/dispatch.h"

#include <thrum/chat.h>

/* Terminators up to this length need no memory of their own. */
#define THI_CHAT_TERMINATOR_OWN 16

typedef enum thi_chat_until { THI_CHAT_NONE, THI_CHAT_COUNT, THI_CHAT_BYTES } thi_chat_until;

/* Bytes in memory that grows. */
typedef struct thi_chat_bytes {
    char *ptr;
    size_t len;
    size_t room;
} thi_chat_bytes;

struct th_chat {
    th_dispatcher d; /* first, so that one is the other */
    const th_chat_ops *ops;
    void *arg;
    size_t collect_max;
    thi_chat_until until;
    size_t count;      /* of COUNT: bytes that are missing */
    th_str terminator; /* of BYTES */
    char own[THI_CHAT_TERMINATOR_OWN];
    char *heap;               /* a longer terminator; NULL: none */
    size_t record;            /* bytes since the last terminator */
    th_str in;                /* what is being taken apart */
    thi_chat_bytes held;      /* what arrived, and waits for what comes next */
    thi_chat_bytes collected; /* without a handler `collect` */
};

/* Receives, and takes apart what has arrived; what a handler returns. */
TH_MUST int thi_chat_read(th_chat *chat);

#endif
