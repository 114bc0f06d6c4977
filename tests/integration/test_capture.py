# SPDX-License-Identifier: MIT
"""thrum capture: what passes over the connections of a process, as tshark sees it."""
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

import pytest

from serving import TIMEOUT, eventually
from wire import Client

CONTROL = {"THRUM_CONTROL": "1"}


@pytest.fixture
def echo(start, thrum_bin):
    """An echo server that may be captured: echo("--listen", ADDRESS, ...)."""
    def begin(*words, listen="127.0.0.1:0", env=CONTROL):
        return start(thrum_bin, "echo", "--listen", listen, *words, env=env)
    return begin


def sockets(pid):
    """The descriptors of a process that are sockets."""
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            if os.readlink(f"/proc/{pid}/fd/{fd}").startswith("socket:"):
                found.append(int(fd))
        except FileNotFoundError:
            pass
    return sorted(found)


class Capture:
    """A capture under way, of which the process knows."""

    def __init__(self, thrum_bin, pid, out, *words):
        self.out = pathlib.Path(out)
        self.process = subprocess.Popen([thrum_bin, "capture", str(pid), *words, "--out", out],
                                        text=True, stderr=subprocess.PIPE)
        # Its first blocks are in the file when the process has agreed.
        assert eventually(lambda: self.out.exists() and self.out.stat().st_size > 0)

    def has(self, text):
        """Waits until it has a text twice: there and back. A call is over before it is captured."""
        assert eventually(lambda: self.out.read_bytes().count(text) >= 2)

    def end(self, number=signal.SIGINT):
        """Ends it; (connections, packets, bytes lost)."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        _, err = self.process.communicate(timeout=TIMEOUT)
        assert self.process.returncode == 0, err
        told = re.fullmatch(r"(\d+) connections, (\d+) packets, (\d+) bytes lost\n", err)
        assert told, err
        return tuple(map(int, told.groups()))


@pytest.fixture
def capture(thrum_bin, tmp_path):
    captures = []

    def begin(pid, *words):
        captures.append(Capture(thrum_bin, pid, tmp_path / f"out{len(captures)}.pcapng", *words))
        return captures[-1]
    yield begin
    for c in captures:
        if c.process.poll() is None:
            c.process.kill()
            c.process.wait()


def tshark(path, *words):
    if not shutil.which("tshark"):
        pytest.skip("tshark is not installed: tools/setup.sh test")
    done = subprocess.run(["tshark", "-n", "-r", path, "-o", "tcp.check_checksum:TRUE",
                           "-o", "ip.check_checksum:TRUE", *words],
                          text=True, timeout=60, capture_output=True,
                          env={**os.environ, "HOME": str(pathlib.Path(path).parent)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def fields(path, *names, where="tcp"):
    """The fields of all packets."""
    words = [word for name in names for word in ("-e", name)]
    out = tshark(path, "-Y", where, "-T", "fields", "-E", "separator=|", *words)
    return [line.split("|") for line in out.splitlines()]


def streams(path):
    """What was sent on each connection: {(from, to): bytes}, ports of IP."""
    sent = {}
    for source, target, payload in fields(path, "tcp.srcport", "tcp.dstport", "tcp.payload"):
        key = int(source), int(target)
        sent[key] = sent.get(key, b"") + bytes.fromhex(payload)
    return sent


def is_sound(path, allowed=()):
    """Whether tshark has nothing to say about the packets."""
    said = {line[0] for line in fields(path, "_ws.expert.message", where="_ws.expert")}
    return [text for text in said
            if not re.search(r"HTTP/1.1|Connection (establish|finish|reset)|This frame (ends|undergoes|is)",
                             text) and not any(word in text for word in allowed)]


# ---- what is in the file

@pytest.mark.parametrize("backend", ["epoll", "uring"])
def test_tshark_reads_and_follows_the_bytes(echo, capture, backend):
    server = echo("--backend", backend, "--workers", "2")
    before = sockets(server.pid)
    c = capture(server.pid)
    port = server.address[1]
    said = {}
    for n in range(5):
        with server.connect() as client:
            text = f"warp {n} ".encode() * 1000
            client.send(text)
            assert client.take(len(text)) == text
            said[client.socket.getsockname()[1]] = text
    assert eventually(lambda: len(sockets(server.pid)) == len(before) + 1)  # the capture's own
    connections, packets, lost = c.end()
    assert (connections, lost) == (5, 0)
    sent = streams(c.out)
    for client_port, text in said.items():
        assert sent.get((client_port, port)) == text, (sorted(sent), said.keys(), port)
        assert sent[port, client_port] == text
    assert is_sound(c.out) == []
    rows = fields(c.out, "ip.src", "ip.dst", "tcp.flags.syn", "tcp.flags.fin", "frame.time_epoch")
    assert len(rows) == packets
    assert {row[0] for row in rows} == {"127.0.0.1"}
    assert sum(int(row[2]) for row in rows) == 10
    assert sum(int(row[3]) for row in rows) == 10
    times = [float(row[4]) for row in rows]
    assert abs(times[0] - time.time()) < 60
    first = int(fields(c.out, "tcp.srcport")[0][0])
    followed = re.sub(r"\s", "", tshark(c.out, "-q", "-z", "follow,tcp,raw,0"))
    assert followed.count(said[first].hex()) == 2  # there and back


def test_a_connection_that_was_there_before(echo, capture):
    server = echo()
    with server.connect() as client:
        client.send(b"before")
        assert client.take(6) == b"before"
        c = capture(server.pid)
        client.send(b"after")
        assert client.take(5) == b"after"
        c.has(b"after")
        assert c.end()[0] == 1
    assert set(streams(c.out).values()) == {b"after"}


@pytest.mark.parametrize("name", ["address", "port", "descriptor"])
def test_only_what_is_named(echo, capture, name):
    server = echo()
    with server.connect() as first, server.connect() as second:
        for client in (first, second):
            client.send(b"x")
            assert client.take(1) == b"x"
        port = second.socket.getsockname()[1]
        what = {"address": f"127.0.0.1:{port}", "port": f":{port}",
                "descriptor": str(sockets(server.pid)[-1])}
        c = capture(server.pid, what[name])
        for client in (first, second):
            client.send(b"weft")
            assert client.take(4) == b"weft"
        c.has(b"weft")
        assert c.end()[0] == 1
    ports = {key[0] for key in streams(c.out)}
    if name == "descriptor":
        assert len(ports) == 2
    else:
        assert ports == {server.address[1], port}


def test_ipv6_and_unix_sockets(echo, capture, tmp_path):
    server = echo(listen="[::1]:0")
    c = capture(server.pid)
    with server.connect() as client:
        client.send(b"six")
        assert client.take(3) == b"six"
    c.has(b"six")
    assert c.end()[0] == 1
    assert {row[0] for row in fields(c.out, "ipv6.src")} == {"::1"}
    assert set(streams(c.out).values()) == {b"six"}
    assert is_sound(c.out) == []
    server = echo(listen=f"unix:{tmp_path}/socket")
    c = capture(server.pid)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{tmp_path}/socket")
        client.sendall(b"unix")
        assert client.recv(4) == b"unix"
    c.has(b"unix")
    assert c.end()[0] == 1
    assert {tuple(row) for row in fields(c.out, "ip.src", "ip.dst")} == {
        ("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")}
    assert set(streams(c.out).values()) == {b"unix"}


def test_files_that_are_sent_and_http(start, thrum_bin, capture, tmp_path):
    """sendfile(2) moves bytes that are never in the process; they are captured all the same."""
    content = bytes(range(256)) * 3000
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "cloth.bin").write_bytes(content)
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--access-log", "off",
                   tmp_path / "www", env=CONTROL)
    c = capture(server.pid)
    with server.connect() as client:
        assert client.ask(target="/cloth.bin").body == content
    assert eventually(lambda: c.out.stat().st_size > len(content))
    assert c.end()[2] == 0
    assert is_sound(c.out) == []
    answer = max(streams(c.out).values(), key=len)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(content)
    [request] = fields(c.out, "http.request.uri", where="http.request")
    assert request == ["/cloth.bin"]


def test_connections_of_protocols(start, build, capture):
    server = start(build / "examples" / "protocol_echo", "127.0.0.1:0", "udp://127.0.0.1:0",
                   env=CONTROL)
    c = capture(server.pid)
    with server.connect() as client:
        client.send(b"warp and weft")
        assert client.take(13) == b"warp and weft"
    c.has(b"warp and weft")
    assert c.end()[0] == 1
    assert list(streams(c.out).values()) == [b"warp and weft"] * 2
    assert is_sound(c.out) == []


# ---- inside of TLS

@pytest.fixture
def https(start, thrum_bin, authority, tmp_path):
    """An HTTPS server that may be captured, and the file it has."""
    content = bytes(range(256)) * 1000
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "cloth.bin").write_bytes(content)
    cert, key = authority.server
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--access-log", "off", "--cert",
                   cert, "--key", key, tmp_path / "www", env=CONTROL)
    return server, content


def fetch(server, authority):
    url = f"https://localhost:{server.address[1]}/cloth.bin"
    done = subprocess.run(["curl", "-sS", "--max-time", "30", "--cacert", authority.cert, url],
                          capture_output=True, check=True)
    return done.stdout


def test_plaintext_on_request_only(https, capture, authority):
    server, content = https
    c = capture(server.pid)
    assert fetch(server, authority) == content
    assert eventually(lambda: c.out.stat().st_size > len(content))
    assert c.end()[0] == 1
    wire = b"".join(streams(c.out).values())
    assert b"cloth" not in wire and content[:100] not in wire
    assert fields(c.out, "frame.comment", where="frame.comment") == []
    assert fields(c.out, "tls.handshake.type", where="tls.handshake.type == 1") == [["1"]]

    c = capture(server.pid, "--plaintext", f":{server.address[1]}")
    assert fetch(server, authority) == content
    assert eventually(lambda: c.out.stat().st_size > len(content))
    assert c.end()[::2] == (1, 0)
    assert is_sound(c.out, allowed=["inside of TLS"]) == []
    answer = max(streams(c.out).values(), key=len)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and answer.endswith(content)
    assert fields(c.out, "http.request.uri", where="http.request") == [["/cloth.bin"]]
    [comment] = fields(c.out, "frame.comment", "tcp.flags.syn", where="frame.comment")
    assert comment == ["what is inside of TLS, in plain", "1"]


def test_plaintext_of_a_connection_that_was_there_before(https, capture, authority):
    server, _ = https
    with socket.create_connection(server.address, TIMEOUT) as plain, \
            authority.client().wrap_socket(plain, server_hostname="localhost") as client:
        client.sendall(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 404 ")
        c = capture(server.pid, "--plaintext")
        client.sendall(b"HEAD /cloth.bin HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert eventually(lambda: b"HTTP/1.1 200 " in c.out.read_bytes())
        assert c.end()[::2] == (1, 0)
    assert fields(c.out, "http.request.method", where="http.request") == [["HEAD"]]


@pytest.mark.parametrize("plaintext", [True, False])
def test_a_connection_on_which_tls_begins_later(start, build, capture, authority, plaintext):
    server = start(build / "examples" / "tls_echo", "serve", "127.0.0.1:0", *authority.server,
                   env=CONTROL)
    c = capture(server.pid, *(["--plaintext"] if plaintext else []))
    before = len(sockets(server.pid))
    with socket.create_connection(server.address, TIMEOUT) as plain:
        plain.sendall(b"STARTTLS\n")
        assert plain.recv(6, socket.MSG_WAITALL) == b"ready\n"
        with authority.client().wrap_socket(plain, server_hostname="localhost") as client:
            client.sendall(b"warp and weft")
            assert client.recv(100) == b"warp and weft"
            client.unwrap()
    assert eventually(lambda: len(sockets(server.pid)) == before)
    assert c.end()[0] == 1
    asked, answered = streams(c.out).values()
    if plaintext:
        assert (asked, answered) == (b"STARTTLS\nwarp and weft", b"ready\nwarp and weft")
        assert is_sound(c.out) == []
    else:
        assert asked.startswith(b"STARTTLS\n\x16\x03") and answered.startswith(b"ready\n\x16\x03")
        assert b"warp" not in asked + answered


def test_plaintext_of_protocols(start, build, capture, authority):
    cert, key = authority.server
    server = start(build / "examples" / "protocol_echo",
                   f"tls://127.0.0.1:0?cert={cert}&key={key}", "udp://127.0.0.1:0", env=CONTROL)
    c = capture(server.pid, "--plaintext")
    with socket.create_connection(server.address, TIMEOUT) as plain, \
            authority.client().wrap_socket(plain, server_hostname="localhost") as client:
        client.sendall(b"warp and weft")
        assert client.recv(100) == b"warp and weft"
        c.has(b"warp and weft")
    assert c.end()[0] == 1
    assert list(streams(c.out).values()) == [b"warp and weft"] * 2


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_plaintext_is_for_the_processs_own_user(start, capture, thrum_bin, tmp_path):
    """Root, which may capture the wire, has to become that user first."""
    server = start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", thrum_bin, "echo",
                   "--listen", "127.0.0.1:0", env=CONTROL)
    done = subprocess.run([thrum_bin, "capture", "--plaintext", str(server.pid), "--out",
                           tmp_path / "out"], text=True, timeout=TIMEOUT, capture_output=True)
    assert done.returncode == 1 and done.stderr == (
        "thrum capture: what is inside of TLS is shown to the process's own user alone\n")
    capture(server.pid).end()


# ---- the process goes on

def test_who_captures_and_does_not_read_slows_nobody(echo):
    server = echo()
    pid = server.pid
    with socket.socket(socket.AF_UNIX) as lazy, server.connect() as client:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(f"\0thrum/control/{pid}")
        lazy.sendall(b"capture *\n")
        assert lazy.recv(3) == b"ok\n"
        text = b"warp" * 4096
        for _ in range(400):  # 13 MB both ways, a ring has one
            client.send(text)
            assert client.take(len(text)) == text
        lost = read_lost(lazy, client)
    assert lost > 0


def read_lost(lazy, client):
    """Reads what there is until it is told how much was lost."""
    lazy.settimeout(TIMEOUT)
    offsets = {2: 0, 3: 0}
    while True:
        size, kind, _, _, offset = struct.unpack("=IIQqQ", take(lazy, 32))
        take(lazy, size)
        if kind == 7:
            return offset
        if kind in offsets:
            assert offset >= offsets[kind]
            offsets[kind] = offset + size


def take(sock, size):
    data = b""
    while len(data) < size:
        got = sock.recv(size - len(data))
        assert got, "it ended"
        data += got
    return data


def test_a_gap_shows_where_bytes_were_lost(echo, thrum_bin, tmp_path, capture):
    """The capture is stopped while a lot passes, and goes on then."""
    server = echo()
    c = capture(server.pid)
    with server.connect() as client:
        client.send(b"first")
        assert client.take(5) == b"first"
        c.process.send_signal(signal.SIGSTOP)
        text = b"warp" * 4096
        for _ in range(400):
            client.send(text)
            assert client.take(len(text)) == text
        c.process.send_signal(signal.SIGCONT)
        assert eventually(lambda: c.out.stat().st_size > 1_000_000)
        for _ in range(2000):  # until it has caught up, and there is something behind the gap
            client.send(b"last")
            assert client.take(4) == b"last"
            if c.out.read_bytes()[-200:].count(b"last"):
                break
            time.sleep(0.01)
    _, _, lost = c.end()
    assert lost > 0
    assert any("previous segment" in text.lower() for text in is_sound(c.out))


def test_the_end_of_the_process_ends_the_capture(echo, capture):
    server = echo()
    c = capture(server.pid)
    with server.connect() as client:
        client.send(b"warp")
        assert client.take(4) == b"warp"
        c.has(b"warp")
    server.stop()
    assert c.wait()[0] == 1


def test_one_after_the_other(echo, capture):
    server = echo()
    for n in range(3):
        c = capture(server.pid)
        with server.connect() as client:
            client.send(b"turn %d" % n)
            assert client.take(6) == b"turn %d" % n
        c.has(b"turn %d" % n)
        assert c.end()[0] == 1
        assert set(streams(c.out).values()) == {b"turn %d" % n}


def test_a_limit_of_time(echo, capture):
    c = capture(echo().pid, "--seconds", "1")
    began = time.monotonic()
    assert c.wait() == (0, 0, 0)
    assert time.monotonic() - began < TIMEOUT
    assert tshark(c.out) == ""


# ---- what is refused

@pytest.fixture
def refused(thrum_bin, tmp_path):
    def run(*words):
        done = subprocess.run([thrum_bin, "capture", *words], text=True, timeout=TIMEOUT,
                              capture_output=True)
        assert done.stdout == ""
        return done.returncode, done.stderr
    return run


def test_without_consent_there_is_no_capture(echo, refused):
    pid = echo(env={"THRUM_CONTROL": "0"}).pid
    assert refused(str(pid)) == (
        1, f"thrum capture: process {pid} has no control socket: it must run with "
           "THRUM_CONTROL=1\n")


def test_somebody_elses_socket_is_not_believed(refused):
    with subprocess.Popen(["sleep", "60"]) as other, socket.socket(socket.AF_UNIX) as imposter:
        imposter.bind(f"\0thrum/control/{other.pid}")
        imposter.listen()
        status, err = refused(str(other.pid))
        other.kill()
    assert (status, err) == (1, f"thrum capture: somebody else, process {os.getpid()}, answers for "
                                f"process {other.pid}\n")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_other_users_get_nothing(echo):
    pid = echo().pid
    code = ("import socket\n"
            "s = socket.socket(socket.AF_UNIX)\n"
            f"s.connect('\\0thrum/control/{pid}')\n"
            "print(s.recv(100))\n")
    done = subprocess.run(["python3", "-c", code], text=True, timeout=TIMEOUT, capture_output=True,
                          user=65534, group=65534, extra_groups=[])
    assert done.stdout == "b'error: the process belongs to another user\\n'\n", done.stderr


@pytest.mark.parametrize("line, answer", [
    (b"weave\n", b"error: this process knows no such request\n"),
    (b"capture \n", b"error: that names no connection\n"),
    (b"plaintext \n", b"error: that names no connection\n"),
    (b"capture " + b"x" * 200 + b"\n", b"error: that names no connection\n"),
    (b"x" * 300, b""),
])
def test_nonsense_is_answered_and_the_next_is_served(echo, line, answer):
    pid = echo().pid
    for sent, expected in ((line, answer), (b"capture *\n", b"ok\n")):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(TIMEOUT)
            client.connect(f"\0thrum/control/{pid}")
            client.sendall(sent)
            try:
                assert client.recv(100) == expected
            except ConnectionResetError:
                assert expected == b""


@pytest.mark.parametrize("words, line", [
    ([], "which process?"), (["0"], "0: is no number of a process"),
    (["weave"], "weave: is no number of a process"), (["1", ""], "'': names no connection"),
    (["1", "a", "b"], "b: is one too many"),
    (["1", "--seconds", "0"], "--seconds 0: must be a number from 1 to 1000000"),
])
def test_a_wrong_command_line(refused, words, line):
    assert refused(*words) == (2, f"thrum capture: {line} (see thrum capture --help)\n")


def test_a_process_that_is_none(refused):
    assert refused(str(2**31 - 1)) == (1, "thrum capture: there is no process 2147483647\n")
