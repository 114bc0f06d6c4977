# SPDX-License-Identifier: MIT
"""Messages of TLS in the wrong place, by script: each kind in each state of both roles, and in
records that do not keep to them."""
import pytest

from tls_ends import IDENTITY
from tls_link import Alert
from tls_messages import (
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, CHANGE_CIPHER_SPEC, CLIENT_HELLO,
    CLIENT_KEY_EXCHANGE, DATA, ECDSA_P256, ENCRYPTED_EXTENSIONS, END_OF_EARLY_DATA, FINISHED,
    HANDSHAKE, HELLO_REQUEST, KEY_UPDATE, MESSAGE_HASH, NEW_TICKET, SERVER_HELLO,
    SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE, certificate13, listed, message, signed, ticket13)
from tls_script12 import Client12, Server12
from tls_script13 import Client13, Server13

CLIENTS, SERVERS = (Client12, Client13), (Server12, Server13)
ALL = CLIENTS + SERVERS
AFTER = "after"  # the handshake

# Each kind of message; and some that mean nothing.
MESSAGES = {
    HELLO_REQUEST: b"", CLIENT_HELLO: bytes(50), SERVER_HELLO: bytes(50), NEW_TICKET: bytes(50),
    END_OF_EARLY_DATA: b"", ENCRYPTED_EXTENSIONS: b"\0\0",
    CERTIFICATE: certificate13(IDENTITY.der)[4:],
    SERVER_KEY_EXCHANGE: b"\x03\0\x1d\x20" + bytes(32) + signed(ECDSA_P256, bytes(70)),
    CERTIFICATE_REQUEST: bytes(50), SERVER_HELLO_DONE: b"",
    CERTIFICATE_VERIFY: signed(ECDSA_P256, bytes(70)), CLIENT_KEY_EXCHANGE: listed(1, bytes(32)),
    FINISHED: bytes(32), KEY_UPDATE: b"\0", MESSAGE_HASH: bytes(32), 3: b"", 21: b"", 22: b"\x01",
    255: b"",
}

# What may come in a state.
FITTING = {
    "hello": {CLIENT_HELLO}, "client_key_exchange": {CLIENT_KEY_EXCHANGE}, "finished": {FINISHED},
    "server_hello": {SERVER_HELLO}, "encrypted_extensions": {ENCRYPTED_EXTENSIONS},
    "certificate": {CERTIFICATE, CERTIFICATE_REQUEST}, "certificate_verify": {CERTIFICATE_VERIFY},
    "server_key_exchange": {SERVER_KEY_EXCHANGE}, "change_cipher_spec": set(),
    "server_hello_done": {SERVER_HELLO_DONE, CERTIFICATE_REQUEST},
}
FITTING_AFTER = {Client12: {CLIENT_HELLO}, Server12: {HELLO_REQUEST}, Client13: {KEY_UPDATE},
                 Server13: {KEY_UPDATE, NEW_TICKET}}


def states(kind):
    """All of a script without certificates of clients."""
    unasked = {"second_hello", "certificate_request"}
    if kind in CLIENTS:
        unasked |= {"certificate", "certificate_verify"}
    return [*(name for name in kind.names if name not in unasked), AFTER]


def come_to(peer, state):
    return peer.handshake(until=None if state == AFTER else state)


@pytest.mark.parametrize("kind, state", [(kind, state) for kind in ALL for state in states(kind)])
def test_each_message_in_each_state(ends, kind, state):
    fitting = FITTING_AFTER[kind] if state == AFTER else FITTING[state]
    if kind in SERVERS and state != AFTER:
        fitting = fitting | {HELLO_REQUEST}  # see below
    if (kind, state) == (Server12, "certificate"):
        fitting = {CERTIFICATE, HELLO_REQUEST}
    for number in MESSAGES.keys() - fitting:
        with ends.meet(kind) as peer:
            come_to(peer, state).message(message(number, MESSAGES[number]))
            assert peer.end() == Alert.UNEXPECTED_MESSAGE, number
            _, error, why = ends.outcome(peer.port)
            assert (error, why) == ("TH_ETLS", "TLS: unexpected message" if state == AFTER else
                                    "handshake: unexpected message")


@pytest.mark.parametrize("kind, state", [(kind, state) for kind in SERVERS
                                         for state in states(kind)[:-1]])
def test_a_request_for_a_hello_in_the_handshake(ends, kind, state):
    """It is passed over (RFC 5246, 7.4.1.1), and does not count for Finished. OpenSSL does the same
    in 1.3, which does not know it any more."""
    with ends.meet(kind) as peer:
        come_to(peer, state).record(HANDSHAKE, message(HELLO_REQUEST))
        peer.handshake()
        assert peer.expect(DATA) == b"hello"


def test_a_flood_of_requests_for_a_hello(ends):
    with come_to(ends.meet(Server12), "server_hello_done") as peer:
        peer.records(HANDSHAKE, *[message(HELLO_REQUEST)] * 4200)
        peer.drain()
        assert ends.outcome(peer.port)[1] == "TH_ELIMIT"


# ---- messages and records

@pytest.mark.parametrize("piece", [1, 2, 3, 5, 33])
@pytest.mark.parametrize("kind", ALL)
def test_messages_in_pieces(ends, kind, piece):
    """Records of so many bytes; of one byte each, too."""
    with ends.meet(kind, piece=piece) as peer:
        peer.handshake().record(DATA, b"some")
        peer.alert(1, 0)
        assert peer.text().endswith(b"some")


@pytest.mark.parametrize("kind, first, last", [
    (Server12, "server_hello", "server_hello_done"),
    (Server13, "encrypted_extensions", "finished")])
def test_messages_in_one_record(ends, kind, first, last):
    with ends.meet(kind) as peer:
        peer.handshake(until=first).gathers = True
        peer.handshake(until=last).gathers = False
        peer.handshake()
        assert peer.expect(DATA) == b"hello"


# RFC 8446, 5.1: what is before a change of keys ends with its record.
SPANNING = {
    "hello of a client": (Client13, "hello", message(CLIENT_HELLO)),
    "hello of a server": (Server13, "server_hello", message(ENCRYPTED_EXTENSIONS, b"\0\0")),
    "finished of a client": (Client13, "finished", message(KEY_UPDATE, b"\0")),
    "finished of a server": (Server13, "finished", ticket13(b"some")),
}


@pytest.mark.parametrize("kind, name, more", SPANNING.values(), ids=SPANNING)
def test_messages_across_a_change_of_keys(ends, kind, name, more):
    """As a whole, or as the first byte of it."""
    for size in (1, len(more) - 1, len(more)):
        with ends.meet(kind) as peer:
            ends.refuse(peer, Alert.UNEXPECTED_MESSAGE, **{name: lambda data: data + more[:size]})


@pytest.mark.parametrize("kind", [Client13, Server13])
def test_messages_behind_an_update_of_keys(ends, kind):
    with ends.meet(kind) as peer:
        peer.handshake().message(message(KEY_UPDATE, b"\0") * 2)
        ends.refuse(peer, Alert.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("between, data", [(DATA, b"some"), (DATA, b""),
                                           (CHANGE_CIPHER_SPEC, b"\x01")])
def test_something_else_within_a_message(ends, kind, between, data):
    """RFC 8446, 5.1. (OpenSSL takes the alert `user canceled` there, as everywhere in 1.3.)"""
    with ends.meet(kind) as peer:
        def torn(whole):
            peer.records(HANDSHAKE, whole[:7])
            peer.record(between, data)
            return whole[7:]
        ends.refuse(peer, Alert.UNEXPECTED_MESSAGE, finished=torn)
