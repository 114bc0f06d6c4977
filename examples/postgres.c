/* SPDX-License-Identifier: MIT */

/*
 * A foreign library on fibers: many queries to PostgreSQL at once, by libpq's calls that do not
 * block. Each fiber has a connection of its own; where libpq would wait, the fiber waits for its
 * socket. All of it obeys one deadline.
 */
#include <thrum.h>

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#define FIBERS 20

static const char *where;
static int answers;
static int64_t slept; /* by the server, ns */

/* What libpq says is not one of our codes: it is told here, and the code is a general one. */
static int failed(PGconn *db, const char *doing)
{
    fprintf(stderr, "postgres: %s: %s", doing, PQerrorMessage(db));
    return TH_EPROTO;
}

static int connect_to(PGconn *db)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING; /* as PQconnectPoll() wants it */
    while (next != PGRES_POLLING_OK) {
        if (next == PGRES_POLLING_FAILED)
            return failed(db, "connecting");
        unsigned dir = next == PGRES_POLLING_READING ? TH_FD_READ : TH_FD_WRITE;
        int err = th_wait_fd(PQsocket(db), dir, NULL);
        if (err < 0)
            return err;
        next = PQconnectPoll(db);
    }
    return PQsetnonblocking(db, 1) < 0 ? failed(db, "connecting") : 0;
}

/* Sends what libpq has buffered. While it waits for room it must take in what comes. */
static int flush(PGconn *db)
{
    int left;
    while ((left = PQflush(db)) > 0) {
        unsigned ready;
        int err = th_wait_fd(PQsocket(db), TH_FD_READ | TH_FD_WRITE, &ready);
        if (err < 0)
            return err;
        if ((ready & TH_FD_READ) && !PQconsumeInput(db))
            return failed(db, "reading");
    }
    return left < 0 ? failed(db, "sending") : 0;
}

/* The next result of a query; NULL after the last one. */
static int next_result(PGconn *db, PGresult **result)
{
    while (PQisBusy(db)) {
        int err = th_wait_fd(PQsocket(db), TH_FD_READ, NULL);
        if (err < 0)
            return err;
        if (!PQconsumeInput(db))
            return failed(db, "reading");
    }
    *result = PQgetResult(db);
    return 0;
}

static int query(PGconn *db, const char *number)
{
    PGresult *result = NULL;
    int err;
    if (!PQsendQueryParams(db, "SELECT $1::int * 2, pg_sleep(0.2)", 1, NULL, &number, NULL, NULL,
                           0))
        return failed(db, "sending");
    err = flush(db);
    while (err == 0 && (err = next_result(db, &result)) == 0 && result) {
        if (PQresultStatus(result) != PGRES_TUPLES_OK)
            err = failed(db, "querying");
        else if (atoi(PQgetvalue(result, 0, 0)) == 2 * atoi(number))
            answers++;
        PQclear(result);
    }
    slept += 200 * TH_MILLISECOND;
    return err;
}

static int ask(void *arg)
{
    char number[16];
    PGconn *db = PQconnectStart(where);
    if (!db)
        return -ENOMEM;
    snprintf(number, sizeof number, "%d", *(int *)arg);
    int err = PQstatus(db) == CONNECTION_BAD ? failed(db, "connecting") : connect_to(db);
    if (err == 0)
        err = query(db, number);
    if (PQsocket(db) >= 0)
        th_fd_closing(PQsocket(db)); /* not needed here, as nobody else waits for it */
    PQfinish(db);
    return err;
}

static int app(int argc, char **argv)
{
    static int numbers[FIBERS];
    th_scope scope;
    if (argc != 2) {
        fprintf(stderr, "usage: postgres CONNINFO\n");
        return 2;
    }
    where = argv[1];
    int64_t begin = th_now();
    int err = th_scope_open(
        &scope, &(th_scope_opts){ .deadline = th_after(30 * TH_SECOND), .cancel_rest = 1 });
    if (err < 0)
        return err;
    for (int i = 0; i < FIBERS && err == 0; i++) {
        numbers[i] = i;
        err = th_spawn(&scope, ask, &numbers[i]);
    }
    int closed = th_scope_close(&scope);
    if (err < 0 || closed < 0)
        return err < 0 ? err : closed;
    int64_t took = th_now() - begin;
    printf("%d right answers for %d ms of work, in %s\n", answers, (int)(slept / TH_MILLISECOND),
           took < slept / 2 ? "much less" : "no less");
    return 0;
}

/* One worker is enough, and the tally needs no lock then. */
int main(int argc, char **argv)
{
    return th_main(app, argc, argv, &(th_run_opts){ .workers = 1 });
}
