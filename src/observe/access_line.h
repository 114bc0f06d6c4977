/* SPDX-License-Identifier: MIT */

/* One line of an access log. */
#ifndef THI_OBSERVE_ACCESS_LINE_H
#define THI_OBSERVE_ACCESS_LINE_H

#include <thrum/access_log.h>

/* No line is longer: long texts of strangers are cut, and escaping makes up to six bytes of one. */
#define THI_ACCESS_LINE_MAX 5120

/* Writes a line with its newline into `out`; returns its length. */
size_t thi_access_line(const th_http_record *record, th_access_log_format format,
                       char out[THI_ACCESS_LINE_MAX]);

#endif
