/* SPDX-License-Identifier: MIT */

/* Which options of sockets the kernel has: asked of the kernel itself, past the library. */
#ifndef THI_TEST_SOCKET_OPTION_H
#define THI_TEST_SOCKET_OPTION_H

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

/*
 * Whether it can be set on an IPv4 socket of the type (SOCK_STREAM, SOCK_DGRAM). Old kernels lack
 * some, and so do emulators that pass only on what they know.
 */
static inline bool kernel_has_option(int type, int level, int option)
{
    int value = 1;
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    bool has = setsockopt(fd, level, option, &value, sizeof value) == 0 || errno != ENOPROTOOPT;
    close(fd);
    return has;
}

#endif
