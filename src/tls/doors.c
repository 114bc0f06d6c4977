/* SPDX-License-Identifier: MIT */

/* The contexts of a server's listeners. */
#include "tls/doors.h"

#include "base/alloc.h"
#include "base/error.h"
#include "tls/params.h"

#include <errno.h>
#include <string.h>

static int open_one(const th_listener *listener, th_tls *given, th_tls **tls)
{
    thi_tls_params params = { .text = NULL };
    char place[TH_ADDR_TEXT];
    char address[TH_ADDR_TEXT + sizeof "tls+"] = "tls+";
    th_addr_format(&listener->addr, place, sizeof place);
    memcpy(address + 4, place, strlen(place) + 1);
    int err = thi_tls_params_read(listener->tls_params, address, &params);
    if (err < 0)
        return err;
    err = thi_tls_params_server(&params, given, address, tls);
    thi_tls_params_deinit(&params);
    return err;
}

static size_t count_tls(th_listener *const *listeners, size_t count)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += listeners[i]->tls;
    return n;
}

int thi_tls_doors_open(th_listener *const *listeners, size_t count, th_tls *given,
                       thi_tls_doors *doors)
{
    thi_tls_doors d = { .listeners = listeners, .count = count };
    int err = 0;
    if (!listeners || count > THI_SERVER_LISTENERS)
        return thi_err_clear(-EINVAL);
    if (count_tls(listeners, count) == 0) {
        if (given)
            return thi_err_set(-EINVAL, ".tls is set, but no address asks for TLS: write tls://");
        *doors = d;
        return 0;
    }
    d.contexts = thi_calloc(count, sizeof(th_tls *));
    if (!d.contexts)
        return thi_err_clear(-ENOMEM);
    for (size_t i = 0; i < count && err == 0; i++)
        if (listeners[i]->tls)
            err = open_one(listeners[i], given, &d.contexts[i]);
    if (err < 0)
        thi_tls_doors_close(&d);
    else
        *doors = d;
    return err;
}

void thi_tls_doors_close(thi_tls_doors *doors)
{
    for (size_t i = 0; doors->contexts && i < doors->count; i++)
        th_tls_unref(doors->contexts[i]);
    thi_free(doors->contexts);
    doors->contexts = NULL;
}

th_tls *thi_tls_doors_at(const thi_tls_doors *doors, const th_listener *listener)
{
    if (TH_LIKELY(!listener->tls))
        return NULL;
    size_t i = 0;
    while (i < doors->count && doors->listeners[i] != listener)
        i++;
    TH_ASSERT(i < doors->count);
    return doors->contexts[i];
}
