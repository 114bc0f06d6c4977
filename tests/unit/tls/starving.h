/* SPDX-License-Identifier: MIT */

/* Lack of memory: a body is run again and again, and in each run another allocation fails. */
#ifndef THI_TEST_TLS_STARVING_H
#define THI_TEST_TLS_STARVING_H

#include "check_main.h"

#include "base/alloc.h"

#include <thrum/error.h>

#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Orders that the n-th allocation fails, as thi_alloc_fail_at(), which is the one for ours. */
typedef int64_t starving_order(int64_t n);

/* Does something and undoes it; returns what came of it. */
typedef int starving_body(void *arg);

/* ---- OpenSSL's allocations; for a program that calls starve_openssl() at its start ---- */

static atomic_llong starving_left;

static inline bool starving_fails(void)
{
    return atomic_load(&starving_left) > 0 && atomic_fetch_sub(&starving_left, 1) == 1;
}

static inline void *starving_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return starving_fails() ? NULL : malloc(size);
}

static inline void *starving_realloc(void *ptr, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return starving_fails() ? NULL : realloc(ptr, size);
}

static inline void starving_free(void *ptr, const char *file, int line)
{
    (void)file, (void)line;
    free(ptr);
}

static inline int64_t openssl_fail_at(int64_t n)
{
    return atomic_exchange(&starving_left, n);
}

static inline bool starve_openssl(void)
{
    return CRYPTO_set_mem_functions(starving_malloc, starving_realloc, starving_free) == 1;
}

/* ---- the runs ---- */

/* What may be said then. OpenSSL does not always tell that it was memory, but whatever it says is
 * its own: nobody is blamed for a wrong pass phrase or an argument. */
static inline bool is_starved(starving_order *fail_at, int err)
{
    return err == -ENOMEM || (fail_at == openssl_fail_at && err == TH_ETLS);
}

/*
 * In the n-th run the n-th allocation fails, until there are no more. Whoever lacks memory says so,
 * or does without it; nothing of ours is left in either case. Of many thousand some are passed
 * over. Returns how often one failed.
 */
static inline int64_t starve(starving_order *fail_at, starving_body *body, void *arg)
{
    for (int i = 0; i < 2; i++) /* what is made once is there afterwards */
        ck_assert_msg(body(arg) == 0, "with memory: %s", th_err_detail());
    (void)thi_alloc_fail_at(0);
    int64_t live = thi_alloc_live();
    int64_t runs = 0;
    for (int64_t n = 1;; n += 1 + n / 128, runs++) {
        (void)fail_at(n);
        int err = body(arg);
        int64_t left = fail_at(0);
        ck_assert_msg(err == 0 || (is_starved(fail_at, err) && left <= 0), "%ld: %s: %s", (long)n,
                      th_errname(err), th_err_detail());
        ck_assert_msg(thi_alloc_live() == live, "%ld leaves %ld", (long)n,
                      (long)(thi_alloc_live() - live));
        if (left > 0)
            return runs;
    }
}

#endif
