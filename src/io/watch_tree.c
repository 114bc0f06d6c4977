/* SPDX-License-Identifier: MIT */

/*
 * What a watch watches, and how a tree of directories is.
 *
 * The kernel watches directories one by one. A tree is one of ours for each directory in it; they
 * share the number of their root. A directory is first watched, then looked into: what is made in
 * between is seen in both ways, and nothing in neither. Directories found on the way wait in a
 * list, so that a look that is cancelled goes on with the next call.
 *
 * A directory that leaves a tree is watched no more, with all below it, because the kernel's watch
 * would go with it; if it only moved within the tree, it appears again under its new name.
 */
#include "io/watch.h"

#include "base/alloc.h"
#include "base/util.h"
#include "sys/sys.h"

#include <thrum/path.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

/* ---- asking the kernel ---- */

static const struct {
    unsigned what;
    uint32_t bits;
} masks[] = {
    { TH_WATCH_CREATED, IN_CREATE },
    { TH_WATCH_REMOVED, IN_DELETE },
    { TH_WATCH_MOVED_FROM, IN_MOVED_FROM },
    { TH_WATCH_MOVED_TO, IN_MOVED_TO },
    { TH_WATCH_CHANGED, IN_MODIFY },
    { TH_WATCH_WRITTEN, IN_CLOSE_WRITE },
    { TH_WATCH_ATTRIBUTES, IN_ATTRIB },
    { TH_WATCH_MOVED, IN_MOVE_SELF },
    { TH_WATCH_TREE, IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR },
};

static uint32_t mask_of(unsigned what)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < thi_array_len(masks); i++)
        if (what & masks[i].what)
            bits |= masks[i].bits;
    return bits;
}

typedef struct adding {
    int fd;
    const char *path;
    uint32_t mask;
} adding;

/* The path may be on a disk, so this is work for the pool. */
static int add_to_kernel(void *arg)
{
    const adding *a = arg;
    return thi_sys_inotify_add(a->fd, a->path, a->mask);
}

/*
 * Watches a path. What the kernel began to watch must not go on without us: if there is no memory
 * it is taken back.
 */
static int watch_path(th_watch *w, const char *path, unsigned what, uint32_t mask, int root)
{
    size_t len = strlen(path) + 1;
    adding a = { .fd = w->file->fd, .path = path, .mask = mask };
    thi_watched *made = thi_alloc(sizeof *made + len);
    if (!made)
        return -ENOMEM;
    int number = thi_fileway_run(add_to_kernel, &a);
    if (number < 0) {
        thi_free(made);
        return number;
    }
    *made = (thi_watched){ .number = number, .root = root < 0 ? number : root, .what = what };
    memcpy(made->path, path, len);
    thi_watched *former = thi_map_get_u64(&w->watched, (uint64_t)number);
    if (thi_map_put_u64(&w->watched, (uint64_t)number, made) < 0) {
        (void)thi_sys_inotify_remove(w->file->fd, number);
        thi_free(made);
        return -ENOMEM;
    }
    thi_free(former);
    return number;
}

void thi_watch_forget(th_watch *w, thi_watched *watched)
{
    (void)thi_map_remove_u64(&w->watched, (uint64_t)watched->number);
    thi_free(watched);
}

static void stop(th_watch *w, thi_watched *watched)
{
    (void)thi_sys_inotify_remove(w->file->fd, watched->number);
    thi_watch_forget(w, watched);
}

/* ---- what is found ---- */

static thi_found *new_found(int root, const char *folder, const char *name)
{
    size_t folder_len = strlen(folder);
    size_t room = folder_len + 1 + strlen(name) + 1;
    thi_found *found = thi_alloc(sizeof *found + room);
    if (!found)
        return NULL;
    *found = (thi_found){ .root = root };
    bool slash = folder_len > 0 && folder[folder_len - 1] != '/' && *name;
    (void)snprintf(found->path, room, "%s%s%s", folder, slash ? "/" : "", name);
    return found;
}

static void drop_found(thi_list *list, int root)
{
    thi_list *next;
    for (thi_list *at = list->next; at != list; at = next) {
        thi_found *found = thi_list_item(at, thi_found, link);
        next = at->next;
        if (root < 0 || found->root == root) {
            thi_list_remove(at);
            thi_free(found);
        }
    }
}

/* A directory of a tree that is to be looked into. */
static int see_later(th_watch *w, int root, const char *folder, const char *name, bool quiet)
{
    thi_found *found = new_found(root, folder, name);
    if (!found)
        return -ENOMEM;
    found->quiet = quiet;
    thi_list_push_back(&w->unseen, &found->link);
    return 0;
}

static int tell_later(th_watch *w, int root, const char *folder, const th_dir_entry *entry)
{
    thi_found *found = new_found(root, folder, entry->name);
    if (!found)
        return -ENOMEM;
    found->directory = entry->kind == TH_DIR_DIRECTORY;
    thi_list_push_back(&w->untold, &found->link);
    return 0;
}

/* ---- trees ---- */

static int look_into(th_watch *w, const thi_found *place, bool tells)
{
    th_dir *dir;
    th_dir_entry entry;
    int err = th_dir_open(place->path, &dir);
    if (err < 0)
        return err;
    while ((err = th_dir_read(dir, &entry)) > 0) {
        if (entry.kind == TH_DIR_DIRECTORY)
            err = see_later(w, place->root, place->path, entry.name, place->quiet);
        if (err >= 0 && tells)
            err = tell_later(w, place->root, place->path, &entry);
        if (err < 0)
            break;
    }
    th_dir_free(dir);
    return err;
}

/* What belongs to somebody else already stays his: the kernel watches a directory once for us. */
static int watch_and_look_into(th_watch *w, const thi_found *place)
{
    const thi_watched *root = thi_map_get_u64(&w->watched, (uint64_t)place->root);
    if (!root) /* it has gone */
        return 0;
    bool tells = !place->quiet && (root->what & TH_WATCH_CREATED);
    if (strcmp(root->path, place->path) != 0) {
        unsigned what = root->what & ~(unsigned)TH_WATCH_MOVED;
        uint32_t mask = mask_of(what) | IN_DONT_FOLLOW | IN_MASK_CREATE;
        int number = watch_path(w, place->path, what, mask, place->root);
        if (number < 0 && number != -EEXIST)
            return number;
    }
    return look_into(w, place, tells);
}

int thi_watch_look(th_watch *w)
{
    thi_found *place = thi_list_item(w->unseen.next, thi_found, link);
    int err = watch_and_look_into(w, place);
    if (err == -ECANCELED || err == -ETIMEDOUT)
        return err;
    thi_list_remove(&place->link);
    bool gone = err == -ENOENT || err == -ENOTDIR || err == -ELOOP;
    bool closed_to_us = err == -EACCES; /* nobody else who is so can see it either */
    thi_free(place);
    return gone || closed_to_us ? 0 : err;
}

int thi_watch_appeared(th_watch *w, const thi_watched *parent, const char *path)
{
    return see_later(w, parent->root, path, "", false);
}

/* Whether a path is another one or lies below it. */
static bool is_below(const char *path, const char *folder)
{
    size_t len = strlen(folder);
    return strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == 0);
}

/* The first of those in question; the map must not change while one walks over it. */
static thi_watched *find(th_watch *w, int root, const char *folder)
{
    const thi_map_entry *entry = NULL;
    while ((entry = thi_map_next(&w->watched, entry))) {
        thi_watched *watched = entry->value;
        bool below = folder && watched->root != watched->number && is_below(watched->path, folder);
        if (folder ? below : watched->root == root)
            return watched;
    }
    return NULL;
}

void thi_watch_left(th_watch *w, const char *path)
{
    thi_watched *watched;
    while ((watched = find(w, -1, path)))
        stop(w, watched);
}

void thi_watch_end(th_watch *w, int root)
{
    thi_watched *watched;
    while ((watched = find(w, root, NULL)))
        stop(w, watched);
    drop_found(&w->unseen, root);
    drop_found(&w->untold, root);
}

int thi_watch_begin(th_watch *w, const char *path, unsigned what)
{
    int root = watch_path(w, path, what, mask_of(what), -1);
    if (root < 0 || !(what & TH_WATCH_TREE))
        return root;
    int err = see_later(w, root, path, "", true);
    while (err == 0 && !thi_list_empty(&w->unseen))
        err = thi_watch_look(w);
    if (err == 0)
        return root;
    thi_watch_end(w, root);
    return err;
}
