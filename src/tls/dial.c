/* SPDX-License-Identifier: MIT */

/*
 * The public entry point of connecting.
 *
 * It is here and not in src/net because the address decides what is spoken, and so who dials has to
 * know all that can be: an entry point stands above everything that it can lead to.
 */
#include "net/dial.h"

int th_dial(const char *address, const th_dial_opts *opts, th_stream **stream)
{
    return thi_dial(address, address, opts, stream);
}
