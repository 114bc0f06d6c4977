/* SPDX-License-Identifier: MIT */

/*
 * A flow: bytes in one direction, with a bounded buffer and, over a distance, time on the way.
 *
 * A flow knows no descriptors. It tells its owner when bytes have arrived and when there is room
 * again for a writer who was turned away.
 */
#ifndef THI_LOOP_SIM_FLOW_H
#define THI_LOOP_SIM_FLOW_H

#include "loop/sim_clock.h"
#include "loop/sim_world.h"

#include <sys/uio.h>

#define THI_SIM_PARCELS 32

typedef struct thi_sim_flow thi_sim_flow;

/* Bytes that travel together. */
typedef struct thi_sim_parcel {
    uint64_t end; /* position after their last one */
    int64_t at;   /* when they arrive */
    bool last;    /* the end of the flow comes with them */
} thi_sim_parcel;

struct thi_sim_flow {
    char *ring;  /* what was sent and is not acknowledged, by position modulo size */
    size_t size; /* a power of two */
    /* Positions, counted from the beginning: acked <= taken <= arrived <= sent <= acked + size. */
    uint64_t sent, arrived, taken, acked;
    bool ended;          /* the sender will send no more */
    bool end_arrived;    /* and the reader can know it */
    bool distant;        /* bytes need time; otherwise they arrive at once */
    bool turned_away;    /* somebody found too little room and wants to know of more */
    uint8_t side;        /* for the owner: which of its flows this is */
    int64_t quiet_until; /* nothing arrives before this time: the reader takes nothing in */
    unsigned first, count;
    thi_sim_parcel
        parcels[THI_SIM_PARCELS]; /* under way, in order: count of them from `first` on */
    thi_sim_event arrival;        /* of the first parcel */
    thi_sim_event room;           /* when the sender hears what was taken */
    void (*on_arrival)(thi_sim *w, thi_sim_flow *flow);
    void (*on_room)(thi_sim *w, thi_sim_flow *flow);
};

/*
 * Makes an empty flow with a buffer of a size that chance picks, at least size_min. The owner sets
 * both functions and `side`. -ENOMEM.
 */
TH_MUST int thi_sim_flow_init(thi_sim *w, thi_sim_flow *flow, bool distant, size_t size_min);
void thi_sim_flow_deinit(thi_sim *w, thi_sim_flow *flow);

/* Bytes that may be put in, and that may be taken out. */
static inline size_t thi_sim_flow_room(const thi_sim_flow *flow)
{
    return flow->size - (size_t)(flow->sent - flow->acked);
}

static inline size_t thi_sim_flow_ready(const thi_sim_flow *flow)
{
    return (size_t)(flow->arrived - flow->taken);
}

/* Bytes of some pieces. */
size_t thi_sim_iov_size(const struct iovec *iov, int count);

/* Puts in the first `size` bytes of the pieces, for which there is room. */
void thi_sim_flow_put(thi_sim *w, thi_sim_flow *flow, const struct iovec *iov, size_t size);

/* Copies the first `size` bytes, which are ready, to the pieces; takes them out unless peeking. */
void thi_sim_flow_get(thi_sim *w, thi_sim_flow *flow, const struct iovec *iov, size_t size,
                      bool peek);

/* Ends the flow after what was put in; no-op when it is ended. */
void thi_sim_flow_end(thi_sim *w, thi_sim_flow *flow);

/* Loses whatever is still under way, and forgets its events. What has arrived can be read. */
void thi_sim_flow_cut(thi_sim *w, thi_sim_flow *flow);

#endif
