/* SPDX-License-Identifier: MIT */

/* What a client of TLS needs to know of an address. */
#include "tls/target.h"

#include "base/error.h"
#include "tls/params.h"

#include <string.h>

th_str thi_tls_host_of(const char *place)
{
    static const th_str none = { "", 0 };
    const char *scheme = strstr(place, "://");
    place = scheme ? scheme + 3 : place;
    const char *colon = strrchr(place, ':');
    if (!colon)
        return none;
    th_str host = th_str_make(place, (size_t)(colon - place));
    if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host = th_str_make(host.ptr + 1, host.len - 2);
        const char *zone = memchr(host.ptr, '%', host.len);
        if (zone)
            host.len = (size_t)(zone - host.ptr);
    } else if (host.len > 1 && host.ptr[host.len - 1] == '.') {
        host.len--;
    }
    return host;
}

/* What is told of a place that has no host: nothing can be verified by it. */
static bool has_host(const char *place)
{
    return strncmp(place, "unix:", 5) != 0;
}

static int find_name(const thi_tls_params *params, const th_dial_opts *opts, thi_tls_target *target)
{
    const char *said = opts->tls_name ? opts->tls_name : params->name;
    th_str name = { "", 0 };
    if (said)
        name = th_str_of(said);
    else if (has_host(target->address.place))
        name = thi_tls_host_of(target->address.place);
    if (name.len >= sizeof target->name)
        return thi_err_set(TH_EADDRESS, "'%.100s': the name is too long", target->address.shown);
    memcpy(target->name, name.ptr, name.len);
    target->name[name.len] = '\0';
    return 0;
}

int thi_tls_target_open(const char *address, const th_dial_opts *opts, thi_tls_target *target)
{
    thi_tls_params params = { .text = NULL };
    int err = thi_tls_address_read(address, &target->address);
    if (err == 0)
        err = thi_tls_params_read(target->address.params, target->address.shown, &params);
    if (err < 0)
        return err;
    err = find_name(&params, opts, target);
    if (err == 0)
        err = thi_tls_params_client(&params, opts->tls, target->address.shown, &target->tls);
    thi_tls_params_deinit(&params);
    return err;
}

void thi_tls_target_close(thi_tls_target *target)
{
    th_tls_unref(target->tls);
}
