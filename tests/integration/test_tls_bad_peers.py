# SPDX-License-Identifier: MIT
"""Clients of `thrum serve --tls` that break the rules of TLS, each in a way of its own.

Their messages are written by hand. After each of them, the server answers the next client.
"""
import contextlib
import socket
import ssl
import struct

import pytest

from serving import TIMEOUT
from wire import Client

ALERT, HANDSHAKE = 21, 22
# Descriptions of alerts, RFC 8446, 6.
UNEXPECTED_MESSAGE, RECORD_OVERFLOW = 10, 22
HANDSHAKE_FAILURE, ILLEGAL_PARAMETER, DECODE_ERROR = 40, 47, 50
PROTOCOL_VERSION, INAPPROPRIATE_FALLBACK, INTERNAL_ERROR = 70, 86, 80
MISSING_EXTENSION, NO_APPLICATION_PROTOCOL = 109, 120


@pytest.fixture
def server(tls_probe):
    return tls_probe(workers=1, head_time=2000)


def record(kind, data, version=0x0303):
    return struct.pack("!BHH", kind, version, len(data)) + data


def extension(number, data):
    return struct.pack("!HH", number, len(data)) + data


def listed(width, data):
    """Bytes with their count in front, in `width` bytes."""
    return len(data).to_bytes(width, "big") + data


GROUPS = extension(10, listed(2, b"\0\x17\0\x1d"))  # P-256, X25519
SIGNATURES = extension(13, listed(2, b"\x04\x03\x08\x04\x04\x01"))
ONLY_1_3 = extension(43, listed(1, b"\x03\x04"))
X25519_SHARE = extension(51, listed(2, b"\0\x1d" + listed(2, b"\x09" + bytes(31))))
CIPHERS_1_2 = b"\xc0\x2b\xc0\x2f"
CIPHERS_1_3 = b"\x13\x01"


def hello(ciphers=CIPHERS_1_2, extensions=GROUPS + SIGNATURES, version=0x0303, compression=b"\0",
          random=bytes(range(32)), more=b""):
    body = struct.pack("!H", version) + random + b"\0" + listed(2, ciphers)
    body += listed(1, compression) + listed(2, extensions) + more
    return record(HANDSHAKE, b"\x01" + listed(3, body), 0x0301)


def answer(server, *data):
    """Sends the data and reads to the end; the records that came: [(kind, bytes)]."""
    with Client(server.address) as client:
        for piece in data:
            client.send(piece)
        came = client.rest()
    records = []
    while came:
        kind, _version, size = struct.unpack("!BHH", came[:5])
        assert len(came) >= 5 + size
        records.append((kind, came[5:5 + size]))
        came = came[5 + size:]
    return records


def alert(server, *data):
    """The same where an alert must be the last record: its description."""
    records = answer(server, *data)
    assert records and records[-1][0] == ALERT, records
    level, description = records[-1][1]
    assert level == 2
    return description


# ---- beginnings

@pytest.mark.parametrize("data, wanted", [
    (hello(b"\0\x01\0\x02"), {HANDSHAKE_FAILURE}),  # without encryption
    (hello(b"\0\x05\0\x0a\0\x2f"), {HANDSHAKE_FAILURE}),  # RC4, 3DES, CBC without PFS
    (hello(b""), {DECODE_ERROR, ILLEGAL_PARAMETER, HANDSHAKE_FAILURE}),
    (hello(compression=b""), {DECODE_ERROR, ILLEGAL_PARAMETER}),
    (hello(compression=b"\x01"), {DECODE_ERROR, ILLEGAL_PARAMETER}),
    (hello(version=0x0300), {PROTOCOL_VERSION, HANDSHAKE_FAILURE}),
    (hello(version=0x0301), {PROTOCOL_VERSION}),
    (hello(version=0x0302), {PROTOCOL_VERSION}),
    (hello(extensions=extension(43, listed(1, b"\x03\x02"))), {PROTOCOL_VERSION}),
    (hello(CIPHERS_1_2 + b"\x56\0"), {INAPPROPRIATE_FALLBACK}),  # RFC 7507
    (hello(extensions=GROUPS + GROUPS + SIGNATURES), {ILLEGAL_PARAMETER, DECODE_ERROR}),
    (hello(extensions=extension(10, b"\0\x07\0\x17")), {DECODE_ERROR}),
    (hello(more=b"more"), {DECODE_ERROR}),
    (hello(CIPHERS_1_3, ONLY_1_3 + X25519_SHARE + SIGNATURES), {MISSING_EXTENSION}),
    (hello(CIPHERS_1_3, ONLY_1_3 + GROUPS + X25519_SHARE), {MISSING_EXTENSION}),
    (hello(CIPHERS_1_3, ONLY_1_3 + GROUPS + SIGNATURES), {MISSING_EXTENSION}),
    (hello(CIPHERS_1_2, ONLY_1_3 + GROUPS + SIGNATURES + X25519_SHARE), {HANDSHAKE_FAILURE}),
    (hello(CIPHERS_1_3, ONLY_1_3 + GROUPS + SIGNATURES
           + extension(51, listed(2, b"\0\x1d" + listed(2, bytes(32))))),  # of small order
     {ILLEGAL_PARAMETER, INTERNAL_ERROR}),
    (hello(CIPHERS_1_3, ONLY_1_3 + GROUPS + SIGNATURES
           + extension(51, listed(2, b"\0\x17" + listed(2, b"\x04" + bytes(64))))),  # no point
     {ILLEGAL_PARAMETER, INTERNAL_ERROR}),
    (hello(extensions=GROUPS + SIGNATURES + extension(16, listed(2, listed(1, b"h2")))),
     {NO_APPLICATION_PROTOCOL}),
    (hello(extensions=GROUPS + SIGNATURES + extension(0, listed(2, b"\0\0\x05a"))),
     {DECODE_ERROR}),
    (record(HANDSHAKE, b"\x02\0\0\0"), {UNEXPECTED_MESSAGE}),  # a server's message
    (record(HANDSHAKE, b"\x14\0\0\x0c" + bytes(12)), {UNEXPECTED_MESSAGE}),  # Finished first
    (record(HANDSHAKE, b"\x01\xff\xff\xff" + bytes(100)), {ILLEGAL_PARAMETER, DECODE_ERROR,
                                                           UNEXPECTED_MESSAGE}),
    (record(HANDSHAKE, bytes(16385)), {RECORD_OVERFLOW, UNEXPECTED_MESSAGE}),
])
def test_hello(server, data, wanted):
    assert alert(server, data) in wanted
    assert server.ask().status == 200


@pytest.mark.parametrize("kind", [0, 20, 24, 25, 255])
def test_records_of_a_kind_that_comes_later_or_never(server, kind):
    records = answer(server, record(kind, b"\x01"))
    assert all(kind == ALERT for kind, _ in records)
    assert server.ask().status == 200


def test_empty_records(server):
    """They are passed over, a flood of them is not (OpenSSL ends it after 32)."""
    assert answer(server, record(HANDSHAKE, b"") * 2000)[-1][0] == ALERT
    assert server.ask().status == 200


def test_what_is_unknown_is_passed_over(server):
    """Extensions, groups, ciphers, versions without a meaning: RFC 8701."""
    more = b"".join(extension(number, b"x" * 10) for number in range(60000, 60100))
    grease = extension(0x0A0A, b"") + extension(43, listed(1, b"\x7a\x7a\x03\x03"))
    data = hello(b"\x1a\x1a" + CIPHERS_1_2, GROUPS + SIGNATURES + grease + more)
    records = answer(server, data, record(ALERT, b"\x02\x5a"))
    assert records[0][0] == HANDSHAKE and records[0][1][0] == 2  # ServerHello
    assert server.ask().status == 200


def test_a_hello_in_the_smallest_pieces(server):
    """Each byte a record and a segment of its own: it counts as one message."""
    whole = hello()[5:]
    pieces = [record(HANDSHAKE, whole[i:i + 1], 0x0301) for i in range(len(whole))]
    records = answer(server, *pieces, record(ALERT, b"\x02\x5a"))
    assert records[0][1][0] == 2
    assert server.ask().status == 200


def test_a_hello_of_the_highest_length(server):
    padding = extension(21, bytes(60000))
    data = hello(extensions=GROUPS + SIGNATURES + padding)[5:]
    pieces = [record(HANDSHAKE, data[i:i + 16384]) for i in range(0, len(data), 16384)]
    records = answer(server, *pieces, record(ALERT, b"\x02\x5a"))
    assert records and records[-1][0] in (ALERT, HANDSHAKE)
    assert server.ask().status == 200


@pytest.mark.parametrize("level, description", [(1, 0), (2, 0), (1, 90), (2, 40), (2, 80),
                                                (1, 41), (7, 255)])
@pytest.mark.parametrize("before", [b"", hello()], ids=["first", "after hello"])
def test_alerts(server, before, level, description):
    """The connection ends, or goes on to the limit of the handshake; nobody else is hurt."""
    answer(server, before, record(ALERT, bytes([level, description])))
    assert server.ask().status == 200


def test_alerts_without_an_end(server):
    """A warning may be passed over, but not a flood of them."""
    answer(server, record(ALERT, b"\x01\x5a") * 2000)
    assert server.ask().status == 200


def test_the_word_that_a_version_was_lowered(server, authority):
    """A server that can do 1.3 marks its random value for a client of 1.2 (RFC 8446, 4.1.3)."""
    records = answer(server, hello(), record(ALERT, b"\x02\x5a"))
    message = records[0][1]
    assert message[6 + 24:6 + 32] == b"DOWNGRD\x01"


# ---- stopping in every state

def step(tls):
    """One step of a handshake in memory, which wants more from the server."""
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("state", ["in hello", "after hello", "in finished"])
def test_stopping_in_each_state(tls_probe, authority, version, state):
    """The server frees the connection at the limit of the handshake."""
    server = tls_probe(workers=1, head_time=300)
    context = authority.client(minimum_version=ssl.TLSVersion[version],
                               maximum_version=ssl.TLSVersion[version])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(server.address, TIMEOUT) as plain:
        step(tls)
        data = outgoing.read()
        plain.sendall(data[:-1] if state == "in hello" else data)
        while state == "in finished" and not outgoing.pending:
            incoming.write(plain.recv(65536))
            step(tls)
        plain.sendall(outgoing.read()[:-1])
        while plain.recv(65536):
            pass  # a timeout would fail
    assert server.ask().status == 200
