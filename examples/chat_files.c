/* SPDX-License-Identifier: MIT */

/*
 * A file server on chats. A client sends the name of a file and a newline; the answer is its size,
 * a newline, and the file, or "no" and a newline. An empty name ends the connection.
 */
#include <thrum.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static th_file *folder;

/* Nothing but names of what is right in the folder. */
static bool is_plain(const char *name)
{
    return *name != '\0' && *name != '.' && !strchr(name, '/');
}

/* May suspend; others of the worker go on meanwhile. */
static int open_regular(const char *name, th_file **file, int64_t *size)
{
    struct stat st;
    int err =
        is_plain(name) ? th_file_open_in(folder, name, O_RDONLY | O_NOFOLLOW, 0, file) : -ENOENT;
    if (err < 0)
        return err;
    err = th_file_stat(*file, &st);
    if (err == 0 && !S_ISREG(st.st_mode))
        err = -ENOENT;
    if (err < 0)
        th_file_free(*file);
    else
        *size = st.st_size;
    return err;
}

static int send_file(th_chat *chat, th_file *file, int64_t size)
{
    char head[32];
    th_producer *producer;
    int err = th_producer_of_file(file, 0, size, &producer);
    if (err < 0) {
        th_file_free(file);
        return err;
    }
    int n = snprintf(head, sizeof head, "%lld\n", (long long)size);
    err = th_chat_push(chat, head, (size_t)n);
    if (err == 0)
        err = th_chat_push_producer(chat, producer);
    if (err < 0)
        th_producer_release(producer);
    return err;
}

static int on_name(th_chat *chat, void *arg)
{
    th_str name = th_chat_collected(chat);
    th_file *file;
    int64_t size = 0;
    (void)arg;
    if (name.len == 0)
        return th_chat_close_when_done(chat);
    int err = memchr(name.ptr, '\0', name.len) ? -ENOENT : open_regular(name.ptr, &file, &size);
    if (err == -ECANCELED || err == -ETIMEDOUT)
        return err;
    return err < 0 ? th_chat_push(chat, "no\n", 3) : send_file(chat, file, size);
}

static int on_accepted(th_dispatcher *listener, void *arg, int fd, const th_addr *peer)
{
    static const th_chat_ops ops = { .name = "files", .found = on_name };
    static const th_chat_opts opts = { .collect_max = 255 };
    th_chat *chat;
    (void)arg;
    (void)peer;
    int err = th_chat_new(&ops, NULL, th_dispatcher_map(listener), &opts, &chat);
    if (err < 0)
        return err;
    err = th_chat_set_terminator(chat, "\n", 1);
    return err < 0 ? err : th_dispatcher_attach(th_chat_dispatcher(chat), fd, 0);
}

static int serve(const char *address)
{
    static const th_dispatcher_ops ops = { .name = "file server", .accepted = on_accepted };
    th_dispatcher *d;
    th_addr addr;
    char text[TH_ADDR_TEXT];
    int err = th_dispatcher_new(&ops, NULL, NULL, &d);
    if (err == 0)
        err = th_dispatcher_bind(d, address);
    if (err == 0)
        err = th_dispatcher_listen(d, 0);
    if (err < 0)
        return err;
    th_dispatcher_addr(d, &addr);
    printf("listening on %s\n", th_addr_format(&addr, text, sizeof text));
    fflush(stdout);
    return th_dispatch_map_loop(NULL, TH_NEVER, -1);
}

static int app(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: chat_files ADDRESS FOLDER\n");
        return 2;
    }
    int err = th_file_open(argv[2], O_RDONLY | O_DIRECTORY, 0, &folder);
    if (err < 0)
        return err;
    err = serve(argv[1]);
    th_dispatch_map_close_all(NULL);
    th_file_free(folder);
    return err == -ECANCELED ? 0 : err; /* SIGTERM */
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
