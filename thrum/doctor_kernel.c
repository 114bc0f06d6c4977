/* SPDX-License-Identifier: MIT */

/*
 * What the kernel can do: found out by trying, where that is possible, because a version number
 * knows nothing of sandboxes, settings and patches.
 */
#include "doctor.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

/* ---- io_uring -------------------------------------------------------------------------------- */

typedef struct operation {
    const char *name;
    unsigned code;
} operation;

/* Those that Thrum uses come first: without them the back end does not start, or does less. */
static const operation operations[] = {
    { "poll_add", IORING_OP_POLL_ADD }, { "async_cancel", IORING_OP_ASYNC_CANCEL },
    { "readv", IORING_OP_READV },       { "writev", IORING_OP_WRITEV },
    { "openat2", IORING_OP_OPENAT2 },   { "statx", IORING_OP_STATX },
    { "fsync", IORING_OP_FSYNC },       { "close", IORING_OP_CLOSE },
    { "accept", IORING_OP_ACCEPT },     { "connect", IORING_OP_CONNECT },
    { "recv", IORING_OP_RECV },         { "send", IORING_OP_SEND },
    { "recvmsg", IORING_OP_RECVMSG },   { "sendmsg", IORING_OP_SENDMSG },
    { "splice", IORING_OP_SPLICE },     { "send_zc", 47 /* Linux 6.0 */ },
};

enum { OPERATIONS = sizeof operations / sizeof operations[0], CODES = 128 };

/* Opens a ring: the descriptor, or -errno. */
static int open_ring(void)
{
    struct io_uring_params params;
    memset(&params, 0, sizeof params);
    long fd = syscall(SYS_io_uring_setup, 4, &params);
    return fd < 0 ? -errno : (int)fd;
}

/* Which operations a ring has; false when the kernel does not tell. */
static bool ask_ring(int fd, bool able[CODES])
{
    size_t size = sizeof(struct io_uring_probe) + CODES * sizeof(struct io_uring_probe_op);
    struct io_uring_probe *probe = calloc(1, size);
    bool told =
        probe && syscall(SYS_io_uring_register, fd, IORING_REGISTER_PROBE, probe, CODES) == 0;
    for (unsigned i = 0; told && i < probe->ops_len && i < CODES; i++)
        if (probe->ops[i].op < CODES)
            able[probe->ops[i].op] = probe->ops[i].flags & IO_URING_OP_SUPPORTED;
    free(probe);
    return told;
}

/* Why there is no ring. */
static void explain_refusal(const doctor *d, doctor_finding *f, int err, int64_t setting)
{
    bool sandbox = doctor_line(d, "/proc/self/status", "Seccomp:") == 2;
    if (err == -ENOSYS) {
        doctor_fact(f, "the kernel has none%s", sandbox ? ", or the sandbox hides it" : "");
    } else if (err == -EPERM && setting > 0) {
        doctor_fact(f, "refused by kernel.io_uring_disabled=%" PRId64, setting);
        if (setting == 1)
            doctor_change(f, DOCTOR_NOTE,
                          "sysctl -w kernel.io_uring_group=GROUP, a group of this user");
        doctor_change(f, DOCTOR_NOTE, "sysctl -w kernel.io_uring_disabled=0");
    } else if (err == -EPERM) {
        doctor_fact(f, "refused by a sandbox (seccomp), as containers do");
        doctor_change(f, DOCTOR_NOTE,
                      "a profile that allows io_uring_setup, io_uring_enter, io_uring_register");
    } else if (err == -ENOMEM) {
        doctor_fact(f, "no memory may be locked for it");
        doctor_change(f, DOCTOR_NOTE, "in [Service]: LimitMEMLOCK=64M");
    } else {
        doctor_fact(f, "refused: %s", strerror(-err));
    }
    if (f->level < DOCTOR_NOTE)
        f->level = DOCTOR_NOTE;
}

static void tell_operations(doctor_finding *f, const bool able[CODES])
{
    size_t missing = 0;
    for (size_t i = 0; i < OPERATIONS; i++)
        missing += !able[operations[i].code];
    doctor_fact(f, "works");
    if (missing == 0) {
        doctor_fact(f, ", with all operations that matter here");
        return;
    }
    doctor_fact(f, "; this kernel lacks:");
    for (size_t i = 0; i < OPERATIONS; i++)
        if (!able[operations[i].code])
            doctor_fact(f, " %s", operations[i].name);
}

static void look_at_uring(doctor *d)
{
    doctor_finding *f = doctor_begin(d, "io_uring");
    bool able[CODES] = { false };
    int64_t setting = doctor_number(d, "/proc/sys/kernel/io_uring_disabled");
    doctor_value_add(f, "disabled", setting);
    doctor_means(f, "the back end uring is a choice; the default, epoll, needs none of it");
    if (!d->live) {
        if (setting > 0)
            explain_refusal(d, f, -EPERM, setting);
        else
            doctor_fact(f, "not forbidden by a setting; only the machine itself can tell more");
        return;
    }
    int fd = open_ring();
    doctor_value_add(f, "works", fd >= 0);
    if (fd < 0) {
        explain_refusal(d, f, fd, setting);
        return;
    }
    if (ask_ring(fd, able))
        tell_operations(f, able);
    else
        doctor_fact(f, "works, but does not tell which operations it has");
    close(fd);
}

/* ---- guards ---------------------------------------------------------------------------------- */

/* Whether the kernel refuses to read what was put under a guard: it is to write it to a pipe. */
static bool guard_holds(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int ends[2];
    char *at = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return false;
    bool holds = madvise(at, page, MADV_GUARD_INSTALL) == 0;
    if (holds && pipe(ends) == 0) {
        holds = write(ends[1], at, 1) < 0 && errno == EFAULT;
        close(ends[0]);
        close(ends[1]);
    }
    munmap(at, page);
    return holds;
}

static void look_at_guards(doctor *d)
{
    if (!d->live)
        return;
    doctor_finding *f = doctor_begin(d, "stack guards");
    bool holds = guard_holds();
    doctor_value_add(f, "light", holds);
    if (holds) {
        doctor_fact(f, "light ones: each fiber has one, however many there are");
        return;
    }
    doctor_fact(f, "by splitting mappings: this kernel has no light ones (Linux 6.13)");
    doctor_means(f, "the first 12,000 fibers have one; stacks beyond are checked when their fiber "
                    "ends");
    if (d->goal > 12000)
        f->level = DOCTOR_NOTE;
}

/* ---- entropy, clock, huge pages ---------------------------------------------------------------
 */

static void look_at_entropy(doctor *d)
{
    doctor_finding *f = doctor_begin(d, "entropy");
    char byte;
    int64_t bits = doctor_number(d, "/proc/sys/kernel/random/entropy_avail");
    bool ready = d->live ? getrandom(&byte, 1, GRND_NONBLOCK) == 1 : bits != 0;
    doctor_value_add(f, "bits", bits);
    doctor_value_add(f, "ready", ready);
    if (ready) {
        doctor_fact(f, "there is some: whoever asks for random bytes does not wait");
        return;
    }
    doctor_fact(f, "none yet: whoever asks for random bytes waits");
    doctor_means(f, "a program that starts now hangs until the machine has collected some");
    doctor_change(f, DOCTOR_MEND, "a virtio-rng device for a virtual machine, or the daemon rngd");
}

/* What a look at the clock takes, ns. */
static int64_t cost_of_clock(void)
{
    enum { LOOKS = 2000 };
    struct timespec first;
    struct timespec last;
    clock_gettime(CLOCK_MONOTONIC, &first);
    for (int i = 0; i < LOOKS; i++)
        clock_gettime(CLOCK_MONOTONIC, &last);
    return ((last.tv_sec - first.tv_sec) * 1000000000LL + last.tv_nsec - first.tv_nsec) / LOOKS;
}

/* Clocks that are read without entering the kernel. */
static bool is_quick(const char *source)
{
    static const char *const quick[] = { "tsc", "kvm-clock", "arch_sys_counter",
                                         "hyperv_clocksource_tsc_page", "timebase" };
    for (size_t i = 0; i < sizeof quick / sizeof quick[0]; i++)
        if (strcmp(source, quick[i]) == 0)
            return true;
    return false;
}

#define CLOCKS "/sys/devices/system/clocksource/clocksource0/"

static void look_at_clock(doctor *d)
{
    char source[64];
    char all[256] = "";
    doctor_finding *f = doctor_begin(d, "clock");
    bool known = doctor_read(d, CLOCKS "current_clocksource", source, sizeof source);
    (void)doctor_read(d, CLOCKS "available_clocksource", all, sizeof all);
    doctor_fact(f, "%s", known ? source : "unknown");
    if (d->live) {
        int64_t cost = cost_of_clock();
        doctor_fact(f, ", %" PRId64 " ns a look", cost);
        doctor_value_add(f, "look_ns", cost);
    }
    if (!known || is_quick(source))
        return;
    doctor_means(f,
                 "each look at it enters the kernel, and there are several in each turn of a loop");
    f->level = DOCTOR_NOTE;
    if (strstr(all, "tsc"))
        doctor_change(f, DOCTOR_NOTE, "echo tsc > " CLOCKS "current_clocksource");
}

static void look_at_huge_pages(doctor *d)
{
    char text[128];
    if (!doctor_read(d, "/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof text))
        return;
    doctor_finding *f = doctor_begin(d, "huge pages");
    const char *from = strchr(text, '[');
    const char *to = from ? strchr(from, ']') : NULL;
    if (!to) {
        doctor_fact(f, "unknown");
        return;
    }
    doctor_fact(f, "%.*s", (int)(to - from - 1), from + 1);
    if (strncmp(from, "[always]", 8) != 0)
        return;
    doctor_means(f, "the stacks of fibers refuse them, but the heap may grow by 2 MiB at a time");
    doctor_change(f, DOCTOR_NOTE, "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
}

/* ---- TLS in the kernel ----------------------------------------------------------------------- */

/* Asks for it on a socket without a peer, for which ENOTCONN means that it is there: 0 or errno. */
static int try_ktls(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int err = setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 3) == 0 ? 0 : errno;
    close(fd);
    return err == ENOTCONN ? 0 : err;
}

static void look_at_ktls(doctor *d)
{
    char ulps[128] = "";
    (void)doctor_read(d, "/proc/sys/net/ipv4/tcp_available_ulp", ulps, sizeof ulps);
    const char *word = strstr(ulps, "tls");
    bool listed = word && (word == ulps || word[-1] == ' ') && (word[3] == '\0' || word[3] == ' ');
    doctor_finding *f = doctor_begin(d, "TLS in the kernel");
    int err = listed ? 0 : d->live ? try_ktls() : ENOENT;
    doctor_value_add(f, "works", err == 0);
    if (err == 0) {
        doctor_fact(f, "there; `thrum serve --tls-kernel` and `.kernel_sends` use it");
        return;
    }
    if (err == ENOENT)
        doctor_fact(f, "not there: its module is not loaded");
    else
        doctor_fact(f, "not there: %s", strerror(err));
    doctor_means(f,
                 "files that are sent over TLS are copied and encrypted by the process, whatever "
                 "`thrum serve --tls-kernel` and `.kernel_sends` want");
    doctor_change(f, DOCTOR_NOTE, "modprobe tls");
}

void doctor_look_at_kernel(doctor *d)
{
    look_at_uring(d);
    look_at_guards(d);
    look_at_entropy(d);
    look_at_clock(d);
    look_at_huge_pages(d);
    look_at_ktls(d);
}
