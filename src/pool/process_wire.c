/* SPDX-License-Identifier: MIT */

/* Packets between a process pool and its workers: made, sent, received and mistrusted. */
#include "pool/process_wire.h"

#include "base/alloc.h"
#include "base/util.h"
#include "sys/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define MAGIC        0x574d5254u /* not a secret: it tells a worker from another program */
#define PACKET_MAX   (sizeof(thi_wire_head) + THI_WIRE_TEXT_MAX + THI_WIRE_INLINE_MAX)
#define SEALS        (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define SEALS_NEEDED (F_SEAL_SHRINK | F_SEAL_WRITE)

void thi_wire_init(thi_wire_packet *packet, uint32_t kind, uint64_t id)
{
    *packet = (thi_wire_packet){ .head = { .magic = MAGIC, .kind = kind, .id = id }, .fd = -1 };
}

void thi_wire_set_text(thi_wire_packet *packet, const char *text)
{
    size_t len = strnlen(text, THI_WIRE_TEXT_MAX);
    memcpy(packet->text, text, len);
    packet->text[len] = '\0';
    packet->head.text_len = (uint16_t)len;
}

static int write_all(int fd, const char *at, size_t size)
{
    while (size > 0) {
        ssize_t n = thi_sys_write(fd, at, size);
        if (n < 0)
            return (int)n;
        at += n;
        size -= (size_t)n;
    }
    return 0;
}

int thi_wire_share(const void *data, size_t size)
{
    int fd = thi_sys_memfd("thrum-job");
    if (fd < 0)
        return fd;
    int err = write_all(fd, data, size);
    if (err == 0)
        err = thi_sys_fcntl(fd, F_ADD_SEALS, SEALS);
    if (err < 0) {
        (void)thi_sys_close(fd);
        return err;
    }
    return fd;
}

/* ---- sending ---- */

typedef union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
} control;

static void attach(struct msghdr *msg, control *c, int fd)
{
    memset(c, 0, sizeof *c);
    c->head.cmsg_level = SOL_SOCKET;
    c->head.cmsg_type = SCM_RIGHTS;
    c->head.cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(&c->head), &fd, sizeof fd);
    msg->msg_control = c;
    msg->msg_controllen = sizeof c->room;
}

int thi_wire_send(int socket, const thi_wire_packet *packet)
{
    bool shared = packet->head.shared;
    struct iovec iov[] = {
        { .iov_base = (void *)(uintptr_t)&packet->head, .iov_len = sizeof packet->head },
        { .iov_base = (void *)(uintptr_t)packet->text, .iov_len = packet->head.text_len },
        { .iov_base = (void *)(uintptr_t)packet->data, .iov_len = shared ? 0 : packet->head.size },
    };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
    control c;
    if (shared)
        attach(&msg, &c, packet->fd);
    ssize_t n = thi_sys_sendmsg(socket, &msg, 0);
    return n < 0 ? (int)n : 0;
}

/* ---- receiving ---- */

/* The one descriptor that may have come along, or -1; others are closed by the kernel. */
static int detach(struct msghdr *msg)
{
    int fd = -1;
    struct cmsghdr *head = CMSG_FIRSTHDR(msg);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS &&
        head->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return fd;
}

/* Sealed, so that what is mapped stays; and as large as it is said to be. */
static int map_shared(thi_wire_packet *packet, int fd)
{
    struct stat st;
    void *at = NULL;
    int seals = thi_sys_fcntl(fd, F_GET_SEALS, 0);
    if (seals < 0 || (seals & SEALS_NEEDED) != SEALS_NEEDED || thi_sys_fstat(fd, &st) < 0 ||
        st.st_size < 0 || (uint64_t)st.st_size != packet->head.size || st.st_size == 0)
        return -EPROTO;
    int err = thi_sys_mmap(&at, packet->head.size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (err < 0)
        return -EFBIG; /* it has been taken from the socket, and there is no second try */
    packet->data = at;
    packet->mapped = true;
    return 0;
}

static int check(thi_wire_packet *packet, uint32_t kind, size_t size_max, size_t came)
{
    const thi_wire_head *h = &packet->head;
    if (came < sizeof *h)
        return -EPROTO;
    memcpy(&packet->head, packet->buf, sizeof *h);
    size_t rest = came - sizeof *h;
    if (h->magic != MAGIC || h->kind != kind || h->text_len > THI_WIRE_TEXT_MAX ||
        h->text_len > rest || h->shared > 1)
        return -EPROTO;
    memcpy(packet->text, packet->buf + sizeof *h, h->text_len);
    packet->text[h->text_len] = '\0';
    if (!h->shared && h->size != rest - h->text_len)
        return -EPROTO;
    packet->data = packet->buf + sizeof *h + h->text_len;
    return h->size > size_max ? -EFBIG : 0;
}

static int receive(int socket, thi_wire_packet *packet, size_t *came, int *fd)
{
    control c;
    struct iovec iov = { .iov_base = packet->buf, .iov_len = PACKET_MAX };
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c.room
    };
    ssize_t n = thi_sys_recvmsg(socket, &msg, 0);
    if (n <= 0)
        return (int)n;
    *fd = detach(&msg);
    *came = (size_t)n;
    return msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) ? -EPROTO : 1;
}

int thi_wire_receive(int socket, uint32_t kind, size_t size_max, thi_wire_packet *packet)
{
    int fd = -1;
    size_t came = 0;
    *packet = (thi_wire_packet){ .fd = -1 };
    packet->buf = thi_alloc(PACKET_MAX);
    if (!packet->buf)
        return -ENOMEM;
    int err = receive(socket, packet, &came, &fd);
    if (err > 0) {
        int bad = check(packet, kind, size_max, came);
        if (bad == 0 && packet->head.shared != (fd >= 0))
            bad = -EPROTO;
        if (bad == 0 && packet->head.shared)
            bad = map_shared(packet, fd);
        err = bad < 0 ? bad : err;
    }
    if (fd >= 0)
        (void)thi_sys_close(fd);
    if (err <= 0)
        thi_wire_free(packet);
    return err;
}

void thi_wire_free(thi_wire_packet *packet)
{
    if (packet->mapped)
        (void)thi_sys_munmap((void *)(uintptr_t)packet->data, packet->head.size);
    thi_free(packet->buf);
    packet->buf = NULL;
    packet->data = NULL;
    packet->mapped = false;
}
