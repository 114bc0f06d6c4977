/* SPDX-License-Identifier: MIT */

/* The table behind chars.h. */
#include "proto/chars.h"

#define TOKEN   THI_CHAR_TOKEN
#define VALUE   THI_CHAR_VALUE
#define TARGET  THI_CHAR_TARGET
#define REGNAME THI_CHAR_REGNAME
#define HEX     THI_CHAR_HEX
#define DIGIT   THI_CHAR_DIGIT
#define RELAXED THI_CHAR_RELAXED
#define QUOTED  THI_CHAR_QUOTED

/* What every printable ASCII byte but DQUOTE and backslash is part of. */
#define PRINT (VALUE | QUOTED)
/* Letters, digits and "-", "." "_" "~": unreserved (RFC 3986, 2.3), all of them tchar as well. */
#define UNRESERVED (PRINT | TOKEN | TARGET | REGNAME)
/* The sub-delims (RFC 3986, 2.2) that are no tchar. */
#define DELIM (PRINT | TARGET | REGNAME)

const uint8_t thi_char_class[256] = {
    ['\t'] = PRINT,
    [' '] = PRINT,
    ['!'] = UNRESERVED,
    ['"'] = VALUE,
    ['#'] = PRINT | TOKEN,
    ['$'] = UNRESERVED,
    ['%'] = PRINT | TOKEN,
    ['&'] = UNRESERVED,
    ['\''] = UNRESERVED,
    ['('] = DELIM,
    [')'] = DELIM,
    ['*'] = UNRESERVED,
    ['+'] = UNRESERVED,
    [','] = DELIM,
    ['-'] = UNRESERVED,
    ['.'] = UNRESERVED,
    ['/'] = PRINT | TARGET,
    ['0' ... '9'] = UNRESERVED | HEX | DIGIT,
    [':'] = PRINT | TARGET,
    [';'] = DELIM,
    ['<'] = PRINT,
    ['='] = DELIM,
    ['>'] = PRINT,
    ['?'] = PRINT,
    ['@'] = PRINT | TARGET,
    ['A' ... 'F'] = UNRESERVED | HEX,
    ['G' ... 'Z'] = UNRESERVED,
    ['['] = PRINT | RELAXED,
    ['\\'] = VALUE | RELAXED,
    [']'] = PRINT | RELAXED,
    ['^'] = PRINT | TOKEN | RELAXED,
    ['_'] = UNRESERVED,
    ['`'] = PRINT | TOKEN | RELAXED,
    ['a' ... 'f'] = UNRESERVED | HEX,
    ['g' ... 'z'] = UNRESERVED,
    ['{'] = PRINT | RELAXED,
    ['|'] = PRINT | TOKEN | RELAXED,
    ['}'] = PRINT | RELAXED,
    ['~'] = UNRESERVED,
    [0x80 ... 0xff] = PRINT, /* obs-text */
};
