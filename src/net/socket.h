/* SPDX-License-Identifier: MIT */

/*
 * A stream socket on a worker: TCP or Unix, as a th_stream.
 *
 * The owner may embed it in a larger object. A socket on which nobody reads can call a function
 * when something arrives, so that an idle connection holds no fiber.
 */
#ifndef THI_NET_SOCKET_H
#define THI_NET_SOCKET_H

#include "base/metrics.h"
#include "io/stream.h"
#include "net/origin.h"
#include "runtime/sched.h"

typedef struct thi_socket thi_socket;

/* What few sockets need: made when it is first asked for, freed when the socket is shut. */
typedef struct thi_socket_rare {
    thi_wait *urgent; /* the wait of a fiber for an urgent byte */
    bool in_line;     /* urgent bytes are read in their place among the others */
    /* Instead of the ordinary step of a write; NULL: none. What it keeps, in net/lend.c: */
    ssize_t (*write)(thi_socket *socket, const struct iovec *iov, int count);
    size_t lend_from;  /* writes of so many bytes and more lend their memory; SIZE_MAX: none does */
    uint32_t lent;     /* how many times the kernel has borrowed */
    uint32_t returned; /* and given back */
} thi_socket_rare;

enum { THI_SOCKET_UNKNOWN, THI_SOCKET_INTERNET, THI_SOCKET_UNIX };

struct thi_socket {
    th_stream base;
    thi_watch watch;
    thi_worker *worker;
    thi_wait *reader; /* the wait of a fiber that reads */
    thi_wait *writer;
    void (*arrived)(thi_socket *socket); /* on the loop, when there is something to read and nobody
                                            waits for it; NULL: nobody wants to know */
    void (*waits)(thi_socket *socket);   /* on a fiber that is about to wait for the peer; likewise
                                          */
    thi_origin *origin;                  /* of an accepted connection; NULL: nothing is known */
    thi_socket_rare *rare;               /* NULL: nothing of that */
    uint8_t family;                      /* THI_SOCKET_..., as far as anybody has asked */
    bool closed;
    bool more;   /* what is written now is followed by more at once: let the kernel wait for it */
    bool heap;   /* allocated by thi_socket_new */
    bool sealed; /* the kernel encrypts what is written: that is not what the peer gets */
    struct thi_tap *tap; /* of whoever captures; NULL: nobody has so far */
    uint64_t moved;      /* bytes that the kernel has given and taken */
};

/* Counts bytes that the kernel has given (THI_M_BYTES_READ) or taken (THI_M_BYTES_WRITTEN). */
static inline void thi_socket_count(thi_socket *socket, thi_metric metric, ssize_t n)
{
    socket->moved += (uint64_t)n;
    thi_metric_add(metric, n);
}

/* Starts a socket of the calling worker on a connected descriptor, which it owns on success. */
TH_MUST int thi_socket_init(thi_socket *socket, int fd);

/* Closes the descriptor and wakes who waits; no-op when it is closed. What close(2) has to say. */
int thi_socket_shut(thi_socket *socket);

/* The socket of a stream; NULL when it is carried by something else. */
thi_socket *thi_socket_of(th_stream *stream);

/* Makes socket->rare, or has it already. */
TH_MUST int thi_socket_make_rare(thi_socket *socket);

/* One on the heap, for th_stream_free(). */
TH_MUST int thi_socket_new(int fd, thi_socket **socket);

/* Sends what the kernel takes at once, without a fiber: bytes sent, -EAGAIN for none, or an error.
 */
TH_MUST ssize_t thi_socket_send_now(thi_socket *socket, const void *buf, size_t size);

/* Waits until a direction is ready; what the steps of the stream do when the kernel says EAGAIN.
 * For THI_PRI there has to be a `rare`. */
TH_MUST int thi_socket_wait(thi_socket *socket, unsigned dir);

/* The same in the place of one who waits for `dir`, but for an event of another kind. */
TH_MUST int thi_socket_wait_for(thi_socket *socket, unsigned dir, unsigned want);

/*
 * A step: asks the scope, makes the try while the direction is ready, and waits and tries again
 * after EAGAIN. What every call on the socket that may wait is made of.
 */
typedef ssize_t thi_socket_try(thi_socket *socket, void *arg);
TH_MUST ssize_t thi_socket_step(thi_socket *socket, unsigned dir, thi_socket_try *try, void *arg);

/* What a step asks first: 0, or why it must not be made. */
TH_MUST int thi_socket_may_step(thi_socket *socket);

/*
 * Whether a wait was broken off by the scope (or a time limit of the owner): whoever waited looks
 * once more for what it waited for, because what has happened beats the end of the scope.
 */
static inline bool thi_socket_broken_off(int result)
{
    return result == -ECANCELED || result == -ETIMEDOUT;
}

/* Memory that holds what was written and the peer has not taken yet, bytes; 0 if nobody can tell.
 */
size_t thi_socket_held(const thi_socket *socket);

/*
 * Closing is to drop what was written and the peer has not taken, and to reset the connection. For
 * a peer that takes nothing: the kernel would keep that for many minutes after an ordinary close.
 */
void thi_socket_drop_unsent(thi_socket *socket);

/* Whether something may have arrived that nobody has read. */
static inline bool thi_socket_has_arrival(const thi_socket *socket)
{
    return socket->watch.ready & THI_READ;
}

#endif
