/* SPDX-License-Identifier: MIT */

/*
 * Suspending inside a call of OpenSSL: what the thread knows of errors is put aside meanwhile.
 *
 * Other fibers of the worker use the thread's queue of errors while one is parked in a callback.
 * They shall not find what it has left there, nor it what they have.
 */
#ifndef THI_TLS_OSSL_ASIDE_H
#define THI_TLS_OSSL_ASIDE_H

#include <stddef.h>

#define THI_OSSL_ASIDE_MAX 4

/* The oldest errors of a queue. The rest is lost; the oldest one is the cause. */
typedef struct thi_ossl_aside {
    size_t count;
    unsigned long codes[THI_OSSL_ASIDE_MAX];
    char data[THI_OSSL_ASIDE_MAX][64]; /* the texts beside the codes, cut */
} thi_ossl_aside;

/* Before a suspension: moves the queue's errors here; the queue is empty. */
void thi_ossl_put_aside(thi_ossl_aside *aside);

/* After it: forgets what is in the queue and puts back what was there. */
void thi_ossl_take_back(const thi_ossl_aside *aside);

#endif
