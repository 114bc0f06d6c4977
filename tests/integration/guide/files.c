/* SPDX-License-Identifier: MIT */

/* Runs the fragments of docs/guide/files.md. */
#include <thrum.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.inc"
#include "list.inc"

static int loaded;

static int load(const char *path)
{
    loaded++;
    return strcmp(path, "./app.conf") == 0 ? -ECANCELED : -EPROTO; /* that is enough */
}

#include "reload.inc"

static int change(void *arg)
{
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    int err = raise_limit(arg, &arena);
    if (err == 0)
        err = raise_limit(arg, &arena);
    th_arena_deinit(&arena);
    return err;
}

static int run(void)
{
    th_watch *watch;
    th_scope scope;
    char path[] = "app.conf";
    int err = th_file_save(path, "", 0, 0600);
    if (err == 0)
        err = th_watch_open(&watch);
    if (err < 0)
        return err;
    err = th_scope_open(&scope, NULL);
    if (err == 0)
        err = th_spawn(&scope, change, path);
    if (err == 0 && reload_on_change(watch, ".") != -ECANCELED)
        err = -EPROTO;
    int closed = th_scope_close(&scope);
    th_watch_free(watch);
    if (err == 0)
        err = closed;
    struct stat st;
    if (err == 0)
        err = th_path_stat(path, &st);
    if (err == 0 && (st.st_size != 22 || loaded != 1))
        err = -EPROTO;
    if (err == 0 && !freopen("/dev/null", "w", stdout))
        err = -errno;
    return err == 0 ? list(".") : err;
}

static int app(int argc, char **argv)
{
    (void)argc, (void)argv;
    char folder[] = "/tmp/thrum-guide-XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -errno;
    int err = run();
    (void)th_path_unlink("app.conf");
    (void)th_path_rmdir(folder);
    return err;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
