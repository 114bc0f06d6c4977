/* SPDX-License-Identifier: MIT */

/* How calls on files are made: who goes on meanwhile, and what the end of a scope does to them. */
#include "io/files.h"

#include <pthread.h>
#include <signal.h>

/* ---- where files may be waited for ---- */

static th_file *shared;

static void try_outside(void)
{
    char byte;
    struct stat st;
    th_file *file;
    ck_assert_int_eq(th_file_open(path_of("file"), O_RDONLY, 0, &file), -EPERM);
    ck_assert_int_eq(th_file_read(shared, &byte, 1), -EPERM);
    ck_assert_int_eq(th_file_write(shared, "x", 1), -EPERM);
    ck_assert_int_eq(th_file_sync(shared), -EPERM);
    ck_assert_int_eq(th_path_stat(folder, &st), -EPERM);
    ck_assert_int_eq(th_file_save(path_of("file"), "x", 1, 0600), -EPERM);
    ck_assert_int_eq(th_file_close(shared), 0); /* there is no other way to let go of it */
}

FILE_TEST(loops_must_not_wait)
{
    shared = open_file("file", O_RDWR | O_CREAT);
    call_in_loop(try_outside);
    th_file_free(shared);
    assert_content("file", "", 0);
}

static int use_file(void *arg)
{
    char text[4];
    (void)arg;
    th_file *file = open_file("file", O_RDWR | O_CREAT);
    ck_assert_int_eq(th_file_write(file, "work", 4), 4);
    ck_assert_int_eq(th_file_pread(file, text, 4, 0), 4);
    ck_assert_int_eq(th_file_save(path_of("file"), text, 4, 0600), 0);
    th_file_free(file);
    return 0;
}

FILE_TEST(work_of_a_pool_may_wait)
{
    ck_assert_int_eq(th_offload(NULL, use_file, NULL), 0);
    ck_assert_int_eq(th_offload(th_pool_default("files"), use_file, NULL), 0);
    assert_content("file", "work", 4);
}

/* ---- the others go on ---- */

typedef struct reading {
    th_file *file;
    char bytes[4];
    ssize_t result;
    bool done;
} reading;

static int read_file(void *arg)
{
    reading *r = arg;
    r->result = th_file_pread(r->file, r->bytes, 4, 0);
    r->done = true;
    return 0;
}

static int write_file(void *arg)
{
    reading *r = arg;
    r->result = th_file_pwrite(r->file, "1234", 4, 0);
    r->done = true;
    return 0;
}

static void read_behind_the_gate(void)
{
    reading r = { .file = open_file("file", O_RDWR | O_CREAT) };
    th_scope scope;
    gate_calls();
    atomic_store(&gated, "pwritev2");
    open_scope(&scope);
    spawn(&scope, write_file, &r);
    wait_for_call(); /* others run while it waits */
    ck_assert(!r.done);
    open_gate(&call_gate);
    close_scope(&scope);
    ck_assert_int_eq(r.result, 4);
    th_file_free(r.file);
    assert_content("file", "1234", 4);
}

static int read_behind_the_gate_main(void *arg)
{
    (void)arg;
    read_behind_the_gate();
    return 0;
}

START_TEST(a_worker_goes_on_while_a_disk_is_slow)
{
    run_in_place(&places[2], read_behind_the_gate_main);
}
END_TEST

static int count_turns(void *arg)
{
    size_t *turns = arg;
    while (*turns < 1000 && th_yield() == 0)
        ++*turns;
    return 0;
}

FILE_TEST(files_in_memory_leave_room_for_others)
{
    char byte;
    size_t turns = 0;
    th_scope scope;
    write_text("file", "1");
    th_file *file = open_file("file", O_RDONLY);
    open_scope(&scope);
    spawn(&scope, count_turns, &turns);
    for (int i = 0; i < 320; i++)
        ck_assert_int_eq(th_file_pread(file, &byte, 1, 0), 1);
    ck_assert_uint_ge(turns, 5);
    turns = 1000;
    close_scope(&scope);
    th_file_free(file);
}

/* ---- the end of a scope ---- */

FILE_TEST(a_call_that_begins_too_late_does_nothing)
{
    char byte;
    struct stat st;
    th_scope scope;
    th_dir *dir;
    th_dir_entry entry;
    th_str content;
    th_arena arena;
    th_arena_init(&arena, NULL, 0, 0);
    write_text("file", "1");
    th_file *file = open_file("file", O_RDWR);
    ck_assert_int_eq(th_dir_open(folder, &dir), 0);
    open_cancelled_scope(&scope);
    th_file *other = NULL;
    ck_assert_int_eq(th_file_open(path_of("file"), O_RDONLY, 0, &other), -ECANCELED);
    ck_assert_int_eq(th_file_open(path_of("new"), O_RDWR | O_CREAT, 0600, &other), -ECANCELED);
    ck_assert_int_eq(th_file_read(file, &byte, 1), -ECANCELED);
    ck_assert_int_eq(th_file_write(file, "2", 1), -ECANCELED);
    ck_assert_int_eq(th_file_stat(file, &st), -ECANCELED);
    ck_assert_int_eq(th_file_sync(file), -ECANCELED);
    ck_assert_int_eq(th_file_truncate(file, 0), -ECANCELED);
    ck_assert_int_eq(th_path_unlink(path_of("file")), -ECANCELED);
    ck_assert_int_eq(th_file_save(path_of("file"), "2", 1, 0600), -ECANCELED);
    ck_assert_int_eq(th_file_load(path_of("file"), 10, &arena, &content), -ECANCELED);
    ck_assert_int_eq(th_dir_read(dir, &entry), -ECANCELED);
    close_scope(&scope);
    open_scope_for(&scope, 0);
    ck_assert_int_eq(th_file_read(file, &byte, 1), -ETIMEDOUT);
    int before = count_descriptors();
    ck_assert_int_eq(th_file_close(file), 0); /* but closing closes */
    ck_assert_int_eq(count_descriptors(), before - 1);
    th_dir_free(dir);
    ck_assert_int_eq(count_descriptors(), before - 2);
    close_scope(&scope);
    th_file_free(file);
    assert_content("file", "1", 1);
    ck_assert_int_eq(count_names(), 1);
}

/* All threads of the pool are busy: what is cancelled by then is taken out of its queue. */
static int cancel_in_the_queue(void *arg)
{
    enum { THREADS = 8 };
    static gate gates[THREADS];
    th_future *busy[THREADS];
    th_scope scope;
    th_pool *pool = th_pool_default("files");
    (void)arg;
    write_text("file", "0000");
    reading r = { .file = open_file("file", O_RDWR) };
    for (int i = 0; i < THREADS; i++)
        busy[i] = occupy(pool, &gates[i]);
    uint64_t dropped = stats_of(pool).cancelled;
    open_scope(&scope);
    spawn(&scope, write_file, &r);
    wait_until(stats_of(pool).queued == 1);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_int_eq(r.result, -ECANCELED);
    ck_assert_uint_eq(stats_of(pool).cancelled, dropped + 1);
    for (int i = 0; i < THREADS; i++)
        release(busy[i], &gates[i]);
    th_file_free(r.file);
    assert_content("file", "0000", 4);
    return 0;
}

START_TEST(what_waits_for_a_thread_is_taken_back)
{
    run_in_place(&places[2], cancel_in_the_queue);
}
END_TEST

/* What runs is waited for: its result is told, and nothing happens after the return. */
static int cancel_under_way(void *arg)
{
    th_scope scope;
    (void)arg;
    write_text("file", "0000");
    reading r = { .file = open_file("file", O_RDWR) };
    gate_calls();
    atomic_store(&gated, "pwritev2");
    open_scope(&scope);
    spawn(&scope, write_file, &r);
    wait_for_call();
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(th_yield(), -ECANCELED);
        ck_assert(!r.done);
    }
    open_gate(&call_gate);
    close_scope(&scope);
    ck_assert_int_eq(r.result, 4);
    th_file_free(r.file);
    assert_content("file", "1234", 4);
    return 0;
}

START_TEST(what_runs_on_a_thread_is_waited_for)
{
    run_in_place(&places[2], cancel_under_way);
}
END_TEST

/* ---- the same in the engine ---- */

/* A call that waits in the ring as long as the test likes: a read of a pipe. */
typedef struct slow_read {
    int ends[2];
    char bytes[8];
    struct iovec iov;
    thi_filefacts facts;
    int64_t result;
    bool done;
} slow_read;

static int read_slowly(void *arg)
{
    slow_read *s = arg;
    s->iov = (struct iovec){ s->bytes, sizeof s->bytes };
    atomic_store(&s->facts.endpoint, THI_ENDPOINT_DISK); /* or the engine would not do it */
    thi_filecall call = {
        .kind = THI_FILE_READ, .fd = s->ends[0], .iov = &s->iov, .count = 1, .at = -1
    };
    s->result = thi_fileway_make(&call, &s->facts);
    s->done = true;
    return 0;
}

static void open_slow(slow_read *s)
{
    *s = (slow_read){ .done = false };
    ck_assert_int_eq(pipe(s->ends), 0);
}

static void close_slow(slow_read *s)
{
    close(s->ends[0]);
    close(s->ends[1]);
}

static bool is_on_uring(void)
{
    bool is = thi_worker_self->loop.engine == &thi_engine_uring;
    if (!is)
        fprintf(stderr, "the system refuses io_uring: nothing is cancelled in it\n");
    return is;
}

static int cancel_in_the_ring(void *arg)
{
    slow_read s;
    th_scope scope;
    (void)arg;
    if (!is_on_uring())
        return 0;
    open_slow(&s);
    open_scope(&scope);
    spawn(&scope, read_slowly, &s);
    for (int i = 0; i < 100; i++) /* it is in the kernel */
        ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    ck_assert(!s.done);
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert_int_eq(s.result, -ECANCELED);
    ck_assert_int_eq(write(s.ends[1], "rest", 4), 4); /* nobody reads it any more */
    ck_assert_int_eq(th_sleep(TH_MILLISECOND), 0);
    ck_assert_int_eq(s.bytes[0], 0);
    ck_assert_int_eq(read(s.ends[0], s.bytes, 8), 4);
    close_slow(&s);
    return 0;
}

START_TEST(what_waits_in_the_ring_is_taken_back)
{
    run_in_place(&places[4], cancel_in_the_ring);
}
END_TEST

static int beat_the_deadline(void *arg)
{
    slow_read s;
    th_scope scope;
    (void)arg;
    if (!is_on_uring())
        return 0;
    open_slow(&s);
    open_scope(&scope);
    spawn(&scope, read_slowly, &s);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(th_sleep(TH_MICROSECOND), 0);
    ck_assert_int_eq(write(s.ends[1], "first", 5), 5); /* the kernel reads it now */
    ck_assert_int_eq(th_scope_cancel(&scope, 0), 0);
    close_scope(&scope);
    ck_assert(s.result == 5 || s.result == -ECANCELED);
    if (s.result == 5)
        ck_assert_mem_eq(s.bytes, "first", 5);
    else
        ck_assert_int_eq(read(s.ends[0], s.bytes, 8), 5);
    close_slow(&s);
    return 0;
}

START_TEST(no_byte_is_lost_between_the_two)
{
    run_in_place(&places[4], beat_the_deadline);
}
END_TEST

static int deadline_in_the_ring(void *arg)
{
    slow_read s;
    th_scope scope;
    (void)arg;
    if (!is_on_uring())
        return 0;
    open_slow(&s);
    open_scope_for(&scope, 2 * TH_MILLISECOND);
    (void)read_slowly(&s);
    ck_assert_int_eq(s.result, -ETIMEDOUT);
    close_scope(&scope);
    close_slow(&s);
    return 0;
}

START_TEST(deadlines_end_what_waits_in_the_ring)
{
    run_in_place(&places[4], deadline_in_the_ring);
}
END_TEST

/* More calls than the ring has room for at a time. */
FILE_TEST(any_number_of_calls_may_be_under_way)
{
    enum { CALLS = 1200 };
    static reading all[CALLS];
    th_scope scope;
    write_text("file", "1234");
    th_file *file = open_file("file", O_RDONLY);
    open_scope(&scope);
    for (int i = 0; i < CALLS; i++) {
        all[i] = (reading){ .file = file };
        spawn(&scope, read_file, &all[i]);
    }
    close_scope(&scope);
    for (int i = 0; i < CALLS; i++) {
        ck_assert_int_eq(all[i].result, 4);
        ck_assert_mem_eq(all[i].bytes, "1234", 4);
    }
    th_file_free(file);
}

/* ---- closing ---- */

static int close_meanwhile(void *arg)
{
    th_scope scope;
    char byte;
    (void)arg;
    int before = count_descriptors();
    reading r = { .file = open_file("file", O_RDWR | O_CREAT) };
    gate_calls();
    atomic_store(&gated, "pwritev2");
    open_scope(&scope);
    spawn(&scope, write_file, &r);
    wait_for_call();
    ck_assert_int_eq(th_file_close(r.file), 0);
    ck_assert_int_eq(th_file_pread(r.file, &byte, 1, 0), -EBADF);
    ck_assert_int_eq(count_descriptors(), before + 1); /* its number is not given away yet */
    open_gate(&call_gate);
    close_scope(&scope);
    ck_assert_int_eq(r.result, 4);
    ck_assert_int_eq(count_descriptors(), before);
    th_file_free(r.file);
    assert_content("file", "1234", 4);
    return 0;
}

START_TEST(the_last_call_closes_a_file_that_was_closed_meanwhile)
{
    run_in_place(&places[2], close_meanwhile);
}
END_TEST

/* ---- several workers ---- */

#define PARTS 8
#define PART  4000

static char pattern[PARTS * PART];

static int write_part(void *arg)
{
    size_t at = (size_t)((char *)arg - pattern);
    for (size_t i = 0; i < PART; i += 100)
        if (th_file_pwrite(shared, (char *)arg + i, 100, (int64_t)(at + i)) != 100)
            return -EIO;
    return 0;
}

static int write_in_parts(void *arg)
{
    th_scope scope;
    (void)arg;
    shared = open_file("file", O_RDWR | O_CREAT);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = (char)(i * 31);
    open_scope(&scope);
    for (unsigned i = 0; i < PARTS; i++)
        spawn_on(&scope, i % 3, write_part, pattern + (size_t)i * PART);
    close_scope(&scope);
    th_file_free(shared);
    assert_content("file", pattern, sizeof pattern);
    return 0;
}

START_TEST(fibers_of_several_workers_share_a_file)
{
    make_folder();
    atomic_store(&thi_fileways, places[_i].ways);
    run_in_fiber(3, places[_i].engine, write_in_parts, NULL);
    remove_folder();
}
END_TEST

/* ---- warming ---- */

static _Atomic(pthread_t) reader;
static atomic_int warmed;

static ssize_t preadv2_of_a_slow_disk(int fd, const struct iovec *iov, int count, int64_t at,
                                      int flags)
{
    if (flags & RWF_NOWAIT)
        return atomic_load(&warmed) > 0 ? thi_sys_real.preadv2(fd, iov, count, at, 0) : -EAGAIN;
    atomic_store(&reader, pthread_self());
    ssize_t n = thi_sys_real.preadv2(fd, iov, count, at, flags);
    if (n > 0)
        atomic_fetch_add(&warmed, (int)n);
    return n;
}

static int warm_file(void *arg)
{
    static char bytes[150000];
    static thi_sys sys;
    th_scope scope;
    (void)arg;
    write_bytes("file", bytes, sizeof bytes);
    th_file *file = open_file("file", O_RDONLY);
    sys = thi_sys_real;
    sys.preadv2 = preadv2_of_a_slow_disk;
    thi_sys_table = &sys;
    ck_assert_int_eq(thi_fileway_warm(th_file_fd(file), 100, 140000), 0);
    ck_assert_int_eq(atomic_load(&warmed), 140000);
    ck_assert(!pthread_equal(atomic_load(&reader), pthread_self())); /* not on the loop's thread */
    ck_assert_int_eq(thi_fileway_warm(th_file_fd(file), 0, 150000), 0);
    ck_assert_int_eq(atomic_load(&warmed), 140000); /* it is in memory */
    atomic_store(&warmed, 0);
    ck_assert_int_eq(thi_fileway_warm(th_file_fd(file), 100000, 100000), 0);
    ck_assert_int_eq(atomic_load(&warmed), 50000); /* to the end */
    atomic_store(&warmed, 0);
    open_cancelled_scope(&scope);
    ck_assert_int_eq(thi_fileway_warm(th_file_fd(file), 0, 10), -ECANCELED);
    close_scope(&scope);
    ck_assert_int_eq(atomic_load(&warmed), 0);
    th_file_free(file);
    ck_assert_int_eq(thi_fileway_warm(-1, 0, 10), 0); /* that is told by who reads it */
    thi_sys_table = &thi_sys_real;
    return 0;
}

START_TEST(what_is_not_in_memory_is_read_by_the_pool)
{
    run_in_place(&places[1], warm_file);
}
END_TEST

static void fill(Suite *suite)
{
    TCase *where = thi_check_case(suite, "where");
    add_in_fibers(where, loops_must_not_wait);
    add_in_fibers(where, work_of_a_pool_may_wait);
    TCase *others = thi_check_case(suite, "others");
    tcase_add_test(others, a_worker_goes_on_while_a_disk_is_slow);
    add_in_fibers(others, files_in_memory_leave_room_for_others);
    TCase *scopes = thi_check_case(suite, "scopes");
    add_in_fibers(scopes, a_call_that_begins_too_late_does_nothing);
    tcase_add_test(scopes, what_waits_for_a_thread_is_taken_back);
    tcase_add_test(scopes, what_runs_on_a_thread_is_waited_for);
    TCase *ring = thi_check_case(suite, "ring");
    tcase_add_test(ring, what_waits_in_the_ring_is_taken_back);
    tcase_add_loop_test(ring, no_byte_is_lost_between_the_two, 0, 20);
    tcase_add_test(ring, deadlines_end_what_waits_in_the_ring);
    add_in_fibers(ring, any_number_of_calls_may_be_under_way);
    TCase *sharing = thi_check_case(suite, "sharing");
    tcase_add_test(sharing, the_last_call_closes_a_file_that_was_closed_meanwhile);
    tcase_add_loop_test(sharing, fibers_of_several_workers_share_a_file, 1,
                        (int)thi_array_len(places));
    TCase *warming = thi_check_case(suite, "warming");
    tcase_add_test(warming, what_is_not_in_memory_is_read_by_the_pool);
}

int main(void)
{
    return thi_check_run("io/fileway", fill);
}
