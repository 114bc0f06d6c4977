/* SPDX-License-Identifier: MIT */

/* Producers that are held back, and files. */
#include "callback/probe.h"

#include <sys/stat.h>

/* ---- producers ------------------------------------------------------------------------------- */

typedef struct source {
    char told[256]; /* g go on or produce, p pause, x stop */
    size_t left;    /* bytes to give, in pieces */
    size_t piece;
    bool close; /* takes itself away at the end */
    char *bytes;
    size_t at;
} source;

static void note_source(source *s, char what)
{
    size_t len = strlen(s->told);
    ck_assert(!inside);
    ck_assert_ptr_null(thi_worker_self->current);
    if (len < sizeof s->told - 1)
        s->told[len] = what;
    th_event_set(&news);
}

/* One piece; whether there was one. */
static bool give_piece(th_transport *t, source *s)
{
    size_t n = thi_min(s->piece, s->left);
    if (n == 0)
        return false;
    s->left -= n;
    ck_assert_int_ge(CALL(th_transport_write(t, s->bytes + s->at, n)), 0);
    s->at += n;
    return true;
}

static void on_produce(th_transport *t, void *self)
{
    source *s = self;
    note_source(s, 'g');
    if (!give_piece(t, s))
        ck_assert_int_eq(CALL(th_transport_end_producer(t)), 0);
}

static void on_pause(th_transport *t, void *self)
{
    (void)t;
    note_source(self, 'p');
}

static void on_stop(th_transport *t, void *self)
{
    (void)t;
    note_source(self, 'x');
}

static const th_transport_producer pull_producer = { .pull = 1,
                                                     .produce = on_produce,
                                                     .stop = on_stop };
static const th_transport_producer push_producer = { .produce = on_produce,
                                                     .pause = on_pause,
                                                     .stop = on_stop };

FIBER_TEST(a_pull_producer_gives_a_piece_whenever_nothing_waits_and_closing_waits_for_it)
{
    enum { SIZE = 3000000, PIECE = 50000 };
    probe p = { .peer = -1 };
    source s = { .left = SIZE, .piece = PIECE, .bytes = pattern(SIZE) };
    char *got = malloc(SIZE + 1);
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_set_producer(p.t, &pull_producer, &s)), 0);
    ck_assert_int_eq(CALL(th_transport_close(p.t)), 0);
    ck_assert_uint_eq(peer_takes(&p, got, SIZE + 1), SIZE);
    ck_assert_mem_eq(got, s.bytes, SIZE);
    await(is_lost(&p));
    ck_assert_int_eq(p.reason, 0);
    ck_assert_uint_eq(strlen(s.told), SIZE / PIECE + 1);
    ck_assert_ptr_null(strchr(s.told, 'x'));
    free(s.bytes);
    free(got);
    close_probe(&p);
}

FIBER_TEST(a_pull_producer_that_has_nothing_yet_is_asked_again_after_it_wrote)
{
    probe p = { .peer = -1 };
    source s = { .left = 0 };
    static const th_transport_producer idle = { .pull = 1, .produce = on_pause, .stop = on_stop };
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_set_producer(p.t, &idle, &s)), 0);
    await(strcmp(s.told, "p") == 0);
    let_loop_run();
    ck_assert_str_eq(s.told, "p");
    ck_assert_int_eq(CALL(th_transport_write(p.t, "warp", 4)), 0);
    await(strcmp(s.told, "pp") == 0);
    close_probe(&p);
    ck_assert_str_eq(s.told, "ppx");
}

FIBER_TEST(a_push_producer_pauses_above_the_mark_and_goes_on_when_all_has_left)
{
    static char bytes[1 << 20];
    probe p = { .peer = -1 };
    source s = { .left = 0 };
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_set_producer(p.t, &push_producer, &s)), 0);
    let_loop_run();
    ck_assert_str_eq(s.told, "");
    ck_assert_int_eq(CALL(th_transport_write(p.t, bytes, sizeof bytes)), 1);
    await(strcmp(s.told, "p") == 0);
    while (info_of(p.t).waiting > 0) {
        ck_assert_str_eq(s.told, "p");
        (void)peer_reads(&p, bytes, 1000);
        ck_assert_int_eq(th_yield(), 0);
    }
    await(strcmp(s.told, "pg") == 0);
    ck_assert_int_eq(CALL(th_transport_end_producer(p.t)), -ENOENT); /* on_produce did */
    close_probe(&p);
    ck_assert_str_eq(s.told, "pg");
}

FIBER_TEST(there_is_one_producer_and_it_is_stopped_once)
{
    probe p = { .peer = -1 };
    source s = { .left = 0 };
    source late = { .left = 0 };
    static const th_transport_producer none = { .pull = 1 };
    open_probe(&p);
    ck_assert_int_eq(th_transport_end_producer(p.t), -ENOENT);
    ck_assert_int_eq(th_transport_set_producer(p.t, &none, &s), -EINVAL);
    ck_assert_int_eq(th_transport_set_producer(p.t, NULL, &s), -EINVAL);
    ck_assert_int_eq(th_transport_set_producer(p.t, &push_producer, &s), 0);
    ck_assert_int_eq(th_transport_set_producer(p.t, &push_producer, &late), -EBUSY);
    th_transport *t = th_transport_ref(p.t);
    ck_assert_int_eq(CALL(th_transport_abort(t, 0)), 0);
    await(is_lost(&p));
    ck_assert_str_eq(s.told, "x");
    ck_assert_int_eq(CALL(th_transport_set_producer(t, &push_producer, &late)), 0);
    ck_assert_str_eq(late.told, "");
    th_transport_unref(t);
    await(strcmp(late.told, "x") == 0);
    ck_assert_str_eq(s.told, "x");
    close_probe(&p);
}

/* ---- files ----------------------------------------------------------------------------------- */

enum { FILE_SIZE = 700000 };
static char *file_bytes;

static int make_file(void)
{
    char path[] = "/tmp/thrum-producer-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    file_bytes = pattern(FILE_SIZE);
    ck_assert_int_eq(write(fd, file_bytes, FILE_SIZE), FILE_SIZE);
    return fd;
}

typedef struct ending {
    int calls;
    int result;
    uint64_t sent;
} ending;

static void on_sent(th_transport *t, void *arg, int result, uint64_t sent)
{
    ending *e = arg;
    (void)t;
    ck_assert(!inside);
    ck_assert_ptr_null(thi_worker_self->current);
    e->calls++;
    e->result = result;
    e->sent = sent;
    th_event_set(&news);
}

FIBER_TEST(a_file_is_sent_between_what_is_written_before_and_after)
{
    probe p = { .peer = -1 };
    ending whole = { 0 };
    ending part = { 0 };
    int fd = make_file();
    char *got = malloc(FILE_SIZE);
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_write(p.t, "before", 6)), 0);
    ck_assert_int_eq(CALL(th_transport_sendfile(p.t, fd, 0, -1, on_sent, &whole)), 0);
    ck_assert_int_ge(CALL(th_transport_write(p.t, "between", 7)), 0);
    ck_assert_int_eq(CALL(th_transport_sendfile(p.t, fd, 1000, 5000, on_sent, &part)), 0);
    ck_assert_int_ge(CALL(th_transport_write(p.t, "after", 5)), 0);
    ck_assert_int_eq(whole.calls, 0);
    peer_gets(&p, "before");
    ck_assert_uint_eq(peer_takes(&p, got, FILE_SIZE), FILE_SIZE);
    ck_assert_mem_eq(got, file_bytes, FILE_SIZE);
    peer_gets(&p, "between");
    ck_assert_uint_eq(peer_takes(&p, got, 5000), 5000);
    ck_assert_mem_eq(got, file_bytes + 1000, 5000);
    peer_gets(&p, "after");
    await(part.calls == 1);
    ck_assert_int_eq(whole.calls, 1);
    ck_assert_int_eq(whole.result, 0);
    ck_assert_uint_eq(whole.sent, FILE_SIZE);
    ck_assert_uint_eq(part.sent, 5000);
    free(got);
    free(file_bytes);
    close(fd);
    close_probe(&p);
}

FIBER_TEST(a_file_that_ends_early_is_told_by_the_number_of_bytes)
{
    probe p = { .peer = -1 };
    ending e = { 0 };
    int fd = make_file();
    char got[100];
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_sendfile(p.t, fd, FILE_SIZE - 100, 5000, on_sent, &e)), 0);
    ck_assert_int_eq(CALL(th_transport_close(p.t)), 0);
    ck_assert_uint_eq(peer_takes(&p, got, 100), 100);
    ck_assert_mem_eq(got, file_bytes + FILE_SIZE - 100, 100);
    peer_sees_the_end(&p);
    await(is_lost(&p));
    ck_assert_int_eq(e.calls, 1);
    ck_assert_int_eq(e.result, 0);
    ck_assert_uint_eq(e.sent, 100);
    free(file_bytes);
    close(fd);
    close_probe(&p);
}

FIBER_TEST(a_peer_that_goes_in_the_middle_of_a_file_ends_it_with_an_error)
{
    probe p = { .peer = -1 };
    ending e = { 0 };
    int fd = make_file();
    open_probe(&p);
    ck_assert_int_eq(lseek(fd, 77, SEEK_SET), 77);
    ck_assert_int_eq(CALL(th_transport_sendfile(p.t, fd, 0, -1, on_sent, &e)), 0);
    peer_gets(&p, "");
    char got[1000];
    ck_assert_uint_eq(peer_takes(&p, got, sizeof got), sizeof got);
    close_peer(&p);
    await(is_lost(&p));
    ck_assert_int_eq(e.calls, 1);
    ck_assert_int_lt(e.result, 0);
    ck_assert_uint_ge(e.sent, 1000);
    ck_assert_uint_lt(e.sent, FILE_SIZE);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 77);
    free(file_bytes);
    close(fd);
    close_probe(&p);
}

/* What the kernel cannot send, a pipe's end, is read by the pool. */
FIBER_TEST(what_the_kernel_cannot_send_is_copied)
{
    probe from = { .peer = -1 };
    ending e = { 0 };
    int fd = make_file();
    int ends[2];
    char *got = malloc(FILE_SIZE);
    ck_assert_int_eq(pipe(ends), 0);
    open_probe_on(&from, ends[1], ends[0]);
    ck_assert_str_eq(info_of(from.t).carrier, "descriptor");
    ck_assert_int_eq(CALL(th_transport_sendfile(from.t, fd, 0, FILE_SIZE, on_sent, &e)), 0);
    ck_assert_uint_eq(peer_takes(&from, got, FILE_SIZE), FILE_SIZE);
    ck_assert_mem_eq(got, file_bytes, FILE_SIZE);
    await(e.calls == 1);
    ck_assert_int_eq(e.result, 0);
    ck_assert_uint_eq(e.sent, FILE_SIZE);
    free(got);
    free(file_bytes);
    close(fd);
    close_probe(&from);
}

FIBER_TEST(what_cannot_be_read_ends_the_connection_with_that)
{
    probe p = { .peer = -1 };
    ending e = { 0 };
    int fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    open_probe(&p);
    ck_assert_int_eq(CALL(th_transport_sendfile(p.t, fd, -1, 1, on_sent, &e)), -EINVAL);
    ck_assert_int_eq(CALL(th_transport_sendfile(p.t, fd, 0, -2, on_sent, &e)), -EINVAL);
    ck_assert_int_eq(CALL(th_transport_sendfile(p.t, fd, 0, 10, on_sent, &e)), 0);
    await(is_lost(&p));
    ck_assert_int_eq(p.reason, -EISDIR);
    ck_assert_int_eq(e.calls, 1);
    ck_assert_int_eq(e.result, -EISDIR);
    close(fd);
    close_probe(&p);
}

static void fill_suite(Suite *suite)
{
    TCase *tcase = thi_check_case(suite, "producers");
    add_on_engines(tcase,
                   a_pull_producer_gives_a_piece_whenever_nothing_waits_and_closing_waits_for_it);
    tcase_add_test(tcase, a_pull_producer_that_has_nothing_yet_is_asked_again_after_it_wrote);
    add_on_engines(tcase, a_push_producer_pauses_above_the_mark_and_goes_on_when_all_has_left);
    tcase_add_test(tcase, there_is_one_producer_and_it_is_stopped_once);
    tcase = thi_check_case(suite, "files");
    add_on_engines(tcase, a_file_is_sent_between_what_is_written_before_and_after);
    tcase_add_test(tcase, a_file_that_ends_early_is_told_by_the_number_of_bytes);
    add_on_engines(tcase, a_peer_that_goes_in_the_middle_of_a_file_ends_it_with_an_error);
    add_on_engines(tcase, what_the_kernel_cannot_send_is_copied);
    tcase_add_test(tcase, what_cannot_be_read_ends_the_connection_with_that);
}

int main(void)
{
    return thi_check_run("callback/transport_producer", fill_suite);
}
