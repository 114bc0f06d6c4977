/* SPDX-License-Identifier: MIT */

/* Tests of files: each runs on every engine, by every way, and on a plain thread. */
#ifndef THI_TEST_IO_FILES_H
#define THI_TEST_IO_FILES_H

#include "http/site_folder.h"
#include "pool/pools.h"

#include "io/fileway.h"
#include "sys/sys.h"

#include <thrum/file.h>
#include <thrum/path.h>

/* Where a test runs, and how calls are made there. */
typedef struct place {
    int engine; /* in engine_names; -1: a plain thread */
    unsigned ways;
} place;

static const place places[] = {
    { -1, THI_FILEWAY_ALL },
    { 0, THI_FILEWAY_ALL },    /* epoll */
    { 0, 0 },                  /* all by the pool */
    { 1, THI_FILEWAY_ALL },    /* uring */
    { 1, THI_FILEWAY_ENGINE }, /* all by the engine */
    { 2, THI_FILEWAY_ALL },
    { 3, THI_FILEWAY_ALL },
};

/* valgrind (3.19) lets no other thread run while one waits in io_uring_enter. */
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#endif

static inline void run_in_place(const place *p, int (*fn)(void *arg))
{
    if (p->engine == 1 && RUNNING_ON_VALGRIND) {
        fprintf(stderr, "not on uring: valgrind stands still while it waits\n");
        return;
    }
    make_folder();
    atomic_store(&thi_fileways, p->ways);
    if (p->engine < 0)
        ck_assert_int_eq(fn(NULL), 0);
    else
        run_in_fiber(1, p->engine, fn, NULL);
    remove_folder();
}

/* A test that runs in each place. */
#define FILE_TEST(name)                                                                            \
    static void name##_body(void);                                                                 \
    static int name##_main(void *arg)                                                              \
    {                                                                                              \
        (void)arg;                                                                                 \
        name##_body();                                                                             \
        return 0;                                                                                  \
    }                                                                                              \
    START_TEST(name)                                                                               \
    {                                                                                              \
        run_in_place(&places[_i], name##_main);                                                    \
    }                                                                                              \
    END_TEST                                                                                       \
    static void name##_body(void)

static inline void add_in_places(TCase *tcase, const TTest *test)
{
    tcase_add_loop_test(tcase, test, 0, (int)thi_array_len(places));
}

/* The same where there are fibers. */
static inline void add_in_fibers(TCase *tcase, const TTest *test)
{
    tcase_add_loop_test(tcase, test, 1, (int)thi_array_len(places));
}

static inline th_file *open_file(const char *name, int flags)
{
    th_file *file = NULL;
    int err = th_file_open(path_of(name), flags, 0644, &file);
    ck_assert_msg(err == 0, "%s: %s", name, th_errname(err));
    return file;
}

/* What the file is by the system's own account. */
static inline void assert_content(const char *name, const void *data, size_t size)
{
    static char found[1 << 20];
    int fd = open(path_of(name), O_RDONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(read(fd, found, sizeof found), (ssize_t)size);
    ck_assert_mem_eq(found, data, size);
    close(fd);
}

static inline int count_names(void)
{
    int count = -2; /* the dots */
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

/* ---- system calls that wait for the test ---- */

static gate call_gate;
static _Atomic(const char *) gated; /* the call that waits, once; NULL: none */

static inline void pass_gate(const char *name)
{
    const char *wanted = atomic_load(&gated);
    if (wanted && strcmp(wanted, name) == 0 && atomic_exchange(&gated, NULL))
        (void)wait_at_gate(&call_gate);
}

static ssize_t gated_preadv2(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    if (!(flags & RWF_NOWAIT))
        pass_gate("preadv2");
    return thi_sys_real.preadv2(fd, iov, count, at, flags);
}

static ssize_t gated_pwritev2(int fd, const struct iovec *iov, int count, int64_t at, int flags)
{
    pass_gate("pwritev2");
    return thi_sys_real.pwritev2(fd, iov, count, at, flags);
}

static int gated_openat(int dir, const char *path, int flags, mode_t mode)
{
    pass_gate("openat");
    return thi_sys_real.openat(dir, path, flags, mode);
}

/* From now on, on the calling thread and those that work for it. */
static inline void gate_calls(void)
{
    static thi_sys sys;
    gate_init(&call_gate);
    sys = thi_sys_real;
    sys.preadv2 = gated_preadv2;
    sys.pwritev2 = gated_pwritev2;
    sys.openat = gated_openat;
    thi_sys_table = &sys;
}

/* From a fiber: lets its worker run until a call waits at the gate. */
static inline void wait_for_call(void)
{
    while (sem_trywait(&call_gate.come) != 0)
        ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
}

#endif
