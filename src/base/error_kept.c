/* SPDX-License-Identifier: MIT */

/* A failure that is for good, kept with its words. */
#include "base/error_kept.h"

#include "base/alloc.h"

#include <string.h>

int thi_err_keep(thi_err_kept *kept, int code)
{
    const char *detail = th_err_detail();
    if (kept->code != 0)
        return thi_err_again(kept);
    kept->code = code;
    kept->text = detail[0] != '\0' ? thi_strdup_n(detail, strlen(detail)) : NULL;
    return code;
}

int thi_err_again(const thi_err_kept *kept)
{
    if (kept->code == 0)
        return 0;
    return kept->text ? thi_err_set(kept->code, "%s", kept->text) : thi_err_clear(kept->code);
}

void thi_err_kept_deinit(thi_err_kept *kept)
{
    thi_free(kept->text);
    *kept = (thi_err_kept){ 0 };
}
