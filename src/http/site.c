/* SPDX-License-Identifier: MIT */

/*
 * Sites: from a request's path to the file that answers it.
 *
 * What comes in is a path that is decoded and has no dot segments, or the part of it that a route
 * calls `*path`. It names a file, or with a slash at its end a folder, whose index file is meant. A
 * folder that was asked for without the slash is redirected, because relative links in it would
 * point beside it. That no name leads out of the root is the care of site_open.c.
 *
 * Everything that may not be seen is 404, as if it were not there: names that start with a dot,
 * links that are not followed or lead out, devices, FIFOs and sockets. 403 tells apart what is
 * there and cannot be shown: files that the server may not read, folders without an index and a
 * listing. The root's "/.well-known/" is shown in spite of its dot: it exists to be asked for (RFC
 * 8615).
 */
#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "http/body.h"
#include "http/site_list.h"
#include "http/site_send.h"
#include "proto/http1_write.h"
#include "proto/url.h"
#include "runtime/worker.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define INDEX_MAX 8 /* names of index files */

struct th_http_site {
    thi_site_root root;
    bool listing;
    bool dot_files;
    char *index_text; /* what `index` are views into */
    th_str index[INDEX_MAX];
    size_t index_count;
    thi_site_caches caches;
};

/* ---- making a site ---- */

/* Takes the next name off the front of a text; false at its end. */
static bool next_name(th_str *text, th_str *name)
{
    *text = th_str_trim(*text);
    if (text->len == 0)
        return false;
    if (!th_str_split_once(*text, ' ', name, text)) {
        *name = *text;
        *text = TH_STR("");
    }
    return true;
}

static int set_index(th_http_site *site, const char *names)
{
    th_str text = th_str_of(names ? names : "index.html");
    th_str name;
    site->index_text = thi_strdup_n(text.ptr, text.len);
    if (!site->index_text)
        return -ENOMEM;
    text.ptr = site->index_text;
    while (next_name(&text, &name)) {
        if (memchr(name.ptr, '/', name.len) || th_str_eq(name, TH_STR(".")) ||
            th_str_eq(name, TH_STR("..")))
            return thi_err_set(-EINVAL, "\"%.*s\" is no name of a file", TH_STR_ARG(name));
        if (site->index_count == INDEX_MAX)
            return thi_err_set(-EINVAL, "more than %d names of index files", INDEX_MAX);
        site->index[site->index_count++] = name;
    }
    return 0;
}

static int open_root(th_http_site *site, const char *root, bool follow)
{
    int err = thi_site_root_open(root, follow, &site->root);
    if (err == -EOPNOTSUPP)
        return thi_err_set(err, "%s: following links needs openat2(2), Linux 5.6", root);
    return err < 0 ? thi_err_set(err, "%s", root) : 0;
}

int th_http_site_new(const char *root, const th_http_site_opts *opts, th_http_site **site)
{
    th_http_site_opts o = { .size = sizeof o };
    if (!root || !site || (opts && opts->size > sizeof o))
        return -EINVAL;
    if (opts)
        memcpy(&o, opts, opts->size ? opts->size : sizeof o);
    th_http_site *made = thi_calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    made->listing = o.listing;
    made->dot_files = o.dot_files;
    int err = set_index(made, o.index);
    if (err == 0)
        err = open_root(made, root, o.follow_symlinks);
    if (err < 0) {
        thi_free(made->index_text);
        thi_free(made);
        return err;
    }
    *site = made;
    return 0;
}

void th_http_site_free(th_http_site *site)
{
    if (!site)
        return;
    thi_site_caches_free(&site->caches);
    thi_site_root_close(&site->root);
    thi_free(site->index_text);
    thi_free(site);
}

/* ---- refusing ---- */

static int refuse(th_http_reply *r, int status)
{
    char text[64];
    th_str reason = thi_http_reason(status);
    (void)snprintf(text, sizeof text, "%d %.*s\n", status, TH_STR_ARG(reason));
    return th_http_reply_text(r, status, text);
}

/* The status that a failure to open stands for. */
static int status_of(int err)
{
    switch (err) {
    case -ENOENT:
    case -ENOTDIR:
    case -EISDIR:
    case -ELOOP: /* a link that is not followed, */
    case -EXDEV: /* or that leads out */
    case -ENXIO: /* a socket, FIFO or device */
    case -ENODEV:
    case -ENAMETOOLONG:
    case -EINVAL: /* names that the file system cannot have */
    case -EILSEQ:
        return 404;
    case -EACCES:
    case -EPERM:
        return 403;
    case -ENOMEM:
    case -EMFILE:
    case -ENFILE:
    case -EAGAIN:
        return 503;
    default:
        return 500;
    }
}

static int refuse_name(th_http_reply *r, const char *name, int err)
{
    int status = status_of(err);
    if (status >= 500)
        thi_log(TH_LOG_ERROR, "the file \"%s\" cannot be served: %s", name, th_strerror(err));
    return refuse(r, status);
}

/* RFC 9110, 15.6.2: 501 for a method that is not even known. */
static int refuse_method(const th_http_request *q, th_http_reply *r)
{
    int err = th_http_reply_header(r, "Allow", "GET, HEAD");
    return err < 0 ? err : refuse(r, q->head.method_id == THI_HTTP_OTHER ? 501 : 405);
}

/* ---- answering ---- */

/* Whether a segment starts with a dot. */
static bool is_hidden(th_str name)
{
    static const th_str well_known = { ".well-known/", 12 };
    if (th_str_has_prefix(name, well_known))
        name = th_str_make(name.ptr + well_known.len, name.len - well_known.len);
    return (name.len > 0 && *name.ptr == '.') || memmem(name.ptr, name.len, "/.", 2);
}

/* 301 to the same path with a slash at its end, and the same query. */
static int redirect(th_http_request *q, th_http_reply *r)
{
    th_str path = th_http_request_path(q);
    th_str query = th_http_request_query(q);
    char *location = th_arena_alloc(&q->arena, 3 * path.len + query.len + 3);
    if (!location)
        return -ENOMEM;
    char *to = location + thi_url_encode_path(path, location);
    *to++ = '/';
    if (q->head.has_query) {
        *to++ = '?';
        to = mempcpy(to, query.ptr, query.len);
    }
    *to = 0;
    int err = th_http_reply_header(r, "Location", location);
    return err < 0 ? err : refuse(r, 301);
}

static int find(th_http_site *site, th_str name, thi_site_file *spare, thi_site_file **file)
{
    thi_site_cache *cache = thi_site_cache_of(&site->caches, &thi_worker_self->loop);
    return thi_site_cache_get(cache, &site->root, name, spare, file);
}

static int send_file(th_http_request *q, th_http_reply *r, thi_site_file *file)
{
    int err = thi_site_send(q, r, file);
    thi_site_file_put(file);
    return err;
}

static int answer_with_file(th_http_site *site, th_http_request *q, th_http_reply *r, th_str name)
{
    thi_site_file spare, *file;
    int err = find(site, name, &spare, &file);
    if (err == -EISDIR)
        return redirect(q, r);
    return err < 0 ? refuse_name(r, name.ptr, err) : send_file(q, r, file);
}

static int answer_with_listing(th_http_site *site, th_http_request *q, th_http_reply *r,
                               const char *name)
{
    struct stat st;
    int fd = thi_site_open(&site->root, name, &st);
    if (fd < 0)
        return refuse_name(r, name, fd);
    if (S_ISDIR(st.st_mode) && site->listing) {
        thi_site_folder folder = { &site->root, name, site->dot_files };
        return thi_site_list(q, r, &folder, fd);
    }
    (void)thi_sys_close(fd);
    return refuse(r, S_ISDIR(st.st_mode) ? 403 : 404);
}

static int answer_with_folder(th_http_site *site, th_http_request *q, th_http_reply *r, th_str name)
{
    thi_site_file spare, *file;
    for (size_t i = 0; i < site->index_count; i++) {
        char *index = th_arena_alloc(&q->arena, name.len + site->index[i].len + 2);
        if (!index)
            return -ENOMEM;
        char *to = mempcpy(index, name.ptr, name.len);
        if (name.len > 0)
            *to++ = '/';
        to = mempcpy(to, site->index[i].ptr, site->index[i].len);
        *to = 0;
        int err = find(site, th_str_make(index, (size_t)(to - index)), &spare, &file);
        if (err == 0)
            return send_file(q, r, file);
        if (status_of(err) != 404)
            return refuse_name(r, index, err);
    }
    return answer_with_listing(site, q, r, name.ptr);
}

int th_http_site_handle(th_http_request *q, th_http_reply *r, void *arg)
{
    th_http_site *site = arg;
    th_str path = th_http_request_path(q);
    int err = thi_http_body_skip(q, r);
    if (err < 0)
        return err;
    if (q->head.method_id != THI_HTTP_GET && q->head.method_id != THI_HTTP_HEAD)
        return refuse_method(q, r);
    th_str name = th_http_request_param(q, "path");
    if (!name.ptr)
        name = th_str_make(path.ptr + 1, path.len - 1);
    if (is_hidden(name) && !site->dot_files)
        return refuse(r, 404);
    bool folder = th_str_has_suffix(name.len > 0 ? name : path, TH_STR("/"));
    if (name.len == 0 && !folder) /* where a route for "/a/" and all below it has led "/a" */
        return redirect(q, r);
    name.len -= folder && name.len > 0;
    const char *copy = th_arena_strdup(&q->arena, name);
    if (!copy)
        return -ENOMEM;
    name.ptr = copy;
    return folder ? answer_with_folder(site, q, r, name) : answer_with_file(site, q, r, name);
}
