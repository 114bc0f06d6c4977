/* SPDX-License-Identifier: MIT */

/*
 * Child processes: other programs, started, fed, listened to and awaited.
 *
 *     th_process_output out;
 *     int err = th_process_run(&(th_process_opts){ .argv = argv }, input, size, 1 << 20, &out);
 *
 * A child inherits what it is given and nothing else: no other descriptor, no blocked signal, no
 * ignored one. None becomes a zombie, whatever happens to its handle. That a program cannot be
 * started is told by the call that starts it, with the step that failed in the detail; there is no
 * process then. In a simulation there are none at all (-ENOSYS).
 */
#ifndef THRUM_PROCESS_H
#define THRUM_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <thrum/defs.h>
#include <thrum/scope.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

typedef struct th_process th_process;

/* Where a standard stream of the child leads. */
enum {
    TH_PROCESS_INHERIT, /* to where this program's does; to the null device if it has none */
    TH_PROCESS_NULL,    /* to the null device */
    TH_PROCESS_PIPE,    /* to a stream of the handle */
    TH_PROCESS_FD,      /* to `fd`, which stays the caller's */
    TH_PROCESS_MERGE,   /* of standard error: to where standard output does */
    TH_PROCESS_TERMINAL /* to a new terminal, the same for all, with one stream of the handle */
};

typedef struct th_process_stdio {
    int kind; /* TH_PROCESS_... */
    int fd;   /* of TH_PROCESS_FD */
} th_process_stdio;

/* Another descriptor for the child, and its number there. */
typedef struct th_process_fd {
    int fd; /* stays the caller's */
    int as; /* 3 or more, each once */
} th_process_fd;

typedef struct th_process_limit {
    int resource; /* RLIMIT_...: setrlimit(2) */
    uint64_t soft;
    uint64_t hard;
} th_process_limit;

/* What to start; all zero but argv is the default. */
typedef struct th_process_opts {
    size_t size;             /* sizeof(th_process_opts), or 0 for the present one */
    const char *const *argv; /* its arguments, the program's name first; NULL after the last */
    const char *file;        /* the program; without a slash it is looked for in PATH. NULL: argv[0]
                              */
    const char *const *env;  /* "NAME=value" ...; NULL after the last. NULL: this program's */
    const char *cwd;         /* folder to start in; NULL: this program's */
    th_process_stdio in;     /* standard input */
    th_process_stdio out;    /* standard output */
    th_process_stdio err;    /* standard error */
    const th_process_fd *fds;
    size_t fd_count; /* at most 256 */
    const th_process_limit *limits;
    size_t limit_count;
    int new_session; /* 1: away from this program's terminal; a TERMINAL implies it */
    int new_group;   /* 1: a process group of its own; signals of ours go to the whole group */
    int set_user;    /* 1: as uid and gid, without further groups; needs the right to */
    uid_t uid;
    gid_t gid;
    unsigned rows;    /* of a TERMINAL; 0: 24 */
    unsigned columns; /* likewise; 0: 80 */
    th_scope *scope;  /* that the child belongs to, an open one of the caller: it does not close
                         before the child has ended, and ends it with SIGTERM, then SIGKILL, when it
                         is cancelled or its time is up. NULL: none */
    int64_t grace;    /* between these two, ns; 0: five seconds */
    int detached;     /* 1: the child lives on when the handle is closed or freed */
} th_process_opts;

/* How a child ended. */
enum {
    TH_PROCESS_EXITED, /* by itself: `code` is what it said */
    TH_PROCESS_KILLED, /* by a signal: `code` is its number */
    TH_PROCESS_UNKNOWN /* nobody can tell: SIGCHLD is ignored, or others wait for any child */
};

typedef struct th_process_end {
    int how; /* TH_PROCESS_EXITED, ... */
    int code;
    int core;             /* 1: it left a core behind */
    int64_t user_time;    /* ns */
    int64_t system_time;  /* ns */
    uint64_t memory_peak; /* bytes */
} th_process_end;

/**
 * Starts a program.
 *
 * @param opts     what to start; read during the call only
 * @param process  out: the child, for th_process_close() or th_process_free()
 * @return 0 once the program runs; -ENOENT, -EACCES, -ENOEXEC and other reasons why it does not,
 *         with a detail that tells the step and the name; -EINVAL for options that make no sense;
 *         -EPERM outside a worker when it needs streams or a scope; -EBADF for a descriptor that is
 *         not open; -ECANCELED or -ETIMEDOUT when `scope` is over; -EMFILE, -EAGAIN or -ENOMEM
 *
 * Suspends: no (the worker waits for the new process to begin, which takes less than a
 *           millisecond), unless the scope is full
 * Thread: any; fiber with streams or a scope
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_process_spawn(const th_process_opts *opts, th_process **process);

/**
 * Gives the stream to the child's standard input.
 *
 * @param process  a child
 * @return the stream, which is the handle's; NULL unless that was TH_PROCESS_PIPE or
 *         TH_PROCESS_TERMINAL. Closing it tells the child that there is no more.
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_stream *th_process_stdin(th_process *process);

/**
 * Gives the stream of what the child writes to standard output.
 *
 * @param process  a child
 * @return the stream, which is the handle's, and with TH_PROCESS_TERMINAL the one of
 *         th_process_stdin(); else NULL. It ends when all who have the other end have closed it.
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_stream *th_process_stdout(th_process *process);

/**
 * Gives the stream of what the child writes to standard error; as th_process_stdout().
 *
 * @param process  a child
 * @return the stream, or NULL, also when it is merged with standard output
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API th_stream *th_process_stderr(th_process *process);

/**
 * Waits until a child has ended. The child is not affected; any number of callers may wait.
 *
 * @param process  a child
 * @param end      out: how it ended; may be NULL
 * @return 0; -ECANCELED or -ETIMEDOUT when the caller's scope says so before; -EPERM on a worker
 *         outside of a fiber when it has not ended; -EINVAL for NULL; -ENOMEM
 *
 * Suspends: yes, until it has ended
 * Thread: any
 * On cancel: nothing done; it may be waited for again
 * Since: 0.1
 */
TH_API TH_MUST int th_process_wait(th_process *process, th_process_end *end);

/**
 * Tells how a child has ended, if it has.
 *
 * @param process  a child
 * @param end      out: how it ended; may be NULL
 * @return 0; -EAGAIN when it runs; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_process_peek(th_process *process, th_process_end *end);

/**
 * Gives a descriptor that is readable once the child has ended, for th_select().
 *
 * @param process  a child
 * @return the descriptor, which is the handle's; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_process_fd_of_end(const th_process *process);

/**
 * Sends a signal to a child, or to the process group that it leads.
 *
 * @param process  a child
 * @param signo    the signal; 0 only asks whether it could be sent
 * @return 0; -ESRCH when it has ended, and then no other process is ever hit; -EPERM when it runs
 *         as somebody else; -EINVAL for a number that is no signal, and for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_process_kill(th_process *process, int signo);

/**
 * Gives the number of a child.
 *
 * @param process  a child
 * @return its pid, which may be another process' once it has ended; -EINVAL for NULL
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API pid_t th_process_pid(const th_process *process);

/**
 * Tells a child's terminal that its size has changed.
 *
 * @param process  a child with a TH_PROCESS_TERMINAL
 * @param rows     lines
 * @param columns  characters of a line
 * @return 0; -ENOTTY when it has none; -EINVAL for NULL; -EBADF when its stream is closed
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_process_resize(th_process *process, unsigned rows, unsigned columns);

/**
 * Ends a child in an orderly way and frees its handle.
 *
 * Its streams are closed. If it runs it gets SIGTERM, and SIGKILL when it has not ended after its
 * time of grace, unless it is detached.
 *
 * @param process  a child, which no other fiber uses; NULL is allowed and does nothing
 * @param end      out: how it ended; not of a detached one that runs. May be NULL
 *
 * Suspends: yes, until it has ended
 * Thread: fiber; the one's worker that started it if it has streams
 * On cancel: goes on
 * Since: 0.1
 */
TH_API void th_process_close(th_process *process, th_process_end *end);

/**
 * Frees the handle of a child. If it runs it is killed with SIGKILL, unless it is detached.
 *
 * @param process  a child, which nobody else uses; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: any; the one's worker that started it if it has streams
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_process_free(th_process *process);

/* What a program has said, and how it ended. */
typedef struct th_process_output {
    char *out; /* standard output, and a NUL behind it; with th_process_output_free() */
    size_t out_size;
    char *err; /* standard error, likewise; empty when it was merged or went elsewhere */
    size_t err_size;
    th_process_end end;
} th_process_output;

/**
 * Runs a program from start to end: gives it its input and collects its output.
 *
 * Both directions go on at the same time, so none waits for the other for ever. A standard stream
 * for which the options say TH_PROCESS_INHERIT, as by default, is a pipe here; without input,
 * standard input is the null device. That the program ends, or stops to listen, before it has taken
 * all its input is no failure.
 *
 * @param opts    what to run
 * @param input   for its standard input; borrowed during the call, may be NULL for size 0
 * @param size    bytes at input
 * @param limit   bytes that it may write, of output and error each; 0: no limit
 * @param output  out: what came of it, for th_process_output_free(); also when it failed once the
 *                program ran, and then as far as it came
 * @return 0 once it has ended, however that went, and its output has; TH_ELIMIT when it wrote more
 *         than the limit; -ECANCELED or -ETIMEDOUT when the caller's scope says so before: in these
 *         cases it is ended as by th_process_close(); else as th_process_spawn(), and as reading
 *         and writing streams
 *
 * Suspends: yes, until it has ended
 * Thread: fiber
 * On cancel: the program is ended
 * Since: 0.1
 */
TH_API TH_MUST int th_process_run(const th_process_opts *opts, const void *input, size_t size,
                                  size_t limit, th_process_output *output);

/**
 * Frees what th_process_run() has collected. All zero is fine.
 *
 * @param output  the output; NULL is allowed and does nothing. It is all zero afterwards.
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_process_output_free(th_process_output *output);

TH_END_DECLS

#endif
