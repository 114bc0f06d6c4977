/* SPDX-License-Identifier: MIT */

/* Certificates and revocation lists of a text, as stacks of OpenSSL's. */
#include "tls/stacks.h"

#include "base/error.h"
#include "tls/cert.h"
#include "tls/crl.h"

#include <errno.h>

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
    return err == -ENOMEM ? err : thi_err_set(err, "%s: %s", what, th_err_detail());
}

int thi_stack_certs(th_str text, const char *what, STACK_OF(X509) * *certs)
{
    STACK_OF(X509) *read = sk_X509_new_null();
    int err = read ? thi_pem_each(&thi_cert_kind, text, THI_STACK_LIMIT, take_cert, read)
                   : thi_err_clear(-ENOMEM);
    if (err < 0) {
        sk_X509_pop_free(read, X509_free);
        return told(err, what);
    }
    *certs = read;
    return 0;
}

int thi_stack_crls(th_str text, const char *what, STACK_OF(X509_CRL) * *crls)
{
    STACK_OF(X509_CRL) *read = sk_X509_CRL_new_null();
    int err = read ? thi_pem_each(&thi_crl_kind, text, THI_STACK_LIMIT, take_crl, read)
                   : thi_err_clear(-ENOMEM);
    if (err < 0) {
        sk_X509_CRL_pop_free(read, X509_CRL_free);
        return told(err, what);
    }
    *crls = read;
    return 0;
}
