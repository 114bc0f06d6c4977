/* SPDX-License-Identifier: MIT */

/*
 * The files that thrum cert reads and writes, and what it says when it cannot.
 *
 * Nothing is replaced unless that is asked for: a private key that is overwritten is lost. What is
 * written anew is made under a name that nobody else can have meanwhile (O_EXCL), what is replaced
 * is replaced as a whole.
 */
#include "cert_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Words that say it all, so that those for the code would only add noise. */
static bool is_complete(int err, const char *detail, const char *path)
{
    bool has_words = *detail && !(path && strcmp(detail, path) == 0);
    return has_words && (err <= TH_EOF || err == -EINVAL || err == -EACCES);
}

int cert_failed(const command *cmd, int err, const char *path)
{
    const char *detail = th_err_detail();
    size_t len = path ? strlen(path) : 0;
    bool names_it =
        !path || (strncmp(detail, path, len) == 0 && (detail[len] == ':' || detail[len] == '\0'));
    bool complete = is_complete(err, detail, path);
    print_error("thrum %s: %s%s%s%s%s", cmd->name, names_it ? "" : path,
                names_it || !*detail ? "" : ": ", detail,
                complete || (names_it && !*detail) ? "" : ": ", complete ? "" : th_strerror(err));
    return 1;
}

bool cert_is_standard(const char *path)
{
    return strcmp(path, "-") == 0;
}

static bool is_there(const char *path)
{
    struct stat st;
    return th_path_lstat(path, &st) == 0;
}

/* Of a file, or of /dev/stdin. */
bool cert_load(const command *cmd, const char *path, th_arena *arena, th_str *content)
{
    int err =
        th_file_load(cert_is_standard(path) ? "/dev/stdin" : path, CERT_FILE_MAX, arena, content);
    if (err == TH_ELIMIT)
        print_error("thrum %s: %s: no certificate has more than %zu bytes", cmd->name, path,
                    CERT_FILE_MAX);
    else if (err < 0)
        print_error("thrum %s: %s: %s", cmd->name, path, th_strerror(err));
    return err == 0;
}

th_str cert_pass_in(th_str content)
{
    const char *end = memchr(content.ptr, '\n', content.len);
    size_t len = end ? (size_t)(end - content.ptr) : content.len;
    if (len > 0 && content.ptr[len - 1] == '\r')
        len--;
    return th_str_make(content.ptr, len);
}

bool cert_load_pass(const command *cmd, const char *path, cert_pass *pass)
{
    th_arena arena;
    th_str content;
    pass->len = 0;
    pass->given = path != NULL;
    if (!path)
        return true;
    th_arena_init(&arena, NULL, 0, 0);
    bool ok = cert_load(cmd, path, &arena, &content);
    if (ok) {
        size_t len = cert_pass_in(content).len;
        if (len > CERT_PASS_MAX) {
            print_error("thrum %s: %s: the pass phrase has more than %d bytes", cmd->name, path,
                        CERT_PASS_MAX);
            ok = false;
        } else {
            memcpy(pass->text, content.ptr, len);
            pass->text[len] = '\0';
            pass->len = len;
        }
        explicit_bzero((char *)(uintptr_t)content.ptr, content.len);
    }
    th_arena_deinit(&arena);
    return ok;
}

bool cert_may_write(const command *cmd, const char *path, bool force)
{
    if (force || cert_is_standard(path) || !is_there(path))
        return true;
    print_error("thrum %s: %s is there already; --force replaces it", cmd->name, path);
    return false;
}

/* Under a name that nobody has; nothing is left of it when it cannot be written. */
static int save_new(const char *path, th_str content, mode_t mode)
{
    th_file *file;
    int err = th_file_open(path, O_WRONLY | O_CREAT | O_EXCL, mode, &file);
    if (err < 0)
        return err;
    ssize_t n = th_file_write(file, content.ptr, content.len);
    err = n < 0 ? (int)n : th_file_sync(file);
    int closed = th_file_close(file);
    th_file_free(file);
    if (err == 0)
        err = closed;
    if (err < 0)
        (void)th_path_unlink(path);
    return err;
}

bool cert_save(const command *cmd, const char *path, th_str content, bool is_secret, bool force)
{
    mode_t mode = is_secret ? 0600 : 0644;
    int err = 0;
    if (cert_is_standard(path)) {
        if (fwrite(content.ptr, 1, content.len, stdout) != content.len || fflush(stdout) != 0)
            err = -EIO;
    } else if (force) {
        err = th_file_save(path, content.ptr, content.len, mode);
    } else {
        err = save_new(path, content, mode);
    }
    if (err == -EEXIST)
        print_error("thrum %s: %s is there already; --force replaces it", cmd->name, path);
    else if (err < 0)
        print_error("thrum %s: %s: %s", cmd->name, path, th_strerror(err));
    return err == 0;
}
