# SPDX-License-Identifier: MIT
"""Peers of TLS that end or stop where they should not, by script: alerts, closes, resets and
silence in each state of both roles."""
import socket
import struct

import pytest

from serving import eventually
from tls_link import Alert
from tls_messages import ALERT, DATA
from tls_script12 import Client12, Server12
from tls_script13 import Client13, Server13

OLD, NEW = (Client12, Server12), (Client13, Server13)
ALL = OLD + NEW
AFTER = "after"  # the handshake

NAMES = {
    10: "unexpected message", 20: "bad record mac", 21: "decryption failed", 22: "record overflow",
    30: "decompression failure", 40: "handshake failure", 41: "no certificate",
    42: "bad certificate", 43: "unsupported certificate", 44: "certificate revoked",
    45: "certificate expired", 46: "certificate unknown", 47: "illegal parameter",
    48: "unknown ca", 49: "access denied", 50: "decode error", 51: "decrypt error",
    60: "export restriction", 70: "protocol version", 71: "insufficient security",
    80: "internal error", 86: "inappropriate fallback", 90: "user canceled",
    100: "no renegotiation", 109: "missing extension", 110: "unsupported extension",
    111: "certificate unobtainable", 112: "unrecognized name",
    113: "bad certificate status response", 114: "bad certificate hash value",
    115: "unknown psk identity", 116: "certificate required", 120: "no application protocol",
    0: "close notify", 1: "of an unknown kind", 99: "of an unknown kind", 255: "of an unknown kind",
}


def states(kind):
    """All of a script in which nobody asks for another hello or a client's certificate."""
    left_out = {"second_hello", "certificate_request"}
    if kind.meets == "server":
        left_out |= {"certificate", "certificate_verify"}
    return [*(name for name in kind.names if name not in left_out), AFTER]


STATES = [(kind, state) for kind in ALL for state in states(kind)]


def at(ends, kind, state):
    return ends.meet(kind).handshake(until=None if state == AFTER else state)


def words(ends, peer):
    """The error of Thrum's end, and its words without what it was doing."""
    _, error, why = ends.outcome(peer.port)
    return error, why.removeprefix("handshake: ").removeprefix("TLS: ")


# ---- alerts

def place(kind, state):
    """The rules for alerts there: RFC 8446 has its own, but a client that waits for the hello of a
    server does not know yet whether it will be 1.3."""
    if state == "hello":
        return "nothing has come"
    if kind in OLD and state == "finished":
        return "nothing else may come"  # behind ChangeCipherSpec
    return "1.3" if kind in NEW and state != "server_hello" else "1.2"


def expected(where, level, number):
    """(the alert that comes back, error, words); None: it is passed over."""
    said = None, "TH_ETLS", f"the peer sent the alert '{NAMES[number]}'"
    if where == "nothing has come":
        return Alert.UNEXPECTED_MESSAGE, said[1], said[2] + " and no hello"
    if where == "nothing else may come":
        return Alert.UNEXPECTED_MESSAGE, "TH_ETLS", "data between ccs and finished"
    if where == "1.3":  # where the level does not count
        return None if number == 90 else said
    if number == Alert.NO_RENEGOTIATION and level != 2:
        return Alert.HANDSHAKE_FAILURE, "TH_ETLS", "no renegotiation"
    if level == 2:
        return said
    return None if level == 1 else (Alert.ILLEGAL_PARAMETER, "TH_ETLS", "unknown alert type")


@pytest.mark.parametrize("kind, state", STATES)
def test_each_alert_in_each_state(ends, kind, state):
    few = (10, 42, 90, 100, 255)
    every = NAMES.keys() - {0} if state == AFTER else few
    for level, numbers in ((2, every), (1, few), (7, few)):
        for number in numbers:
            wanted = expected(place(kind, state), level, number)
            with at(ends, kind, state) as peer:
                peer.alert(level, number)
                if wanted:
                    assert (peer.end(), *words(ends, peer)) == wanted, (level, number)
                else:
                    peer.handshake().record(DATA, b"some")
                    peer.alert(1, 0)
                    assert peer.text().endswith(b"some")


@pytest.mark.parametrize("number", [41, 90])
@pytest.mark.parametrize("kind, state", STATES)
def test_a_flood_of_warnings(ends, kind, state, number):
    where = place(kind, state)
    wanted = expected(where, 1, number) or (Alert.UNEXPECTED_MESSAGE, "TH_ETLS",
                                            "too many warn alerts")
    with at(ends, kind, state) as peer:
        peer.records(ALERT, *[bytes([1, number])] * 20)
        assert (peer.end(), *words(ends, peer)) == wanted


# ---- ends

@pytest.mark.parametrize("kind, state", STATES)
def test_the_end_of_tls_in_each_state(ends, kind, state):
    with at(ends, kind, state) as peer:
        peer.alert(1, 0)
        where = place(kind, state)
        if where.startswith("nothing"):
            assert (peer.end(), *words(ends, peer)) == expected(where, 1, 0)
        elif state == AFTER:
            assert (peer.end(), *words(ends, peer)) == (Alert.CLOSE_NOTIFY, "TH_EOF", "")
        else:
            assert (peer.end(), *words(ends, peer)) == (
                None, "TH_EOF", "the peer left before the handshake was complete")


@pytest.mark.parametrize("data", [b"", b"\x16\3\3\0", b"\x17\3\3\x01\0" + bytes(100)],
                         ids=["whole", "in a head", "in a record"])
@pytest.mark.parametrize("kind, state", STATES)
def test_the_end_of_the_connection_in_each_state(ends, kind, state, data):
    with at(ends, kind, state) as peer:
        peer.raw(data)
        peer.socket.shutdown(socket.SHUT_WR)
        peer.drain()
        error, why = words(ends, peer)
        assert error == "TH_ETRUNCATED"
        if state == AFTER:
            assert why == "the connection ended without the end that TLS has"
        elif state in ("hello", "server_hello") and not data:
            assert why == "the peer left before it said anything"
        else:
            assert why == "the peer left in the middle of the handshake"


@pytest.mark.parametrize("kind, state", STATES)
def test_a_reset_in_each_state(ends, kind, state):
    with at(ends, kind, state) as peer:
        if state == "hello":  # who is not accepted yet was never there
            eventually(lambda: ends.state() != ends.quiet)
        peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert words(ends, peer)[0] == "ECONNRESET"


@pytest.mark.parametrize("half", [False, True], ids=["silent", "in a message"])
def test_silence_in_each_state(several_ends, half):
    """All at once, so that it does not take long."""
    ends = several_ends.get(handshake_time=1500)
    waiting = [at(ends, kind, state) for kind, state in STATES if state != AFTER]
    for peer in waiting:
        if half:
            _name, kind, make = peer.held or next(peer.steps)
            peer.raw(peer.sealed(kind, make())[:-1])
    for peer in waiting:
        with peer:
            assert peer.end() is None
            assert words(ends, peer) == ("ETIMEDOUT", "the handshake took longer than 1.5 s")
    ends.serve()
    ends.is_well()


@pytest.mark.parametrize("kind", ALL)
def test_half_a_close(ends, kind):
    """Who has said its end may still be told something: here, what it has said before."""
    with ends.meet(kind) as peer:
        peer.handshake().record(DATA, bytes(16384))
        peer.record(DATA, b"last")
        peer.alert(1, 0)
        peer.socket.shutdown(socket.SHUT_WR)
        assert peer.text().endswith(bytes(16384) + b"last")
    assert words(ends, peer) == ("TH_EOF", "")


@pytest.mark.parametrize("kind", ALL)
def test_something_behind_the_end(ends, kind):
    """RFC 8446, 6.1: it does not count."""
    for more in (lambda peer: peer.sealed(DATA, b"more"), lambda peer: b"what is this?" * 100,
                 lambda peer: peer.sealed(ALERT, b"\2\x28")):
        with ends.meet(kind) as peer:
            peer.handshake().record(DATA, b"some")
            peer.raw(peer.sealed(ALERT, b"\1\0"), more(peer))
            peer.drain()
        assert words(ends, peer) == ("TH_EOF", "")
