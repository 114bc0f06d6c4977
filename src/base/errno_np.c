/* SPDX-License-Identifier: MIT */

/* Names and texts of errno from a libc that has both as static strings (glibc 2.32 and later). */
#include "base/error.h"

#include <string.h>

const char *thi_errno_name(int number)
{
    return strerrorname_np(number);
}

const char *thi_errno_text(int number)
{
    return strerrordesc_np(number);
}
