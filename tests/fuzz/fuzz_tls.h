/* SPDX-License-Identifier: MIT */

/* A context of TLS for fuzz targets, whose two ends believe each other and remember nothing. */
#ifndef THI_TEST_FUZZ_TLS_H
#define THI_TEST_FUZZ_TLS_H

#include <thrum/tls.h>

#include <stdbool.h>
#include <stdlib.h>

static inline void expect(bool condition)
{
    if (!condition)
        abort();
}

/* A key of the tests' own and a certificate for it, until 2126. (OpenSSL has no Ed25519 in DTLS.)
 */
static const char identity[] = "-----BEGIN PRIVATE KEY-----\n"
                               "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcYxEQ60YUBf6SsMD\n"
                               "Z/MOjEDzBnV9bK5IHaz83eHkcbmhRANCAATLESuQcr3p17O4sXn31mOy1EJGk1vd\n"
                               "MokRIYsAl1Y8OMTNzlLNUFQWJdcWIzIhRkhWLr0GWRl4gCvI1oCSkdxG\n"
                               "-----END PRIVATE KEY-----\n"
                               "-----BEGIN CERTIFICATE-----\n"
                               "MIIBlDCCATugAwIBAgIUfD0SvBjog9paP0xEm9qOjqj56r8wCgYIKoZIzj0EAwIw\n"
                               "FDESMBAGA1UEAwwJZnV6ei50ZXN0MCAXDTI2MTEyNzExNTMzN1oYDzIxMjYxMTAz\n"
                               "MTE1MzM3WjAUMRIwEAYDVQQDDAlmdXp6LnRlc3QwWTATBgcqhkjOPQIBBggqhkjO\n"
                               "PQMBBwNCAATLESuQcr3p17O4sXn31mOy1EJGk1vdMokRIYsAl1Y8OMTNzlLNUFQW\n"
                               "JdcWIzIhRkhWLr0GWRl4gCvI1oCSkdxGo2kwZzAdBgNVHQ4EFgQUlGrYH9s18dbW\n"
                               "1KXDeUakXBV5d+8wHwYDVR0jBBgwFoAUlGrYH9s18dbW1KXDeUakXBV5d+8wDwYD\n"
                               "VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglmdXp6LnRlc3QwCgYIKoZIzj0EAwID\n"
                               "RwAwRAIgcCnMpypoQd1UYpGedp3mJVvRZn2IMY83lM8HPDxLuiECIDUZ0zxwhH/Q\n"
                               "ZAuS717+xjHgz4VA+gW1dT8F3JCiMBKC\n"
                               "-----END CERTIFICATE-----\n";

/* For streams, and for datagrams as well. */
static inline th_tls *make_tls(bool dtls)
{
    th_tls *tls = NULL;
    th_tls_cert cert = { .cert_pem = th_str_of(identity) };
    th_tls_opts opts = { .certs = &cert,
                         .certs_count = 1,
                         .dtls = dtls,
                         .insecure_no_verification = 1,
                         .no_sessions = 1,
                         .tickets = TH_TLS_NO_TICKETS };
    expect(th_tls_new(&opts, &tls) == 0);
    return tls;
}

#endif
