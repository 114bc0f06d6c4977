/* SPDX-License-Identifier: MIT */

/*
 * The router: a tree of path segments, built once and only read afterwards.
 *
 * A node stands for the beginning of a path, cut at a slash; "/a/" has two segments, the second of
 * which is empty. Below a node come the literal segments, sorted; then `:name`, one node whatever
 * the patterns call it, because the names belong to the routes; then `*name`, which takes the rest
 * and has nothing below it. A walk tries them in this order and steps back where it finds no route
 * for the method, so that GET /users/me does not hide DELETE /users/:id from "/users/me". No
 * node is reached by two ways, therefore no walk visits more nodes than the tree has.
 *
 * Paths are matched after th_http_request_path() has decoded them and resolved their dots. Encoded
 * slashes are refused before that, so that a decoded slash is always one that separates. Values are
 * views into that path, nothing is copied or allocated, and a handler that opens what a parameter
 * names sees the very bytes that were matched.
 *
 * All memory is in one arena. A route that cannot be added may leave nodes without routes behind:
 * these match nothing. While serving the tree is shared by all workers and never written.
 */
#include "http/router.h"

#include "base/alloc.h"
#include "base/error.h"
#include "base/util.h"
#include "http/body.h"
#include "proto/http_list.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define METHODS_MAX  64 /* bits of a set */
#define SEGMENTS_MAX 64 /* of a pattern: bounds the depth of a walk */

/* Methods that mean something to the router, by their number in every router. */
enum { METHOD_GET, METHOD_HEAD, METHOD_OPTIONS, METHOD_ANY };

typedef struct node node;

struct node {
    th_str text;     /* of a literal segment */
    node **literals; /* below it, sorted by text */
    size_t count;
    size_t room;
    node *param;            /* below it: any one segment */
    node *rest;             /* below it: everything that is left */
    thi_http_route *routes; /* whose pattern ends here */
};

struct th_http_router {
    th_arena memory;
    node root; /* before the first slash */
    th_str methods[METHODS_MAX];
    size_t method_count;
};

int th_http_router_new(th_http_router **router)
{
    static const th_str methods[] = { { "GET", 3 }, { "HEAD", 4 }, { "OPTIONS", 7 }, { "*", 1 } };
    if (!router)
        return -EINVAL;
    th_http_router *made = thi_calloc(1, sizeof *made);
    if (!made)
        return -ENOMEM;
    th_arena_init(&made->memory, NULL, 0, 0);
    memcpy(made->methods, methods, sizeof methods);
    made->method_count = thi_array_len(methods);
    *router = made;
    return 0;
}

void th_http_router_free(th_http_router *router)
{
    if (!router)
        return;
    th_arena_deinit(&router->memory);
    thi_free(router);
}

/* The segment behind the slash at path.ptr[at], and in *next where it ends. */
static th_str segment_at(th_str path, size_t at, size_t *next)
{
    const char *from = path.ptr + at + 1;
    size_t left = path.len - at - 1;
    const char *slash = left ? memchr(from, '/', left) : NULL;
    size_t len = slash ? (size_t)(slash - from) : left;
    *next = at + 1 + len;
    return th_str_make(from, len);
}

/* ---- patterns ---- */

/* A pattern that is being checked, and its parameters. */
typedef struct pattern {
    th_str text;
    th_str names[THI_HTTP_PARAMS_MAX];
    size_t count;
    size_t segments;
} pattern;

static bool is_name(th_str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '_')
            return false;
    }
    return s.len > 0;
}

/* Whether a path that was resolved can have such a segment. */
static bool can_occur(th_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f || s.ptr[i] == '\\')
            return false;
    return !th_str_eq(s, TH_STR(".")) && !th_str_eq(s, TH_STR(".."));
}

/* Notes a parameter's name; NULL, or what is wrong with it. */
static const char *add_name(pattern *p, th_str name)
{
    if (!is_name(name))
        return "a parameter's name consists of letters, digits and _";
    for (size_t i = 0; i < p->count; i++)
        if (th_str_eq(p->names[i], name))
            return "two parameters have the same name";
    if (p->count == THI_HTTP_PARAMS_MAX)
        return "too many parameters";
    p->names[p->count++] = name;
    return NULL;
}

static const char *check_segment(pattern *p, th_str segment, bool last)
{
    if (++p->segments > SEGMENTS_MAX)
        return "too many segments";
    if (segment.len == 0)
        return last ? NULL : "an empty segment";
    if (*segment.ptr == '*' && !last)
        return "*name stands at the end";
    if (*segment.ptr == ':' || *segment.ptr == '*')
        return add_name(p, th_str_make(segment.ptr + 1, segment.len - 1));
    return can_occur(segment) ? NULL : "a segment that no path has";
}

/* Reads p->text; NULL, or what is wrong with it. */
static const char *check_pattern(pattern *p)
{
    if (p->text.len == 0 || *p->text.ptr != '/')
        return "it does not start with /";
    for (size_t at = 0; at < p->text.len;) {
        th_str segment = segment_at(p->text, at, &at);
        const char *wrong = check_segment(p, segment, at == p->text.len);
        if (wrong)
            return wrong;
    }
    return NULL;
}

/* ---- building the tree ---- */

/* Where the literal is, or would be, among those below a node. */
static size_t literal_place(const node *n, th_str text)
{
    size_t low = 0, high = n->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (th_str_cmp(n->literals[middle]->text, text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static node *find_literal(const node *n, th_str text)
{
    size_t at = literal_place(n, text);
    return at < n->count && th_str_eq(n->literals[at]->text, text) ? n->literals[at] : NULL;
}

static int make_room(th_arena *memory, node *n)
{
    if (n->count < n->room)
        return 0;
    size_t room = n->room ? 2 * n->room : 4;
    node **literals = th_arena_calloc(memory, room, sizeof(node *));
    if (!literals)
        return -ENOMEM;
    if (n->count > 0)
        memcpy(literals, n->literals, n->count * sizeof(node *));
    n->literals = literals;
    n->room = room;
    return 0;
}

/* The node of a literal below another, made if there is none; NULL without memory. */
static node *add_literal(th_arena *memory, node *n, th_str text)
{
    node *found = find_literal(n, text);
    if (found)
        return found;
    node *made = th_arena_calloc(memory, 1, sizeof *made);
    if (!made || make_room(memory, n) < 0)
        return NULL;
    size_t at = literal_place(n, text);
    memmove(n->literals + at + 1, n->literals + at, (n->count - at) * sizeof(node *));
    n->literals[at] = made;
    n->count++;
    made->text = text;
    return made;
}

static node *add_child(th_arena *memory, node *n, th_str segment)
{
    char first = segment.len > 0 ? *segment.ptr : 0;
    if (first != ':' && first != '*')
        return add_literal(memory, n, segment);
    node **place = first == ':' ? &n->param : &n->rest;
    if (!*place)
        *place = th_arena_calloc(memory, 1, sizeof **place);
    return *place;
}

/* The node where a pattern ends, made if need be; text is the router's own copy. */
static node *add_path(th_http_router *router, th_str text)
{
    node *n = &router->root;
    for (size_t at = 0; n && at < text.len;)
        n = add_child(&router->memory, n, segment_at(text, at, &at));
    return n;
}

/* The number of a method; METHODS_MAX for one that the router does not know. */
static unsigned method_number(const th_http_router *router, th_str method)
{
    for (unsigned i = 0; i < router->method_count; i++)
        if (th_str_eq(router->methods[i], method))
            return i;
    return METHODS_MAX;
}

/* The same, but learns it; the negative result with its detail when it cannot. */
static int add_method(th_http_router *router, th_str method)
{
    unsigned number = method_number(router, method);
    if (number < METHODS_MAX)
        return (int)number;
    if (router->method_count == METHODS_MAX)
        return thi_err_set(-EINVAL, "more than %d methods", METHODS_MAX);
    char *text = th_arena_strdup(&router->memory, method);
    if (!text)
        return -ENOMEM;
    router->methods[router->method_count] = th_str_make(text, method.len);
    return (int)router->method_count++;
}

/* Puts a route without a handler yet at the end of its pattern. */
static int add_route(th_http_router *router, const pattern *checked, unsigned method,
                     thi_http_route **out)
{
    char *text = th_arena_strdup(&router->memory, checked->text);
    th_str *names = th_arena_calloc(&router->memory, checked->count + 1, sizeof *names);
    thi_http_route *route = th_arena_calloc(&router->memory, 1, sizeof *route);
    if (!text || !names || !route)
        return -ENOMEM;
    for (size_t i = 0; i < checked->count; i++) {
        th_str name = checked->names[i];
        names[i] = th_str_make(text + (name.ptr - checked->text.ptr), name.len);
    }
    node *end = add_path(router, th_str_make(text, checked->text.len));
    if (!end)
        return -ENOMEM;
    for (const thi_http_route *other = end->routes; other; other = other->next)
        if (other->method == method)
            return -EEXIST;
    *route = (thi_http_route){
        .next = end->routes, .method = method, .names = names, .count = checked->count
    };
    end->routes = route;
    *out = route;
    return 0;
}

int th_http_router_add(th_http_router *router, const char *method, const char *pattern_text,
                       th_http_handler handler, void *arg)
{
    if (!router || !method || !pattern_text || !handler)
        return -EINVAL;
    th_str token = th_str_of(method);
    if (!thi_http_is_token(token) || token.len > THI_HTTP1_METHOD_MAX)
        return thi_err_set(-EINVAL, "\"%s\" is no method", method);
    pattern checked = { .text = th_str_of(pattern_text) };
    const char *wrong = check_pattern(&checked);
    if (wrong)
        return thi_err_set(-EINVAL, "the pattern \"%s\": %s", pattern_text, wrong);
    int number = add_method(router, token);
    if (number < 0)
        return number;
    thi_http_route *route;
    int err = add_route(router, &checked, (unsigned)number, &route);
    if (err == -EEXIST)
        return thi_err_set(err, "%s %s has a route already", method, pattern_text);
    if (err < 0)
        return err;
    route->handler = handler;
    route->arg = arg;
    return 0;
}

/* ---- looking up ---- */

typedef struct walk {
    th_str path;
    unsigned method;
    size_t depth; /* values found so far */
    thi_http_match *match;
} walk;

/* How well a route suits the request's method: less is better. */
static unsigned rank(const walk *w, const thi_http_route *route)
{
    if (route->method == w->method)
        return 0;
    if (route->method == METHOD_GET && w->method == METHOD_HEAD)
        return 1;
    return route->method == METHOD_ANY ? 2 : 3;
}

/* Ends at a node of the path: takes its best route, or notes the methods that it has. */
static bool end_at(walk *w, const node *n)
{
    const thi_http_route *best = NULL;
    unsigned best_rank = 3;
    for (const thi_http_route *route = n->routes; route; route = route->next) {
        unsigned its = rank(w, route);
        w->match->methods |= UINT64_C(1) << route->method;
        if (its < best_rank) {
            best_rank = its;
            best = route;
        }
    }
    w->match->route = best;
    return best != NULL;
}

/* Ends with everything from `at` on as the value of `*name`. */
static bool end_with_rest(walk *w, const node *n, size_t at)
{
    if (!n->rest)
        return false;
    w->match->values[w->depth] = th_str_make(w->path.ptr + at, w->path.len - at);
    return end_at(w, n->rest);
}

/* Goes on below a node; path.ptr[at] is the slash behind it, or the end. */
static bool go(walk *w, const node *n, size_t at)
{
    if (at == w->path.len)
        return end_at(w, n) || end_with_rest(w, n, at);
    size_t next;
    th_str segment = segment_at(w->path, at, &next);
    const node *literal = find_literal(n, segment);
    if (literal && go(w, literal, next))
        return true;
    if (n->param && segment.len > 0) {
        w->match->values[w->depth++] = segment;
        if (go(w, n->param, next))
            return true;
        w->depth--;
    }
    return end_with_rest(w, n, at + 1);
}

void thi_http_router_find(const th_http_router *router, th_str method, th_str path,
                          thi_http_match *match)
{
    walk w = { .path = path, .method = method_number(router, method), .match = match };
    match->route = NULL;
    match->methods = 0;
    if (path.len > 0 && *path.ptr == '/')
        (void)go(&w, &router->root, 0);
}

/* ---- answering ---- */

char *thi_http_router_allow(const th_http_router *router, uint64_t methods, th_arena *arena)
{
    size_t room = 1;
    methods |= UINT64_C(1) << METHOD_OPTIONS;
    if (methods & UINT64_C(1) << METHOD_GET)
        methods |= UINT64_C(1) << METHOD_HEAD;
    for (size_t i = 0; i < router->method_count; i++)
        room += router->methods[i].len + 2;
    char *text = th_arena_alloc(arena, room);
    char *to = text;
    for (size_t i = 0; text && i < router->method_count; i++) {
        if (!(methods >> i & 1))
            continue;
        to = to > text ? stpcpy(to, ", ") : to;
        to = mempcpy(to, router->methods[i].ptr, router->methods[i].len);
    }
    if (text)
        *to = 0;
    return text;
}

/* Whether the method means something here: HTTP defines it, or some route has it. */
static bool is_known(const th_http_request *q, const th_http_router *router)
{
    return q->head.method_id != THI_HTTP_OTHER ||
           method_number(router, th_http_request_method(q)) < METHODS_MAX;
}

/* The answer to a request whose path has routes, but none for the method (RFC 9110, 15.5.6 and
 * 15.6.2). */
static int answer_with_methods(th_http_request *q, th_http_reply *r, const th_http_router *router,
                               uint64_t methods)
{
    char *allow = thi_http_router_allow(router, methods, th_http_request_arena(q));
    int err = allow ? th_http_reply_header(r, "Allow", allow) : -ENOMEM;
    if (err < 0)
        return err;
    if (th_str_eq(th_http_request_method(q), router->methods[METHOD_OPTIONS]))
        return th_http_reply_bytes(r, 204, NULL, NULL, 0);
    if (!is_known(q, router))
        return th_http_reply_text(r, 501, "501 Not Implemented\n");
    return th_http_reply_text(r, 405, "405 Method Not Allowed\n");
}

static int call(th_http_request *q, th_http_reply *r, const thi_http_match *match)
{
    const thi_http_route *route = match->route;
    for (size_t i = 0; i < route->count; i++) {
        int err = thi_http_param_add(q, route->names[i], match->values[i]);
        if (err < 0)
            return err;
    }
    return route->handler(q, r, route->arg);
}

/* The answer to a request that has no route. */
static int answer(th_http_request *q, th_http_reply *r, const th_http_router *router,
                  uint64_t methods)
{
    int err = thi_http_body_skip(q, r);
    if (err < 0)
        return err;
    if (q->head.form == THI_HTTP1_ASTERISK) /* what OPTIONS * asks: is there a server? */
        return th_http_reply_bytes(r, 204, NULL, NULL, 0);
    if (methods)
        return answer_with_methods(q, r, router, methods);
    return th_http_reply_text(r, 404, "404 Not Found\n");
}

int th_http_router_handle(th_http_request *q, th_http_reply *r, void *arg)
{
    const th_http_router *router = arg;
    thi_http_match match;
    thi_http_router_find(router, th_http_request_method(q), th_http_request_path(q), &match);
    return match.route ? call(q, r, &match) : answer(q, r, router, match.methods);
}
