/* SPDX-License-Identifier: MIT */

/* Which route a method and a path lead to, and what the route's parameters stand for. */
#ifndef THI_HTTP_ROUTER_H
#define THI_HTTP_ROUTER_H

#include "http/message.h"

typedef struct thi_http_route thi_http_route;

struct thi_http_route {
    thi_http_route *next; /* another one with the same pattern and a different method */
    unsigned method;      /* its number in the router */
    th_http_handler handler;
    void *arg;
    const th_str *names; /* of the parameters, in the order of the pattern; the router's */
    size_t count;
};

/* What a look-up found. */
typedef struct thi_http_match {
    const thi_http_route *route; /* NULL when there is none for the method */
    uint64_t methods;            /* if so: those of the routes for this path; 0: no such path */
    th_str values[THI_HTTP_PARAMS_MAX]; /* what route->names stand for: views into the path */
} thi_http_match;

/* Finds the route for a path as th_http_request_path() gives it. Allocates nothing. */
void thi_http_router_find(const th_http_router *router, th_str method, th_str path,
                          thi_http_match *match);

/* The value of an Allow field for these methods; NULL when there is no memory. */
TH_MUST char *thi_http_router_allow(const th_http_router *router, uint64_t methods,
                                    th_arena *arena);

#endif
