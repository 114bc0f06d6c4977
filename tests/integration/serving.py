# SPDX-License-Identifier: MIT
"""Starting servers, watching them from outside, and ending them."""
import contextlib
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import threading
import time

import wire

TIMEOUT = wire.TIMEOUT
LISTENING = re.compile(r"listening on (?:\w+://)?(unix:.*|.*:\d+)/?$")


def address(text):
    """What a client connects to: (host, port) or a path; '@name' is an abstract socket."""
    if text.startswith("unix:"):
        path = text[5:]
        return "\0" + path[1:] if path.startswith("@") else path
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def eventually(condition, timeout=TIMEOUT):
    """Waits until the condition gives something true, and returns that."""
    end = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.002)
    return result


def connected(where):
    """Connects as soon as somebody listens: a socket file is there a moment earlier."""
    def connect():
        try:
            return wire.Client(where)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
    return eventually(connect)


def open_gate(server):
    """Lets a handler of the HTTP server for tests go on that waits at its gate, or soon will."""
    eventually(lambda: server.ask(target="/x/waiting").body != b"0")
    server.ask(target="/x/open")


class Lines(threading.Thread):
    """The lines of a stream as they come."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream = stream
        self.lines = []
        self.ended = False
        self.changed = threading.Condition()
        self.start()

    def run(self):
        for line in self.stream:
            with self.changed:
                self.lines.append(line.rstrip("\n"))
                self.changed.notify_all()
        self.stream.close()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def wait(self, condition, timeout=TIMEOUT):
        """Waits until condition(lines) gives something true, and returns that."""
        with self.changed:
            self.changed.wait_for(lambda: condition(self.lines) or self.ended, timeout)
            return condition(self.lines)


# What a machine that others use as well may take from a worker, even in the middle of a system
# call, before its watchdog's warning is one about the server. A sanitized one is slow by itself.
STALL_MAX_MS = 2000


def complaints(lines):
    """What a server said that it should not have."""
    build = os.environ.get("THRUM_BUILD")
    slow = build and sanitized(pathlib.Path(build))

    def is_excused(line):
        stall = re.search(r" is held up for (\d+) ms ", line)
        return stall and (slow or int(stall[1]) < STALL_MAX_MS)

    return [line for line in lines if not is_excused(line)]


class Server:
    """A server that runs. It listens at `addresses`; `address` is the first."""

    def __init__(self, command, count=1, env=None, limits=None):
        def limit():
            for what, value in (limits or {}).items():
                resource.setrlimit(what, value)
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="backslashreplace",
            env={**os.environ, **(env or {})}, preexec_fn=limit if limits else None)
        self.pid = self.process.pid
        self.out = Lines(self.process.stdout)
        self.err = Lines(self.process.stderr)
        self.addresses = []
        def heard(lines):
            matches = [match for match in map(LISTENING.search, lines) if match]
            return matches if len(matches) >= count else None
        found = self.out.wait(heard)
        if not found:
            self.kill()
            raise AssertionError(f"{command} did not start: {self.out.lines} {self.err.lines}")
        self.addresses = [address(match[1]) for match in found]
        self.address = self.addresses[0]

    # ---- talking to it

    tls = None  # makes TLS of a socket, for a server that speaks it

    def connect(self, address=None, **options):
        """A client of the server, at one of its addresses if it has several."""
        return wire.Client(address or self.address, **{"tls": self.tls, **options})

    def ask(self, method="GET", target="/", *fields, **more):
        """One request on a connection of its own."""
        with self.connect() as client:
            return client.ask(method, target, *fields, **more)

    @property
    def scheme(self):
        return "https" if self.tls else "http"

    @property
    def url(self):
        host, port = self.address
        return f"{self.scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    # ---- looking at it from outside

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def open_files(self):
        """What its descriptors stand for; one that is closed meanwhile is left out."""
        folder = pathlib.Path(f"/proc/{self.pid}/fd")
        for descriptor in os.listdir(folder):
            with contextlib.suppress(FileNotFoundError):
                yield os.readlink(folder / descriptor)

    def memory(self):
        """Resident bytes."""
        pages = pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def cpu(self):
        """Processor time used so far, seconds."""
        text = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(text[11]) + int(text[12])) / os.sysconf("SC_CLK_TCK")

    # ---- the end

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self, timeout=TIMEOUT):
        """Waits for its end; the exit status."""
        status = self.process.wait(timeout)
        for lines in (self.out, self.err):
            lines.join(timeout)
        return status

    def stop(self):
        """Ends it as an operator does; it must end well and have said nothing on standard error."""
        self.signal()
        status = self.wait()
        assert (status, complaints(self.err.lines)) == (0, []), self.err.lines

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()


@contextlib.contextmanager
def running(command, well=True, **options):
    """A server for the length of a `with`; `well`: it must end well."""
    server = Server(command, **options)
    try:
        yield server
        if well and server.process.poll() is None:
            server.stop()
    finally:
        server.kill()


def sanitizer(build):
    """What the build is sanitized for, as the compiler's option wants it; empty for nothing."""
    options = json.loads((build / "meson-info" / "intro-buildoptions.json").read_text())
    chosen = next(o["value"] for o in options if o["name"] == "b_sanitize")
    return "" if chosen == "none" else chosen


def sanitized(build):
    """Whether the build has a sanitizer, which takes memory and time of its own."""
    return sanitizer(build) != ""
