/* SPDX-License-Identifier: MIT */

/*
 * A buffer behind a stream, for records: lines, what ends with a separator, so many bytes.
 *
 * It reads no further ahead than one read of the stream brings, and holds no more than twice its
 * limit, whatever the peer sends. One fiber uses it at a time.
 *
 * Nothing is lost: a call that fails because its scope ends or a limit is met leaves the bytes to
 * the next one. When the stream has ended or failed, the bytes that came before are read first.
 */
#ifndef THRUM_READER_H
#define THRUM_READER_H

#include <stddef.h>
#include <sys/types.h>

#include <thrum/defs.h>
#include <thrum/str.h>
#include <thrum/stream.h>

TH_BEGIN_DECLS

typedef struct th_reader th_reader;

/* How to read; all zero is the default. */
typedef struct th_reader_opts {
    size_t size;  /* sizeof(th_reader_opts), or 0 for the present one */
    size_t limit; /* bytes of a record without its separator; 0: 64 KiB */
} th_reader_opts;

/**
 * Makes a reader of a stream. It has no memory for bytes before the first come.
 *
 * @param stream  borrowed; to be freed after the reader
 * @param opts    NULL: the defaults
 * @param reader  out: the reader, for th_reader_free()
 * @return 0; -EINVAL for NULL or wrong options; -ENOMEM
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_reader_new(th_stream *stream, const th_reader_opts *opts, th_reader **reader);

/**
 * Frees a reader. The stream stays open; bytes in the buffer are lost.
 *
 * @param reader  the reader; NULL is allowed and does nothing
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API void th_reader_free(th_reader *reader);

/**
 * Tells how many bytes can be read without asking the stream.
 *
 * @param reader  the reader; NULL: 0
 * @return bytes in the buffer
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API size_t th_reader_buffered(const th_reader *reader);

/**
 * Reads what is there: from the buffer, or else from the stream, waiting for the first byte.
 *
 * @param reader  the reader
 * @param buf     out: the bytes
 * @param size    room at buf, bytes; with 0 the call returns 0 at once
 * @return the number of bytes, 1 to size; TH_EOF at the end, every time; -EBUSY while another fiber
 *         waits in the reader; -ENOMEM; else as th_stream_read(), of the connection every time
 *
 * Suspends: yes, until there is something to read
 * Thread: fiber
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_reader_read(th_reader *reader, void *buf, size_t size);

/**
 * Reads exactly as many bytes as asked for, be they more than the limit.
 *
 * @param reader  the reader
 * @param buf     out: the bytes; its contents are not defined after a failure but TH_ETRUNCATED
 * @param size    how many; with 0 the call returns 0 at once
 * @param got     out, for TH_ETRUNCATED: how many bytes are in buf and gone from the reader; may be
 *                NULL
 * @return size; TH_EOF when the stream ends before the first byte, TH_ETRUNCATED when it ends
 *         later; -ENOMEM when bytes are lost because there is no memory to keep them; else as
 *         th_reader_read()
 *
 * Suspends: yes, until all bytes are there
 * Thread: fiber
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST ssize_t th_reader_read_all(th_reader *reader, void *buf, size_t size, size_t *got);

/**
 * Reads a record up to and with a separator.
 *
 * @param reader  the reader
 * @param sep     the separator, of any bytes
 * @param size    how many, at least 1
 * @param record  out: the record with its separator, valid until the next call on the reader; for
 *                TH_ETRUNCATED what there was without one
 * @return 0; TH_EOF at the end; TH_ETRUNCATED when the stream ends in the middle of a record, which
 *         is gone from the reader then; TH_ELIMIT when a record is longer than the limit without
 *         its separator, and then its bytes are still to be read; -EINVAL; else as th_reader_read()
 *
 * Suspends: yes, until the separator is there
 * Thread: fiber
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_reader_until(th_reader *reader, const void *sep, size_t size, th_str *record);

/**
 * Reads a line.
 *
 * @param reader  the reader
 * @param line    out: the line with its end "\n", valid until the next call on the reader; only the
 *                last line may be without one
 * @return 0; TH_EOF after the last one; TH_ELIMIT when a line is longer than the limit, and then it
 *         is thrown away up to and with its end; -EINVAL; else as th_reader_read()
 *
 * Suspends: yes, until the end of the line is there
 * Thread: fiber
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_reader_line(th_reader *reader, th_str *line);

/**
 * Shows the next bytes and leaves them in the reader.
 *
 * @param reader  the reader
 * @param size    how many, at least 1
 * @param bytes   out: that many bytes, fewer only if the stream ends with them; valid until the
 * next call on the reader
 * @return 0; TH_EOF when there is not one; TH_ELIMIT when size is above the limit; -EINVAL; else as
 *         th_reader_read()
 *
 * Suspends: yes, until so many are there
 * Thread: fiber
 * On cancel: nothing done
 * Since: 0.1
 */
TH_API TH_MUST int th_reader_peek(th_reader *reader, size_t size, th_str *bytes);

/**
 * Drops bytes that are in the buffer, as after th_reader_peek().
 *
 * @param reader  the reader
 * @param size    how many
 * @return 0; -EINVAL when there are not so many; -EBUSY while another fiber waits in the reader
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API int th_reader_skip(th_reader *reader, size_t size);

/**
 * Puts bytes in front of all that is still to be read.
 *
 * @param reader  the reader
 * @param buf     the bytes, none of the reader's own; copied
 * @param size    how many
 * @return 0; -EINVAL; -EBUSY while another fiber waits in the reader; -ENOMEM
 *
 * Suspends: no
 * Thread: fiber
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_reader_unread(th_reader *reader, const void *buf, size_t size);

/**
 * Reads all to the end of the stream.
 *
 * @param reader  the reader
 * @param rest    out: the bytes, perhaps none, valid until the next call on the reader
 * @return 0; TH_ELIMIT when there are more than the limit, which are still to be read then;
 * -EINVAL; else as th_reader_read(), but never TH_EOF
 *
 * Suspends: yes, until the stream ends
 * Thread: fiber
 * On cancel: nothing read
 * Since: 0.1
 */
TH_API TH_MUST int th_reader_rest(th_reader *reader, th_str *rest);

TH_END_DECLS

#endif
