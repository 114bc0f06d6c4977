/* SPDX-License-Identifier: MIT */

/*
 * Frames that end with a delimiter: lines, and whatever else ends with the same bytes each time.
 *
 * The parser is shown all bytes from the beginning of a frame on, and shown them again, longer, as
 * long as the frame is incomplete. It remembers how far it has looked, so a frame that comes byte
 * by byte is looked at once.
 */
#ifndef THI_PROTO_LINE_H
#define THI_PROTO_LINE_H

#include <thrum/str.h>

#include <sys/types.h>

/* Bytes that a delimiter has at most. */
#define THI_LINE_DELIMITER_MAX 16

typedef struct thi_line {
    char delimiter[THI_LINE_DELIMITER_MAX];
    size_t delimiter_len; /* 1 to THI_LINE_DELIMITER_MAX */
    size_t limit;         /* bytes of a frame, without its delimiter */
    size_t looked;        /* no delimiter begins before this offset */
} thi_line;

/*
 * Looks for the first frame in `bytes`. Returns how many bytes it takes with its delimiter, and the
 * frame without; 0 when there is no whole one yet; TH_ELIMIT when it is longer than the limit. An
 * unfinished frame is that as soon as no delimiter can make it short enough: a part of a delimiter
 * at the limit is no fault yet.
 */
ssize_t thi_line_next(thi_line *line, th_str bytes, th_str *frame);

/* Forgets how far it has looked: what is shown next begins elsewhere. */
static inline void thi_line_restart(thi_line *line)
{
    line->looked = 0;
}

#endif
