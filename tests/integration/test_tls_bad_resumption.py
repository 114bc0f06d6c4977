# SPDX-License-Identifier: MIT
"""Sessions that are resumed wrongly, by script: tickets tampered with, proofs, early data."""
import pytest

from serving import eventually
from tls_keys import Aead13, digest, expand, finished13
from tls_link import Alert
from tls_messages import (
    CLIENT_HELLO, DATA, EARLY_DATA, END_OF_EARLY_DATA, FINISHED, HANDSHAKE, KEY_UPDATE, PSK,
    PSK_MODES, SHARE, TICKET, Reader, certificate13, client_hello, extensions, listed, message,
    numbers, read_extensions, server_hello, share, ticket13)
from tls_script12 import Client12
from tls_script13 import Client13, Server13


def session_of(ends):
    """A session of Thrum's server."""
    with ends.meet(Client13) as peer:
        return peer.handshake().take_ticket()


@pytest.fixture
def ticket(ends):
    return session_of(ends)


def flipped(data, at):
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


# ---- tickets

def test_tickets_tampered_with(ends, ticket):
    """They are no failure: there is a whole handshake, and the client shows what it can do."""
    right = ticket.ticket
    for wrong in [*(flipped(right, at) for at in (0, 15, 16, 20, len(right) // 2, -1)),
                  right[:-1], right + b"x", right[:1], bytes(len(right)), bytes(10000)]:
        ticket.ticket = wrong
        with ends.meet(Client13, ticket=ticket) as peer:
            assert not peer.handshake().resumed
    ticket.ticket = right
    with ends.meet(Client13, ticket=ticket) as peer:
        assert peer.handshake().resumed


def test_tickets_of_12_tampered_with(ends):
    with ends.meet(Client12) as peer:
        right = peer.handshake().ticket
    for wrong in (flipped(right, 0), flipped(right, 40), flipped(right, -1), right[:-1], b"x"):
        with ends.meet(Client12) as peer:
            peer.extensions[TICKET] = wrong
            peer.handshake()
    with ends.meet(Client12) as peer:  # the session that it resumes does not show a certificate
        peer.extensions[TICKET] = right
        with pytest.raises(AssertionError):
            peer.handshake()


def test_a_ticket_of_another_server(ends, several_ends, ticket):
    """Where clients are asked for their certificates, a session without one is not good."""
    with several_ends.get(asks=True).meet(Client13, ticket=ticket) as peer:
        assert not peer.handshake().resumed


def test_a_ticket_for_another_hash(ends, ticket):
    with ends.meet(Client13, ticket=ticket, ciphers=(0x1302,)) as peer:
        peer.message(peer.hello())
        hello = peer.server_hello()
        assert hello.ciphers == [0x1302] and PSK not in hello.extensions


def test_a_ticket_without_another_exchange_of_keys(ends, ticket):
    """Which would give up forward secrecy."""
    with ends.meet(Client13, ticket=ticket) as peer:
        peer.extensions[PSK_MODES] = b"\1\0"
        assert not peer.handshake().resumed


def test_a_ticket_that_is_too_old(several_ends):
    ends = several_ends.get(session_time=1000)

    def resumed(ticket):
        with ends.meet(Client13, ticket=ticket) as peer:
            return peer.handshake().resumed

    def good_ticket():
        ticket = session_of(ends)
        assert ticket.lifetime == 1
        return ticket if resumed(ticket) else None  # where a second goes by meanwhile
    ticket = eventually(good_ticket)
    eventually(lambda: not resumed(ticket))


# ---- proofs

def with_psk(peer, identities, binders):
    """A hello with these lists."""
    return client_hello(peer.random, peer.ciphers, {PSK_MODES: b"\1\1", **peer.extensions,
                                                    PSK: identities + binders})


def one(ticket):
    return listed(2, ticket.ticket) + ticket.age_add.to_bytes(4, "big")


def test_a_wrong_proof(ends, ticket):
    """RFC 8446, 6.2, has `decrypt error` for it; OpenSSL says something else."""
    for at in (0, 16, 31):
        with ends.meet(Client13, ticket=ticket) as peer:
            ends.refuse(peer, Alert.ILLEGAL_PARAMETER, "binder does not verify",
                        hello=lambda data, at=at - 32: flipped(data, at))
    ticket.psk = bytes(32)
    with ends.meet(Client13, ticket=ticket) as peer:
        ends.refuse(peer, Alert.ILLEGAL_PARAMETER, "binder does not verify")


PROOF = listed(1, bytes(32))
BAD_LISTS = {
    "no proof": (lambda one: (listed(2, one), b"\0\0"), Alert.DECODE_ERROR),
    "fewer proofs": (lambda one: (listed(2, one * 2), listed(2, PROOF)), Alert.ILLEGAL_PARAMETER),
    "short proof": (lambda one: (listed(2, one), listed(2, listed(1, bytes(31)))),
                    Alert.DECODE_ERROR),
    "identity of no length": (lambda one: (listed(2, bytes(6)), listed(2, PROOF)),
                              Alert.DECODE_ERROR),
    "list without an end": (lambda one: (b"\xff\xff" + one, b""), Alert.DECODE_ERROR),
}


@pytest.mark.parametrize("lists, alert", BAD_LISTS.values(), ids=BAD_LISTS)
def test_bad_lists(ends, ticket, lists, alert):
    with ends.meet(Client13) as peer:
        ends.refuse(peer, alert, hello=lambda _: with_psk(peer, *lists(one(ticket))))


@pytest.mark.parametrize("count", [0, 1, 200])
def test_lists_of_which_nothing_is_known(ends, count):
    """There is a whole handshake then. (None at all should be refused; OpenSSL does not.)"""
    with ends.meet(Client13) as peer:
        peer.handshake(hello=lambda _: with_psk(peer, listed(2, (listed(2, b"x" * 100) + bytes(4))
                                                             * count), listed(2, PROOF * count)))
        assert not peer.resumed


def test_something_behind_the_proofs(ends, ticket):
    """They have to be last, for what is behind would not be covered."""
    with ends.meet(Client13, ticket=ticket) as peer:
        def longer(hello):
            head, rest = hello[4:45], hello[45:]  # up to the list of extensions
            return message(CLIENT_HELLO, head + extensions([*pairs(rest), (60000, b"")]))
        ends.refuse(peer, Alert.ILLEGAL_PARAMETER, hello=longer)


def pairs(data):
    return read_extensions(Reader(data)).items()


def test_proofs_without_a_word_on_modes(ends, ticket):
    with ends.meet(Client13, ticket=ticket) as peer:
        def shorter(hello):
            table = {number: data for number, data in pairs(hello[45:]) if number != PSK_MODES}
            return message(CLIENT_HELLO, hello[4:45] + extensions(table))
        ends.refuse(peer, Alert.MISSING_EXTENSION, hello=shorter)


# ---- wrong answers of a server

def offered(several_ends):
    """A server to which Thrum's client comes with a session, and the key of that."""
    ends = several_ends.get(session_time=100002)
    with ends.meet(Server13) as peer:
        peer.handshake().message(ticket13(b"a ticket", b"1"))
        peer.expect(DATA)
        peer.record(DATA, b"some")
        assert peer.expect(DATA) == b"some"
        return ends, peer.psk_of(b"1")


BAD_ANSWERS = {
    "another session than there is": ({PSK: numbers(1)}, {}, Alert.ILLEGAL_PARAMETER),
    "no number": ({PSK: b""}, {}, Alert.DECODE_ERROR),
    "a long number": ({PSK: bytes(3)}, {}, Alert.DECODE_ERROR),
    "another hash": ({}, {"cipher": 0x1302}, Alert.ILLEGAL_PARAMETER),
}


@pytest.mark.parametrize("more, how, alert", BAD_ANSWERS.values(), ids=BAD_ANSWERS)
def test_bad_answers(several_ends, more, how, alert):
    ends, psk = offered(several_ends)
    with ends.meet(Server13, psk=psk, **how) as peer:
        peer.handshake(until="server_hello")
        assert PSK in peer.hello.extensions
        table = {**peer.extensions, SHARE: share(peer.share.group, peer.share.public),
                 PSK: numbers(0), **more}
        ends.refuse(peer, alert, server_hello=lambda _: server_hello(
            peer.random, peer.cipher, table, peer.hello.session))
    ends.serve()


def test_a_server_that_has_not_the_key(several_ends):
    ends, _psk = offered(several_ends)
    with ends.meet(Server13, psk=bytes(32)) as peer:
        ends.refuse(peer, Alert.BAD_RECORD_MAC)
    ends.serve()


def test_a_certificate_where_a_session_is_resumed(several_ends):
    ends, psk = offered(several_ends)
    with ends.meet(Server13, psk=psk) as peer:
        peer.handshake(until="finished")
        peer.message(certificate13(peer.identity.der))
        ends.refuse(peer, Alert.UNEXPECTED_MESSAGE)
    ends.serve()


# ---- early data

def send_early(peer, *pieces, taken=False):
    """Goes on to behind the server's flight, and then sends what might have come before it. Gives
    the keys for more of it."""
    peer.extensions[EARLY_DATA] = b""
    said = []
    peer.handshake(until="finished", hello=lambda data: said.append(data) or data)
    keys = Aead13(expand(peer.schedule.early, b"c e traffic", digest(said[0])))
    assert (EARLY_DATA in peer.encrypted) == taken
    peer.raw(*[keys.seal(DATA, piece) for piece in pieces])
    return keys


@pytest.mark.parametrize("count", [1, 15])
def test_early_data_that_nobody_allowed(ends, ticket, count):
    """It is passed over, unread, and the handshake goes on."""
    with ends.meet(Client13, ticket=ticket) as peer:
        send_early(peer, *[bytes(1000)] * count)
        assert peer.handshake().resumed
        peer.record(DATA, b"some")
        peer.take_ticket()
        assert peer.expect(DATA) == b"some"


def test_too_much_early_data_that_nobody_allowed(ends, ticket):
    """16 KiB are passed over at most."""
    with ends.meet(Client13, ticket=ticket) as peer:
        send_early(peer, *[bytes(1000)] * 20)
        ends.refuse(peer, Alert.UNEXPECTED_MESSAGE, "too much early data")


def test_early_data_without_a_session(ends):
    """The word for it means nothing then."""
    with ends.meet(Client13) as peer:
        peer.extensions[EARLY_DATA] = b""
        peer.handshake()
        assert EARLY_DATA not in peer.encrypted


# ---- early data that is allowed

EARLY_MAX = 1000
END = message(END_OF_EARLY_DATA)


@pytest.fixture
def eager(several_ends):
    """A server that takes early data, and a session of it."""
    ends = several_ends.get(early_data=EARLY_MAX)
    return ends, session_of(ends)


def under(peer, keys, data, kind=HANDSHAKE):
    """A message under other keys than the present ones."""
    peer.raw(keys.seal(kind, data))
    if kind == HANDSHAKE:
        peer.transcript += data


@pytest.mark.parametrize("pieces", [(), (b"some", b"more"), (bytes(EARLY_MAX),)])
def test_early_data(eager, pieces):
    """It is answered at once, up to the last byte that is allowed."""
    ends, ticket = eager
    with ends.meet(Client13, ticket=ticket) as peer:
        keys = send_early(peer, *pieces, taken=True)
        assert read_data(peer, len(b"".join(pieces))) == b"".join(pieces)
        under(peer, keys, END)
        assert peer.handshake().resumed
        peer.take_ticket()
        peer.record(DATA, b"late")
        assert peer.expect(DATA) == b"late"


def read_data(peer, size):
    data = b""
    while len(data) < size:
        data += peer.expect(DATA)
    return data


@pytest.mark.parametrize("pieces", [(bytes(EARLY_MAX + 1),), (bytes(100),) * 11, (b"x",) * 1001])
def test_too_much_early_data(eager, pieces):
    ends, ticket = eager
    with ends.meet(Client13, ticket=ticket) as peer:
        send_early(peer, *pieces, taken=True)
        ends.refused(peer, Alert.UNEXPECTED_MESSAGE, "too much early data")


def test_garbage_for_early_data(eager):
    ends, ticket = eager
    with ends.meet(Client13, ticket=ticket) as peer:
        keys = send_early(peer, b"some", taken=True)
        peer.raw(flipped(keys.seal(DATA, b"more"), -1))
        ends.refused(peer, Alert.BAD_RECORD_MAC)


WRONG_MESSAGES = {  # where the end should be, under the keys of early data
    "no end": (lambda peer: finished(peer), Alert.UNEXPECTED_MESSAGE),
    "an update of keys": (lambda _: message(KEY_UPDATE, b"\0"), Alert.UNEXPECTED_MESSAGE),
    "a hello": (lambda peer: peer.hello(), Alert.UNEXPECTED_MESSAGE),
    "an end with something in it": (lambda _: message(END_OF_EARLY_DATA, b"x"),
                                    Alert.ILLEGAL_PARAMETER),
}


def finished(peer):
    return message(FINISHED, finished13(peer.client, peer.transcript))


@pytest.mark.parametrize("make, alert", WRONG_MESSAGES.values(), ids=WRONG_MESSAGES)
def test_another_message_where_early_data_should_end(eager, make, alert):
    ends, ticket = eager
    with ends.meet(Client13, ticket=ticket) as peer:
        keys = send_early(peer, b"some", taken=True)
        under(peer, keys, make(peer))
        ends.refused(peer, alert)


def test_early_data_without_an_end(eager):
    """The other side does not change its keys then."""
    ends, ticket = eager
    with ends.meet(Client13, ticket=ticket) as peer:
        send_early(peer, b"some", taken=True)
        ends.refuse(peer, Alert.BAD_RECORD_MAC)


@pytest.mark.parametrize("again, alert", [(False, Alert.UNEXPECTED_MESSAGE),
                                          (True, Alert.BAD_RECORD_MAC)])
def test_a_second_end_of_early_data(eager, again, alert):
    """Under the keys of the handshake, or again under those of early data."""
    ends, ticket = eager
    with ends.meet(Client13, ticket=ticket) as peer:
        keys = send_early(peer, b"some", taken=True)
        under(peer, keys, END)
        under(peer, keys if again else peer.sealing, END)
        ends.refused(peer, alert)


def test_early_data_behind_its_end(eager):
    ends, ticket = eager
    with ends.meet(Client13, ticket=ticket) as peer:
        keys = send_early(peer, b"some", taken=True)
        under(peer, keys, END)
        under(peer, keys, b"more", kind=DATA)
        ends.refused(peer, Alert.BAD_RECORD_MAC)


def test_an_end_of_early_data_that_was_not_taken(ends, ticket):
    with ends.meet(Client13, ticket=ticket) as peer:
        send_early(peer)
        peer.message(END)
        ends.refused(peer, Alert.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("piece", [b"", b"x"])
def test_early_data_that_never_ends(several_ends, piece):
    """It is a part of the handshake, which has to be over in time."""
    ends = several_ends.get(early_data=EARLY_MAX, handshake_time=500)
    with ends.meet(Client13, ticket=session_of(ends)) as peer:
        send_early(peer, piece, taken=True)
        peer.drain()
        _, error, why = ends.outcome(peer.port)
        assert (error, why) == ("ETIMEDOUT", "the handshake took longer than 0.5 s")
