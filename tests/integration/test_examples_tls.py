# SPDX-License-Identifier: MIT
"""The examples over TLS: the same programs, with another address and nothing else.

Their peers are each other, Python's ssl, and OpenSSL's own client and server.
"""
import contextlib
import os
import re
import select
import socket
import ssl
import subprocess
import threading

import pytest

from serving import TIMEOUT, eventually
from tls_peers import needs
from tls_wire import Authority

MUCH = bytes(range(256)) * 16384


class Certs:
    """An authority, and a certificate of it for this machine."""

    def __init__(self, folder):
        authority = Authority(folder)
        self.cert, self.key = authority.issue("localhost", "127.0.0.1", "::1")
        self.client_cert, self.client_key = authority.issue("client.test", usage="clientAuth")
        self.ca = authority.cert
        self.own = f"?cert={self.cert}&key={self.key}"  # what a server's address ends with
        self.trust = f"?ca={self.ca}"  # and a client's

    def client(self):
        return ssl.create_default_context(cafile=str(self.ca))

    def server(self):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(str(self.cert), str(self.key))
        return context


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    return Certs(tmp_path_factory.mktemp("certs"))


@pytest.fixture
def example(build):
    return lambda name: build / "examples" / name


def run(program, *words):
    done = subprocess.run([program, *words], text=True, timeout=TIMEOUT, capture_output=True)
    return done.returncode, done.stdout, done.stderr


def place(server):
    """Where an example listens, as it says: "127.0.0.1:4711" or "unix:/path"."""
    return server.out.lines[-1].removeprefix("listening on ")


def at(server):
    """The same as an address with TLS."""
    return ("tls+" if place(server).startswith("unix:") else "tls://") + place(server)


@contextlib.contextmanager
def called(server, certs, name="localhost"):
    """A client of Python's."""
    with socket.create_connection(server.address, TIMEOUT) as plain:
        with certs.client().wrap_socket(plain, server_hostname=name) as client:
            yield client


def take(client, size):
    data = b""
    while len(data) < size:
        piece = client.recv(size - len(data))
        assert piece, data
        data += piece
    return data


def echoes(client, data):
    """Sends and receives in turns, for it is more than all buffers on the way hold.

    By one thread: Python's connections are not for two.
    """
    client.setblocking(False)
    left, got = memoryview(data), bytearray()
    while len(got) < len(data):
        moved = False
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent = client.send(left[:65536]) if left else 0
            left, moved = left[sent:], sent > 0
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            piece = client.recv(65536)
            assert piece, len(got)
            got += piece
            moved = True
        if not moved:
            assert any(select.select([client], [client] if left else [], [], TIMEOUT))
    assert got == data
    client.settimeout(TIMEOUT)


@pytest.mark.parametrize("where", ["tls://127.0.0.1:0", "tls://[::1]:0", "tls+unix:{}/socket"])
def test_echo_server_and_client(start, example, certs, tmp_path, where):
    server = start(example("echo_server"), where.format(tmp_path) + certs.own)
    trust = certs.trust + ("&name=localhost" if "unix" in where else "")
    lines = ["warp", "weft and weft", "x" * 1024]
    assert run(example("echo_client"), at(server) + trust, *lines) == (0, "\n".join(lines) + "\n",
                                                                       "")
    server.signal()
    assert (server.wait(), server.err.lines) == (0, [])


def test_echo_server_and_python(start, example, certs):
    server = start(example("echo_server"), "tls://127.0.0.1:0" + certs.own)
    with called(server, certs) as client:
        echoes(client, MUCH)
        server.signal()
        client.sendall(b"last")
        assert take(client, 4) == b"last"
        client.unwrap().close()
    assert (server.wait(), server.err.lines) == (0, [])


def test_the_programs_echo_and_python(start, thrum_bin, certs):
    server = start(thrum_bin, "echo", "--listen", "tls://127.0.0.1:0" + certs.own)
    assert server.out.lines[1].startswith("  listening on tls://127.0.0.1:")
    with called(server, certs) as client:
        echoes(client, MUCH)
        client.unwrap().close()


def test_one_server_of_files_with_and_without_tls(start, thrum_bin, certs):
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--listen",
                   "tls://127.0.0.1:0" + certs.own, count=2)
    schemes = [line.split("//")[0] for line in server.out.lines if "listening" in line]
    assert schemes == ["  listening on http:", "  listening on https:"]
    for scheme, (_, port) in zip(("http", "https"), server.addresses):
        done = subprocess.run(["curl", "-sS", "--cacert", certs.ca, "-o", "/dev/null", "-w",
                               "%{http_code}", f"{scheme}://localhost:{port}/"], timeout=TIMEOUT,
                              capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "200"), done.stderr


def test_echo_client_and_python(example, certs):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        seen = []

        def serve():
            with certs.server().wrap_socket(listener.accept()[0], server_side=True) as peer:
                while data := peer.recv(1000):
                    seen.append(data)
                    peer.sendall(data)
                peer.unwrap()

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"tls://localhost:{listener.getsockname()[1]}{certs.trust}"
        assert run(example("echo_client"), address, "warp", "weft") == (0, "warp\nweft\n", "")
        thread.join()
    assert b"".join(seen) == b"warpweft"


def test_echo_client_does_not_believe_anybody(start, example, certs):
    program = example("echo_client")
    server = start(example("echo_server"), "tls://127.0.0.1:0" + certs.own)
    status, _, said = run(program, at(server), "warp")
    assert status == 1 and re.search(r"TLS failed: cannot connect to tls://.*Test Authority", said)
    status, _, said = run(program, at(server) + certs.trust + "&name=other.test", "warp")
    assert status == 1 and "not for other.test" in said
    status, _, said = run(program, "tls://" + place(server) + "?trust=me", "warp")
    assert status == 1 and "not 'trust'" in said
    assert run(program, at(server) + certs.trust, "warp")[:2] == (0, "warp\n")


def test_a_server_says_what_is_missing(example, certs):
    status, _, said = run(example("echo_server"), "tls://127.0.0.1:0")
    assert status == 1
    assert "needs a certificate: set .tls, write ?cert=FILE, or ?dev" in said
    status, _, said = run(example("echo_server"), f"tls://127.0.0.1:0?cert={certs.cert}")
    assert status == 1 and str(certs.cert) in said  # no key in there
    status, _, said = run(example("chat_room"), "tls://127.0.0.1:0" + certs.own)
    assert status == 1 and "asks for TLS, which is not spoken here" in said


def test_for_developing_nothing_has_to_be_made(start, example, tmp_path):
    env = {"XDG_DATA_HOME": str(tmp_path)}
    server = start(example("echo_server"), "tls://127.0.0.1:0?dev", env=env)
    done = subprocess.run([example("echo_client"), at(server) + "?dev", "warp"], text=True,
                          env={**os.environ, **env}, timeout=TIMEOUT, capture_output=True)
    assert (done.stdout, done.stderr) == ("warp\n", "")


def test_clients_may_have_to_show_a_certificate(start, example, certs):
    server = start(example("echo_server"), f"tls://127.0.0.1:0{certs.own}&ca={certs.ca}")
    own = f"{certs.trust}&cert={certs.client_cert}&key={certs.client_key}"
    assert run(example("echo_client"), at(server) + own, "warp") == (0, "warp\n", "")
    status, _, said = run(example("echo_client"), at(server) + certs.trust, "warp")
    assert status == 1 and "certificate required" in said


@pytest.mark.parametrize("listens", ["", "tls://"])
@pytest.mark.parametrize("dials", ["", "tls://"])
def test_forward_puts_tls_on_and_takes_it_off(start, example, certs, listens, dials):
    own, trust = certs.own, certs.trust
    echo = start(example("echo_server"), f"{dials}127.0.0.1:0{own if dials else ''}")
    target = dials + place(echo) + (trust if dials else "")
    forward = start(example("forward"), f"{listens}127.0.0.1:0{own if listens else ''}", target)
    with contextlib.ExitStack() as stack:
        if listens:
            client = stack.enter_context(called(forward, certs))
        else:
            client = stack.enter_context(socket.create_connection(forward.address, TIMEOUT))
        echoes(client, MUCH)
        if listens:
            client.unwrap().close()
        else:  # the end passes, as TLS has it, and comes back
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""
    forward.signal()
    assert (forward.wait(), forward.err.lines) == (0, [])


def test_announce_says_who_calls_before_tls(start, example, certs):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        port = listener.getsockname()[1]
        server = start(example("announce"), "tls://127.0.0.1:0" + certs.own,
                       f"tls://127.0.0.1:{port}{certs.trust}", 1)
        with called(server, certs) as client:
            taken = listener.accept()[0]
            taken.settimeout(TIMEOUT)
            header = b""
            while not header.endswith(b"\r\n"):
                header += taken.recv(1)
            with certs.server().wrap_socket(taken, server_side=True) as peer:
                client.sendall(b"warp")
                assert take(peer, 4) == b"warp"
                peer.sendall(b"weft")
                assert take(client, 4) == b"weft"
            own = client.getsockname()[1]
    assert header.decode() == f"PROXY TCP4 127.0.0.1 127.0.0.1 {own} {server.address[1]}\r\n"


def test_limited_server_lets_the_third_client_wait(start, example, certs):
    server = start(example("limited_server"), "tls://127.0.0.1:0" + certs.own)
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(called(server, certs))
        with called(server, certs) as second:
            assert take(first, 8) == take(second, 8) == b"welcome\n"
            third = stack.enter_context(socket.create_connection(server.address, TIMEOUT))
            third.sendall(b"\x16\x03\x01")  # what a handshake begins with
            third.setblocking(False)
            first.sendall(b"warp")
            assert take(first, 4) == b"warp"
            with pytest.raises(BlockingIOError):
                third.recv(1)
            third.close()
        fourth = stack.enter_context(called(server, certs))
        assert take(fourth, 8) == b"welcome\n"


def test_protocol_echo(start, example, certs):
    server = start(example("protocol_echo"), "tls://127.0.0.1:0" + certs.own, "udp://127.0.0.1:0")
    with called(server, certs) as client:
        echoes(client, MUCH)
        server.signal()
        client.sendall(b"last")
        assert take(client, 4) == b"last"
        client.unwrap().close()
    assert (server.wait(), server.err.lines) == (0, [])


def test_protocol_echo_and_echo_client_over_a_unix_socket(start, example, certs, tmp_path):
    server = start(example("protocol_echo"), f"tls+unix:{tmp_path}/socket{certs.own}",
                   "udp://127.0.0.1:0")
    address = at(server) + certs.trust + "&name=localhost"
    assert run(example("echo_client"), address, "warp", "weft") == (0, "warp\nweft\n", "")


def test_reconnecting_client_comes_back_until_it_is_told_bye(example, certs):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT)
        address = f"tls://127.0.0.1:{server.getsockname()[1]}{certs.trust}"
        with subprocess.Popen([example("reconnecting_client"), address], text=True,
                              stdout=subprocess.PIPE) as client:
            for text in (b"one\r\nhalf a l", b"two\r\nthree\r\n", b"bye\r\nnever\r\n"):
                plain, _ = server.accept()
                with certs.server().wrap_socket(plain, server_side=True) as connection:
                    connection.sendall(text)
                    connection.unwrap() if b"bye" not in text else connection.recv(1)
            shown = client.stdout.read()
            assert client.wait(TIMEOUT) == 0
    assert [line for line in shown.splitlines() if " ms" not in line] == [
        "one", "two", "three", "bye"]


def test_openssls_own_client_and_server(start, example, certs):
    server = start(example("echo_server"), "tls://127.0.0.1:0" + certs.own)
    host, port = server.address
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", certs.ca, "-brief",
         "-verify_return_error", "-verify_hostname", "localhost"],
        input=b"", capture_output=True, timeout=TIMEOUT)
    assert b"Verification: OK" in done.stderr, done.stderr.decode()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with subprocess.Popen(["openssl", "s_server", "-accept", f"127.0.0.1:{port}", "-cert",
                           certs.cert, "-key", certs.key, "-rev", "-quiet"],
                          stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as other:
        try:
            address = f"tls://127.0.0.1:{port}{certs.trust}"

            def ask():
                status, shown, said = run(example("echo_client"), address, "warp\n")
                return None if "refused" in said else (status, shown, said)

            # its answer is as long, and ends the line that it began with
            assert eventually(ask)[:2] == (0, "praw\n\n")
        finally:
            other.kill()


@needs("gnutls-cli", "gnutls-bin")
def test_gnutls_client(start, example, certs):
    server = start(example("protocol_echo"), "tls://127.0.0.1:0" + certs.own, "udp://127.0.0.1:0")
    host, port = server.address
    with subprocess.Popen(["gnutls-cli", "--x509cafile", certs.ca, "--verify-hostname=localhost",
                           "-p", str(port), host, "--logfile=/dev/null"], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        client.stdin.write("warp and weft\n")
        client.stdin.flush()
        line = eventually(client.stdout.readline)
        assert line == "warp and weft\n"
        client.stdin.close()
        assert client.wait(TIMEOUT) == 0
