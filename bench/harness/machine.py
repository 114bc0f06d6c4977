# SPDX-License-Identifier: MIT

"""What the machine is and how busy it is: facts without which a figure means nothing."""

import datetime
import os
import platform
import subprocess
import sys
import time


def _field(path, name):
    """The value of `name : value` or `name: value` in a /proc file."""
    with open(path, encoding="utf-8") as f:
        for line in f:
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    return "unknown"


def describe():
    """The machine, as it is written into every result."""
    memory_kib = int(_field("/proc/meminfo", "MemTotal").split()[0])
    release = platform.freedesktop_os_release()
    return {
        "cpu": _field("/proc/cpuinfo", "model name"),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory_kib / 1024 / 1024, 1),
        "kernel": platform.release(),
        "system": release.get("PRETTY_NAME", "unknown"),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def before_all_others():
    """Gives this program, and all that it starts, a priority above every ordinary program's."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    except PermissionError:
        sys.exit("--realtime: only root, or who has CAP_SYS_NICE, may do that")


def before_the_client(pid):
    """Lets a server that shares the client's CPU run before it. The client never sleeps: at equal
    priority of that kind the server would not run at all. Nothing to do at ordinary priority."""
    if os.sched_getscheduler(pid) == os.SCHED_FIFO:
        above = os.sched_getparam(pid).sched_priority + 1
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(above))


def first_line(command):
    """The first line that a command prints, for versions; "unknown" when it cannot run."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              stdin=subprocess.DEVNULL, timeout=10, check=False, text=True)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return (done.stdout.splitlines() or ["unknown"])[0].strip()


def _busy_seconds():
    with open("/proc/stat", encoding="utf-8") as f:
        user, nice, system, _idle, _wait, irq, softirq, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def busy_cpus(seconds=0.5):
    """How many CPUs others keep busy, looked at for a moment in which the caller does nothing."""
    before, begin = _busy_seconds(), time.monotonic()
    time.sleep(seconds)
    return (_busy_seconds() - before) / (time.monotonic() - begin)


def wait_quiet(limit, patience):
    """Waits at most `patience` seconds until less than `limit` CPUs are busy. Whether it came."""
    end = time.monotonic() + patience
    while busy_cpus() >= limit:
        if time.monotonic() >= end:
            return False
    return True
