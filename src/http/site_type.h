/* SPDX-License-Identifier: MIT */

/* Content types of files, by the ends of their names. */
#ifndef THI_HTTP_SITE_TYPE_H
#define THI_HTTP_SITE_TYPE_H

#include <thrum/str.h>

#define THI_SITE_TYPE_MAX 80 /* bytes of the longest one */

/*
 * The value for a Content-Type field. Texts are said to be UTF-8. "application/octet-stream", which
 * browsers save instead of showing, for a name without an ending that is known. Static.
 */
th_str thi_site_type(th_str name);

#endif
