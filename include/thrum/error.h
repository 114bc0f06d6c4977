/* SPDX-License-Identifier: MIT */

/* Result codes: every call returns >= 0 or a negative errno or one of the codes listed here. */
#ifndef THRUM_ERROR_H
#define THRUM_ERROR_H

#include <thrum/defs.h>

TH_BEGIN_DECLS

/*
 * Thrum's own codes, where no errno says what happened. One list makes the enum, the names and the
 * texts. Numbers are part of the ABI: append, never renumber.
 */
#define TH_ERROR_LIST(X)                                                                           \
    X(TH_EOF, -5000, "end of stream")                                                              \
    X(TH_EPROTO, -5001, "the peer broke the protocol")                                             \
    X(TH_ETLS, -5002, "TLS failed")                                                                \
    X(TH_ELIMIT, -5003, "a limit was reached")                                                     \
    X(TH_EADDRESS, -5004, "the address cannot be read")                                            \
    X(TH_ECONFIG, -5005, "the configuration is wrong")                                             \
    X(TH_ENAME, -5006, "the name cannot be resolved")                                              \
    X(TH_ETRUNCATED, -5007, "the stream ended in the middle of a message")                         \
    X(TH_ESLOW, -5008, "the peer is slower than the minimum rate")                                 \
    X(TH_EBROKEN, -5009, "the barrier is broken")                                                  \
    X(TH_ECLOSED, -5010, "it was closed")                                                          \
    X(TH_EWORKER, -5011, "the worker process died")                                                \
    X(TH_ENAMESERVER, -5012, "no name server could tell")

enum {
#define TH_ERROR_ENUM(name, number, text) name = number,
    TH_ERROR_LIST(TH_ERROR_ENUM)
#undef TH_ERROR_ENUM
};

/**
 * Describes a result in words.
 *
 * @param code  a negative errno or TH_ code; the positive form of an errno is understood too
 * @return a static English text, never NULL; "success" for 0, "unknown error" for what nobody
 * defines
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_strerror(int code);

/**
 * Names a result as it is written in C.
 *
 * @param code  a negative errno or TH_ code
 * @return a static text such as "ECONNRESET" or "TH_EOF", never NULL; "?" for an unknown code
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_errname(int code);

/**
 * Tells more about the last failure of the calling fiber (of the thread, outside a fiber).
 *
 * The text names what was wrong and where: a peer, a path, an offset, an option. It is set by the
 * calls whose docstring says so. On streams, in dialling, listening and serving every failure sets
 * it or takes the former one away; success leaves it alone.
 *
 * @return a text, never NULL, empty when there is nothing to add; borrowed, valid until the next
 *         failing call of this fiber or its end
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API const char *th_err_detail(void);

TH_END_DECLS

#endif
