# SPDX-License-Identifier: MIT
"""Peers that misbehave behind the handshake, by script: updates of keys, renegotiation, tickets,
requests for certificates."""
import contextlib

import pytest

from serving import TIMEOUT
from tls_link import Alert, Alerted
from tls_messages import (
    CERTIFICATE, CERTIFICATE_VERIFY, DATA, EARLY_DATA, FINISHED, HANDSHAKE, HELLO_REQUEST,
    KEY_UPDATE, NEW_TICKET, PSK, RENEGOTIATION, certificate_request13, listed, message, numbers,
    ticket13)
from tls_script12 import Client12, Server12
from tls_script13 import Client13, Server13

NEW = (Client13, Server13)
FLOOD = 100  # Thrum ends a peer that sends 64 records without data


def ready(ends, kind, **how):
    """A peer whose handshake is done, and that has taken what the other side says first."""
    peer = ends.meet(kind, **how).handshake()
    if kind is Client13:
        peer.take_ticket()
        peer.take_ticket()
    elif kind.meets == "client":
        assert peer.expect(DATA) == b"hello"
    return peer


def echoes(peer):
    peer.record(DATA, b"some")
    assert peer.expect(DATA) == b"some"


def limited(ends, peer):
    """Whether the peer was too much for Thrum, which then ends without an alert: OpenSSL sends
    none of its own accord."""
    peer.drain()
    _, error, why = ends.outcome(peer.port)
    assert (error, why) == ("TH_ELIMIT", "the peer sends records without anything in them")


# ---- updates of keys

@pytest.mark.parametrize("kind", NEW)
def test_updates_of_keys(ends, kind):
    with ready(ends, kind) as peer:
        for _ in range(3):
            peer.update_keys(asked=0)
        echoes(peer)


@pytest.mark.parametrize("kind", NEW)
def test_updates_of_keys_that_ask_for_more(ends, kind):
    """They are answered before something else is said (RFC 8446, 4.6.3)."""
    with ready(ends, kind) as peer:
        for _ in range(3):
            peer.update_keys(asked=1)
        peer.record(DATA, b"some")
        for _ in range(3):
            assert peer.take(KEY_UPDATE) == b"\0"
            peer.opening = peer.opening.updated()
        assert peer.expect(DATA) == b"some"
        echoes(peer)


BAD_UPDATES = {
    "value": (b"\2", Alert.ILLEGAL_PARAMETER), "highest value": (b"\xff", Alert.ILLEGAL_PARAMETER),
    "empty": (b"", Alert.DECODE_ERROR), "long": (b"\0\0", Alert.ILLEGAL_PARAMETER),
    "very long": (bytes(1000), Alert.ILLEGAL_PARAMETER),
}


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("body, alert", BAD_UPDATES.values(), ids=BAD_UPDATES)
def test_bad_updates_of_keys(ends, kind, body, alert):
    with ready(ends, kind) as peer:
        peer.message(message(KEY_UPDATE, body))
        ends.refuse(peer, alert)


@pytest.mark.parametrize("kind", NEW)
def test_the_old_keys_behind_an_update(ends, kind):
    with ready(ends, kind) as peer:
        peer.message(message(KEY_UPDATE, b"\0"))
        peer.record(DATA, b"some")
        ends.refuse(peer, Alert.BAD_RECORD_MAC)


@pytest.mark.parametrize("asked", [0, 1])
@pytest.mark.parametrize("kind", NEW)
def test_a_flood_of_updates(ends, kind, asked):
    with ready(ends, kind) as peer:
        for _ in range(FLOOD):
            peer.update_keys(asked)
        limited(ends, peer)


@pytest.mark.parametrize("mode", ["echo", "sink"])
@pytest.mark.parametrize("kind", NEW)
def test_updates_among_data_of_a_peer_that_never_reads(several_ends, sanitized, kind, mode):
    """Their answers are held back as anything that is written: the other side stops to read."""
    ends = several_ends.get(mode=mode)
    with ready(ends, kind, room=32768) as peer:
        before = ends.counters()["heap_bytes"]
        peer.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            for _ in range(100):
                data = b""
                for _ in range(100):
                    data += peer.sealed(HANDSHAKE, message(KEY_UPDATE, b"\1"))
                    peer.sealing = peer.sealing.updated()
                    data += peer.sealed(DATA, b"x")
                peer.raw(data)
        peer.socket.settimeout(TIMEOUT)
        assert sanitized or ends.counters()["heap_bytes"] < before + 300000
        for _ in range(1000):  # they come
            while peer.take_record() != (HANDSHAKE, message(KEY_UPDATE, b"\0")):
                pass
            peer.opening = peer.opening.updated()
    ends.is_well()


# ---- another handshake, in TLS 1.2

def hello_again(client):
    """As RFC 5746 wants it."""
    client.extensions[RENEGOTIATION] = listed(1, client.verified)
    return client.hello()


def is_told_no(peer):
    with pytest.raises(Alerted) as alert:
        peer.take_record()
    assert (alert.value.level, alert.value.description) == (1, Alert.NO_RENEGOTIATION)


def test_renegotiation_that_a_client_wants(ends):
    """It is told no, as often as it asks, and the connection goes on; but not for ever."""
    with ends.meet(Client12) as peer:
        said = []
        peer.handshake(finished=lambda data: said.append(data) or data)
        peer.verified = said[0][4:]
        for _ in range(3):
            peer.message(hello_again(peer))
            is_told_no(peer)
        echoes(peer)
        for _ in range(FLOOD):
            peer.message(hello_again(peer))
        limited(ends, peer)


def test_renegotiation_that_a_server_wants(ends):
    with ready(ends, Server12) as peer:
        for _ in range(3):
            peer.message(message(HELLO_REQUEST))
            is_told_no(peer)
        echoes(peer)
        peer.records(HANDSHAKE, *[message(HELLO_REQUEST)] * FLOOD)
        limited(ends, peer)


# ---- certificates that are asked for late

def test_a_late_request_for_a_certificate(ends):
    with ready(ends, Server13) as peer:
        peer.message(certificate_request13(b"1"))
        ends.refuse(peer, Alert.UNEXPECTED_MESSAGE)


def test_late_requests_where_they_are_allowed(several_ends):
    ends = several_ends.get(post_handshake_auth=1)
    with ready(ends, Server13) as peer:
        for context in (b"1", b"2"):
            peer.message(certificate_request13(context))
            assert peer.take(CERTIFICATE).startswith(listed(1, context))
            peer.take(CERTIFICATE_VERIFY)
            peer.take(FINISHED)
        echoes(peer)
    with ready(ends, Server13) as peer:
        for i in range(FLOOD):
            peer.message(certificate_request13(bytes([i])))
        limited(ends, peer)
    ends.serve()


# ---- tickets for a client

TICKETS = {  # and whether it is offered afterwards
    "for a week and a day": (ticket13(b"some", lifetime=8 * 86400), True),
    "for ever": (ticket13(b"some", lifetime=0xffffffff), True),
    "for no time": (ticket13(b"some", lifetime=0), False),
    "long": (ticket13(bytes(16384)), True),
    "too long": (ticket13(bytes(16385)), False),
    "the longest": (ticket13(bytes(65535)), False),
    "with the longest nonce": (ticket13(b"some", bytes(255)), True),
    "with what is unknown": (ticket13(b"some", table={60000: bytes(1000)}), True),
    "with leave for early data": (ticket13(b"some", table={EARLY_DATA: b"\xff" * 4}), True),
}
BAD_TICKETS = {
    "empty": (ticket13(b""), Alert.DECODE_ERROR),
    "longer": (message(NEW_TICKET, ticket13(b"some")[4:] + b"x"), Alert.DECODE_ERROR),
    "shorter": (message(NEW_TICKET, ticket13(b"some")[4:-1]), Alert.DECODE_ERROR),
    "twice leave for early data": (ticket13(b"some", table=[(EARLY_DATA, bytes(4))] * 2),
                                   Alert.ILLEGAL_PARAMETER),
    "bad leave for early data": (ticket13(b"some", table={EARLY_DATA: bytes(3)}),
                                 Alert.DECODE_ERROR),
    "too long by far": (b"\4\xff\xff\xff", Alert.ILLEGAL_PARAMETER),
}


@pytest.mark.parametrize("ticket, offered", TICKETS.values(), ids=TICKETS)
def test_strange_tickets(several_ends, ticket, offered):
    """What a server gives must not be in the way of the next connection to it."""
    ends = several_ends.get(session_time=100000)
    with ready(ends, Server13) as peer:
        peer.message(ticket)
        echoes(peer)
    with ready(ends, Server13) as peer:
        assert (PSK in peer.hello.extensions) == offered
        echoes(peer)


@pytest.mark.parametrize("ticket, alert", BAD_TICKETS.values(), ids=BAD_TICKETS)
def test_bad_tickets(ends, ticket, alert):
    with ready(ends, Server13) as peer:
        peer.message(ticket)
        ends.refuse(peer, alert)


def test_a_flood_of_tickets(several_ends, sanitized):
    ends = several_ends.get(session_time=100001)
    with ready(ends, Server13) as peer:
        for i in range(FLOOD):
            peer.message(ticket13(bytes(1000), bytes([i])))
        limited(ends, peer)
    with ready(ends, Server13) as peer:
        before = ends.counters()["heap_bytes"]
        for i in range(300):  # with data between them
            peer.message(ticket13(bytes(20000), numbers(i)))
            echoes(peer)
        assert sanitized or ends.counters()["heap_bytes"] < before + 300000
    ends.serve()
