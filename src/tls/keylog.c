/* SPDX-License-Identifier: MIT */

/*
 * The key log.
 *
 * A line is appended by one write to a descriptor that was opened for appending, so that lines of
 * several threads, contexts and processes do not mix. It is written where OpenSSL tells of it, on
 * the worker's thread: who asks for a key log looks for a fault, and is not in a hurry.
 */
#include "tls/keylog.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "sys/sys.h"
#include "tls/ossl.h"
#include "tls/slot.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <string.h>

struct thi_tls_keylog {
    atomic_uint refs;
    int fd; /* -1: none */
    thi_tls_keylog_fn fn;
    void *arg;
};

#define LINE_MAX_ 512 /* the longest label, the random in hex, the longest secret in hex */

static void forget(void *log)
{
    thi_tls_keylog_unref(log);
}

static thi_slot slot = { .class = CRYPTO_EX_INDEX_SSL_CTX, .forget = forget };

/* ---- the file ---- */

static int check(int fd, const char *path)
{
    struct stat st;
    int err = thi_sys_fstat(fd, &st);
    if (err < 0)
        return thi_err_set(err, "key log %s", path);
    if (!S_ISREG(st.st_mode))
        return thi_err_set(-EACCES, "key log %s: not a regular file", path);
    if ((st.st_mode & 077) != 0)
        return thi_err_set(-EACCES, "key log %s: others may use it (mode %04o): chmod 600", path,
                           (unsigned)st.st_mode & 07777U);
    return 0;
}

static int open_file(const char *path)
{
    int fd = thi_sys_openat(
        AT_FDCWD, path,
        O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0)
        return thi_err_set(fd, "key log %s", path);
    int err = check(fd, path);
    if (err == 0)
        return fd;
    (void)thi_sys_close(fd);
    return err;
}

static void append(int fd, const char *line)
{
    char text[LINE_MAX_];
    size_t len = strlen(line);
    if (len >= sizeof text)
        return;
    memcpy(text, line, len);
    text[len] = '\n';
    ssize_t n = thi_sys_write(fd, text, len + 1);
    if (n < 0)
        thi_log(TH_LOG_WARNING, "a line of the key log is lost: %s", th_strerror((int)n));
    OPENSSL_cleanse(text, sizeof text);
}

/* ---- the log ---- */

static void on_line(const SSL *ssl, const char *line)
{
    const thi_tls_keylog *log = thi_slot_ctx(&slot, SSL_get_SSL_CTX(ssl));
    if (!log)
        return;
    if (log->fd >= 0)
        append(log->fd, line);
    if (log->fn)
        log->fn(ssl, line, log->arg);
}

int thi_tls_keylog_new(const char *path, thi_tls_keylog_fn fn, void *arg, thi_tls_keylog **out)
{
    thi_tls_keylog *log = thi_calloc(1, sizeof *log);
    if (!log)
        return thi_err_clear(-ENOMEM);
    atomic_init(&log->refs, 1);
    log->fn = fn;
    log->arg = arg;
    log->fd = path ? open_file(path) : -1;
    if (path && log->fd < 0) {
        int err = log->fd;
        thi_free(log);
        return err;
    }
    if (path)
        thi_log(TH_LOG_WARNING, "secrets of TLS connections are written to %s", path);
    *out = log;
    return 0;
}

void thi_tls_keylog_unref(thi_tls_keylog *log)
{
    if (!log || atomic_fetch_sub_explicit(&log->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (log->fd >= 0)
        (void)thi_sys_close(log->fd);
    thi_free(log);
}

int thi_tls_keylog_attach(SSL_CTX *ctx, thi_tls_keylog *log)
{
    thi_ossl_begin();
    atomic_fetch_add_explicit(&log->refs, 1, memory_order_relaxed);
    int err = thi_slot_put_ctx(&slot, ctx, log);
    if (err < 0) {
        thi_tls_keylog_unref(log);
        return err;
    }
    SSL_CTX_set_keylog_callback(ctx, on_line);
    return 0;
}
