# SPDX-License-Identifier: MIT

"""What the servers are made to do, and what is asked of Thrum beside its peers."""

import dataclasses
import random

from harness.evaluate import Row, Target
from harness.servers import HELLO

KIB = 1024
MIB = 1024 * 1024

FILES = {"1k.txt": KIB, "100k.txt": 100 * KIB, "10m.txt": 10 * MIB}

RATE_COLUMNS = (
    ("CPU %", "server_cpu", 100, 0),
    ("per core", "per_core", 1, 0),
    ("p50 us", "p50", 1, 0),
    ("p99 us", "p99", 1, 0),
    ("p99.9 us", "p99.9", 1, 0),
    ("client idle %", "client_idle", 100, 0),
)
FILE_COLUMNS = (("MB/s", "bytes_rate", 1e-6, 0), *RATE_COLUMNS)
MEMORY_COLUMNS = (("MiB before", "before", 1 / MIB, 1), ("MiB with all", "after", 1 / MIB, 1))

# The other ways in: servers that are written with callbacks instead of fibers.
CALLBACKS = ("thrum-protocol", "thrum-dispatcher")
ECHO_TARGETS = (Target(0.95, ("raw-epoll",)), Target(1.0, ("libuv",)), Target(1.0, ("asio",)))

# The load and the server behind share a CPU, which limits the rate: work for a byte is what counts.
FORWARD_COLUMNS = (("messages/s", "rate", 1, 0), ("MB/s", "bytes_rate", 1e-6, 0),
                   ("CPU %", "server_cpu", 100, 0), ("p50 us", "p50", 1, 0),
                   ("p99 us", "p99", 1, 0))

FORWARDERS = ("haproxy", "haproxy-splice")
FILE_PEERS = ("nginx", "nginx-cache", "h2o")


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One thing to measure. `load` are the load client's arguments beyond port, time and CPU."""

    row: Row
    purpose: str  # "hello", "files", "echo", "udp", "forward": what the server has to serve
    load: tuple = ()
    file: str = ""  # purpose "files": the file that is asked for

    @property
    def mode(self):
        """The load client's mode."""
        if self.purpose == "udp":
            return "udp"
        if self.purpose in ("echo", "forward"):
            return "echo"
        return "idle" if self.row.name == "idle" else "http"

    def path(self, server):
        """What is asked for."""
        return f"/{self.file}" if self.file else server.hello_path

    def size(self):
        """The size of the body."""
        return FILES[self.file] if self.file else len(HELLO)


def _files(name, file, title, *load):
    row = Row(name, f"Static file of {title}", "requests/s",
              targets=(Target(1.05, FILE_PEERS),), columns=FILE_COLUMNS)
    return Scenario(row, "files", ("--discard", *load), file)


ALL = (
    Scenario(Row("hello", "Answer of 13 bytes, 64 keep-alive connections", "requests/s",
                 targets=(Target(0.95, ("raw-epoll",)), Target(1.15, ("nginx",))),
                 columns=RATE_COLUMNS),
             "hello", ("--connections", "64")),
    Scenario(Row("pipelined", "The same, 16 requests in flight on each connection", "requests/s",
                 targets=(Target(0.5, ("raw-epoll",)),), columns=RATE_COLUMNS),
             "hello", ("--connections", "64", "--pipeline", "16")),
    _files("static-1k", "1k.txt", "1 KiB, 64 connections", "--connections", "64"),
    _files("static-100k", "100k.txt", "100 KiB, 64 connections", "--connections", "64"),
    _files("static-10m", "10m.txt", "10 MiB, 4 connections", "--connections", "4"),
    Scenario(Row("idle", "User memory per idle keep-alive connection, 15,000 of them", "bytes",
                 targets=(Target(500, at_least=False),), columns=MEMORY_COLUMNS),
             "hello", ("--connections", "15000")),
    Scenario(Row("echo-64", "TCP echo, 64 bytes to and fro, 64 connections", "messages/s",
                 targets=ECHO_TARGETS, columns=RATE_COLUMNS, also=CALLBACKS),
             "echo", ("--connections", "64", "--size", "64")),
    Scenario(Row("echo-16k", "TCP echo, 16 KiB, 4 in flight on each of 16 connections",
                 "messages/s", columns=FILE_COLUMNS),
             "echo", ("--connections", "16", "--size", "16384", "--pipeline", "4")),
    Scenario(Row("udp-64", "UDP echo, 64 bytes, 32 in flight on each of 16 sockets", "messages/s",
                 targets=(Target(1.5, ("libuv",)),), columns=RATE_COLUMNS),
             "udp", ("--connections", "16", "--size", "64", "--pipeline", "32")),
    Scenario(Row("udp-1200", "UDP echo, 1,200 bytes, the client packs what it sends",
                 "messages/s", targets=(Target(1.5, ("libuv",)),), columns=FILE_COLUMNS),
             "udp", ("--connections", "16", "--size", "1200", "--pipeline", "32", "--packed")),
)

ALL += (
    Scenario(Row("forward-1m", "Forwarding of echoes, 1 MiB on each of 4 connections",
                 "messages per second of CPU", targets=(Target(1, FORWARDERS),), digits=1,
                 columns=FORWARD_COLUMNS),
             "forward", ("--connections", "4", "--size", "1048576")),
    Scenario(Row("forward-64", "Forwarding of echoes, 64 bytes on each of 64 connections",
                 "messages per second of CPU", targets=(Target(1, FORWARDERS),),
                 columns=FORWARD_COLUMNS),
             "forward", ("--connections", "64", "--size", "64")),
)

ROWS = tuple(s.row for s in ALL)


def write_files(www):
    """Makes what is served. The bytes do not compress and are the same in every run."""
    www.mkdir()
    www.chmod(0o755)
    www.joinpath("hello.txt").write_bytes(HELLO)
    source = random.Random(1)
    for name, size in FILES.items():
        www.joinpath(name).write_bytes(source.randbytes(size))
