# SPDX-License-Identifier: MIT
"""The peers that follow a script play by the rules if nothing else is wanted: with OpenSSL's
programs, and with both ends of Thrum."""
import contextlib
import socket
import subprocess

import pytest

from serving import TIMEOUT, eventually
from tls_ends import IDENTITY
from tls_messages import ALPN, DATA, GROUPS, P256, PSK, SHARE, X25519, listed, numbers, ticket13
from tls_script12 import Client12, Server12
from tls_script13 import Client13, Server13

CLIENTS, SERVERS = (Client12, Client13), (Server12, Server13)


# ---- OpenSSL's

@contextlib.contextmanager
def openssl(*words):
    with subprocess.Popen(["openssl", *map(str, words)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def connected(port):
    """Connects as soon as somebody listens."""
    def connect():
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port), TIMEOUT)
        return None
    return eventually(connect)


@pytest.mark.parametrize("groups", ["X25519:P-256", "P-256"])
@pytest.mark.parametrize("client", CLIENTS)
def test_clients_with_s_server(several_ends, client, groups):
    """With a certificate that it asks for and, in 1.3, another hello. What is typed comes."""
    cert, key = several_ends.cert, several_ends.key
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with openssl("s_server", "-accept", f"127.0.0.1:{port}", "-cert", cert, "-key", key, "-Verify",
                 "1", "-CAfile", cert, "-quiet", "-groups", groups) as process:
        with client(connected(port), identity=IDENTITY) as peer:
            peer.handshake()
            process.stdin.write(b"some\n")
            process.stdin.flush()
            if client is Client13:
                assert [peer.take_ticket().lifetime for _ in range(2)] == [7200, 7200]
            assert peer.expect(DATA) == b"some\n"


@pytest.mark.parametrize("request_certificate", [False, True])
@pytest.mark.parametrize("server", SERVERS)
def test_servers_with_s_client(several_ends, server, request_certificate):
    cert, key = several_ends.cert, several_ends.key
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(TIMEOUT)
        port = listener.getsockname()[1]
        with openssl("s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-CAfile", cert,
                     "-verify_return_error", "-verify_hostname", "localhost", "-cert", cert,
                     "-key", key) as process:
            with server(listener.accept()[0], identity=IDENTITY,
                        request=request_certificate) as peer:
                peer.handshake()
                peer.record(DATA, b"some\n")
                assert process.stdout.readline() == b"some\n"


# ---- Thrum's

@pytest.mark.parametrize("client", CLIENTS)
def test_clients_with_thrum(ends, client):
    with ends.meet(client) as peer:
        peer.handshake()
        if client is Client13:
            peer.take_ticket()
            peer.take_ticket()
        peer.record(DATA, b"some")
        assert peer.expect(DATA) == b"some"
        peer.alert(1, 0)
        assert peer.end() == 0
    assert ends.outcome(peer.port) == ("server", "TH_EOF", "")


@pytest.mark.parametrize("client", CLIENTS)
def test_clients_with_a_certificate(several_ends, client):
    ends = several_ends.get(asks=True)
    with ends.meet(client) as peer:
        peer.handshake()
        peer.alert(1, 0)
        assert peer.end() == 0
    assert ends.outcome(peer.port) == ("server", "TH_EOF", "")


def test_a_session_resumed_by_thrums_server(ends):
    with ends.meet(Client13) as peer:
        ticket = peer.handshake().take_ticket()
    with ends.meet(Client13, ticket=ticket) as peer:
        assert peer.handshake().resumed
        peer.take_ticket()
        peer.record(DATA, b"some")
        assert peer.expect(DATA) == b"some"


def test_a_session_resumed_by_thrums_client(several_ends):
    ends = several_ends.get(session_time=3600000)
    with ends.meet(Server13) as peer:
        peer.handshake()
        peer.message(ticket13(b"a ticket", b"1"))
        peer.expect(DATA)
        peer.record(DATA, b"some")
        assert peer.expect(DATA) == b"some"
        psk = peer.psk_of(b"1")
        peer.alert(1, 0)
        peer.end()
    with ends.meet(Server13, psk=psk) as peer:
        peer.handshake()
        assert b"a ticket" in peer.hello.extensions[PSK]
        assert peer.expect(DATA) == b"hello"


@pytest.mark.parametrize("group", [P256, X25519])
def test_another_hello_for_thrums_server(ends, group):
    """Which asks for it where no share is of use."""
    with ends.meet(Client13) as peer:
        peer.extensions |= {GROUPS: listed(2, numbers(group)), SHARE: listed(2, b"")}
        peer.handshake()
        assert peer.share.group == group
        peer.record(DATA, b"some")


def test_another_hello_of_thrums_client(ends):
    with ends.meet(Server13) as peer:
        peer.handshake(until="server_hello")
        peer.retry(P256)
        peer.handshake()
        assert peer.expect(DATA) == b"hello"


@pytest.mark.parametrize("server", SERVERS)
def test_servers_with_thrum(ends, server):
    with ends.meet(server) as peer:
        peer.handshake()
        assert peer.hello.extensions[ALPN] == listed(2, listed(1, b"http/1.1"))
        assert peer.expect(DATA) == b"hello"
        peer.record(DATA, b"some")
        assert peer.expect(DATA) == b"some"
        peer.alert(1, 0)
        assert peer.end() == 0
    assert ends.outcome(peer.port) == ("client", "TH_EOF", "")
