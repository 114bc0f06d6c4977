/* SPDX-License-Identifier: MIT */

/*
 * Simulated descriptors: what they have in common, their numbers, and who watches them.
 *
 * A descriptor of some kind is a larger object with a thi_sim_desc in it. Numbers start far above
 * those of the real system, so that the two are never mixed up, and the lowest free one is taken,
 * as in a kernel: numbers are used again at once, which is hard on whoever keeps an old one.
 */
#ifndef THI_LOOP_SIM_DESC_H
#define THI_LOOP_SIM_DESC_H

#include "loop/loop.h"
#include "loop/sim_clock.h"
#include "loop/sim_world.h"

#include <sys/types.h>
#include <sys/uio.h>

#define THI_SIM_FD_BASE (1 << 20)

typedef struct thi_sim_watcher thi_sim_watcher;
typedef struct thi_sim_kind thi_sim_kind;

/* Besides THI_READ, THI_WRITE and THI_HUP: the peer sends no more, but may still read. */
enum { THI_SIM_RDHUP = 16 };

struct thi_sim_kind {
    const char *name;
    mode_t mode; /* S_IFSOCK or S_IFIFO; 0 for what has no type of its own */
    /* The conditions that hold now. */
    unsigned (*level)(thi_sim_desc *desc);
    /* One attempt, as readv(2) and writev(2); flags as recv(2). The pieces are not empty. */
    ssize_t (*read)(thi_sim *w, thi_sim_desc *desc, const struct iovec *iov, int count, int flags);
    ssize_t (*write)(thi_sim *w, thi_sim_desc *desc, const struct iovec *iov, int count);
    /* Ends it, and frees it at once or later. It has no number any more. */
    void (*close)(thi_sim *w, thi_sim_desc *desc);
};

struct thi_sim_desc {
    const thi_sim_kind *kind;
    int fd; /* -1 before it has a number and after it is closed */
    thi_list watchers;
    thi_sim_event nudge; /* tells again what a made-up EAGAIN has denied */
};

/* A watch of some loop on a descriptor, as far as the descriptor is concerned. */
struct thi_sim_watcher {
    thi_sim_desc *desc; /* NULL once that is closed */
    thi_list link;      /* in desc->watchers */
    thi_list hot;       /* in *loop_hot, when there may be something to tell */
    thi_list *loop_hot; /* the loop's list of such watchers */
    unsigned edges;     /* conditions that came up since they were last told */
};

/* Prepares the common part of an object of the kind. */
void thi_sim_desc_init(thi_sim_desc *desc, const thi_sim_kind *kind);

/* Gives it the lowest free number and returns that; -EMFILE, -ENOMEM. */
TH_MUST int thi_sim_desc_number(thi_sim *w, thi_sim_desc *desc);

/* The descriptor of a number, NULL when there is none. */
thi_sim_desc *thi_sim_desc_find(const thi_sim *w, int fd);

/* Takes its number and its watchers away and ends it. */
void thi_sim_desc_close(thi_sim *w, thi_sim_desc *desc);

/* Tells the watchers that conditions have come up. */
void thi_sim_announce(thi_sim_desc *desc, unsigned edges);

/* A fault says EAGAIN although there is something: announces it again a little later. */
void thi_sim_nudge(thi_sim *w, thi_sim_desc *desc);

/* Attaches a watcher that will be listed in *loop_hot; and takes it off everything. */
void thi_sim_watcher_attach(thi_sim_watcher *watcher, thi_sim_desc *desc, thi_list *loop_hot);
void thi_sim_watcher_detach(thi_sim_watcher *watcher);

#endif
