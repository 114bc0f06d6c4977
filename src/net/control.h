/* SPDX-License-Identifier: MIT */

/* The control socket, as far as the environment asks for it. */
#ifndef THI_NET_CONTROL_H
#define THI_NET_CONTROL_H

/* Anything that may be captured calls this, so that the control socket is part of its program. */
void thi_control_is_there(void);

#endif
