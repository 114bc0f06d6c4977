# SPDX-License-Identifier: MIT
"""The program's access log: each line's fields, what strangers put into them, readers that fail."""
import calendar
import contextlib
import json
import re
import signal
import subprocess
import threading
import time

import pytest

from files import content, www  # noqa: F401 (fixtures)
from serving import LISTENING, TIMEOUT, Lines, address, complaints, connected, eventually
from wire import Client, request

COMMON = re.compile(r'(\S+) - - \[([^]]+)\] "(-|[^ "]+ [^ "]+ HTTP/1\.[01])" (\d{3}|-) (\d+|-)')
FIELDS = ["time", "peer", "method", "target", "version", "host", "status", "bytes", "duration_us",
          "referer", "user_agent"]
DROPPED = re.compile(r"# ([1-9]\d*) lines dropped")
START_LINES = 6  # of a server with three addresses


class Logged:
    """`thrum serve` on IPv4, IPv6 and a Unix socket, whose log goes to a file."""

    def __init__(self, thrum_bin, folder, *words):
        self.path = folder / "log"
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(
                [thrum_bin, "serve", "--workers", "1", "--listen", "127.0.0.1:0", "--listen",
                 "[::1]:0", "--listen", f"unix:{folder}/socket", *words],
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE)

    def start(self):
        def started():
            assert self.process.poll() is None, self.process.stderr.read()
            lines = self.path.read_bytes().split(b"\n")
            return lines[1:4] if len(lines) > START_LINES else None
        self.addresses = [address(LISTENING.search(line.decode())[1])
                          for line in eventually(started)]

    def connect(self, which=0):
        return Client(self.addresses[which])

    def lines(self, count):
        """Waits for so many lines of the log; no more than these have come."""
        def written():
            data = self.path.read_bytes()
            return data if data.count(b"\n") >= START_LINES + count else None
        lines = eventually(written).split(b"\n")
        assert lines.pop() == b"" and len(lines) == START_LINES + count
        return [line.decode("ascii", "strict") if line.isascii() else line
                for line in lines[START_LINES:]]

    def stop(self):
        self.process.terminate()
        said = self.process.communicate(timeout=TIMEOUT)[1].decode()
        assert complaints(said.splitlines()) == [], said
        assert self.process.returncode == 0


@pytest.fixture
def logged(thrum_bin, tmp_path):
    """Starts a server whose log is looked at: logged("--access-log", "json", ...)."""
    with contextlib.ExitStack() as stack:
        def start(*words):
            server = Logged(thrum_bin, tmp_path, *words)
            stack.callback(server.process.wait)
            stack.callback(server.process.kill)
            server.start()
            return server
        yield start


def objects(lines):
    """The lines as JSON objects, their names in order."""
    pairs = [json.loads(line, object_pairs_hook=list) for line in lines]
    for one in pairs:
        assert [name for name, _ in one] == FIELDS
    return [dict(one) for one in pairs]


# ---- the fields

def exchanges(server):
    """One request of each kind; yields what the log should say: the line, status, bytes, client."""
    for which, peer in enumerate(("127.0.0.1", "::1", "unix")):
        with server.connect(which) as client:
            answer = client.ask("GET", "/f?a=b&c=%0a", "Referer: http://there/", "User-Agent: loom")
            yield "GET /f?a=b&c=%0a HTTP/1.1", 200, len(answer.body), peer, client.socket
            assert client.ask("HEAD", "/f").get("Content-Length") == "70000"
            yield "HEAD /f HTTP/1.1", 200, 0, peer, client.socket
            answer = client.ask("GET", "/none")
            yield "GET /none HTTP/1.1", 404, len(answer.body), peer, client.socket
            answer = client.ask("GET", "/f", "Range: bytes=10-19")
            yield "GET /f HTTP/1.1", 206, 10, peer, client.socket
            answer = client.ask("POST", "/f", body=b"x")
            yield "POST /f HTTP/1.1", 405, len(answer.body), peer, client.socket
            answer = client.ask("GET", "/", "Connection: keep-alive", version="1.0")
            yield "GET / HTTP/1.0", answer.status, len(answer.body), peer, client.socket
            client.send(b"nonsense\r\n\r\n")
            answer = client.response()
            yield "-", 400, len(answer.body), peer, client.socket


def test_the_fields_of_common_lines(logged, www):
    (www / "f").write_bytes(content(70000))
    server = logged(www)  # the default
    before = int(time.time())
    for count, (line, status, size, peer, _) in enumerate(exchanges(server), 1):
        match = COMMON.fullmatch(server.lines(count)[-1])
        assert match[1] == peer and match[3] == line
        when = calendar.timegm(time.strptime(match[2], "%d/%b/%Y:%H:%M:%S +0000"))
        assert before <= when <= time.time()
        assert (match[4], match[5]) == (str(status), str(size) if size else "-")
    assert count == 21
    server.stop()


def test_the_fields_of_json_lines(logged, www):
    (www / "f").write_bytes(content(70000))
    server = logged("--access-log", "json", www)
    before = time.time()
    for count, (line, status, size, peer, sock) in enumerate(exchanges(server), 1):
        one = objects(server.lines(count))[-1]
        method, target, version = line.split() if line != "-" else ("", "", "HTTP/1.1")
        assert (one["method"], one["target"], one["version"]) == (method, target, version[5:])
        assert (one["status"], one["bytes"]) == (status, size)
        host, port = sock.getsockname()[:2] if peer != "unix" else ("", "")
        assert one["peer"] == {"127.0.0.1": f"{host}:{port}", "::1": f"[{host}]:{port}",
                               "unix": "unix:"}[peer]
        assert one["host"] == ("localhost" if method else "")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", one["time"])
        seconds = calendar.timegm(time.strptime(one["time"][:19], "%Y-%m-%dT%H:%M:%S"))
        when = seconds + int(one["time"][20:23]) / 1000
        assert before - 0.001 <= when <= time.time()
        assert type(one["duration_us"]) is int
        assert 0 < one["duration_us"] <= (time.time() - before) * 1e6
        asked = (one["referer"], one["user_agent"])
        assert asked == (("http://there/", "loom") if "?" in target else ("", ""))
    assert count == 21
    server.stop()


def test_off_is_off(logged):
    server = logged("--access-log", "off")
    with server.connect() as client:
        assert client.ask().status == 200
    server.stop()
    assert server.lines(0) == []


def test_every_request_of_many_clients_has_a_line(logged):
    server = logged("--access-log", "json", "--workers", "2")

    def ask(name):
        with server.connect() as client:
            client.send(*[request("GET", f"/{name}/{i}") for i in range(200)])
            for _ in range(200):
                assert client.response().status == 404

    clients = [threading.Thread(target=ask, args=[name], daemon=True) for name in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(TIMEOUT)
    lines = objects(server.lines(1600))
    assert {one["target"] for one in lines} == {f"/{n}/{i}" for n in range(8) for i in range(200)}
    by_peer = {}
    for one in lines:
        by_peer.setdefault(one["peer"], []).append(one["target"])
    for targets in by_peer.values():  # the order of a connection is kept
        name = targets[0].split("/")[1]
        assert targets == [f"/{name}/{i}" for i in range(200)]
    server.stop()


# ---- what strangers send

HOSTILE = [
    ('"quoted\\"', '"quoted\\"'),
    ('","status":200,"x":"', '","status":200,"x":"'),
    ("tab\there", "tab\there"),
    ("\xc3\xbc\xe2\x82\xac\xf0\x9f\x90\x9d", "\u00fc\u20ac\U0001f41d"),  # UTF-8
    ("\xff\xfe\x80", "\u00ff\u00fe\u0080"),  # no UTF-8
    ("\xc0\xaf\xed\xa0\x80", "\u00c0\u00af\u00ed\u00a0\u0080"),  # overlong, a surrogate
    ("\xc2\x85\xe2\x80\xa8", "\u0085\u2028"),  # ends of lines, to some
    ("' OR 1=1; $(reboot) `reboot` %s%n ${jndi:x}", "' OR 1=1; $(reboot) `reboot` %s%n ${jndi:x}"),
]


def whole_lines(data):
    """Splits as whoever reads a log might: a stranger's text must not add a line."""
    lines = data.decode("utf-8", "strict").split("\n")
    for line in lines:
        assert not re.search(r"[\x00-\x1f\x7f]", line)
    return lines


def test_fields_of_strangers_in_json(logged):
    server = logged("--access-log", "json")
    with server.connect() as client:
        for text, _ in HOSTILE:
            client.ask("GET", "/", f"Referer: {text}", f"User-Agent: {text}")
    server.lines(len(HOSTILE))
    lines = whole_lines(server.path.read_bytes())[START_LINES:-1]
    for one, (_, shown) in zip(objects(lines), HOSTILE, strict=True):
        assert (one["status"], one["referer"], one["user_agent"]) == (200, shown, shown)
    server.stop()


@pytest.mark.parametrize("kind", ["common", "json"])
def test_requests_that_would_forge_a_line_leave_none_of_it(logged, kind):
    """What cannot stand in a request is refused, and not shown."""
    host = b" HTTP/1.1\r\nHost: a\r\n"
    attacks = [b'GET /"forged' + host, b"GET /forged\xff" + host, b"GET /\x1b[31mforged" + host,
               b'FORGED" /' + host, b"GET /\rforged" + host, b"GET /forged\0" + host,
               b"GET /" + host + b"User-Agent: \x1b[31mforged\r\n",
               b"GET /" + host + b"Referer: a\rforged\r\n",
               b"GET /" + host + b"Referer: a\0forged\r\n"]
    server = logged("--access-log", kind)
    for count, attack in enumerate(attacks, 1):
        with server.connect() as client:
            client.send(attack, b"\r\n")
            assert client.response().status == 400
        server.lines(count)
    data = server.path.read_bytes()
    assert b"forged" not in data.lower()
    for line in whole_lines(data)[START_LINES:-1]:
        if kind == "json":
            assert objects([line])[0]["status"] == 400
        else:
            assert COMMON.fullmatch(line)[3] == "-"
    server.stop()


def test_long_texts_are_cut(logged):
    server = logged("--access-log", "json")
    with server.connect() as client:
        assert client.ask("GET", "/" + 299 * "x", f"Referer: {80 * 'r'}").status == 404
        assert client.ask("GET", "/" + 300 * "x", f"Referer: {81 * 'r'}",
                          "User-Agent: " + 5000 * "\xff").status == 404
    short, long = objects(server.lines(2))
    assert (short["target"], short["referer"]) == ("/" + 299 * "x", 80 * "r")
    assert (long["target"], long["referer"]) == ("/" + 299 * "x" + "...", 80 * "r" + "...")
    assert long["user_agent"] == 80 * "\xff" + "..."
    server.stop()


# ---- readers that fail

class Unread:
    """`thrum serve` whose log is a pipe that nobody reads at first."""

    def __init__(self, thrum_bin, folder):
        self.path = folder / "socket"
        self.process = subprocess.Popen(
            [thrum_bin, "serve", "--workers", "2", "--quiet", "--access-log", "common", "--listen",
             f"unix:{self.path}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.asked = 0

    def ask(self, count):
        """So many requests on one connection, each of which leaves a long line."""
        with Client(str(self.path)) as client:
            for _ in range(0, count, 100):
                client.send(request("GET", "/" + 200 * "x") * 100)
                for _ in range(100):
                    assert client.response().status == 404
        self.asked += count

    def end(self):
        """Ends it; what it says on standard error."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(TIMEOUT) == 0
        return self.process.stderr.read()


@pytest.fixture
def unread(thrum_bin, tmp_path):
    server = Unread(thrum_bin, tmp_path)
    try:
        connected(str(server.path)).close()
        yield server
    finally:
        server.process.kill()
        server.process.wait()


class Account:
    """How many requests the lines tell of, those included that they say were dropped."""

    def __init__(self):
        self.seen = 0
        self.requests = 0
        self.dropped = 0

    def take(self, lines):
        """Looks at the lines that are new; gives the number of requests up to here."""
        for line in lines[self.seen:]:
            match = DROPPED.fullmatch(line)
            assert match or COMMON.fullmatch(line), line
            self.seen += 1
            self.requests += int(match[1]) if match else 1
            self.dropped += int(match[1]) if match else 0
        return self.requests


MANY = 5000  # more lines than the pipe and the server's buffers keep


def test_a_reader_that_stops_holds_up_no_request_and_the_log_goes_on_after(unread):
    unread.ask(MANY)
    lines, account = Lines(unread.process.stdout), Account()
    assert lines.wait(lambda lines: account.take(lines) == MANY)
    assert 0 < account.dropped < MANY
    seen = len(lines.lines)
    unread.ask(100)
    assert lines.wait(lambda lines: account.take(lines) == MANY + 100)
    assert len(lines.lines) == seen + 100
    assert unread.end() == ""


def test_a_reader_that_stops_does_not_hold_up_the_end(unread):
    unread.ask(MANY)
    match = re.fullmatch(r"thrum: warning: the access log ends without (\d+) lines: nobody took "
                         r"them\n", unread.end())
    lines = unread.process.stdout.read().split("\n")[:-1]
    assert lines and Account().take(lines) + int(match[1]) == MANY


def test_a_reader_that_goes_costs_lines_and_nothing_else(unread):
    unread.process.stdout.close()
    unread.ask(100)
    unread.ask(100)
    assert unread.end() == ("thrum: warning: the access log ends without 200 lines: nobody took "
                            "them\n")
