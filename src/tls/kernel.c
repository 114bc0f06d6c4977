/* SPDX-License-Identifier: MIT */

/*
 * Records that the kernel makes of what a socket is given (kTLS), instead of OpenSSL.
 *
 * OpenSSL makes the handshake. When it has the key for what is sent, it offers it to its BIO; ours
 * is between two buffers and has no socket, so a BIO of OpenSSL's own is made for the moment, which
 * knows how a key is given to the kernel. From then on the socket encrypts whatever is written to
 * it, for ever. Therefore all that was made before has to have left by then: it is sent without a
 * wait, and if it does not go the key is not given, and OpenSSL encrypts as ever.
 *
 * After that, what the user writes goes to the socket as it is. What OpenSSL writes are alerts and
 * messages of the handshake, without head or encryption: they are put into wire->out with a head of
 * ours, the type and the length, and sent with their type beside them, a record at a time. Nobody
 * gives the user's bytes to the socket before wire->out is empty, so the order stays.
 *
 * The kernel cannot be given another key (before Linux 6.14, and OpenSSL 3.0 never does). When a
 * peer wants one, its message is seen as it comes. OpenSSL would answer sooner or later, and
 * believe to have changed the key; its answer is thrown away. No byte of the user's may follow (RFC
 * 8446, 4.6.3): writing fails from then on. What the peer sends is still read, and the end can be
 * said, with the old key.
 *
 * That a kernel has no TLS is asked once in the life of a process.
 */
#include "tls/kernel.h"

#include "base/error.h"
#include "base/util.h"
#include "net/capture.h"
#include "net/socket.h"
#include "sys/sys.h"

#include <errno.h>
#include <linux/tls.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <string.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* <openssl/bio.h> names these in a comment only, and has the other two. */
#define CTRL_SET_KTLS      72
#define CTRL_SET_KTLS_TYPE 74

#define HEAD   ((size_t)3) /* type and length */
#define PIECES 4           /* of a record that lies in several segments */

static atomic_bool absent; /* the kernel has said that it has no TLS */

void thi_tls_kernel_offer(thi_tls_wire *wire, th_stream *below, const bool *sending)
{
    thi_socket *socket = thi_socket_of(below);
    if (!socket || socket->family == THI_SOCKET_UNIX || (socket->rare && socket->rare->write) ||
        atomic_load_explicit(&absent, memory_order_relaxed))
        return;
    wire->kernel.socket = socket;
    wire->kernel.sending = sending;
}

/* ---- the key ---- */

/* Lays TLS over TCP, which changes nothing until there is a key. */
static bool prepare(int fd)
{
    int err = thi_sys_setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof "tls" - 1);
    if (err == -ENOENT || err == -ENOPROTOOPT)
        atomic_store_explicit(&absent, true, memory_order_relaxed);
    return err == 0;
}

/* Sends what was made before; whether all has gone. */
static bool send_earlier(thi_tls_wire *wire, th_stream *below)
{
    struct iovec iov[PIECES];
    while (thi_buf_len(&wire->out) > 0) {
        ssize_t n = below->ops->try_writev(below, iov, thi_buf_iov(&wire->out, iov, PIECES));
        if (n <= 0)
            return false;
        thi_buf_consume(&wire->out, (size_t)n);
    }
    return true;
}

/*
 * The way of the key, whose form is OpenSSL's own business. What goes wrong here is no failure of
 * the handshake that OpenSSL is in the middle of, so nothing of it is left in the queue.
 */
static bool give(int fd, void *key)
{
    ERR_set_mark();
    BIO *bio = BIO_new(BIO_s_socket());
    bool given =
        bio && BIO_set_fd(bio, fd, BIO_NOCLOSE) > 0 && BIO_ctrl(bio, CTRL_SET_KTLS, 1, key) > 0;
    BIO_free(bio);
    ERR_pop_to_mark();
    return given;
}

static bool take_key(thi_tls_wire *wire, void *key)
{
    thi_tls_kernel *k = &wire->kernel;
    thi_socket *socket = k->socket;
    k->socket = NULL; /* whatever becomes of it */
    if (!socket || socket->closed || *k->sending || thi_capture_is_on())
        return false;
    if (!prepare(socket->watch.fd) || !send_earlier(wire, &socket->base) ||
        !give(socket->watch.fd, key))
        return false;
    k->sends = true;
    socket->sealed = true;
    return true;
}

long thi_tls_kernel_ctrl(thi_tls_wire *wire, int what, long number, void *arg)
{
    switch (what) {
    case CTRL_SET_KTLS:
        return number != 0 && take_key(wire, arg); /* 0: for what is received */
    case BIO_CTRL_GET_KTLS_SEND:
        return wire->kernel.sends;
    case CTRL_SET_KTLS_TYPE:
        wire->kernel.next = (unsigned char)number;
        return 0;
    default:
        return 0;
    }
}

/* ---- what OpenSSL writes ---- */

static int put_record(thi_buf *out, unsigned char type, const char *buf, size_t size)
{
    const unsigned char head[HEAD] = { type, (unsigned char)(size >> 8), (unsigned char)size };
    int err = thi_buf_append(out, head, sizeof head);
    return err < 0 ? err : thi_buf_append(out, buf, size);
}

int thi_tls_kernel_put(thi_tls_wire *wire, unsigned char type, const char *buf, size_t size)
{
    int err = 0;
    if (type == SSL3_RT_HANDSHAKE && buf[0] == SSL3_MT_KEY_UPDATE) {
        wire->kernel.outdated = true;
        return 0;
    }
    for (size_t done = 0; done < size && err == 0;) {
        size_t n = thi_min(size - done, THI_TLS_RECORD_MAX);
        err = put_record(&wire->out, type, buf + done, n);
        done += n;
    }
    return err;
}

ssize_t thi_tls_kernel_write(thi_tls_wire *wire, const void *data, size_t size)
{
    int err = put_record(&wire->out, SSL3_RT_APPLICATION_DATA, data, size);
    if (err == 0)
        return (ssize_t)size;
    wire->no_memory = true; /* there may be a head without its record */
    return thi_err_clear(err);
}

/* Whether the peer asks for new keys (RFC 8446, 4.6.3): type, length, `update_requested`. */
void thi_tls_kernel_look(thi_tls_wire *wire, const void *message, size_t size)
{
    static const unsigned char wish[] = { SSL3_MT_KEY_UPDATE, 0, 0, 1, SSL_KEY_UPDATE_REQUESTED };
    if (wire->kernel.sends && size == sizeof wish && memcmp(message, wish, size) == 0)
        wire->kernel.outdated = true;
}

/* ---- sending it ---- */

/* Takes the head of the record at the front off. */
static void open_front(thi_tls_wire *wire)
{
    unsigned char head[HEAD];
    if (wire->kernel.left > 0 || thi_buf_read(&wire->out, head, sizeof head) < sizeof head)
        return;
    wire->kernel.front = head[0];
    wire->kernel.left = (size_t)head[1] << 8 | head[2];
}

/* The pieces of what is left of the record at the front. */
static size_t pieces_of(const thi_tls_wire *wire, struct iovec iov[PIECES])
{
    size_t left = wire->kernel.left;
    int count = thi_buf_iov(&wire->out, iov, PIECES);
    size_t n = 0;
    for (; n < (size_t)count && left > 0; n++) {
        iov[n].iov_len = thi_min(iov[n].iov_len, left);
        left -= iov[n].iov_len;
    }
    return n;
}

/*
 * Linux tells once that the peer is gone; what is written after that it takes, makes into records,
 * and cannot hand to TCP, of which it says nothing or EBADMSG. So the first word is kept.
 */
ssize_t thi_tls_kernel_result(thi_tls_wire *wire, ssize_t n)
{
    if (n == -EBADMSG)
        n = thi_err_clear(-EPIPE);
    if (n == -EPIPE || n == -ECONNRESET)
        wire->kernel.broken = (int)n;
    return n;
}

ssize_t thi_tls_kernel_send_over(thi_tls_wire *wire, int fd)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(1)] = { 0 };
    struct iovec iov[PIECES];
    struct msghdr msg = { .msg_iov = iov,
                          .msg_control = control,
                          .msg_controllen = sizeof control };
    struct cmsghdr *beside = CMSG_FIRSTHDR(&msg);
    open_front(wire);
    msg.msg_iovlen = pieces_of(wire, iov);
    beside->cmsg_level = SOL_TLS;
    beside->cmsg_type = TLS_SET_RECORD_TYPE;
    beside->cmsg_len = CMSG_LEN(1);
    *CMSG_DATA(beside) = wire->kernel.front;
    ssize_t n = thi_tls_kernel_result(wire, thi_sys_sendmsg(fd, &msg, 0));
    if (n > 0) {
        thi_buf_consume(&wire->out, (size_t)n);
        wire->kernel.left -= (size_t)n;
    }
    return n;
}

static ssize_t try_send(thi_socket *socket, void *arg)
{
    ssize_t n = thi_tls_kernel_send_over(arg, socket->watch.fd);
    if (n > 0)
        thi_socket_count(socket, THI_M_BYTES_WRITTEN, n);
    if (n > 0 && TH_UNLIKELY(thi_capture_is_on()))
        thi_capture_unseen(&socket->tap, socket->watch.fd, TH_CAPTURE_SENT, (size_t)n);
    return n;
}

ssize_t thi_tls_kernel_send(thi_tls_wire *wire, th_stream *below)
{
    return thi_err_plain(thi_socket_step(thi_socket_of(below), THI_WRITE, try_send, wire));
}

ssize_t thi_tls_kernel_try_send(thi_tls_wire *wire, th_stream *below)
{
    thi_socket *socket = thi_socket_of(below);
    if (socket->closed)
        return thi_err_clear(-EBADF);
    ssize_t n = socket->writer ? -EAGAIN : try_send(socket, wire);
    if (n == -EAGAIN)
        socket->watch.ready &= (uint8_t)~THI_WRITE;
    return thi_err_plain(n);
}

int thi_tls_kernel_refuses(const thi_tls_wire *wire)
{
    if (wire->kernel.broken < 0)
        return thi_err_clear(wire->kernel.broken);
    if (!wire->kernel.outdated)
        return 0;
    return thi_err_set(TH_ETLS, "the peer wants new keys, which cannot be given to the kernel");
}
