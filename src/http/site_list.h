/* SPDX-License-Identifier: MIT */

/* The listing of a folder as a page of HTML. */
#ifndef THI_HTTP_SITE_LIST_H
#define THI_HTTP_SITE_LIST_H

#include "http/message.h"
#include "http/site_open.h"

#define THI_SITE_LIST_MAX ((size_t)4096) /* entries shown */

typedef struct thi_site_folder {
    const thi_site_root *root;
    const char *name; /* below the root, without slashes at its ends; "" is the root itself */
    bool dot_files;   /* names that start with a dot are shown */
} thi_site_folder;

/* Answers a GET or HEAD request with the folder's entries. fd is the folder, and closed here. */
TH_MUST int thi_site_list(th_http_request *q, th_http_reply *r, const thi_site_folder *folder,
                          int fd);

#endif
