# SPDX-License-Identifier: MIT
"""HTTPS with clients by script: what is odd but right is served, what is wrong is never taken for
a request, and the next client is served in any case."""
import hashlib
import socket

import pytest

import serving
from files import content
from tls_link import Alert, Alerted, Ended
from tls_messages import (
    ALERT, DATA, FINISHED, HANDSHAKE, KEY_UPDATE, RENEGOTIATION, listed, message)
from tls_script12 import Client12
from tls_script13 import Client13

BOTH = (Client12, Client13)
ASK = b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
SMALL, BIG = content(1000), content(3_000_000)


@pytest.fixture(scope="module", params=["epoll", "uring", "select"])
def server(thrum_bin, authority, request, tmp_path_factory):
    """`thrum serve` with two files."""
    folder = tmp_path_factory.mktemp("www")
    (folder / "small").write_bytes(SMALL)
    (folder / "big").write_bytes(BIG)
    cert, key = authority.server
    with serving.running([thrum_bin, "serve", "--listen", "127.0.0.1:0", "--access-log", "off",
                          "--cert", cert, "--key", key, "--backend", request.param,
                          folder]) as running:
        yield running


@pytest.fixture
def serve(server):
    """Clients that have come to it: serve(Client13)."""
    def meet(kind):
        sock = socket.create_connection(server.address, serving.TIMEOUT)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return kind(sock)
    yield meet
    with meet(Client13) as peer:
        peer.handshake().record(DATA, LAST)
        assert peer.text().endswith(SMALL)


def answers(peer):
    """How many times the small file came, to the end of the connection."""
    data = peer.text()
    assert data.count(b"HTTP/1.1 200 ") == data.count(SMALL)
    return data.count(SMALL)


# ---- odd, and right

@pytest.mark.parametrize("kind", BOTH)
def test_a_request_in_the_smallest_records(serve, kind):
    """Each byte in one of its own, with empty ones between."""
    with serve(kind) as peer:
        peer.handshake()
        for at in range(len(LAST)):
            peer.records(DATA, b"", LAST[at:at + 1])
        assert answers(peer) == 1


@pytest.mark.parametrize("kind", BOTH)
def test_requests_in_one_record(serve, kind):
    with serve(kind) as peer:
        peer.handshake().record(DATA, ASK * 9 + LAST)
        assert answers(peer) == 10


def test_updates_of_keys_in_a_request(serve):
    with serve(Client13) as peer:
        peer.handshake()
        for at in range(0, len(LAST), 3):
            peer.record(DATA, LAST[at:at + 3])
            peer.update_keys(asked=0)
        assert answers(peer) == 1


def test_updates_of_keys_in_a_download(serve):
    """Both sides' keys change while three megabytes come."""
    with serve(Client13) as peer:
        peer.handshake().record(DATA, LAST.replace(b"small", b"big"))
        data, updates = b"", 0
        try:
            while True:
                kind, piece = peer.take_record()
                if kind == DATA:
                    data += piece
                    if len(data) // 100_000 > updates:
                        peer.update_keys(asked=1)
                        updates += 1
                elif piece == message(KEY_UPDATE, b"\0"):
                    peer.opening = peer.opening.updated()
        except Alerted as alert:
            assert alert.description == Alert.CLOSE_NOTIFY
        body = data.partition(b"\r\n\r\n")[2]
        assert hashlib.sha256(body).digest() == hashlib.sha256(BIG).digest()
        assert updates > 20


def test_renegotiation_in_a_request(serve):
    """It is told no, and the request is served."""
    with serve(Client12) as peer:
        said = []
        peer.handshake(finished=lambda data: said.append(data) or data).record(DATA, LAST[:20])
        peer.extensions[RENEGOTIATION] = listed(1, said[0][4:])
        peer.message(peer.hello())
        peer.record(DATA, LAST[20:])
        with pytest.raises(Alerted) as alert:
            peer.take_record()
        assert alert.value.description == Alert.NO_RENEGOTIATION
        assert answers(peer) == 1


# ---- wrong

@pytest.mark.parametrize("kind", BOTH)
def test_a_request_before_the_handshake_is_complete(serve, kind):
    with serve(kind) as peer:
        peer.handshake(until="finished").record(DATA, LAST)
        assert peer.fail() == Alert.UNEXPECTED_MESSAGE


@pytest.mark.parametrize("kind", BOTH)
def test_a_request_behind_a_wrong_finished(serve, kind):
    with serve(kind) as peer:
        peer.handshake(until="finished")
        wrong = message(FINISHED, bytes(32 if kind is Client13 else 12))
        peer.raw(peer.sealed(HANDSHAKE, wrong), peer.sealed(DATA, LAST))
        assert peer.fail(finished=lambda data: b"") == Alert.DECRYPT_ERROR


@pytest.mark.parametrize("kind", BOTH)
def test_a_wrong_bit_in_a_request(serve, kind):
    """What was right before is served; what is not is the end."""
    with serve(kind) as peer:
        peer.handshake().record(DATA, ASK)
        came = b""
        while not came.endswith(SMALL):
            number, piece = peer.take_record()
            came += piece if number == DATA else b""
        wrong = bytearray(peer.sealed(DATA, ASK))
        wrong[20] ^= 1
        peer.raw(wrong, peer.sealed(DATA, LAST))
        with pytest.raises(Alerted) as alert:
            peer.take_record()
        assert alert.value.description == Alert.BAD_RECORD_MAC
        with pytest.raises(Ended):
            peer.take_record()


@pytest.mark.parametrize("kind", BOTH)
def test_a_request_behind_the_end(serve, kind):
    """A client that has said its end has nothing more to say."""
    with serve(kind) as peer:
        peer.handshake().record(DATA, ASK)
        peer.raw(peer.sealed(ALERT, b"\1\0"), peer.sealed(DATA, ASK))
        assert answers(peer) == 1


@pytest.mark.parametrize("kind", BOTH)
def test_a_request_that_was_cut(serve, kind):
    """The connection ends within a record: there is no request, and no answer."""
    with serve(kind) as peer:
        peer.handshake()
        peer.raw(peer.sealed(DATA, LAST)[:-1])
        peer.socket.shutdown(socket.SHUT_WR)
        with pytest.raises((Ended, Alerted)):
            while True:
                assert peer.take_record()[0] != DATA
