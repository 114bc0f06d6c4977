/* SPDX-License-Identifier: MIT */

/* Names for code addresses of this process, static functions included. */
#ifndef THI_SYS_SYMBOLIZE_H
#define THI_SYS_SYMBOLIZE_H

#include <stdbool.h>
#include <stddef.h>

/* A buffer of this size holds most names whole. */
#define THI_SYMBOL_SIZE 160

/*
 * Writes "function+0x12 (file)" for an address in code, cut to `size` bytes with its NUL:
 * "(file+0x1234)" where no symbol covers it, "0x7f..." where no file is mapped. Whether a function
 * was found. A return address belongs to the instruction before it: hand in one less.
 *
 * May allocate, take locks and read files (the kernel's, whatever table of system calls is in
 * force): not for signal handlers. Keeps errno.
 */
bool thi_symbolize(const void *pc, char *text, size_t size);

#endif
