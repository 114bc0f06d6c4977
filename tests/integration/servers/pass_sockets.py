#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Starts a command as systemd starts a service with sockets: they stand from descriptor 3 on, and
the environment tells how many they are, what they are called, and which process they are for.

Usage: pass_sockets.py NAME=HOST:PORT | NAME=/path | NAME=N ... -- COMMAND...     N: a descriptor
"""
import fcntl
import os
import socket
import sys


def opened(text):
    """The number of a listening socket."""
    if text.isdigit():
        return int(text)
    if text.startswith("/"):
        sock, where = socket.socket(socket.AF_UNIX), text
    else:
        sock, (host, _, port) = socket.socket(), text.rpartition(":")
        where = host, int(port)
    sock.bind(where)
    sock.listen()
    return sock.detach()


def main():
    split = sys.argv.index("--")
    pairs = [word.split("=", 1) for word in sys.argv[1:split]]
    aside = [fcntl.fcntl(opened(where), fcntl.F_DUPFD_CLOEXEC, 100) for _, where in pairs]
    for number, descriptor in enumerate(aside, 3):
        os.dup2(descriptor, number, inheritable=True)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(pairs)),
                      LISTEN_FDNAMES=":".join(name for name, _ in pairs))
    command = sys.argv[split + 1:]
    os.execv(command[0], command)


main()
