/* SPDX-License-Identifier: MIT */

/* The inside of a watch: what it watches, and what is still to be told or looked into. */
#ifndef THI_IO_WATCH_H
#define THI_IO_WATCH_H

#include "base/list.h"
#include "base/map.h"
#include "io/file.h"

#include <thrum/mutex.h>
#include <thrum/watch.h>

/* A path that the kernel watches for us. */
typedef struct thi_watched {
    int number;    /* the kernel's, by which it is in watch->watched */
    int root;      /* number of the path that was asked for: its own, or that of a tree it is in */
    unsigned what; /* TH_WATCH_* asked for */
    char path[];
} thi_watched;

/* Something found: a directory to look into, or an entry that is to be told. */
typedef struct thi_found {
    thi_list link;
    int root;
    bool directory;
    bool quiet; /* its entries are not told: they were there before */
    char path[];
} thi_found;

struct th_watch {
    th_file *file;     /* the kernel's watch; closed when the last call on it ends */
    atomic_bool reads; /* somebody is in th_watch_read() */
    th_mutex lock;     /* guards what follows */
    thi_map watched;   /* by number */
    thi_list unseen;   /* directories to look into */
    thi_list untold;   /* entries to tell */
    char *path;        /* of the event told last */
    size_t room;       /* at path, bytes */
    size_t at;         /* of the next event in the batch */
    size_t end;
    _Alignas(8) char batch[4096];
};

/* All these are called with the lock held. */

/* Has the kernel watch a path that was asked for: its number, or an error. */
TH_MUST int thi_watch_begin(th_watch *watch, const char *path, unsigned what);

/* Forgets what the kernel watches no more. */
void thi_watch_forget(th_watch *watch, thi_watched *watched);

/* Ends everything that belongs to a path that was asked for. */
void thi_watch_end(th_watch *watch, int root);

/* In a tree, an entry that is a directory has appeared, or has left. */
TH_MUST int thi_watch_appeared(th_watch *watch, const thi_watched *parent, const char *path);
void thi_watch_left(th_watch *watch, const char *path);

/* Looks into the next directory: 0, the scope, or why its tree is not watched as a whole. */
TH_MUST int thi_watch_look(th_watch *watch);

#endif
