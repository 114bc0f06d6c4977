/* SPDX-License-Identifier: MIT */

/* Keys of tickets as data: what a key is made of, and three of them. */
#ifndef THI_TLS_TICKET_SET_H
#define THI_TLS_TICKET_SET_H

#include <thrum/tls_session.h>

#include <stdbool.h>

/* The parts of a key. */
enum { THI_TICKET_NAME = 16, THI_TICKET_MAC = 32, THI_TICKET_AES = 32 };

/* Whether no two have the same name and none is all zero. */
bool thi_ticket_set_valid(const th_tls_ticket_set *set);

/* Three keys by chance: 0 or -errno. */
TH_MUST int thi_ticket_set_make(th_tls_ticket_set *set);

/* The next one becomes the current one: 0 or -errno, and nothing has changed. */
TH_MUST int thi_ticket_set_rotate(th_tls_ticket_set *set);

#endif
