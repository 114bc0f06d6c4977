/* SPDX-License-Identifier: MIT */

/*
 * Datagrams under way: they take time, and may be lost, doubled or overtaken.
 *
 * Without faults what one socket sends arrives in order and once, unless the receiver's buffer is
 * full: then it is lost, as in any kernel. Between Unix sockets nothing is under way: it arrives at
 * once, or there is no room.
 */
#ifndef THI_LOOP_SIM_MAIL_H
#define THI_LOOP_SIM_MAIL_H

#include "loop/sim_letter.h"

/* A letter of what the pieces hold; NULL when there is no memory. */
thi_sim_letter *thi_sim_letter_new(const struct iovec *iov, size_t count, size_t size);

/* Sends a letter off, which it takes. */
void thi_sim_mail_post(thi_sim *w, thi_sim_endpoint *sender, thi_sim_letter *letter);

/* Puts a letter into an inbox, which must have room, or be willing to lose it. */
void thi_sim_mail_deliver(thi_sim *w, thi_sim_endpoint *ep, thi_sim_letter *letter);

/* The oldest letter, or NULL; and what it leaves when it is taken out, to be freed. */
thi_sim_letter *thi_sim_mail_first(const thi_sim_endpoint *ep);
void thi_sim_mail_take(thi_sim_endpoint *ep, thi_sim_letter *letter);

/* Whether a Unix socket's inbox has no room; and tells those who were turned away that it has, or
 * that it is gone. */
bool thi_sim_mail_is_full(const thi_sim_endpoint *ep);
void thi_sim_mail_tell_room(thi_sim_mailbox *mail);

/* Frees what is under way. */
void thi_sim_mail_clear(thi_sim *w);

#endif
