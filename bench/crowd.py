#!/usr/bin/python3
# SPDX-License-Identifier: MIT

"""
As many open idle connections as one process may have, again and again.

In each round a crowd of connections is opened, each answered once and then left alone, and closed
again. Told is what a connection costs in memory, what a request of 64 busy connections costs among
the crowd compared with before it came, and whether memory and descriptors come back. Exit status 1
when something does not.
"""

import argparse
import json
import pathlib
import resource
import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time

from harness import machine, process

HERE = pathlib.Path(__file__).resolve().parent
REQUEST = b"GET /hello HTTP/1.1\r\nHost: crowd\r\n\r\n"
BIND_ADDRESS_NO_PORT = 24  # ip(7): the port is chosen by connect()
KEPT = 64  # descriptors that may differ after a round: the busy connections' last ones
MEMORY = 1024  # bytes that a server may keep of each connection when all have left for a minute
CALM = 60  # seconds in which it gives the rest back


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build" / "bench")
    p.add_argument("--connections", type=int, default=19000)
    p.add_argument("--rounds", type=int, default=10)
    p.add_argument("--seconds", type=float, default=1, help="of load in each measurement")
    p.add_argument("--kind", choices=("plain", "http"), action="append")
    p.add_argument("--limit", type=float, default=1.15, help="cost of a request among the crowd, "
                   "as a multiple of that without it (%(default)s)")
    p.add_argument("--realtime", action="store_true", help="run before all ordinary programs")
    a = p.parse_args()
    a.kind = a.kind or ["plain", "http"]
    return a


def raise_limit(needed):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(needed, hard), hard))


def descriptors(pid):
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))


def wait_closed(pid, most, seconds=30):
    """Waits until the server has noticed that the crowd has left, or the time is over."""
    end = time.monotonic() + seconds
    while descriptors(pid) > most and time.monotonic() < end:
        time.sleep(0.01)


def wait_small(pid, most):
    """Waits until the server's memory is down to `most`, or has been given time for it."""
    end = time.monotonic() + CALM
    while (size := process.private_bytes([pid])) > most and time.monotonic() < end:
        time.sleep(0.2)
    print(f"  {CALM - (end - time.monotonic()):.0f} s after the last round: {size >> 10} KiB")
    return size


class Crowd:
    """Connections that were answered once. Each round comes from an address of its own, so that
    ports which the last round has left are not waited for."""

    def __init__(self, port, count, message, number):
        self.members = []
        poll = selectors.DefaultSelector()
        for _ in range(count):
            s = socket.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
            s.bind((f"127.0.{1 + number}.1", 0))
            s.connect(("127.0.0.1", port))
            s.sendall(message)
            s.setblocking(False)
            poll.register(s, selectors.EVENT_READ)
            self.members.append(s)
        waiting = count
        while waiting:
            for key, _ in poll.select(30):
                if not key.fileobj.recv(4096):
                    raise process.Failed("a connection of the crowd was closed")
                poll.unregister(key.fileobj)
                waiting -= 1
        poll.close()

    def leave(self):
        for s in self.members:
            s.close()


def cost(a, kind, port, pid):
    """What a request of 64 busy connections costs the server, us of CPU time."""
    command = [str(a.build / "bench" / "load"), "echo" if kind == "plain" else "http", "--port",
               str(port), "--warmup", "0.2", "--seconds", str(a.seconds), "--spin",
               "--server", str(pid)]
    if kind == "http":
        command += ["--path", "/hello", "--expect", "13"]
    done = subprocess.run(process.pinned(1, command), capture_output=True, text=True, check=False,
                          timeout=60)
    if done.returncode != 0:
        raise process.Failed(f"load: {done.stderr}{done.stdout}")
    r = json.loads(done.stdout.splitlines()[-1])
    return 1e6 * r["server_cpu"] / r["rate"]


def play(a, kind, log):
    port = process.free_port()
    program = {"plain": [a.build / "thrum" / "thrum", "echo", "--listen", f"127.0.0.1:{port}"],
               "http": [a.build / "bench" / "thrum_server", "http", str(port)]}[kind]
    rows = []
    with process.running(process.pinned(0, [str(x) for x in program]), log) as child:
        process.wait_listening(child, port)
        pid = child.pid
        cost(a, kind, port, pid)
        for number in range(a.rounds):
            row = {"fds_before": descriptors(pid), "before": process.private_bytes([pid]),
                   "alone": cost(a, kind, port, pid)}
            calm = process.private_bytes([pid])
            crowd = Crowd(port, a.connections, REQUEST if kind == "http" else b"?", number)
            row["each"] = (process.private_bytes([pid]) - calm) / a.connections
            row["among"] = cost(a, kind, port, pid)
            row["fds_with"] = descriptors(pid)
            crowd.leave()
            wait_closed(pid, row["fds_before"] + KEPT)
            row["alone_after"] = cost(a, kind, port, pid)
            row["after"] = process.private_bytes([pid])
            row["fds_after"] = descriptors(pid)
            rows.append(row)
            print(f"  round {number + 1}: {row['each']:.0f} bytes a connection, a request "
                  f"{row['alone']:.2f} us, among the crowd {row['among']:.2f} us; memory "
                  f"{row['before'] >> 10} -> {row['after'] >> 10} KiB, descriptors "
                  f"{row['fds_before']} -> {row['fds_with']} -> {row['fds_after']}", flush=True)
        left = wait_small(pid, rows[0]["before"] + MEMORY * a.connections)
    return rows, left


def judge(a, rows, left):
    """What is wrong, as lines."""
    ratio = statistics.median(r["among"] / min(r["alone"], r["alone_after"]) for r in rows)
    wrong = []
    print(f"  a request among the crowd costs {ratio:.2f} of one without it (median of rounds)")
    if ratio > a.limit:
        wrong.append(f"requests among the crowd cost {ratio:.2f}")
    if any(r["fds_with"] < a.connections for r in rows):
        wrong.append("the server held fewer connections than were opened")
    if any(r["fds_after"] > r["fds_before"] + KEPT for r in rows):
        wrong.append("descriptors are left")
    if left > rows[0]["before"] + MEMORY * a.connections:
        wrong.append(f"memory did not come back: {rows[0]['before']} -> {left} bytes")
    return wrong


def main():
    a = parse_arguments()
    raise_limit(a.connections + 200)
    if a.realtime:
        machine.before_all_others()
    failed = False
    for kind in a.kind:
        print(f"{kind}: {a.connections} idle connections, {a.rounds} times")
        with tempfile.TemporaryFile() as log:
            wrong = judge(a, *play(a, kind, log))
        for line in wrong:
            print(f"  WRONG: {line}")
        failed = failed or bool(wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    process.unwind_on_signals()
    sys.exit(main())
