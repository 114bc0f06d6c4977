# SPDX-License-Identifier: MIT
"""Messages of TLS in the wrong place, by script: each kind in each state of both roles, in records
that do not keep to them, and behind the handshake."""
import pytest

from tls_ends import IDENTITY
from tls_link import Alert
from tls_messages import (
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, CHANGE_CIPHER_SPEC, CLIENT_HELLO,
    CLIENT_KEY_EXCHANGE, DATA, ECDSA_P256, ENCRYPTED_EXTENSIONS, END_OF_EARLY_DATA, FINISHED,
    HANDSHAKE, HELLO_REQUEST, KEY_UPDATE, MESSAGE_HASH, NEW_TICKET, SERVER_HELLO,
    SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE, certificate13, certificate_request13, listed, message,
    numbers, server_hello, signed, ticket13)
from tls_script12 import Client12, Server12
from tls_script13 import Client13, Server13

ALL = (Client12, Client13, Server12, Server13)
AFTER = "after"  # the handshake

# Each kind of message, in a form that could be right somewhere; and some that mean nothing.
MESSAGES = {
    HELLO_REQUEST: b"", CLIENT_HELLO: None, SERVER_HELLO: None, NEW_TICKET: None,
    END_OF_EARLY_DATA: b"", ENCRYPTED_EXTENSIONS: b"\0\0", CERTIFICATE: None,
    SERVER_KEY_EXCHANGE: b"\x03\0\x1d\x20" + bytes(32) + signed(ECDSA_P256, bytes(70)),
    CERTIFICATE_REQUEST: None, SERVER_HELLO_DONE: b"", CERTIFICATE_VERIFY: signed(ECDSA_P256, b"x"),
    CLIENT_KEY_EXCHANGE: listed(1, bytes(32)), FINISHED: bytes(32), 22: b"\x01\0\0\0", 3: b"", 21: b"",
    MESSAGE_HASH: bytes(32), 255: b"",
}


@pytest.mark.parametrize("kind, state", [
    (kind, state) for kind in ALL for state in (*kind.names, AFTER)
    if not state.startswith(("second", "certificate_r")) and
    not (kind in (Client12, Client13) and state.startswith("certificate"))])
def test_each_message_in_each_state(ends, kind, state):
    for number, body in MESSAGES.items():
        with ends.meet(kind) as peer:
            peer.handshake(until=None if state == AFTER else state)
            peer.message(message(number, body if body is not None else bytes(50)))
            got = peer.end() if state == AFTER else peer.fail(**{state: lambda _: b""})
            print(kind.__name__, state, number, got, ends.outcome(peer.port)[1:])
