/* SPDX-License-Identifier: MIT */

/*
 * The listing of a folder.
 *
 * Shown is what a request would be answered with: regular files and folders, links only where they
 * are followed and only if they lead to something inside, no name that a path cannot have. Whoever
 * can make files can choose their names, so that every name is escaped; links start with "./", or
 * "javascript:" would be a scheme; and the page's own policy allows no script at all.
 *
 * A folder may be huge, and on a slow disk. It is read by a thread of the pool, and what is more
 * than THI_SITE_LIST_MAX is left out and said to be.
 */
#include "http/site_list.h"

#include "base/alloc.h"
#include "http/site_page.h"
#include "io/fileway.h"

#include <thrum/pool.h>
#include <thrum/time.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

typedef struct listing {
    const thi_site_folder *folder;
    DIR *dir;
    thi_site_item *items;
    size_t count;
    size_t room;
    th_arena names;
    bool cut; /* there are more */
} listing;

/* Whether a request can name it: th_http_request_path() refuses the others. */
static bool is_reachable(const thi_site_folder *folder, th_str name)
{
    if (th_str_eq(name, TH_STR(".")) || th_str_eq(name, TH_STR("..")))
        return false;
    if (*name.ptr == '.' && !folder->dot_files)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] < 0x20 || name.ptr[i] == 0x7f || name.ptr[i] == '\\')
            return false;
    return true;
}

/* What a link leads to, if that may be served: 0 or -errno. */
static int follow(listing *l, const char *name, struct stat *st)
{
    const thi_site_folder *folder = l->folder;
    if (!folder->root->follow)
        return -ELOOP;
    char *path = th_arena_printf(&l->names, "%s%s%s", folder->name, *folder->name ? "/" : "", name);
    if (!path)
        return -ENOMEM;
    int fd = thi_site_open(folder->root, path, st);
    if (fd < 0)
        return fd;
    (void)thi_sys_close(fd);
    return 0;
}

static int make_room(listing *l)
{
    if (l->count < l->room)
        return 0;
    size_t room = l->room ? 2 * l->room : 64;
    thi_site_item *items = thi_realloc_array(l->items, room, sizeof *items);
    if (!items)
        return -ENOMEM;
    l->items = items;
    l->room = room;
    return 0;
}

/* Adds an entry if it is to be shown. */
static int add(listing *l, const char *entry)
{
    struct stat st;
    th_str name = th_str_of(entry);
    if (!is_reachable(l->folder, name) ||
        thi_sys_fstatat(dirfd(l->dir), entry, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
        (S_ISLNK(st.st_mode) && follow(l, entry, &st) < 0) ||
        (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return 0;
    if (l->count == THI_SITE_LIST_MAX) {
        l->cut = true;
        return 0;
    }
    char *copy = th_arena_strdup(&l->names, name);
    if (!copy || make_room(l) < 0)
        return -ENOMEM;
    l->items[l->count++] = (thi_site_item){ .name = th_str_make(copy, name.len),
                                            .folder = S_ISDIR(st.st_mode),
                                            .size = st.st_size,
                                            .modified = st.st_mtim.tv_sec };
    return 0;
}

/* Nobody waits any more for the listing of a request that is given up. */
static int read_entries(void *arg)
{
    listing *l = arg;
    const struct dirent *entry;
    int err = 0;
    while (err == 0 && !l->cut && (entry = readdir(l->dir))) {
        err = add(l, entry->d_name);
        if (err == 0)
            err = th_work_cancelled();
    }
    return err;
}

/* Folders first, then by bytes. */
static int compare(const void *a, const void *b)
{
    const thi_site_item *x = a, *y = b;
    return x->folder != y->folder ? y->folder - x->folder : th_str_cmp(x->name, y->name);
}

static int add_fields(th_http_reply *r)
{
    static const char *const fields[][2] = {
        { "Content-Type", "text/html; charset=utf-8" },
        { "X-Content-Type-Options", "nosniff" },
        { "Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'" },
    };
    int err = 0;
    for (size_t i = 0; err == 0 && i < sizeof fields / sizeof *fields; i++)
        err = th_http_reply_header(r, fields[i][0], fields[i][1]);
    return err;
}

static int answer(th_http_request *q, th_http_reply *r, listing *l)
{
    int err = add_fields(r);
    if (err == 0 && q->head.method_id != THI_HTTP_HEAD)
        err = thi_fileway_run(read_entries, l);
    if (err == 0)
        err = th_http_reply_begin(r, 200, -1);
    if (err < 0 || q->head.method_id == THI_HTTP_HEAD)
        return err;
    if (l->count > 0)
        qsort(l->items, l->count, sizeof *l->items, compare);
    thi_site_page page = { .path = th_http_request_path(q),
                           .is_root = !*l->folder->name,
                           .items = l->items,
                           .count = l->count,
                           .cut = l->cut };
    return thi_site_page_write(r, &page, &q->arena);
}

int thi_site_list(th_http_request *q, th_http_reply *r, const thi_site_folder *folder, int fd)
{
    listing l = { .folder = folder, .dir = fdopendir(fd) };
    if (!l.dir) {
        (void)thi_sys_close(fd);
        return -ENOMEM;
    }
    th_arena_init(&l.names, NULL, 0, 0);
    int err = answer(q, r, &l);
    th_arena_deinit(&l.names);
    thi_free(l.items);
    (void)closedir(l.dir);
    return err;
}
