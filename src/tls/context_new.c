/* SPDX-License-Identifier: MIT */

/* Making contexts: from options, and the one of clients that say nothing. */
#include "tls/context_build.h"

#include "base/error.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

int th_tls_new(const th_tls_opts *opts, th_tls **tls)
{
    th_tls_opts all = { .size = sizeof all };
    thi_tls_config *config;
    if (!tls || (opts && opts->size > sizeof all))
        return thi_err_set(-EINVAL, "NULL, or options of a later version");
    if (opts)
        memcpy(&all, opts, opts->size ? opts->size : sizeof all);
    int err = thi_tls_config_build(&all, &config);
    if (err < 0)
        return err;
    err = thi_tls_handle_new(config, tls);
    if (err < 0)
        thi_tls_config_unref(config);
    return err;
}

/*
 * Whoever comes first publishes what he has built. It is not built under a lock, because building
 * may suspend.
 */
int th_tls_client_default(th_tls **tls)
{
    static _Atomic(th_tls *) shared; /* a reference that is never given back */
    th_tls *known = NULL;
    if (!tls)
        return thi_err_clear(-EINVAL);
    th_tls *found = atomic_load(&shared);
    if (!found) {
        int err = th_tls_new(NULL, &found);
        if (err < 0)
            return err;
        if (!atomic_compare_exchange_strong(&shared, &known, found)) {
            th_tls_unref(found);
            found = known;
        }
    }
    *tls = th_tls_ref(found);
    return 0;
}
