/* SPDX-License-Identifier: MIT */

/*
 * Shows a file, and whatever is added to it, until it is removed: `tail -f`.
 *
 *     follow FILE
 */
#include <thrum.h>

#include <fcntl.h>
#include <stdio.h>

/* Shows what there is beyond what was shown. */
static int show_more(th_file *file)
{
    char piece[4096];
    ssize_t n;
    while ((n = th_file_read(file, piece, sizeof piece)) > 0)
        fwrite(piece, 1, (size_t)n, stdout);
    fflush(stdout);
    return (int)n;
}

/* The watch comes before the first look, so nothing falls between the two. */
static int follow(th_watch *watch, th_file *file, const char *path)
{
    th_watch_event event = { 0 };
    int err = th_watch_add(watch, path, TH_WATCH_CHANGED | TH_WATCH_ATTRIBUTES);
    while (err >= 0) {
        struct stat st;
        err = show_more(file);
        if (err >= 0)
            err = th_file_stat(file, &st);
        if (err < 0 || st.st_nlink == 0) /* it has no name any more */
            break;
        err = th_watch_read(watch, &event);
    }
    return err;
}

static int app(int argc, char **argv)
{
    th_file *file = NULL;
    th_watch *watch = NULL;
    if (argc != 2) {
        fprintf(stderr, "usage: %s FILE\n", argv[0]);
        return 2;
    }
    int err = th_file_open(argv[1], O_RDONLY, 0, &file);
    if (err == 0)
        err = th_watch_open(&watch);
    if (err == 0)
        err = follow(watch, file, argv[1]);
    if (err < 0)
        fprintf(stderr, "%s: %s: %s\n", argv[0], th_strerror(err), th_err_detail());
    th_watch_free(watch);
    th_file_free(file);
    return err < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    return th_main(app, argc, argv, NULL);
}
