/* SPDX-License-Identifier: MIT */

/*
 * What a process pool and its workers say to each other: one packet for each job and each result.
 *
 * The socket keeps packets apart (SOCK_SEQPACKET), so there is no half a packet, and neither side
 * can be made to wait for the rest of one. A packet is a head, a text, and the data, or a
 * descriptor of sealed memory with the data: sealed, because a reader of memory that the other side
 * may still cut short can be killed by that.
 */
#ifndef THI_POOL_PROCESS_WIRE_H
#define THI_POOL_PROCESS_WIRE_H

#include <thrum/defs.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define THI_WIRE_INLINE_MAX (64 * 1024)
#define THI_WIRE_TEXT_MAX   255
#define THI_WIRE_FD         3 /* a worker's end of the socket */
#define THI_WIRE_VARIABLE   "THRUM_WORKER"

enum { THI_WIRE_JOB = 1, THI_WIRE_RESULT };

typedef struct thi_wire_head {
    uint32_t magic;
    uint32_t kind;
    uint64_t id;   /* of the job; a result says the same */
    uint64_t size; /* of the data */
    int32_t result;
    uint16_t text_len; /* the function's name, or what there is to say of a failure */
    uint16_t shared;   /* 1: the data is in memory that comes along */
} thi_wire_head;

/* A packet to send, or one that came. */
typedef struct thi_wire_packet {
    thi_wire_head head;
    char text[THI_WIRE_TEXT_MAX + 1];
    const void *data; /* inline, or mapped when it came; NULL when it comes along as `fd` */
    int fd;           /* of shared data to send; -1 */
    char *buf;        /* what it was received into */
    bool mapped;
} thi_wire_packet;

/* Prepares one to send. */
void thi_wire_init(thi_wire_packet *packet, uint32_t kind, uint64_t id);
void thi_wire_set_text(thi_wire_packet *packet, const char *text);

/* Puts data of `shared_min` bytes or more into sealed memory: its descriptor, or -errno. */
TH_MUST int thi_wire_share(const void *data, size_t size);

/* Sends: 0, -errno; -EAGAIN where the socket does not wait. */
TH_MUST int thi_wire_send(int socket, const thi_wire_packet *packet);

/*
 * Receives: 1 with a packet, for thi_wire_free(); 0 at the end; -EAGAIN; -EPROTO for anything that
 * is not a good packet of this kind with at most so many bytes of data; -EFBIG when it has more; or
 * another -errno.
 */
TH_MUST int thi_wire_receive(int socket, uint32_t kind, size_t size_max, thi_wire_packet *packet);

/* Gives back what came. */
void thi_wire_free(thi_wire_packet *packet);

#endif
