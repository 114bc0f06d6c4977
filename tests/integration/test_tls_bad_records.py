# SPDX-License-Identifier: MIT
"""Records of TLS that are wrong, by script: their kinds, lengths, protection and number.

Three states are enough: nothing is protected, the last message of the handshake is to come, the
handshake is complete. Some alerts are not what one would choose, but OpenSSL does: in TLS 1.2 it
calls a record that is shorter than what protects it an internal error of its own.
"""
import pytest

from tls_link import RECORD_MAX, Alert, record
from tls_messages import ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE
from tls_script12 import Client12, Server12
from tls_script13 import Client13, Server13

CLIENTS = (Client12, Client13)
OLD, NEW = (Client12, Server12), (Client13, Server13)
ALL = OLD + NEW
UNKNOWN = (0, 24, 25, 128, 255)  # 24 would be heartbeat
EMPTY = 40  # OpenSSL takes 32 records without anything in them


def plainly(ends, kind):
    """A peer where nothing is protected."""
    peer = ends.meet(kind)
    return peer.handshake(until="hello" if kind in CLIENTS else "server_hello")


def protected(ends, kind):
    """Peers that have their keys: before Finished, and behind the handshake."""
    for until in ("finished", None):
        yield ends.meet(kind).handshake(until=until)


def refuse(ends, peer, alert, words=""):
    """As it stands, without going on."""
    with peer:
        ends.refused(peer, alert, words)


def goes_on(peer):
    """The other side has taken what it was sent, and says its own."""
    with peer:
        peer.handshake().record(DATA, b"some")
        peer.alert(1, 0)
        assert peer.text().endswith(b"some")


# ---- kinds

@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("number", UNKNOWN)
def test_kinds_that_nobody_knows(ends, kind, number):
    refuse(ends, plainly(ends, kind).send(record(number, b"\1")), Alert.UNEXPECTED_MESSAGE)
    for peer in protected(ends, kind):
        peer.record(number, b"\1")
        refuse(ends, peer, Alert.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("kind", ALL)
def test_data_where_nothing_is_protected(ends, kind):
    refuse(ends, plainly(ends, kind).send(record(DATA, b"some")), Alert.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("number", [*UNKNOWN, HANDSHAKE])
def test_records_without_protection_13(ends, kind, number):
    for peer in protected(ends, kind):
        refuse(ends, peer.send(record(number, bytes(30))), Alert.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("kind", OLD)
@pytest.mark.parametrize("number", [*UNKNOWN, HANDSHAKE, ALERT, DATA, CHANGE_CIPHER_SPEC])
def test_records_without_protection_12(ends, kind, number):
    for peer in protected(ends, kind):
        refuse(ends, peer.send(record(number, bytes(30))), Alert.BAD_RECORD_MAC)


@pytest.mark.parametrize("kind", ALL)
def test_versions_of_records(ends, kind):
    """Of the first record it does not count; above that it must be of some TLS."""
    for peer in protected(ends, kind):
        refuse(ends, peer.send(record(DATA, bytes(30), 0x0302)),
               Alert.DECODE_ERROR if kind in NEW else Alert.PROTOCOL_VERSION, "version")
    for peer in protected(ends, kind):
        refuse(ends, peer.send(record(DATA, bytes(30), 0x0503)), Alert.PROTOCOL_VERSION, "not TLS")
    refuse(ends, plainly(ends, kind).send(record(HANDSHAKE, b"\1", 0x0503)), None, "not TLS")


# ---- protection

@pytest.mark.parametrize("kind", ALL)
def test_a_wrong_bit(ends, kind):
    """In the data, in what proves it, in 1.2 in the number of the record."""
    for at in (5, 9, 14, -16, -1):
        for peer in protected(ends, kind):
            whole = bytearray(peer.sealed(DATA, b"some data"))
            whole[at] ^= 1
            refuse(ends, peer.send(whole), Alert.BAD_RECORD_MAC, "bad record mac")


@pytest.mark.parametrize("kind", ALL)
def test_a_record_again_and_one_lost(ends, kind):
    """Records are counted. In 1.2 the number that is sent does not count, but the count itself."""
    with ends.meet(kind) as peer:
        whole = peer.handshake().sealed(DATA, b"some")
        refuse(ends, peer.send(whole, whole), Alert.BAD_RECORD_MAC)
    with ends.meet(kind) as peer:
        peer.handshake().sealed(DATA, b"some")
        refuse(ends, peer.send(peer.sealed(DATA, b"more")), Alert.BAD_RECORD_MAC)


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("pad, alert", [(0, Alert.BAD_RECORD_MAC), (1, Alert.UNEXPECTED_MESSAGE),
                                        (500, Alert.UNEXPECTED_MESSAGE)])
def test_padding_alone(ends, kind, pad, alert):
    """Without a kind; and without anything at all, which OpenSSL takes for too short."""
    for peer in protected(ends, kind):
        peer.record(None, b"", pad)
        refuse(ends, peer, alert)


@pytest.mark.parametrize("kind", NEW)
def test_padding(ends, kind):
    peer = ends.meet(kind).handshake()
    peer.record(DATA, b"with", pad=1000)
    peer.record(DATA, b"out")
    goes_on(peer)


# ---- lengths

@pytest.mark.parametrize("kind", ALL)
def test_too_long(ends, kind):
    """One byte above the limits: of the content, of what is protected, of any record."""
    refuse(ends, plainly(ends, kind).send(record(HANDSHAKE, bytes(RECORD_MAX + 1))),
           Alert.RECORD_OVERFLOW, "too long")
    for peer in protected(ends, kind):
        refuse(ends, peer.send(peer.sealed(DATA, bytes(RECORD_MAX + 1))), Alert.RECORD_OVERFLOW)
    above = 257 if kind in NEW else 2049
    for size in (RECORD_MAX + above, 65535):  # the length alone is enough
        for peer in protected(ends, kind):
            refuse(ends, peer.send(record(DATA, bytes(size))), Alert.RECORD_OVERFLOW, "too long")


@pytest.mark.parametrize("kind", ALL)
def test_the_longest(ends, kind):
    peer = ends.meet(kind).handshake()
    peer.record(DATA, bytes(RECORD_MAX))
    goes_on(peer)


@pytest.mark.parametrize("kind", NEW)
def test_the_longest_with_padding(ends, kind):
    """RFC 8446, 5.4, wants at most 2^14 + 1 bytes with padding. OpenSSL counts without it."""
    peer = ends.meet(kind).handshake()
    peer.record(DATA, b"some", RECORD_MAX + 256 - 16 - 5)
    goes_on(peer)
    peer = ends.meet(kind).handshake()
    peer.record(DATA, b"some", RECORD_MAX + 256 - 16 - 4)
    refuse(ends, peer, Alert.RECORD_OVERFLOW)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("size", [0, 1, 15, 16])
def test_too_short(ends, kind, size):
    """Shorter than what protects it."""
    for peer in protected(ends, kind):
        data = record(DATA, bytes(size))
        if kind in NEW:
            refuse(ends, peer.send(data), Alert.BAD_RECORD_MAC, "bad record mac")
        else:
            refuse(ends, peer.send(data), Alert.INTERNAL_ERROR, "a record is shorter than")


# ---- nothing in them

@pytest.mark.parametrize("kind", ALL)
def test_records_of_data_without_any(ends, kind):
    """A few are passed over. A flood is not."""
    peer = ends.meet(kind).handshake()
    peer.records(DATA, *[b""] * 20)
    goes_on(peer)
    peer = ends.meet(kind).handshake()
    peer.records(DATA, *[b""] * EMPTY)
    refuse(ends, peer, Alert.UNEXPECTED_MESSAGE, "record too small")


@pytest.mark.parametrize("kind", NEW)
def test_a_flood_of_padding(ends, kind):
    peer = ends.meet(kind).handshake()
    peer.raw(*[peer.sealed(DATA, b"", 1000) for _ in range(EMPTY)])
    refuse(ends, peer, Alert.UNEXPECTED_MESSAGE, "record too small")


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("number", [HANDSHAKE, ALERT])
def test_other_records_without_content(ends, kind, number):
    """RFC 8446, 5.1: forbidden. In 1.2 OpenSSL passes over a few of the handshake."""
    for peer in protected(ends, kind):
        if kind in NEW or number == ALERT:
            peer.record(number, b"")
            refuse(ends, peer, Alert.UNEXPECTED_MESSAGE)
            continue
        peer.record(number, b"")
        goes_on(peer)
    for peer in protected(ends, kind):
        peer.records(number, *[b""] * EMPTY)
        refuse(ends, peer, Alert.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("kind", ALL)
def test_messages_among_records_without_content(ends, kind):
    """Each byte of a hello between two of them, before anything is protected."""
    with ends.meet(kind) as peer:
        def thin(data):
            for byte in data[:-1]:
                peer.raw(record(HANDSHAKE, b""), record(HANDSHAKE, bytes([byte])))
            peer.transcript += data[:-1]
            return data[-1:]
        peer.handshake(**{"hello" if kind in CLIENTS else "server_hello": thin})


# ---- ChangeCipherSpec

CCS = record(CHANGE_CIPHER_SPEC, b"\1")


@pytest.mark.parametrize("kind", ALL)
def test_change_cipher_spec_first(ends, kind):
    refuse(ends, plainly(ends, kind).send(CCS), Alert.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("kind", NEW)
def test_change_cipher_spec_13(ends, kind):
    """Without a meaning in the handshake, at most 32 times; behind it nobody may send one."""
    peer = ends.meet(kind).handshake(until="finished").send(CCS * 20)
    goes_on(peer)
    peer = ends.meet(kind).handshake(until="finished").send(CCS * EMPTY)
    refuse(ends, peer, Alert.UNEXPECTED_MESSAGE, "unexpected ccs message")
    for wrong in (b"", b"\2", b"\1\1"):
        peer = ends.meet(kind).handshake(until="finished")
        refuse(ends, peer.send(record(CHANGE_CIPHER_SPEC, wrong)), Alert.ILLEGAL_PARAMETER)
    refuse(ends, ends.meet(kind).handshake().send(CCS), Alert.UNEXPECTED_MESSAGE)
    for peer in protected(ends, kind):
        peer.record(CHANGE_CIPHER_SPEC, b"\1")
        refuse(ends, peer, Alert.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("kind", OLD)
def test_change_cipher_spec_12(ends, kind):
    for wrong in (b"\2", b"\1\1", b"\1\1\1"):
        with ends.meet(kind) as peer:
            ends.refuse(peer, Alert.UNEXPECTED_MESSAGE, change_cipher_spec=lambda _, w=wrong: w)
    for peer in protected(ends, kind):  # again, under the new keys
        peer.record(CHANGE_CIPHER_SPEC, b"\1")
        refuse(ends, peer, Alert.UNEXPECTED_MESSAGE)


def test_change_cipher_spec_before_there_are_keys(ends):
    """What CVE-2014-0224 was about."""
    peer = ends.meet(Client12).handshake(until="client_key_exchange").send(CCS)
    refuse(ends, peer, Alert.UNEXPECTED_MESSAGE)
    for until in ("certificate", "server_key_exchange", "server_hello_done"):
        peer = ends.meet(Server12).handshake(until=until).send(CCS)
        refuse(ends, peer, Alert.UNEXPECTED_MESSAGE)
