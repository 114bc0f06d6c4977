/* SPDX-License-Identifier: MIT */

/* The queue of errors, put aside and back. Mostly it is empty, and then nothing is copied. */
#include "tls/ossl_aside.h"

#include <openssl/err.h>
#include <stdio.h>

void thi_ossl_put_aside(thi_ossl_aside *aside)
{
    unsigned long code;
    const char *data;
    int flags;
    aside->count = 0;
    while (aside->count < THI_OSSL_ASIDE_MAX &&
           (code = ERR_get_error_all(NULL, NULL, NULL, &data, &flags)) != 0) {
        aside->codes[aside->count] = code;
        snprintf(aside->data[aside->count], sizeof aside->data[0], "%s",
                 (flags & ERR_TXT_STRING) && data ? data : "");
        aside->count++;
    }
    ERR_clear_error();
}

void thi_ossl_take_back(const thi_ossl_aside *aside)
{
    ERR_clear_error();
    for (size_t i = 0; i < aside->count; i++) {
        unsigned long code = aside->codes[i];
        ERR_new();
        if (aside->data[i][0] != '\0')
            ERR_set_error(ERR_GET_LIB(code), ERR_GET_REASON(code), "%s", aside->data[i]);
        else
            ERR_set_error(ERR_GET_LIB(code), ERR_GET_REASON(code), NULL);
    }
}
