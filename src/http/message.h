/* SPDX-License-Identifier: MIT */

/*
 * A request and its reply as the parts of the server see them.
 *
 * Both live in a work place, which a connection holds only while it serves. The request's texts are
 * spans of the work place's input buffer; what is computed from them is in the arena.
 */
#ifndef THI_HTTP_MESSAGE_H
#define THI_HTTP_MESSAGE_H

#include "proto/http1.h"

#include <thrum/error.h>
#include <thrum/http.h>

#include <stdbool.h>

struct thi_http_conn;

#define THI_HTTP_PARAMS_MAX 16

/* One parameter of the route that was chosen. */
typedef struct thi_http_param {
    th_str name;  /* borrowed from the route */
    th_str value; /* in the arena, or in the decoded path */
} thi_http_param;

struct th_http_request {
    struct thi_http_conn *conn;
    th_arena arena;
    thi_http1_request head;
    thi_http1_meaning meaning;
    th_str path; /* decoded and resolved: in the arena, or the target's own bytes */
    thi_http_param params[THI_HTTP_PARAMS_MAX];
    size_t param_count;
    thi_http1_chunked chunked;
    uint64_t body_left; /* THI_HTTP1_LENGTH: bytes not read yet */
    uint64_t body_read; /* bytes of the body read so far */
    size_t body_at;     /* where in the input the body may be put: behind the head */
    th_str pending;     /* THI_HTTP1_CHUNKED: decoded and not taken yet, in the input */
    bool body_done;     /* its end was reached, or there is none */
    bool continued;     /* 100 was sent, or is not wanted any more */
    int failed;         /* result of a read that failed; every later one gives it again */
    int refusal;        /* the status to answer with because of that; 0: just cut */
};

struct th_http_reply {
    struct thi_http_conn *conn;
    int status;     /* 0 until it has begun */
    bool head_only; /* to HEAD, or a status without body: nothing of the body is sent */
    bool chunked;
    bool close;    /* the connection ends after it */
    bool has_type; /* the handler added a Content-Type */
    bool ended;
    int64_t left;  /* bytes of the body still to come; -1 unknown */
    uint64_t sent; /* bytes of the body sent or gathered */
    char *fields;  /* what the handler added, as lines, in the arena */
    size_t fields_len;
    size_t fields_room;
    size_t field_count;
};

/* For the router: the request's arena has room, or TH_ELIMIT for more parameters than it holds. */
static inline int thi_http_param_add(th_http_request *q, th_str name, th_str value)
{
    if (q->param_count == THI_HTTP_PARAMS_MAX)
        return TH_ELIMIT;
    q->params[q->param_count++] = (thi_http_param){ name, value };
    return 0;
}

#endif
