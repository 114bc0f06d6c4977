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

bool thi_ossl_no_memory(void)
{
    return ERR_GET_REASON(ERR_peek_error()) == ERR_R_MALLOC_FAILURE ||
           ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE;
}

/* Ours have the library that OpenSSL leaves to its users, and the code without its sign. */
static int own_code(unsigned long error)
{
    return ERR_GET_LIB(error) == ERR_LIB_USER ? -ERR_GET_REASON(error) : 0;
}

void thi_ossl_raise(int code)
{
    ERR_raise_data(ERR_LIB_USER, -code, "%s", th_err_detail());
}

/* What was said of a failure of ours. */
static char *own_reason(char *text, size_t size)
{
    const char *data = NULL;
    int flags = 0;
    unsigned long first = ERR_peek_error_all(NULL, NULL, NULL, &data, &flags);
    bool said = data && (flags & ERR_TXT_STRING) && *data != '\0';
    snprintf(text, size, "%s", said ? data : th_strerror(own_code(first)));
    ERR_clear_error();
    return text;
}

char *thi_ossl_reason(char *text, size_t size)
{
    unsigned long first = ERR_peek_error();
    if (own_code(first) != 0)
        return own_reason(text, size);
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
    char reason[THI_ERR_DETAIL_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (own_code(ERR_peek_error()) != 0)
        code = own_code(ERR_peek_error());
    else if (thi_ossl_no_memory())
        code = -ENOMEM;
    thi_ossl_reason(reason, sizeof reason);
    return thi_err_set(code, "%s%s%s", what, reason[0] != '\0' ? ": " : "", reason);
}
