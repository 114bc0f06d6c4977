/* SPDX-License-Identifier: MIT */

/* The page that `thrum serve` shows when no folder is given. */
#ifndef THRUM_PROGRAM_BUILTIN_SITE_H
#define THRUM_PROGRAM_BUILTIN_SITE_H

#include <thrum/http.h>

/* A handler: what is running here, and, if the bool at `arg` says so, where the numbers are. */
int builtin_site_handle(th_http_request *request, th_http_reply *reply, void *arg);

#endif
