/* SPDX-License-Identifier: MIT */

/* Files of keys, certificates and the like: read, handed to a parser, wiped. */
#include "tls/load.h"

#include "base/error.h"

#include <thrum/file.h>

#include <errno.h>
#include <openssl/crypto.h>

int thi_load(const char *path, size_t limit, int (*parse)(th_str data, void *out), void *out)
{
    th_arena arena;
    th_str content = { 0 };
    th_arena_init(&arena, NULL, 0, 0);
    int err = th_file_load(path, limit, &arena, &content);
    bool told = err < 0 && err != TH_ELIMIT; /* the path is in the detail of a file's failure */
    if (err == 0) {
        err = parse(content, out);
        OPENSSL_cleanse((char *)(uintptr_t)content.ptr, content.len);
    }
    th_arena_deinit(&arena);
    if (err >= 0 || told || err == -ENOMEM)
        return err;
    return thi_err_set(err, "%s%s%s", path, *th_err_detail() ? ": " : "", th_err_detail());
}
