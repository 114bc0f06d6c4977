/* SPDX-License-Identifier: MIT */

/* What each option of a th_tune is: its name, its value's kind, and the kernel's option. */
#ifndef THI_NET_TUNE_TABLE_H
#define THI_NET_TUNE_TABLE_H

#include <thrum/tune.h>

#include <stdbool.h>

/* What a value means. Of all of these but LINGER and TEXT the kernel takes a number. */
typedef enum thi_tune_kind {
    THI_TUNE_FLAG,
    THI_TUNE_BYTES,
    THI_TUNE_BUFFER, /* bytes, of which the kernel allows so many */
    THI_TUNE_RATE,   /* bytes a second, in 64 bits */
    THI_TUNE_TIME,
    THI_TUNE_NUMBER,
    THI_TUNE_LINGER,
    THI_TUNE_TEXT
} thi_tune_kind;

/* Which sockets have an option, as a mask. */
enum {
    THI_TUNE_ON_UNIX = 1,
    THI_TUNE_ON_TCP = 2,
    THI_TUNE_ON_UDP = 4,
    THI_TUNE_ON_INET = THI_TUNE_ON_TCP | THI_TUNE_ON_UDP,
    THI_TUNE_ON_ALL = THI_TUNE_ON_UNIX | THI_TUNE_ON_INET,
    THI_TUNE_ON_IP6 = 8 /* these, and of the others only those of IPv6 */
};

/* As <thrum/tune.h> defines them. */
enum { THI_TUNE_BIND, THI_TUNE_LISTEN, THI_TUNE_DIAL, THI_TUNE_OPEN, THI_TUNE_EACH };

typedef struct thi_tune_entry {
    const char *name;
    uint16_t offset; /* of the member in th_tune */
    uint8_t size;    /* of the member */
    uint8_t stage;
    uint8_t kind;
    uint8_t sockets;
    int level;
    int option;
    int option6;  /* of IPPROTO_IPV6, where that has one of its own; else 0 */
    int64_t unit; /* TIME: nanoseconds of the kernel's unit */
    int64_t max;  /* of the value in the kernel's unit; 0: INT_MAX */
} thi_tune_entry;

extern const thi_tune_entry thi_tune_entries[TH_TUNE_OPTIONS];

/* The value of a number; TEXT has a string at thi_tune_text() instead. */
int64_t thi_tune_get(const th_tune *tune, const thi_tune_entry *entry);
const char *thi_tune_text(const th_tune *tune, const thi_tune_entry *entry);

/* Sets a value, and its bit in `given`. The text is shorter than the member. */
void thi_tune_put(th_tune *tune, enum th_tune_option option, int64_t value);
void thi_tune_put_text(th_tune *tune, enum th_tune_option option, const char *text, size_t len);

/* Leaves an option alone. */
void thi_tune_drop(th_tune *tune, enum th_tune_option option);

/* Whether an option is to be set. */
bool thi_tune_is_set(const th_tune *tune, enum th_tune_option option);

/* Whether a value is one that the kernel's type can hold; always true of TEXT. */
bool thi_tune_in_range(const thi_tune_entry *entry, int64_t value);

#endif
