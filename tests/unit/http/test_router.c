/* SPDX-License-Identifier: MIT */

/* Tests of patterns, of how routes are chosen, and of what is left of them without memory. */
#include "http/router.h"

#include "check_main.h"

#include "base/alloc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static th_http_router *router;

static int handler(th_http_request *request, th_http_reply *reply, void *arg)
{
    (void)request;
    (void)reply;
    (void)arg;
    return 0;
}

static void setup(void)
{
    ck_assert_int_eq(th_http_router_new(&router), 0);
}

static void teardown(void)
{
    th_http_router_free(router);
}

/* The route's argument is its own description. */
static void add(const char *method, const char *pattern)
{
    static char names[64][128];
    static size_t count;
    char *name = names[count++ % 64];
    snprintf(name, sizeof names[0], "%s %s", method, pattern);
    ck_assert_int_eq(th_http_router_add(router, method, pattern, handler, name), 0);
}

/* What a look-up gives: "METHOD PATTERN name=value ...", or "- METHODS", or "-". */
static const char *found(const char *method, th_str path)
{
    static char text[4096];
    thi_http_match match;
    thi_http_router_find(router, th_str_of(method), path, &match);
    size_t len;
    if (match.route) {
        len = (size_t)snprintf(text, sizeof text, "%s", (const char *)match.route->arg);
        for (size_t i = 0; i < match.route->count; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, " %.*s=%.*s",
                                    TH_STR_ARG(match.route->names[i]), TH_STR_ARG(match.values[i]));
        return text;
    }
    if (match.methods == 0)
        return "-";
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    snprintf(text, sizeof text, "- %s", thi_http_router_allow(router, match.methods, &arena));
    th_arena_deinit(&arena);
    return text;
}

static void check_found(const char *method, const char *path, const char *want)
{
    ck_assert_str_eq(found(method, th_str_of(path)), want);
}

START_TEST(literal_paths_match_whole_and_exactly)
{
    add("GET", "/");
    add("GET", "/a");
    add("GET", "/a/b");
    add("GET", "/a/c/");
    check_found("GET", "/", "GET /");
    check_found("GET", "/a", "GET /a");
    check_found("GET", "/a/b", "GET /a/b");
    check_found("GET", "/a/c/", "GET /a/c/");
    static const char *const none[] = { "",     "*",     "a",      "/b",   "/a/", "/a/b/",
                                        "/a/c", "/A",    "/a/b/c", "/aa",  "//",  "/a/b ",
                                        "/a ",  "/a/bb", "//a",    "/a//b" };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        check_found("GET", none[i], "-");
}
END_TEST

START_TEST(a_parameter_takes_one_segment_that_is_not_empty)
{
    add("GET", "/u/:id");
    add("GET", "/u/:id/f/:file");
    check_found("GET", "/u/7", "GET /u/:id id=7");
    check_found("GET", "/u/a b:*%", "GET /u/:id id=a b:*%");
    check_found("GET", "/u/7/f/x", "GET /u/:id/f/:file id=7 file=x");
    check_found("GET", "/u/", "-");
    check_found("GET", "/u/7/", "-");
    check_found("GET", "/u/7/f/", "-");
    check_found("GET", "/u/7/g/x", "-");
}
END_TEST

START_TEST(the_rest_takes_everything_also_nothing)
{
    add("GET", "/s/*path");
    check_found("GET", "/s/a", "GET /s/*path path=a");
    check_found("GET", "/s/a/b/", "GET /s/*path path=a/b/");
    check_found("GET", "/s/", "GET /s/*path path=");
    check_found("GET", "/s", "GET /s/*path path=");
    check_found("GET", "/st", "-");
    check_found("GET", "/", "-");
    add("GET", "/*all");
    check_found("GET", "/", "GET /*all all=");
    check_found("GET", "/st", "GET /*all all=st");
    check_found("GET", "/s/x", "GET /s/*path path=x");
}
END_TEST

START_TEST(the_empty_rest_is_a_view_with_a_place)
{
    thi_http_match match;
    add("GET", "/s/*path");
    th_str path = TH_STR("/s");
    thi_http_router_find(router, TH_STR("GET"), path, &match);
    ck_assert_ptr_eq(match.values[0].ptr, path.ptr + path.len);
}
END_TEST

START_TEST(literals_go_before_parameters_and_these_before_the_rest)
{
    add("GET", "/*rest");
    add("GET", "/:a/:b");
    add("GET", "/:a/x");
    add("GET", "/k/:b");
    add("GET", "/k/x");
    check_found("GET", "/k/x", "GET /k/x");
    check_found("GET", "/k/y", "GET /k/:b b=y");
    check_found("GET", "/j/x", "GET /:a/x a=j");
    check_found("GET", "/j/y", "GET /:a/:b a=j b=y");
    check_found("GET", "/j/y/z", "GET /*rest rest=j/y/z");
    check_found("GET", "/k", "GET /*rest rest=k");
}
END_TEST

START_TEST(a_wrong_turn_is_taken_back_with_its_values)
{
    add("GET", "/a/:b/c/d");
    add("GET", "/:x/b/:y/e");
    add("GET", "/:x/*rest");
    check_found("GET", "/a/b/c/d", "GET /a/:b/c/d b=b");
    check_found("GET", "/a/b/c/e", "GET /:x/b/:y/e x=a y=c");
    check_found("GET", "/a/b/c/f", "GET /:x/*rest x=a rest=b/c/f");
}
END_TEST

START_TEST(the_method_counts_before_the_pattern_is_chosen)
{
    add("GET", "/u/me");
    add("DELETE", "/u/:id");
    check_found("DELETE", "/u/me", "DELETE /u/:id id=me");
    check_found("GET", "/u/you", "- OPTIONS, DELETE");
}
END_TEST

START_TEST(parameters_of_one_place_may_have_different_names)
{
    add("GET", "/u/:id");
    add("PUT", "/u/:name");
    add("GET", "/u/:user/x");
    check_found("GET", "/u/1", "GET /u/:id id=1");
    check_found("PUT", "/u/1", "PUT /u/:name name=1");
    check_found("GET", "/u/1/x", "GET /u/:user/x user=1");
}
END_TEST

START_TEST(get_answers_head_unless_head_has_its_own_route)
{
    add("GET", "/a");
    add("GET", "/b");
    add("HEAD", "/b");
    add("*", "/c");
    add("GET", "/c");
    check_found("HEAD", "/a", "GET /a");
    check_found("HEAD", "/b", "HEAD /b");
    check_found("HEAD", "/c", "GET /c");
}
END_TEST

START_TEST(any_method_is_what_is_left)
{
    add("*", "/a");
    add("GET", "/a");
    check_found("GET", "/a", "GET /a");
    check_found("POST", "/a", "* /a");
    check_found("OPTIONS", "/a", "* /a");
    check_found("BREW", "/a", "* /a");
}
END_TEST

START_TEST(allow_names_the_methods_of_all_routes_for_the_path)
{
    add("GET", "/a");
    add("POST", "/:x");
    add("BREW", "/*rest");
    add("PUT", "/b");
    check_found("PATCH", "/a", "- GET, HEAD, OPTIONS, POST, BREW");
    check_found("PATCH", "/c", "- OPTIONS, POST, BREW");
    check_found("OPTIONS", "/b", "- OPTIONS, POST, BREW, PUT");
    check_found("get", "/a", "- GET, HEAD, OPTIONS, POST, BREW");
    check_found("BREW", "/a", "BREW /*rest rest=a");
}
END_TEST

START_TEST(many_literals_are_found_whatever_the_order)
{
    char pattern[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(pattern, sizeof pattern, "/n%d/x", i * 7919 % 1000);
        ck_assert_int_eq(th_http_router_add(router, "GET", pattern, handler, "n"), 0);
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(pattern, sizeof pattern, "/n%d/x", i);
        check_found("GET", pattern, "n");
    }
    check_found("GET", "/n1000/x", "-");
}
END_TEST

START_TEST(a_route_is_there_only_once)
{
    add("GET", "/a/:b/*c");
    ck_assert_int_eq(th_http_router_add(router, "GET", "/a/:x/*y", handler, NULL), -EEXIST);
    ck_assert_str_eq(th_err_detail(), "GET /a/:x/*y has a route already");
    ck_assert_int_eq(th_http_router_add(router, "POST", "/a/:x/*y", handler, "POST"), 0);
    check_found("GET", "/a/1/2", "GET /a/:b/*c b=1 c=2");
    check_found("POST", "/a/1/2", "POST x=1 y=2");
}
END_TEST

static void check_refused(const char *method, const char *pattern)
{
    ck_assert_int_eq(th_http_router_add(router, method, pattern, handler, NULL), -EINVAL);
    ck_assert_msg(*th_err_detail(), "%s %s", method, pattern);
}

START_TEST(malformed_patterns_are_refused_with_a_detail)
{
    static const char *const bad[] = { "",      "a",     "*",     "*a",     "//",        "/a//b",
                                       "/:",    "/*",    "/*a/b", "/*a/",   "/:a/:a",    "/a/.",
                                       "/../a", "/./a",  "/a\nb", "/a\\b",  "/a:b/:",    "/:a-b",
                                       "/:a*",  "/*a.b", "/\x7f", "/:a/*a", "/:\xc3\xa4" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refused("GET", bad[i]);
    check_found("GET", "/a", "-");
}
END_TEST

START_TEST(malformed_methods_are_refused_with_a_detail)
{
    static const char *const bad[] = { "", "GET ", "G/T", "G\n",
                                       "METHOD-OF-THIRTY-THREE-CHARACTERS" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refused(bad[i], "/");
    ck_assert_int_eq(
        th_http_router_add(router, "METHOD-OF-THIRTY-TWO-CHARACTERS.", "/", handler, NULL), 0);
}
END_TEST

START_TEST(misuse_is_refused)
{
    ck_assert_int_eq(th_http_router_new(NULL), -EINVAL);
    ck_assert_int_eq(th_http_router_add(NULL, "GET", "/", handler, NULL), -EINVAL);
    ck_assert_int_eq(th_http_router_add(router, NULL, "/", handler, NULL), -EINVAL);
    ck_assert_int_eq(th_http_router_add(router, "GET", NULL, handler, NULL), -EINVAL);
    ck_assert_int_eq(th_http_router_add(router, "GET", "/", NULL, NULL), -EINVAL);
    th_http_router_free(NULL);
}
END_TEST

START_TEST(sixteen_parameters_are_the_limit)
{
    char pattern[256] = "", path[256] = "";
    size_t len = 0;
    for (size_t i = 0; i < THI_HTTP_PARAMS_MAX; i++)
        len += (size_t)snprintf(pattern + len, sizeof pattern - len, "/:p%zu", i);
    for (size_t i = 0; i < THI_HTTP_PARAMS_MAX; i++)
        snprintf(path + 3 * i, sizeof path - 3 * i, "/%02zu", i);
    ck_assert_int_eq(th_http_router_add(router, "GET", pattern, handler, "all"), 0);
    check_found("GET", path,
                "all p0=00 p1=01 p2=02 p3=03 p4=04 p5=05 p6=06 p7=07 p8=08 p9=09 p10=10 p11=11 "
                "p12=12 p13=13 p14=14 p15=15");
    snprintf(pattern + len, sizeof pattern - len, "/*p");
    check_refused("GET", pattern);
}
END_TEST

START_TEST(sixty_four_segments_are_the_limit)
{
    char pattern[256] = "";
    for (size_t i = 0; i < 64; i++)
        strcat(pattern, "/a");
    ck_assert_int_eq(th_http_router_add(router, "GET", pattern, handler, "deep"), 0);
    check_found("GET", pattern, "deep");
    strcat(pattern, "/a");
    check_refused("GET", pattern);
    check_found("GET", pattern, "-");
}
END_TEST

START_TEST(sixty_four_methods_are_the_limit)
{
    char method[16];
    for (int i = 4; i < 64; i++) { /* GET, HEAD, OPTIONS and "any" are there from the start */
        snprintf(method, sizeof method, "M%d", i);
        ck_assert_int_eq(th_http_router_add(router, method, "/", handler, "m"), 0);
    }
    check_found("M63", "/", "m");
    check_refused("M64", "/");
    check_found("M64", "/x", "-");
    ck_assert_int_eq(th_http_router_add(router, "M63", "/x", handler, "m"), 0);
}
END_TEST

/* Each step of the tree costs one node at most, whatever the path says. */
START_TEST(no_path_makes_a_walk_long)
{
    char pattern[128];
    for (unsigned bits = 0; bits < 1024; bits++) {
        for (unsigned i = 0; i < 10; i++)
            memcpy(pattern + 3 * i, bits >> i & 1 ? "/aa" : "/:p", 3);
        for (unsigned i = 0; i < 10; i++)
            if (!(bits >> i & 1))
                pattern[3 * i + 2] = (char)('b' + i);
        strcpy(pattern + 30, "/end");
        ck_assert_int_eq(th_http_router_add(router, "GET", pattern, handler, "n"), 0);
    }
    for (int i = 0; i < 1000; i++)
        check_found("GET", "/aa/aa/aa/aa/aa/aa/aa/aa/aa/aa/en", "-");
    check_found("GET", "/aa/aa/aa/aa/aa/aa/aa/aa/aa/aa/end", "n");
}
END_TEST

/* Builds a router of every kind of node; the first failure, or 0. */
static int build(th_http_router **out)
{
    static const char *const patterns[] = { "/",     "/a/b", "/a/:x",  "/a/*r",
                                            "/c/:x", "/d/e", "/e/f/g", "/f" };
    int err = th_http_router_new(out);
    if (err < 0)
        return err;
    for (size_t i = 0; err == 0 && i < sizeof patterns / sizeof *patterns; i++)
        err = th_http_router_add(*out, i % 2 ? "GET" : "BREW", patterns[i], handler, NULL);
    return err;
}

START_TEST(every_lack_of_memory_is_told_and_leaks_nothing)
{
    for (int64_t n = 1;; n++) {
        th_http_router *made = NULL;
        int64_t live = thi_alloc_live();
        thi_alloc_fail_at(n);
        int err = build(&made);
        bool untouched = thi_alloc_fail_at(0) > 0;
        ck_assert_int_eq(err, untouched ? 0 : -ENOMEM);
        th_http_router_free(made);
        ck_assert_int_eq(thi_alloc_live(), live);
        if (untouched)
            break;
        ck_assert_int_lt(n, 100);
    }
}
END_TEST

/* A chunk of an arena rarely ends, so that failures inside of add are met one by one here. */
START_TEST(a_route_that_fails_for_lack_of_memory_matches_nothing)
{
    char pattern[64];
    bool failed = false;
    for (int i = 0; i < 500; i++) {
        snprintf(pattern, sizeof pattern, "/x%d/:p/y%d", i, i);
        thi_alloc_fail_at(1);
        int err = th_http_router_add(router, "GET", pattern, handler, "late");
        thi_alloc_fail_at(0);
        failed |= err == -ENOMEM;
        ck_assert(err == 0 || err == -ENOMEM);
        snprintf(pattern, sizeof pattern, "/x%d/1/y%d", i, i);
        check_found("GET", pattern, err == 0 ? "late p=1" : "-");
    }
    ck_assert(failed);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *choice = thi_check_case(suite, "choice");
    tcase_add_checked_fixture(choice, setup, teardown);
    tcase_add_test(choice, literal_paths_match_whole_and_exactly);
    tcase_add_test(choice, a_parameter_takes_one_segment_that_is_not_empty);
    tcase_add_test(choice, the_rest_takes_everything_also_nothing);
    tcase_add_test(choice, the_empty_rest_is_a_view_with_a_place);
    tcase_add_test(choice, literals_go_before_parameters_and_these_before_the_rest);
    tcase_add_test(choice, a_wrong_turn_is_taken_back_with_its_values);
    tcase_add_test(choice, the_method_counts_before_the_pattern_is_chosen);
    tcase_add_test(choice, parameters_of_one_place_may_have_different_names);
    tcase_add_test(choice, get_answers_head_unless_head_has_its_own_route);
    tcase_add_test(choice, any_method_is_what_is_left);
    tcase_add_test(choice, allow_names_the_methods_of_all_routes_for_the_path);
    tcase_add_test(choice, many_literals_are_found_whatever_the_order);
    TCase *patterns = thi_check_case(suite, "patterns");
    tcase_add_checked_fixture(patterns, setup, teardown);
    tcase_add_test(patterns, a_route_is_there_only_once);
    tcase_add_test(patterns, malformed_patterns_are_refused_with_a_detail);
    tcase_add_test(patterns, malformed_methods_are_refused_with_a_detail);
    tcase_add_test(patterns, misuse_is_refused);
    tcase_add_test(patterns, sixteen_parameters_are_the_limit);
    tcase_add_test(patterns, sixty_four_segments_are_the_limit);
    tcase_add_test(patterns, sixty_four_methods_are_the_limit);
    tcase_add_test(patterns, no_path_makes_a_walk_long);
    TCase *memory = thi_check_case(suite, "memory");
    tcase_add_checked_fixture(memory, setup, teardown);
    tcase_add_test(memory, every_lack_of_memory_is_told_and_leaks_nothing);
    tcase_add_test(memory, a_route_that_fails_for_lack_of_memory_matches_nothing);
}

int main(void)
{
    return thi_check_run("http/router", fill);
}
