/* SPDX-License-Identifier: MIT */

/* Results in words: the texts and names of codes, and the detail of the last failure. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

thi_err_slot *(*thi_err_slot_hook)(bool make);
thi_err_slot thi_err_empty;

static _Thread_local thi_err_slot thread_slot;

static const struct code {
    int number;
    const char *name;
    const char *text;
} codes[] = {
#define TH_ERROR_ROW(name, number, text) { number, #name, text },
    TH_ERROR_LIST(TH_ERROR_ROW)
#undef TH_ERROR_ROW
};

/* Thrum's own code of that number, or NULL. */
static const struct code *find_code(int number)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].number == number)
            return &codes[i];
    return NULL;
}

/* The positive errno that a result stands for; negative (no errno) for INT_MIN. */
static int errno_of(int code)
{
    return code < 0 ? (int)(0u - (unsigned)code) : code;
}

const char *th_strerror(int code)
{
    if (code == 0)
        return "success";
    const struct code *own = find_code(code);
    const char *text = own ? own->text : thi_errno_text(errno_of(code));
    return text ? text : "unknown error";
}

const char *th_errname(int code)
{
    if (code == 0)
        return "0";
    const struct code *own = find_code(code);
    const char *name = own ? own->name : thi_errno_name(errno_of(code));
    return name ? name : "?";
}

static thi_err_slot *current_slot(bool make)
{
    thi_err_slot *slot = thi_err_slot_hook ? thi_err_slot_hook(make) : NULL;
    return slot ? slot : &thread_slot;
}

const char *th_err_detail(void)
{
    return current_slot(false)->text;
}

int thi_err_clear(int code)
{
    thi_err_slot *slot = current_slot(false);
    if (slot->text[0] != '\0') /* the empty slot is everybody's: not even a NUL is written to it */
        slot->text[0] = '\0';
    return code;
}

int thi_err_set(int code, const char *format, ...)
{
    int saved = errno;
    thi_err_slot fresh; /* the arguments may point into the present text */
    va_list args;
    va_start(args, format);
    if (vsnprintf(fresh.text, sizeof fresh.text, format, args) < 0)
        fresh.text[0] = '\0';
    va_end(args);
    memcpy(current_slot(true)->text, fresh.text, strlen(fresh.text) + 1);
    errno = saved;
    return code;
}
