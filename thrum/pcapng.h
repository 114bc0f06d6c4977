/* SPDX-License-Identifier: MIT */

/*
 * Writing pcapng: packets of TCP that are made up around captured bytes.
 *
 * What is captured are bytes of streams, and what tools for networks read are packets. So each
 * connection gets a handshake, its bytes get headers with the right addresses, ports and sequence
 * numbers, and its end a FIN. What was lost is a gap in the sequence numbers, as tools know it. The
 * link type is raw IP. Sockets without IP addresses get made-up ones of 127.0.0.0/8.
 */
#ifndef THRUM_PROGRAM_PCAPNG_H
#define THRUM_PROGRAM_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <thrum/addr.h>

typedef struct pcapng {
    FILE *out;
    int64_t wall; /* the time of what is written next, ns since 1970 */
    uint64_t packets;
    const char *comment; /* on the packet that is written next; NULL: none */
    bool failed;         /* something could not be written */
} pcapng;

/* One direction of a connection. */
typedef struct pcapng_side {
    th_addr addr;
    uint32_t next; /* sequence number of the next byte that it sends */
    bool ended;
} pcapng_side;

typedef struct pcapng_flow {
    pcapng_side here; /* the captured process */
    pcapng_side there;
    bool called;         /* the connection was made from there; set before pcapng_open() */
    const char *comment; /* on its first packet; NULL: none; likewise */
} pcapng_flow;

void pcapng_begin(pcapng *file, FILE *out, const char *application);

/* A connection between these addresses, of this number. */
void pcapng_open(pcapng *file, pcapng_flow *flow, const th_addr *here, const th_addr *there,
                 uint64_t number);

/* Bytes from one side; offset counts those of this direction from 0. */
void pcapng_bytes(pcapng *file, pcapng_flow *flow, bool from_here, uint64_t offset,
                  const void *bytes, size_t size);

/* The side sends no more; no-op the second time. */
void pcapng_end(pcapng *file, pcapng_flow *flow, bool from_here);

/* The last block: how many bytes were lost. */
void pcapng_finish(pcapng *file, uint64_t lost);

#endif
