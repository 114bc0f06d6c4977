/* SPDX-License-Identifier: MIT */

/* What can carry a transport. Each makes one that is not started yet. */
#ifndef THI_CALLBACK_CARRIER_H
#define THI_CALLBACK_CARRIER_H

#include "callback/transport.h"

/* A connected, non-blocking socket, which is the transport's on success. */
TH_MUST int thi_carrier_socket(int fd, th_transport **transport);

/* A descriptor of any kind that can be waited for; made non-blocking, and the transport's on
 * success. */
TH_MUST int thi_carrier_descriptor(int fd, th_transport **transport);

/* Two that are connected in memory. */
TH_MUST int thi_carrier_memory(th_transport *transports[2]);

#endif
