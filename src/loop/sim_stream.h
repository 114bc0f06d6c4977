/* SPDX-License-Identifier: MIT */

/* What happens on connected sockets: bytes, the end of a direction, resets. */
#ifndef THI_LOOP_SIM_STREAM_H
#define THI_LOOP_SIM_STREAM_H

#include "loop/sim_endpoint.h"

/* Links two endpoints; first becomes end 0. Their states are the caller's matter. -ENOMEM. */
TH_MUST int thi_sim_link_new(thi_sim *w, bool tcp, thi_sim_endpoint *first,
                             thi_sim_endpoint *second);

/* The steps of a socket's thi_sim_kind, in every state but LISTENING. */
TH_MUST ssize_t thi_sim_stream_read(thi_sim *w, thi_sim_endpoint *ep, const struct iovec *iov,
                                    int count, int flags);
TH_MUST ssize_t thi_sim_stream_write(thi_sim *w, thi_sim_endpoint *ep, const struct iovec *iov,
                                     int count);
unsigned thi_sim_stream_level(const thi_sim_endpoint *ep);

/* As shutdown(2). */
TH_MUST int thi_sim_stream_shutdown(thi_sim *w, thi_sim_endpoint *ep, int how);

/* An endpoint leaves its link, because it is closed. */
void thi_sim_stream_leave(thi_sim *w, thi_sim_endpoint *ep);

#endif
