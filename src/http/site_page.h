/* SPDX-License-Identifier: MIT */

/* The page that shows a folder: HTML out of names, sizes and dates. */
#ifndef THI_HTTP_SITE_PAGE_H
#define THI_HTTP_SITE_PAGE_H

#include <thrum/http.h>

#define THI_SITE_NAME_MAX 255 /* bytes of a name, as in struct dirent */

typedef struct thi_site_item {
    th_str name; /* any bytes but NUL and "/", at most THI_SITE_NAME_MAX */
    bool folder;
    int64_t size;     /* bytes */
    int64_t modified; /* seconds since 1970 */
} thi_site_item;

typedef struct thi_site_page {
    th_str path;  /* of the folder, for the title */
    bool is_root; /* there is no way up */
    const thi_site_item *items;
    size_t count;
    bool cut; /* there are more items */
} thi_site_page;

/* Writes the page as the body of a reply that has begun, with a buffer from the arena. */
TH_MUST int thi_site_page_write(th_http_reply *r, const thi_site_page *page, th_arena *arena);

/* A size for people, such as "1.5 KiB"; the length of the text. */
#define THI_SITE_SIZE_MAX 16
size_t thi_site_page_size(int64_t bytes, char *out);

#endif
