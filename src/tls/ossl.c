/* SPDX-License-Identifier: MIT */

/* Errors of OpenSSL, made into details of ours. */
#include "tls/ossl.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>

void thi_ossl_begin(void)
{
    ERR_clear_error();
}

unsigned long thi_ossl_peek(void)
{
    return ERR_peek_error();
}

char *thi_ossl_reason(char *text, size_t size)
{
    unsigned long first = ERR_peek_error();
    /* Errors of the system carry an errno in the place of the reason, and have no text here. */
    const char *reason = NULL;
    if (first != 0)
        reason = ERR_SYSTEM_ERROR(first) ? th_strerror((int)ERR_GET_REASON(first))
                                         : ERR_reason_error_string(first);
    snprintf(text, size, "%s", reason ? reason : "");
    ERR_clear_error();
    return text;
}

int thi_ossl_fail(int code, const char *format, ...)
{
    char what[THI_ERR_DETAIL_SIZE];
    char reason[128];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE)
        code = -ENOMEM;
    thi_ossl_reason(reason, sizeof reason);
    return thi_err_set(code, "%s%s%s", what, reason[0] != '\0' ? ": " : "", reason);
}
