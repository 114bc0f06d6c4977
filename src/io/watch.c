/* SPDX-License-Identifier: MIT */

/*
 * Watching for changes, by inotify(7).
 *
 * Who reads an event holds the lock only while he takes it out of the batch, and waits for the next
 * batch without it. Who adds a path holds it from before the kernel watches until we know so, or an
 * event might come that nobody knows how to name.
 *
 * Closing must wake who reads, or is about to wait, at whatever moment. It therefore makes the
 * descriptor readable, by an event that means nothing, and whoever leaves the file last closes it.
 *
 * In a simulation the kernel that watches is still the real one, and nothing tells when it has
 * something to say: it is asked again and again, in virtual time.
 */
#include "io/watch.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "loop/sim_world.h"
#include "runtime/sched.h"
#include "sys/sys.h"

#include <thrum/fiber.h>
#include <thrum/time.h>
#include <thrum/wait_fd.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#define SIM_PAUSE TH_MILLISECOND

/* ---- making and ending ---- */

int th_watch_open(th_watch **watch)
{
    if (!watch)
        return thi_err_clear(-EINVAL);
    th_watch *made = thi_alloc(sizeof *made);
    if (!made)
        return thi_err_clear(-ENOMEM);
    int err = thi_sys_inotify_init();
    int fd = err;
    if (err >= 0)
        err = th_file_adopt(fd, &made->file);
    if (err < 0) {
        if (fd >= 0)
            (void)thi_sys_close(fd);
        thi_free(made);
        return thi_err_clear(err);
    }
    atomic_init(&made->reads, false);
    made->lock = (th_mutex)TH_MUTEX_INIT;
    thi_map_init(&made->watched, 0); /* the keys are the kernel's: any seed will do */
    thi_list_init(&made->unseen);
    thi_list_init(&made->untold);
    made->path = NULL;
    made->room = made->at = made->end = 0;
    *watch = made;
    return 0;
}

/* Makes the descriptor readable: the end of a watch is told, and nobody knows this one. */
static void stir(int fd)
{
    int number = thi_sys_inotify_add(fd, "/", IN_DELETE_SELF);
    if (number >= 0)
        (void)thi_sys_inotify_remove(fd, number);
}

int th_watch_close(th_watch *watch)
{
    if (!watch)
        return thi_err_clear(-EINVAL);
    int err = thi_file_enter(watch->file);
    if (err < 0)
        return thi_err_clear(err);
    err = th_file_close(watch->file);
    stir(watch->file->fd);
    thi_file_leave(watch->file);
    return err;
}

static void free_list(thi_list *list)
{
    thi_list *link;
    while ((link = thi_list_pop_front(list)))
        thi_free(thi_list_item(link, thi_found, link));
}

void th_watch_free(th_watch *watch)
{
    const thi_map_entry *entry = NULL;
    if (!watch)
        return;
    th_file_free(watch->file);
    while ((entry = thi_map_next(&watch->watched, entry)))
        thi_free(entry->value);
    thi_map_deinit(&watch->watched);
    free_list(&watch->unseen);
    free_list(&watch->untold);
    thi_free(watch->path);
    thi_free(watch);
}

/* ---- what is watched ---- */

/* Begins a call that changes the watch. */
static int enter(th_watch *watch)
{
    int err = thi_file_enter(watch->file);
    if (err < 0)
        return err;
    err = th_mutex_lock(&watch->lock);
    if (err < 0)
        thi_file_leave(watch->file);
    return err;
}

static void leave(th_watch *watch)
{
    (void)th_mutex_unlock(&watch->lock);
    thi_file_leave(watch->file);
}

int th_watch_add(th_watch *watch, const char *path, unsigned what)
{
    what = what & TH_WATCH_ALL ? what : what | TH_WATCH_ALL;
    if (!watch || !path || (what & ~(unsigned)(TH_WATCH_ALL | TH_WATCH_TREE)))
        return thi_err_clear(-EINVAL);
    int err = enter(watch);
    if (err < 0)
        return thi_err_clear(err);
    int id = thi_watch_begin(watch, path, what);
    leave(watch);
    return id < 0 ? thi_err_set(id, "%s", path) : id;
}

int th_watch_remove(th_watch *watch, int id)
{
    if (!watch)
        return thi_err_clear(-EINVAL);
    int err = enter(watch);
    if (err < 0)
        return thi_err_clear(err);
    const thi_watched *watched = thi_map_get_u64(&watch->watched, (uint64_t)id);
    bool known = watched && watched->root == id;
    if (known)
        thi_watch_end(watch, id);
    leave(watch);
    return known ? 0 : thi_err_clear(-ENOENT);
}

/* ---- what is told ---- */

/* Puts the path of an event where its reader finds it. */
static int set_path(th_watch *w, const char *folder, const char *name, th_watch_event *event)
{
    size_t folder_len = strlen(folder);
    size_t room = folder_len + 1 + strlen(name) + 1;
    if (room > w->room) {
        char *path = thi_realloc(w->path, room);
        if (!path)
            return -ENOMEM;
        w->path = path;
        w->room = room;
    }
    bool slash = *name && folder_len > 0 && folder[folder_len - 1] != '/';
    (void)snprintf(w->path, w->room, "%s%s%s", folder, slash ? "/" : "", name);
    event->path = w->path;
    return 0;
}

static int tell_lost(th_watch_event *event)
{
    *event = (th_watch_event){ .id = -1, .what = TH_WATCH_LOST, .path = "" };
    return 1;
}

static int tell_found(th_watch *w, th_watch_event *event)
{
    thi_found *found = thi_list_item(thi_list_pop_front(&w->untold), thi_found, link);
    th_watch_event told = { .id = found->root,
                            .what = TH_WATCH_CREATED,
                            .directory = found->directory };
    int err = set_path(w, found->path, "", &told);
    thi_free(found);
    if (err < 0)
        return err;
    *event = told;
    return 1;
}

static unsigned what_of(uint32_t mask)
{
    static const struct {
        uint32_t bit;
        unsigned what;
    } all[] = {
        { IN_CREATE, TH_WATCH_CREATED },        { IN_DELETE, TH_WATCH_REMOVED },
        { IN_MOVED_FROM, TH_WATCH_MOVED_FROM }, { IN_MOVED_TO, TH_WATCH_MOVED_TO },
        { IN_MODIFY, TH_WATCH_CHANGED },        { IN_CLOSE_WRITE, TH_WATCH_WRITTEN },
        { IN_ATTRIB, TH_WATCH_ATTRIBUTES },     { IN_MOVE_SELF, TH_WATCH_MOVED },
    };
    for (size_t i = 0; i < thi_array_len(all); i++)
        if (mask & all[i].bit)
            return all[i].what;
    return 0;
}

/* The kernel watches this no more: told of what was asked for, not of what is below it. */
static int tell_gone(th_watch *w, thi_watched *watched, th_watch_event *event)
{
    bool asked_for = watched->root == watched->number;
    th_watch_event told = { .id = watched->root, .what = TH_WATCH_GONE };
    int err = asked_for ? set_path(w, watched->path, "", &told) : 0;
    if (asked_for && err == 0) {
        *event = told;
        err = 1;
    }
    thi_watch_forget(w, watched);
    return err;
}

/* In a tree, directories come and go. */
static int follow(th_watch *w, const thi_watched *watched, const th_watch_event *event)
{
    if (!event->directory || !(watched->what & TH_WATCH_TREE))
        return 0;
    if (event->what == TH_WATCH_MOVED_FROM)
        thi_watch_left(w, event->path);
    else if (event->what == TH_WATCH_CREATED || event->what == TH_WATCH_MOVED_TO)
        return thi_watch_appeared(w, watched, event->path);
    return 0;
}

/* 1: told; 0: it is none of the reader's business. */
static int tell(th_watch *w, const struct inotify_event *e, th_watch_event *event)
{
    if (e->mask & IN_Q_OVERFLOW)
        return tell_lost(event);
    thi_watched *watched = thi_map_get_u64(&w->watched, (uint64_t)e->wd);
    if (!watched)
        return 0;
    if (e->mask & IN_IGNORED)
        return tell_gone(w, watched, event);
    th_watch_event told = { .id = watched->root,
                            .what = what_of(e->mask),
                            .directory = (e->mask & IN_ISDIR) != 0,
                            .cookie = e->cookie };
    int err = set_path(w, watched->path, e->len > 0 ? e->name : "", &told);
    if (err == 0 && e->len > 0)
        err = follow(w, watched, &told);
    if (err < 0 || !(told.what & watched->what & TH_WATCH_ALL))
        return err;
    *event = told;
    return 1;
}

/* 1 with the next event, -EAGAIN when there is none now. */
static int next(th_watch *w, th_watch_event *event)
{
    for (;;) {
        int result = 0;
        if (!thi_list_empty(&w->untold))
            return tell_found(w, event);
        if (!thi_list_empty(&w->unseen)) {
            result = thi_watch_look(w);
            if (result < 0 && result != -ECANCELED && result != -ETIMEDOUT)
                return tell_lost(event);
        } else if (w->at < w->end) {
            const struct inotify_event *e = (const void *)(w->batch + w->at);
            w->at += sizeof *e + e->len;
            result = tell(w, e, event);
        } else {
            ssize_t n = thi_sys_read(w->file->fd, w->batch, sizeof w->batch);
            if (n < 0)
                return (int)n;
            w->at = 0;
            w->end = (size_t)n;
        }
        if (result != 0)
            return result;
    }
}

static int wait_for_more(th_watch *w)
{
    if (thi_sim_self)
        return th_sleep(SIM_PAUSE);
    return th_wait_fd(w->file->fd, TH_FD_READ, NULL);
}

static bool is_closed(const th_watch *w)
{
    return atomic_load_explicit(&w->file->calls, memory_order_acquire) & THI_FILE_CLOSED;
}

static int read_next(th_watch *w, th_watch_event *event)
{
    for (;;) {
        int err = th_mutex_lock(&w->lock);
        if (err < 0)
            return err;
        err = is_closed(w) ? -ECANCELED : next(w, event);
        (void)th_mutex_unlock(&w->lock);
        if (err != -EAGAIN)
            return err < 0 ? err : 0;
        err = wait_for_more(w);
        if (err < 0)
            return is_closed(w) ? -ECANCELED : err;
    }
}

int th_watch_read(th_watch *watch, th_watch_event *event)
{
    if (!watch || !event)
        return thi_err_clear(-EINVAL);
    int err = thi_sched_self() ? thi_sched_may_park() : 0;
    if (err == 0)
        err = thi_file_enter(watch->file);
    if (err < 0)
        return thi_err_clear(err);
    if (atomic_exchange_explicit(&watch->reads, true, memory_order_acquire)) {
        err = -EBUSY;
    } else {
        err = read_next(watch, event);
        atomic_store_explicit(&watch->reads, false, memory_order_release);
    }
    thi_file_leave(watch->file);
    return (int)thi_err_plain(err);
}
