/* SPDX-License-Identifier: MIT */

/* The built-in page: says what is running, links to the numbers. */
#include "builtin_site.h"

#include <thrum.h>

#include <stdbool.h>
#include <string.h>

static const char page[] =
    "<!doctype html>\n"
    "<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Thrum</title>\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<style>\n"
    ":root { color-scheme: light dark }\n"
    "body { font: 17px/1.5 system-ui, sans-serif; max-width: 42em; margin: 4em auto; padding: 0 "
    "1em }\n"
    "h1 { letter-spacing: .04em }\n"
    "th { text-align: left; padding-right: 2em; font-weight: normal; opacity: .7 }\n"
    "code { font-size: .92em }\n"
    "</style></head><body>\n"
    "<h1>Thrum</h1>\n"
    "<p>It hums. This is the built-in site of <code>thrum serve</code>.</p>\n"
    "<table>\n"
    "<tr><th>version</th><td>%s</td></tr>\n"
    "<tr><th>workers</th><td>%u</td></tr>\n"
    "<tr><th>back end</th><td>%s (%s)</td></tr>\n"
    "<tr><th>your address</th><td>%s</td></tr>\n"
    "</table>\n"
    "<ul>\n"
    "%s"
    "<li><code>thrum serve DIR</code> serves the files of a folder</li>\n"
    "<li><code>thrum --help</code> tells what else there is</li>\n"
    "</ul>\n"
    "</body></html>\n";

static const char metrics_link[] =
    "<li><a href=\"/metrics\">/metrics</a>: the counters of this process, for Prometheus</li>\n";

int builtin_site_handle(th_http_request *request, th_http_reply *reply, void *arg)
{
    const bool *with_metrics = arg;
    th_run_info info = { .backend = "", .backend_why = "" };
    th_addr peer = { .kind = TH_ADDR_NONE };
    char address[TH_ADDR_TEXT];
    (void)th_run_get_info(&info);
    (void)th_http_request_peer(request, &peer);
    th_addr_format(&peer, address, sizeof address);
    char *text =
        th_arena_printf(th_http_request_arena(request), page, TH_VERSION, info.workers,
                        info.backend, info.backend_why, address, *with_metrics ? metrics_link : "");
    if (!text)
        return th_http_reply_text(reply, 503, "out of memory\n");
    return th_http_reply_bytes(reply, 200, "text/html; charset=utf-8", text, strlen(text));
}
