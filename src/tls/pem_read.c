/* SPDX-License-Identifier: MIT */

/*
 * Certificates and lists of files and of memory.
 *
 * Everything is first in memory, then read: a file that changes meanwhile is seen as it was at one
 * moment, or as two halves that do not fit, never half loaded into an object.
 */
#include "tls/pem_read.h"

#include "base/alloc.h"
#include "base/error.h"
#include "sys/sys.h"
#include "tls/pem.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* ---- files ---- */

#define STEP ((size_t)16 << 10)

void thi_tls_file_deinit(thi_tls_file *file)
{
    if (file->bytes)
        OPENSSL_cleanse(file->bytes, file->len);
    thi_free(file->bytes);
    *file = (thi_tls_file){ 0 };
}

/* Room for `room` bytes and a NUL; the former bytes are wiped, which realloc() would not do. */
static int grow(thi_tls_file *file, size_t room)
{
    unsigned char *bytes = thi_alloc(room + 1);
    if (!bytes)
        return -ENOMEM;
    if (file->len > 0)
        memcpy(bytes, file->bytes, file->len);
    size_t len = file->len;
    thi_tls_file_deinit(file);
    *file = (thi_tls_file){ bytes, len };
    return 0;
}

static int read_all(int fd, thi_tls_file *file)
{
    size_t room = 0;
    for (;;) {
        if (file->len == room) {
            room = room == 0 ? STEP : 2 * room;
            int err = room > 2 * THI_TLS_FILE_MAX ? TH_ELIMIT : grow(file, room);
            if (err < 0)
                return err;
        }
        ssize_t n = thi_sys_read(fd, file->bytes + file->len, room - file->len);
        if (n == -EINTR)
            continue;
        if (n <= 0) {
            file->bytes[file->len] = '\0';
            return (int)n;
        }
        file->len += (size_t)n;
        if (file->len > THI_TLS_FILE_MAX)
            return TH_ELIMIT;
    }
}

int thi_tls_file_load(const char *path, thi_tls_file *file)
{
    thi_tls_file loaded = { 0 };
    int fd = thi_sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOCTTY, 0);
    if (fd < 0)
        return thi_err_set(fd, "%s: %s", path, th_strerror(fd));
    int err = read_all(fd, &loaded);
    (void)thi_sys_close(fd);
    if (err < 0) {
        thi_tls_file_deinit(&loaded);
        return thi_err_set(err, "%s: %s", path, th_strerror(err));
    }
    *file = loaded;
    return 0;
}

int thi_tls_file_copy(th_str text, thi_tls_file *file)
{
    char *bytes = thi_strdup_n(text.ptr, text.len);
    if (!bytes)
        return thi_err_clear(-ENOMEM);
    *file = (thi_tls_file){ (unsigned char *)bytes, text.len };
    return 0;
}

/* ---- certificates and lists ---- */

/* Larger than what <thrum/cert.h> reads: whole systems are in one file. */
static const thi_pem_kind certs_kind = {
    "certificate", { "CERTIFICATE", "X509 CERTIFICATE" }, X509_it, THI_TLS_FILE_MAX
};
static const thi_pem_kind crls_kind = {
    "revocation list", { "X509 CRL", NULL }, X509_CRL_it, THI_TLS_FILE_MAX
};

static int take_cert(void *arg, void *cert)
{
    if (sk_X509_push(arg, cert) > 0)
        return 0;
    X509_free(cert);
    return thi_err_clear(-ENOMEM);
}

static int take_crl(void *arg, void *crl)
{
    if (sk_X509_CRL_push(arg, crl) > 0)
        return 0;
    X509_CRL_free(crl);
    return thi_err_clear(-ENOMEM);
}

/* What was wrong, and with what. */
static int told(int err, const char *what)
{
    return thi_err_set(err, "%s: %s", what, th_err_detail());
}

int thi_tls_read_certs(th_str text, const char *what, STACK_OF(X509) * *certs)
{
    STACK_OF(X509) *read = sk_X509_new_null();
    int err = read ? thi_pem_each(&certs_kind, text, take_cert, read) : thi_err_clear(-ENOMEM);
    if (err < 0) {
        sk_X509_pop_free(read, X509_free);
        return told(err, what);
    }
    *certs = read;
    return 0;
}

int thi_tls_read_crls(th_str text, const char *what, STACK_OF(X509_CRL) * *crls)
{
    STACK_OF(X509_CRL) *read = sk_X509_CRL_new_null();
    int err = read ? thi_pem_each(&crls_kind, text, take_crl, read) : thi_err_clear(-ENOMEM);
    if (err < 0) {
        sk_X509_CRL_pop_free(read, X509_CRL_free);
        return told(err, what);
    }
    *crls = read;
    return 0;
}
