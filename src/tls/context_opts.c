/* SPDX-License-Identifier: MIT */

/* The options of contexts: bounds and defaults. */
#include "tls/context_opts.h"

#include "base/error.h"
#include "tls/tickets.h"
#include "tls/trust.h"

#include <thrum/time.h>

#include <errno.h>
#include <string.h>

#define HANDSHAKE_TIME    (10 * TH_SECOND)
#define CHAIN_MAX         ((size_t)100 << 10)
#define CHAIN_MOST        ((size_t)16 << 20)
#define RECORD_LEAST      512
#define RECORD_MOST       16384
#define VERIFY_DEPTH      10
#define VERIFY_DEPTH_MOST 100
#define TICKETS           2
#define SESSION_TIME      (12 * 3600 * TH_SECOND)
#define CERTS_MOST        100000
#define SESSION_ID_MOST   32

static int wrong(const char *what)
{
    return thi_err_set(-EINVAL, "%s", what);
}

static bool within(int value, int most)
{
    return value >= 0 && value <= most;
}

static int check_choices(const th_tls_opts *opts)
{
    if (!within(opts->client_auth, TH_TLS_CLIENT_AUTH_REQUIRED))
        return wrong("client_auth: an unknown choice");
    if (!within(opts->unknown_name, TH_TLS_UNKNOWN_REFUSE_NAMELESS))
        return wrong("unknown_name: an unknown choice");
    if (!within(opts->alpn_unknown, TH_TLS_ALPN_GO_ON))
        return wrong("alpn_unknown: an unknown choice");
    if (!within(opts->trust.crl_check, TH_TLS_CRL_CHAIN))
        return wrong("trust.crl_check: an unknown choice");
    if (!within(opts->ocsp, TH_TLS_OCSP_REQUIRED))
        return wrong("ocsp: an unknown choice");
    return 0;
}

static int check_limits(const th_tls_opts *opts)
{
    if (opts->handshake_time < 0)
        return wrong("handshake_time is negative");
    if (opts->chain_max > CHAIN_MOST)
        return wrong("chain_max is more than 16 MiB");
    if (opts->record_max != 0 &&
        (opts->record_max < RECORD_LEAST || opts->record_max > RECORD_MOST))
        return wrong("record_max is not between 512 and 16384");
    if (opts->verify_depth > VERIFY_DEPTH_MOST)
        return wrong("verify_depth is more than 100");
    if (opts->tickets < TH_TLS_NO_TICKETS || opts->tickets > THI_TLS_TICKETS_MAX)
        return wrong("tickets is not between 0 and 16, or TH_TLS_NO_TICKETS");
    if (opts->session_time < 0 || opts->session_time > THI_TLS_SESSION_MAX ||
        (opts->session_time > 0 && opts->session_time < TH_SECOND))
        return wrong("session_time is not between a second and 7 days");
    if (opts->session_id && (!*opts->session_id || strlen(opts->session_id) > SESSION_ID_MOST))
        return wrong("session_id has not 1 to 32 bytes");
    return 0;
}

/* Lists that are given and empty are slips; "nobody" is said by giving none. */
static int check_trust(const th_tls_opts *opts)
{
    const th_tls_trust *trust = &opts->trust;
    if (trust->files && !trust->files[0])
        return wrong("trust.files is an empty list");
    if (trust->dirs && !trust->dirs[0])
        return wrong("trust.dirs is an empty list");
    if (opts->client_auth != TH_TLS_CLIENT_AUTH_OFF && !thi_tls_trust_given(trust))
        return wrong("certificates of clients are to be verified, but trust names no authority");
    if (trust->crl_check != TH_TLS_CRL_AUTO && !trust->crl_files && trust->crl_memory.len == 0 &&
        !trust->dirs && !trust->store)
        return wrong("revocation is to be checked, but trust names no lists");
    return 0;
}

static int check_certs(const th_tls_opts *opts)
{
    if (opts->key && !opts->cert)
        return wrong("a key without a certificate");
    if ((opts->certs_count > 0) != (opts->certs != NULL) || opts->certs_count > CERTS_MOST)
        return wrong("certs and certs_count do not fit");
    return 0;
}

static void fill(const th_tls_opts *opts, const thi_tls_policy *policy, th_tls_facts *facts)
{
    *facts = (th_tls_facts){
        .size = sizeof *facts,
        .profile = policy->profile,
        .min_version = policy->min_version,
        .max_version = policy->max_version ? policy->max_version : TH_TLS_1_3,
        .client_auth = opts->client_auth,
        .verifies_servers = !opts->insecure_no_verification,
        .verify_depth = opts->verify_depth ? opts->verify_depth : VERIFY_DEPTH,
        .handshake_time = opts->handshake_time ? opts->handshake_time : HANDSHAKE_TIME,
        .chain_max = opts->chain_max ? opts->chain_max : CHAIN_MAX,
        .record_max = opts->record_max ? opts->record_max : RECORD_MOST,
        .tickets = opts->tickets ? opts->tickets : TICKETS,
        .session_time = opts->session_time ? opts->session_time : SESSION_TIME,
        .early_data_max = opts->early_data_max,
        .not_after = INT64_MAX,
    };
}

int thi_tls_opts_read(const th_tls_opts *opts, th_tls_facts *facts, thi_tls_policy *policy)
{
    thi_tls_policy read = { 0 };
    int err = check_choices(opts);
    if (err == 0)
        err = check_limits(opts);
    if (err == 0)
        err = check_trust(opts);
    if (err == 0)
        err = check_certs(opts);
    if (err == 0)
        err = thi_tls_policy_read(opts, &read);
    if (err < 0)
        return err;
    fill(opts, &read, facts);
    *policy = read;
    return 0;
}
