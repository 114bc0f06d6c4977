/* SPDX-License-Identifier: MIT */

/* Finding a terminator, or the beginning of one, in what has arrived. */
#ifndef THI_CALLBACK_CHAT_FIND_H
#define THI_CALLBACK_CHAT_FIND_H

#include <thrum/str.h>

#include <stddef.h>

#define THI_CHAT_NOT_FOUND SIZE_MAX

/* Where the terminator, which is not empty, first occurs. */
size_t thi_chat_find(th_str text, th_str terminator);

/* How many bytes at the end of a text that has no terminator may be the beginning of one. */
size_t thi_chat_prefix_at_end(th_str text, th_str terminator);

#endif
