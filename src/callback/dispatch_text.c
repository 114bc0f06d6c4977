/* SPDX-License-Identifier: MIT */

/* What people read about a dispatcher: its description, and its messages. */
#include "callback/dispatch.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static const char *status(const th_dispatcher *d)
{
    if ((d->state & TH_DISPATCHER_ACCEPTING) && d->addr.kind != TH_ADDR_NONE)
        return " listening";
    return d->state & TH_DISPATCHER_CONNECTED ? " connected" : "";
}

char *th_dispatcher_format(const th_dispatcher *d, char *text, size_t size)
{
    char addr[TH_ADDR_TEXT] = "";
    if (d->addr.kind != TH_ADDR_NONE)
        th_addr_format(&d->addr, addr, sizeof addr);
    (void)snprintf(text, size, "<%.40s%s%s%s at %p>", d->name, status(d), *addr ? " " : "", addr,
                   (const void *)d);
    return text;
}

void thi_dispatch_log(th_dispatcher *d, th_log_level level, const char *format, ...)
{
    if (!d->ops->log && !thi_log_enabled(level))
        return;
    char text[THI_LOG_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (d->ops->log)
        d->ops->log(d, d->arg, level, text);
    else
        thi_log(level, "%s", text);
}
