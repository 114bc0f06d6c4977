# SPDX-License-Identifier: MIT

"""Child processes of a benchmark: started on one CPU, measured, and ended with all of theirs."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time


class Failed(Exception):
    """A server or the load client did not do what it should; the message says which and what."""


def free_port():
    """A TCP port on loopback that nobody listens on at this moment."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def pinned(cpu, command):
    """The command, to be run on one CPU and to be killed should this program die."""
    return ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(cpu), *command]


def _parents():
    """pid -> parent's pid, of all processes."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8") as f:
                # The command's name stands in parentheses and may hold anything but is the last.
                found[int(name)] = int(f.read().rpartition(")")[2].split()[1])
    return found


def family(pid):
    """The process and all its descendants."""
    parents = _parents()
    members = {pid}
    grown = True
    while grown:
        more = {child for child, parent in parents.items() if parent in members} - members
        members |= more
        grown = bool(more)
    return sorted(members)


def cpu_seconds(pid):
    """CPU time that a process has used, its threads included."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def private_bytes(pids):
    """
    Memory that the processes own: anonymous and shared-memory pages, each divided by the number of
    processes that map it. Files (the program, libraries) are not counted.
    """
    kib = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as f:
            for line in f:
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    kib += int(line.split()[1])
    return kib * 1024


def _end(child):
    """Ends a child and its process group: politely, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=3)
            break
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


@contextlib.contextmanager
def running(command, log):
    """Runs a command in a process group of its own for the time of the block."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             process_group=0)
    try:
        yield child
    finally:
        _end(child)


def wait_listening(child, port, seconds=10):
    """Waits until the port takes connections."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if child.poll() is not None:
            raise Failed(f"ended at its start with status {child.returncode}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.02)
    raise Failed(f"takes no connections on port {port} after {seconds} s")


def unwind_on_signals():
    """Makes SIGTERM unwind the stack like an interrupt, so that every `finally` is reached."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
