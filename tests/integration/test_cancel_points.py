# SPDX-License-Identifier: MIT
"""Each example is cancelled at its first wait, at its second, and so on until there are no more.

Whatever is cancelled, the program ends by itself and in time, with a status of its own making, and
leaves no descriptor and no memory behind. What it has told its client until then is right: echoes
are a beginning of what was sent, answers are whole or cut where the client can tell.
"""
import contextlib
import functools
import http.server
import os
import pathlib
import re
import signal
import socket
import socketserver
import subprocess
import tempfile
import threading

import pytest

import wire
from serving import LISTENING, TIMEOUT, Lines, address
from test_examples import postgres  # noqa: F401

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
MOST = 40  # waits that are tried one by one; of more, the last ones as well
REPORT = re.compile(r".*: (?:cancelled at wait \d+ of (\d+)|(\d+) waits, not cancelled); "
                    r"left: (-?\d+) descriptors, (-?\d+) allocations")
BROKEN = re.compile(r"Sanitizer|runtime error:|assertion failed|overflow")


class Run:
    """A run of a program that is cancelled at its n-th wait."""

    patience = 0  # seconds that it is given to end by itself

    def __init__(self, command, n):
        self.n = n
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="backslashreplace",
            env={**os.environ, "THRUM_CANCEL_AT": str(n)})
        self.out = Lines(self.process.stdout)
        self.err = Lines(self.process.stderr)

    def where(self):
        """Where it listens; None when it ends before."""
        match = self.out.wait(lambda lines: next(filter(None, map(LISTENING.search, lines)), None))
        return address(match[1]) if match else None

    def stop(self):
        """Asks it to end, if it is not about to end by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(Run.patience)
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def finish(self, kept=("0",)):
        """Waits for its end, and checks it: how many waits there were, and whether that was in vain.

        As many allocations may be left as the library keeps for the process. None when the signal
        came a moment too late to tell.
        """
        try:
            status = self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"cancelled at wait {self.n} it hangs") from None
        for lines in (self.out, self.err):
            lines.join(TIMEOUT)
        if status == -signal.SIGTERM:  # it was about to end, and no longer looks at signals
            return None
        said = self.err.lines
        reports = list(filter(None, map(REPORT.fullmatch, said)))
        assert len(reports) == 1, (self.n, status, said)
        report = reports[0]
        cancelled, untouched, descriptors, allocations = report.groups()
        assert descriptors == "0" and allocations in kept, (self.n, said)
        others = [line for line in said if line != report[0]]
        assert status in (0, 1) and (status == 1 or not others), (self.n, status, said)
        assert not any(map(BROKEN.search, others)), (self.n, said)
        return int(cancelled or untouched), untouched is not None


def talk_to_echo(where):
    """What comes back is a beginning of what was sent: in small steps, then more than fits."""
    sent = b"warp and weft" * 100000
    got = b""
    with contextlib.suppress(ConnectionError, wire.Closed):
        with contextlib.closing(wire.Client(where)) as client:
            for _ in range(5):
                client.send(b"warp")
                assert client.take(4) == b"warp"
            sender = threading.Thread(target=send_all, args=(client.socket, sent))
            sender.start()
            while data := client.socket.recv(65536):
                got += data
            sender.join()
    assert got == sent[:len(got)]


def send_all(sock, data):
    with contextlib.suppress(ConnectionError, OSError):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)


def talk_to_limited(where):
    """The same behind a greeting, on three connections at once, of which one has to wait."""
    with contextlib.ExitStack() as stack, contextlib.suppress(ConnectionError):
        clients = [stack.enter_context(contextlib.closing(wire.Client(where))) for _ in range(3)]
        for client in clients:
            send_all(client.socket, b"warp")
        for client in clients:
            got = b""
            while data := client.socket.recv(100):
                got += data
            assert got == b"welcome\nwarp"[:len(got)]


def talk_to_http(where):
    """Answers are right, or the connection ends before they are whole."""
    with contextlib.suppress(ConnectionError, wire.Closed):
        with contextlib.closing(wire.Client(where)) as client:
            for name in ("loom", "warp"):
                answer = client.ask(target=f"/hello/{name}")
                assert (answer.status, answer.body) == (200, f"hello, {name}\n".encode())


def talk_to_room(where):
    """What is heard is a beginning of what was said, and of what the room says."""
    with contextlib.ExitStack() as stack, contextlib.suppress(ConnectionError, wire.Closed):
        clients = [stack.enter_context(contextlib.closing(wire.Client(where))) for _ in range(2)]
        clients[0].send(b"warp\n")
        send_all(clients[0].socket, b"/quit\n")
        send_all(clients[1].socket, b"/quit\n")
        for client in clients:
            got = b""
            while data := client.socket.recv(100):
                got += data
            whole = re.compile(rb"(\* somebody has (come|left)|[\d.:]+: warp|bye)\r\n")
            assert whole.sub(b"", got + b"") == b"" or not got.endswith(b"\n")


def talk_to_files(where):
    """A file is whole, or the connection ends before."""
    with contextlib.suppress(ConnectionError, wire.Closed):
        with contextlib.closing(wire.Client(where)) as client:
            client.send(b"conftest.py\nnone\n\n")
            content = (pathlib.Path(__file__).parent / "conftest.py").read_bytes()
            expected = b"%d\n%bno\n" % (len(content), content)
            got = b""
            while data := client.socket.recv(65536):
                got += data
            assert got == expected[:len(got)]


def talk_by_datagrams(where):
    """One datagram, again and again until something comes back or nobody is there any more."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, \
            contextlib.suppress(ConnectionError):
        client.connect(where)
        client.settimeout(0.1)
        for _ in range(10 * TIMEOUT):
            client.send(bytes([3 << 3 | 3]) + bytes(47))  # what an SNTP client asks
            with contextlib.suppress(TimeoutError):
                assert len(client.recv(100)) == 48
                return


TALKS = {"protocol_echo": talk_to_echo, "pool_echo": talk_to_echo, "sntp": talk_by_datagrams,
         "udp_echo": talk_by_datagrams,
         "chat_files": talk_to_files, "chat_room": talk_to_room, "dispatch_echo": talk_to_echo,
         "echo_server": talk_to_echo, "limited_server": talk_to_limited, "http_hello": talk_to_http}


def serve_once(program, n):
    """A server, one client, and the signal to stop."""
    run = Run([program, "http://127.0.0.1:0" if program.name == "http_hello" else "127.0.0.1:0",
               *([pathlib.Path(__file__).parent] if program.name == "chat_files" else []),
               *(["udp://127.0.0.1:0"] if program.name in ("protocol_echo", "pool_echo") else [])], n)
    if where := run.where():
        TALKS[program.name](where)
        run.stop()
    return run.finish()


@functools.cache
def echoing():
    """An echo server that is not of this library, as HOST:PORT."""
    class Echo(socketserver.BaseRequestHandler):
        def handle(self):
            with contextlib.suppress(ConnectionError):
                while data := self.request.recv(4096):
                    self.request.sendall(data)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"127.0.0.1:{server.server_address[1]}"


def forward_once(program, n):
    """A server between a client and another; `announce` says who comes before what he says."""
    run = Run([program, "127.0.0.1:0", echoing(), *["1"] * (program.name == "announce")], n)
    if where := run.where():
        got = b""
        with contextlib.suppress(ConnectionError, wire.Closed), \
                contextlib.closing(wire.Client(where)) as client:
            send_all(client.socket, b"warp")
            while data := client.socket.recv(100):
                got += data
        got = re.sub(rb"^PROXY TCP4 [0-9. ]+\r\n", b"", got)
        assert got == b"warp"[:len(got)] or (program.name == "announce" and b"\n" not in got)
        run.stop()
    return run.finish()


def lookup_once(program, n):
    """A name of the hosts file and an address: either is told rightly, or nothing is."""
    with tempfile.TemporaryDirectory() as name:
        hosts = pathlib.Path(name) / "hosts"
        hosts.write_text("192.0.2.7 loom.test\n")
        run = Run([program, "-H", hosts, "loom.test", "127.0.0.1"], n)
        found = run.finish()
    assert run.process.returncode == 1 or "192.0.2.7" in "".join(run.out.lines), run.out.lines
    return found


def reconnect_once(program, n):
    """A server that says two lines, of which the second is the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        run = Run([program, f"127.0.0.1:{listener.getsockname()[1]}"], n)

        def serve():
            client, _ = listener.accept()
            with client:
                send_all(client, b"warp\r\nbye\r\n")

        server = threading.Thread(target=serve)
        server.start()
        found = run.finish()
        with contextlib.suppress(OSError):  # in case that nobody came
            socket.create_connection(listener.getsockname(), TIMEOUT).close()
        server.join()
    return found


def echo_to(listener):
    """A server for one client, in a thread."""
    with contextlib.suppress(OSError):
        client, _ = listener.accept()
        with client:
            while data := client.recv(4096):
                client.sendall(data)


def dial_once(program, n):
    """A client, and a server that is not of this library."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=echo_to, args=(listener,))
        server.start()
        run = Run([program, f"127.0.0.1:{listener.getsockname()[1]}", "warp", "weft"], n)
        found = run.finish()
        with contextlib.suppress(OSError):  # in case that nobody came
            socket.create_connection(listener.getsockname(), TIMEOUT).close()
        server.join()
    assert run.out.lines == ["warp", "weft"][:len(run.out.lines)]
    return found


def simulate_once(program, n):
    """One world; it counts by itself."""
    done = subprocess.run([program, "4", str(n)], text=True, timeout=TIMEOUT, capture_output=True)
    report = re.search(r"(\d+) waits; left: 0 descriptors, 0 allocations\n\Z", done.stdout)
    assert report and done.stderr == "" and done.returncode in (0, 1), (n, done)
    assert "EDEADLK" not in done.stdout and "TH_ELIMIT" not in done.stdout, (n, done)
    waits = int(report[1])
    assert n <= waits or done.returncode == 0, (n, done)
    return waits, n > waits


@functools.cache
def served():
    """Two files over HTTP, by a server that is not of this library."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            body = b"x" * 10000
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return [f"http://127.0.0.1:{server.server_port}/{name}" for name in ("warp", "weft")]


def transfer_once(program, n):
    """What is transferred is whole, or the program fails."""
    run = Run([program, *served()], n)
    found = run.finish()
    whole = [f"200 10000 {url}" for url in served()]
    assert run.out.lines == whole or run.process.returncode == 1, (n, run.out.lines)
    return found


def count_once(program, n):
    """All words are counted, or the program fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "deep").mkdir()
        for i in range(10):
            (folder / f"file{i}").write_text("warp and weft\n")
            (folder / "deep" / f"file{i}").write_text("shuttle\n" * 5000)
        run = Run([program, folder], n)
        found = run.finish()
    assert run.process.returncode == 1 or run.out.lines == ["50030 words in 20 files"], n
    return found


def follow_once(program, n):
    """What is shown is a beginning of what was written."""
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name) / "log"
        path.write_text("first\n")
        run = Run([program, path], n)
        run.out.wait(lambda lines: lines)
        with path.open("a") as log:
            print("second", file=log)
        run.out.wait(lambda lines: lines[1:])
        path.unlink()
        found = run.finish()
    assert run.out.lines == ["first", "second"][:len(run.out.lines)]
    assert run.process.returncode == 1 or len(run.out.lines) == 2, n
    return found


def query_once(where, program, n):
    """All answers are right, or the program fails."""
    run = Run([program, where], n)
    found = run.finish()
    assert run.process.returncode == 1 or run.out.lines[0].startswith("20 right answers "), n
    return found


def upgrade_once(authority, program, n):
    """A server of TLS and one client, that may be left at any time; and the signal to stop."""
    run = Run([program, "serve", "127.0.0.1:0", *authority.server], n)
    if where := run.where():
        with contextlib.suppress(OSError):
            with socket.create_connection(where, TIMEOUT) as plain:
                plain.sendall(b"STARTTLS\n")
                plain.recv(6, socket.MSG_WAITALL)
                with authority.client().wrap_socket(plain, server_hostname="localhost") as safe:
                    safe.sendall(b"warp")
                    assert safe.recv(4) in (b"", b"warp")
                    safe.unwrap()
        run.stop()
    return run.finish(kept=("0", "2"))  # the keys of tickets, which all contexts share


def run_once(program, n):
    """A program that needs nothing and ends by itself."""
    return Run([program], n).finish()


def try_once(once, program, n):
    for attempt in range(10):
        Run.patience = 0.05 * attempt
        if found := once(program, n):
            return found
    raise AssertionError(f"cancelled at wait {n} it always ends too early to be stopped")


WAYS = {**dict.fromkeys(TALKS, serve_once), **dict.fromkeys(("announce", "forward"), forward_once),
        "echo_client": dial_once, "simulate": simulate_once, "curl_multi": transfer_once,
        "count_words": count_once, "follow": follow_once, "lookup": lookup_once,
        "reconnecting_client": reconnect_once}


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.c")))
def test_a_cancellation_at_any_wait_leaves_nothing_behind(name, build, sanitized, request):
    once = WAYS.get(name, run_once)
    program = build / "examples" / name
    if not program.exists():
        pytest.skip(f"{name} is not built: its library is missing")
    if name.startswith("foreign_"):
        pytest.skip("not by th_main(), which is what cancels at the n-th wait")
    if name == "tls_echo":
        once = functools.partial(upgrade_once, request.getfixturevalue("authority"))
    if name == "postgres":
        once = functools.partial(query_once, request.getfixturevalue("postgres"))
    most = MOST // 4 if sanitized else MOST
    waits = 0
    for n in range(1, most + 1):
        waits, untouched = try_once(once, program, n)
        if untouched:
            return
    for n in range(max(most + 1, waits - 3), waits + 2):
        try_once(once, program, n)


def test_a_number_that_is_none_is_refused(build):
    program = str(build / "examples" / "sleeps")
    done = subprocess.run([program], text=True, timeout=TIMEOUT, capture_output=True,
                          env={**os.environ, "THRUM_CANCEL_AT": "-1"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f"{program}: cannot start: Invalid argument: "
                           "THRUM_CANCEL_AT is '-1', not a number\n")
