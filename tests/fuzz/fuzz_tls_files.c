/* SPDX-License-Identifier: MIT */

/*
 * What TLS reads besides records and certificates: files of ticket keys, responses of OCSP, and the
 * messages between a server and the process that holds its keys.
 *
 * The first byte of an input chooses which. What is taken means the same when it is written and
 * read again; what is refused is refused with a reason, and sets nothing.
 */
#include "tls/keyd_wire.h"
#include "tls/ocsp.h"
#include "tls/ticket_file.h"
#include "tls/ticket_set.h"

#include <thrum/error.h>

#include <openssl/ec.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition)
        abort();
}

/* ---- messages ---- */

static void look_at_request(const uint8_t *data, size_t size)
{
    static uint8_t buf[THI_KEYD_MAX];
    thi_keyd_request r, again;
    int err = thi_keyd_get_request(data, size, &r);
    if (err < 0) {
        must(err == TH_EPROTO && th_err_detail()[0]);
        return;
    }
    must(r.name_len <= THI_KEYD_NAME_MAX && r.len <= THI_KEYD_DATA_MAX);
    size_t len = thi_keyd_put_request(buf, &r);
    must(len <= sizeof buf && thi_keyd_body(buf) == (int)(len - THI_KEYD_HEAD));
    must(thi_keyd_get_request(buf + THI_KEYD_HEAD, len - THI_KEYD_HEAD, &again) == 0);
    must(again.kind == r.kind);
    if (r.kind == THI_KEYD_SIGN)
        must(again.op == r.op && again.len == r.len && memcmp(again.data, r.data, r.len) == 0 &&
             memcmp(again.id, r.id, sizeof r.id) == 0);
}

static void look_at_reply(const uint8_t *data, size_t size)
{
    static uint8_t buf[THI_KEYD_MAX];
    const uint8_t *text, *text_again;
    size_t len, len_again;
    int status, status_again;
    if (size >= THI_KEYD_HEAD) {
        int body = thi_keyd_body(data);
        must(body == TH_EPROTO || (body > 0 && body <= THI_KEYD_BODY_MAX));
    }
    if (thi_keyd_get_reply(data, size, &status, &text, &len) < 0)
        return;
    must(len <= size);
    size_t n = thi_keyd_put_reply(buf, status, text, len);
    must(n <= sizeof buf);
    must(thi_keyd_get_reply(buf + THI_KEYD_HEAD, n - THI_KEYD_HEAD, &status_again, &text_again,
                            &len_again) == 0);
    must(status_again == status && len_again <= len && memcmp(text_again, text, len_again) == 0);
}

/* ---- files ---- */

static void look_at_ticket_file(const uint8_t *data, size_t size)
{
    char path[64];
    th_tls_ticket_set set;
    thi_stamp stamp;
    int fd = memfd_create("tickets", MFD_CLOEXEC);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size && fchmod(fd, 0600) == 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int err = thi_ticket_file_read(path, &set, &stamp);
    if (err < 0)
        must(th_err_detail()[0] != '\0');
    else
        must(thi_ticket_set_valid(&set));
    close(fd);
}

static X509 *some_cert(void)
{
    static X509 *cert;
    if (!cert) {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        cert = X509_new();
        must(key && cert && ASN1_INTEGER_set(X509_get_serialNumber(cert), 7) == 1);
        must(X509_set_pubkey(cert, key) == 1 && X509_sign(cert, key, EVP_sha256()) > 0);
        EVP_PKEY_free(key);
    }
    return cert;
}

/* Nobody here can have signed for the issuer, and nothing is shown without a signature. */
static void look_at_response(const uint8_t *data, size_t size)
{
    char text[200];
    thi_ocsp_findings findings;
    th_str der = th_str_make((const char *)data, size);
    thi_ocsp_judge(der, some_cert(), some_cert(), 1800000000, &findings);
    must(findings.verdict != THI_OCSP_GOOD);
    must(thi_ocsp_words(&findings, text, sizeof text)[0] != '\0');
    thi_ocsp_judge(der, some_cert(), NULL, 1800000000, &findings);
    must(thi_ocsp_words(&findings, text, sizeof text) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const looks[])(const uint8_t *, size_t) = { look_at_request, look_at_reply,
                                                              look_at_ticket_file,
                                                              look_at_response };
    if (size > 0)
        looks[data[0] % 4](data + 1, size - 1);
    return 0;
}
