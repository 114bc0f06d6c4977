/* SPDX-License-Identifier: MIT */

/* The text form of ticket keys: three lines of hexadecimal digits. */
#ifndef THI_TLS_TICKET_FILE_H
#define THI_TLS_TICKET_FILE_H

#include "tls/whole.h"

#include <thrum/tls_session.h>

/* Permissions that a file of keys must not give: anything to others, writing to the group. */
#define THI_TICKET_FILE_FORBIDDEN 027

/* Reads the keys; blocks. 0; -errno, TH_ECONFIG, TH_ELIMIT with a detail, and nothing is set. */
TH_MUST int thi_ticket_file_read(const char *path, th_tls_ticket_set *set, thi_stamp *stamp);

#endif
