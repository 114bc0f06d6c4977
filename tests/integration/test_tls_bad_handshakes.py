# SPDX-License-Identifier: MIT
"""Handshakes with wrong messages, of clients and of servers, by script: each is refused with the
right alert, the fiber is told why, and both ends go on with others (see the fixture `ends`)."""
import pytest

from tls_ends import IDENTITY
from tls_link import Alert, Alerted
from tls_messages import (
    ALPN, DATA, EARLY_DATA, GROUPS, P256, PSK, RENEGOTIATION, RETRY, SHARE, VERSIONS, X25519,
    certificate12, certificate13, listed, message, numbers, server_hello, share)
from tls_script import Identity
from tls_script12 import Client12, Server12
from tls_script13 import Client13, Server13

CLIENTS, SERVERS = (Client12, Client13), (Server12, Server13)
ALL = CLIENTS + SERVERS
OTHER = Identity()  # whom nobody knows


def flipped(at):
    """A change: one bit of a message."""
    def change(data):
        place = at % len(data)
        return data[:place] + bytes([data[place] ^ 1]) + data[place + 1:]
    return change


def instead(data):
    return lambda _: data


def body(change):
    """A change of a message's body, whose length follows."""
    return lambda data: message(data[0], change(data[4:]))


def twice(data):
    return data * 2


ABSENT = instead(b"")


# ---- Finished

@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("at", [4, 9, -1])
def test_finished_with_a_wrong_bit(ends, kind, at):
    with ends.meet(kind) as peer:
        ends.refuse(peer, Alert.DECRYPT_ERROR, finished=flipped(at))


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"x",
                                    lambda data: b""], ids=["shorter", "longer", "empty"])
def test_finished_of_another_length(ends, kind, change):
    with ends.meet(kind) as peer:
        ends.refuse(peer, Alert.DECODE_ERROR, finished=body(change))


@pytest.mark.parametrize("kind", ALL)
def test_finished_over_another_transcript(ends, kind):
    with ends.meet(kind) as peer:
        peer.handshake(until="finished")
        peer.transcript = flipped(40)(peer.transcript)
        ends.refuse(peer, Alert.DECRYPT_ERROR)


@pytest.mark.parametrize("kind", ALL)
def test_data_in_the_place_of_finished(ends, kind):
    with ends.meet(kind) as peer:
        peer.handshake(until="finished")
        peer.record(DATA, b"some")
        ends.refuse(peer, Alert.UNEXPECTED_MESSAGE, finished=ABSENT)


@pytest.mark.parametrize("kind", [Client13, Server13])
def test_keys_of_data_without_finished(ends, kind):
    with ends.meet(kind) as peer:
        peer.leave_out("finished")
        if kind is Client13:
            peer.handshake()
        else:
            peer.sealing = peer.sealing.updated()
        peer.record(DATA, b"some")
        ends.refuse(peer, Alert.BAD_RECORD_MAC)


@pytest.mark.parametrize("kind", ALL)
def test_finished_again(ends, kind):
    """In 1.2 nobody may say it without ChangeCipherSpec, in 1.3 nobody twice."""
    with ends.meet(kind) as peer:
        said = []
        peer.handshake(finished=lambda data: said.append(data) or data)
        peer.message(said[0])
        ends.refuse(peer, Alert.UNEXPECTED_MESSAGE)


# ---- certificates of clients

@pytest.fixture
def asking(several_ends):
    """Ends whose server asks for a certificate, and goes on without one."""
    found = several_ends.get(asks=True, chain_max=20000)
    yield found
    found.serve()
    found.is_well()


def huge(count=1):
    return [bytes(65536)] * count


BAD_VERIFY = {
    "wrong": (flipped(30), Alert.DECRYPT_ERROR),
    "absent": (ABSENT, Alert.UNEXPECTED_MESSAGE),
    "not offered": (body(lambda data: numbers(0x0202) + data[2:]), Alert.ILLEGAL_PARAMETER),
    "of another kind": (body(lambda data: numbers(0x0804) + data[2:]), Alert.ILLEGAL_PARAMETER),
    "too long": (body(lambda data: data + b"x"), Alert.DECODE_ERROR),
    "too short": (body(lambda data: data[:-1]), Alert.DECODE_ERROR),
    "empty": (body(lambda data: b""), Alert.DECODE_ERROR),
    "twice": (twice, Alert.UNEXPECTED_MESSAGE),
}


@pytest.mark.parametrize("change, alert", BAD_VERIFY.values(), ids=BAD_VERIFY)
@pytest.mark.parametrize("kind", [Client12, Client13, Server13])
def test_certificate_verify(asking, kind, change, alert):
    with asking.meet(kind) as peer:
        asking.refuse(peer, alert, certificate_verify=change)


@pytest.mark.parametrize("kind", ALL)
def test_a_certificate_without_its_key(asking, kind):
    """Signed by another key than that in the certificate."""
    with asking.meet(kind) as peer:
        peer.handshake(until="server_key_exchange" if kind is Server12 else "certificate_verify")
        peer.identity = OTHER
        asking.refuse(peer, Alert.DECRYPT_ERROR)


def chain(*certificates, kind):
    make = certificate13 if kind in (Client13, Server13) else certificate12
    return instead(make(*certificates))


@pytest.mark.parametrize("kind", ALL)
def test_certificates_in_bad_form(asking, kind):
    der = IDENTITY.der
    unread = Alert.DECODE_ERROR if kind in CLIENTS else Alert.BAD_CERTIFICATE
    width = 1 if kind in (Client13, Server13) else 0
    for change, alert, *words in [
            (chain(*huge(), kind=kind), Alert.ILLEGAL_PARAMETER),  # above the limit
            (chain(der[:-1], kind=kind), unread, "not in DER"),
            (chain(der + b"x", kind=kind), Alert.DECODE_ERROR),
            (chain(b"", kind=kind), unread, "not in DER"),
            (body(lambda data: data + b"x"), Alert.DECODE_ERROR),
            (body(lambda data: data[:-1]), Alert.DECODE_ERROR),
            (body(lambda data: data[:width] + b"\xff\xff\xff" + data[width + 3:]),
             Alert.DECODE_ERROR),  # a list without an end
            (body(lambda data: b""), Alert.DECODE_ERROR),
            (twice, Alert.UNEXPECTED_MESSAGE)]:
        with asking.meet(kind) as peer:
            asking.refuse(peer, alert, *words, certificate=change)


@pytest.mark.parametrize("kind", SERVERS)
def test_no_certificate_of_a_server(ends, kind):
    """Not even an anonymous server is one: neither an empty list nor none."""
    with ends.meet(kind) as peer:
        ends.refuse(peer, Alert.DECODE_ERROR, certificate=chain(kind=kind))
    with ends.meet(kind) as peer:
        ends.refuse(peer, Alert.UNEXPECTED_MESSAGE, certificate=ABSENT)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_whom_nobody_knows(ends, kind):
    with ends.meet(kind, identity=OTHER) as peer:
        ends.refuse(peer, Alert.UNKNOWN_CA, "certificate of localhost")


@pytest.mark.parametrize("kind", CLIENTS)
def test_certificates_of_clients(asking, kind):
    with asking.meet(kind, identity=None) as peer:  # which is allowed
        peer.handshake().record(DATA, b"some")
        assert peer.expect(DATA) == b"some" if kind is Client12 else peer.take_ticket()
    with asking.meet(kind, identity=OTHER) as peer:
        asking.refuse(peer, Alert.UNKNOWN_CA, "certificate of localhost")
    with asking.meet(kind) as peer:  # proves that it has the key, but shows no certificate
        asking.refuse(peer, Alert.UNEXPECTED_MESSAGE, certificate=chain(kind=kind))
    with asking.meet(kind) as peer:
        asking.refuse(peer, Alert.UNEXPECTED_MESSAGE, certificate=ABSENT)


def test_a_certificate_for_another_request(asking):
    with asking.meet(Client13) as peer:
        asking.refuse(peer, Alert.DECODE_ERROR,
                      certificate=instead(certificate13(IDENTITY.der, context=b"1")))


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_certificate_that_nobody_asked_for(ends, kind):
    with ends.meet(kind) as peer:
        peer.handshake(until="finished" if kind is Client13 else "client_key_exchange")
        peer.message(chain(IDENTITY.der, kind=kind)(b""))
        ends.refuse(peer, Alert.UNEXPECTED_MESSAGE)


# ---- hellos of servers

def hello_of(server, **changes):
    """A server's hello with other arguments than the right ones."""
    def make(_):
        table = {**server.extensions, SHARE: share(server.share.group, server.share.public)}
        table |= changes.pop("more", {})
        for number in changes.pop("less", ()):
            del table[number]
        right = {"random": server.random, "cipher": server.cipher, "table": table,
                 "session": server.hello.session}
        return server_hello(**{**right, **changes})
    return make


BAD_HELLO_13 = {
    "version not offered": ({"more": {VERSIONS: numbers(0x0302)}}, Alert.ILLEGAL_PARAMETER),
    "version of the future": ({"more": {VERSIONS: numbers(0x0305)}}, Alert.ILLEGAL_PARAMETER),
    "1.2 where it is not said so": ({"more": {VERSIONS: numbers(0x0303)}}, Alert.ILLEGAL_PARAMETER),
    "no version": ({"less": [VERSIONS]}, Alert.ILLEGAL_PARAMETER),
    "cipher not offered": ({"cipher": 0x1304}, Alert.ILLEGAL_PARAMETER),
    "cipher of 1.2": ({"cipher": 0xC02B}, Alert.ILLEGAL_PARAMETER),
    "no cipher": ({"cipher": 0}, Alert.ILLEGAL_PARAMETER),
    "compression": ({"compression": 1}, Alert.ILLEGAL_PARAMETER),
    "another session": ({"session": bytes(32)}, Alert.ILLEGAL_PARAMETER),
    "no session": ({"session": b""}, Alert.ILLEGAL_PARAMETER),
    "a long session": ({"session": bytes(33)}, Alert.ILLEGAL_PARAMETER),
    "extension elsewhere": ({"more": {ALPN: listed(2, listed(1, b"http/1.1"))}},
                            Alert.ILLEGAL_PARAMETER),
    "no share": ({"less": [SHARE]}, Alert.MISSING_EXTENSION),
    "share of no group": ({"more": {SHARE: share(0x1234, bytes(32))}}, Alert.ILLEGAL_PARAMETER),
    "share of another group": ({"more": {SHARE: share(P256, b"\x04" + bytes(64))}},
                               Alert.ILLEGAL_PARAMETER),
    "share of small order": ({"more": {SHARE: share(X25519, bytes(32))}}, Alert.ILLEGAL_PARAMETER),
    "share too short": ({"more": {SHARE: share(X25519, bytes(31))}}, Alert.ILLEGAL_PARAMETER),
    "share without an end": ({"more": {SHARE: b"\0\x1d\xff\xff"}}, Alert.DECODE_ERROR),
    "session not offered": ({"more": {PSK: numbers(0)}}, Alert.UNSUPPORTED_EXTENSION),
    "early data in the wrong place": ({"more": {EARLY_DATA: b""}}, Alert.ILLEGAL_PARAMETER),
}


@pytest.mark.parametrize("changes, alert", BAD_HELLO_13.values(), ids=BAD_HELLO_13)
def test_hello_of_a_server_13(ends, changes, alert):
    with ends.meet(Server13) as peer:
        peer.handshake(until="server_hello")
        ends.refuse(peer, alert, server_hello=hello_of(peer, **changes))


@pytest.mark.parametrize("changes", [
    {"version": 0x0302}, {"version": 0x0304},  # the old place does not count (RFC 8446, 4.2.1)
    {"more": {60000: b"what is this?"}},  # RFC 8446, 4.2, wants it refused; OpenSSL passes over it
])
def test_hello_of_a_server_13_that_is_good_enough(ends, changes):
    with ends.meet(Server13) as peer:
        peer.handshake(until="server_hello")
        peer.handshake(server_hello=hello_of(peer, **changes))
        assert peer.expect(DATA) == b"hello"


BAD_HELLO_12 = {
    "sign of a lower version": ({"random": bytes(24) + b"DOWNGRD\x01"}, Alert.ILLEGAL_PARAMETER),
    "sign of a much lower version": ({"random": bytes(24) + b"DOWNGRD\0"},
                                     Alert.ILLEGAL_PARAMETER),
    "1.1": ({"version": 0x0302}, Alert.PROTOCOL_VERSION),
    "1.0": ({"version": 0x0301}, Alert.PROTOCOL_VERSION),
    "SSL": ({"version": 0x0300}, Alert.PROTOCOL_VERSION),
    "cipher not offered": ({"cipher": 0x002F}, Alert.ILLEGAL_PARAMETER),
    "cipher of 1.3": ({"cipher": 0x1301}, Alert.ILLEGAL_PARAMETER),
    "no cipher": ({"cipher": 0}, Alert.ILLEGAL_PARAMETER),
    "compression": ({"compression": 1}, Alert.ILLEGAL_PARAMETER),
    "extension of 1.3": ({"more": {SHARE: share(X25519, bytes(32))}}, Alert.ILLEGAL_PARAMETER),
    "protocol not offered": ({"more": {ALPN: listed(2, listed(1, b"h2"))}}, Alert.DECODE_ERROR),
    "two protocols": ({"more": {ALPN: listed(2, listed(1, b"http/1.1") * 2)}}, Alert.DECODE_ERROR),
    "no protocol": ({"more": {ALPN: listed(2, b"")}}, Alert.DECODE_ERROR),
    "no word about renegotiation": ({"less": [RENEGOTIATION]}, Alert.HANDSHAKE_FAILURE),
    "in the middle of a renegotiation": ({"more": {RENEGOTIATION: listed(1, bytes(24))}},
                                         Alert.ILLEGAL_PARAMETER),
}


@pytest.mark.parametrize("changes, alert", BAD_HELLO_12.values(), ids=BAD_HELLO_12)
def test_hello_of_a_server_12(ends, changes, alert):
    less = [SHARE, *changes.get("less", [])] if SHARE not in changes.get("more", {}) else []
    with ends.meet(Server12) as peer:
        peer.handshake(until="server_hello")
        ends.refuse(peer, alert, server_hello=hello_of(
            peer, **{"session": b"", **changes, "less": less}))


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("change", [lambda data: data + b"x", lambda data: data[:-1],
                                    lambda data: data[:20], lambda data: b""])
def test_hello_of_another_length(ends, kind, change):
    with ends.meet(kind) as peer:
        ends.refuse(peer, Alert.DECODE_ERROR, server_hello=body(change))


# ---- further messages of servers

BAD_ENCRYPTED = {
    "protocol not offered": ([(ALPN, listed(2, listed(1, b"h2")))], Alert.DECODE_ERROR),
    "two protocols": ([(ALPN, listed(2, listed(1, b"http/1.1") * 2))], Alert.DECODE_ERROR),
    "the same twice": ([(ALPN, listed(2, listed(1, b"http/1.1")))] * 2, Alert.ILLEGAL_PARAMETER),
    "share": ([(SHARE, share(X25519, bytes(32)))], Alert.ILLEGAL_PARAMETER),
    "early data not offered": ([(EARLY_DATA, b"")], Alert.UNSUPPORTED_EXTENSION),
    "a word about renegotiation": ([(RENEGOTIATION, b"\0")], Alert.ILLEGAL_PARAMETER),
    "session": ([(PSK, numbers(0))], Alert.ILLEGAL_PARAMETER),
}


@pytest.mark.parametrize("table, alert", BAD_ENCRYPTED.values(), ids=BAD_ENCRYPTED)
def test_encrypted_extensions(ends, table, alert):
    with ends.meet(Server13, encrypted=table) as peer:
        ends.refuse(peer, alert)


@pytest.mark.parametrize("change", [lambda data: data + b"x", lambda data: data[:-1],
                                    lambda data: b"\xff\xff" + data[2:]])
def test_encrypted_extensions_of_another_length(ends, change):
    with ends.meet(Server13) as peer:
        ends.refuse(peer, Alert.DECODE_ERROR, encrypted_extensions=body(change))


BAD_EXCHANGE = {
    "wrong signature": (flipped(-8), Alert.DECRYPT_ERROR),
    "another key": (flipped(20), Alert.DECRYPT_ERROR),
    "curve without a name": (lambda data: b"\x01" + data[1:], Alert.ILLEGAL_PARAMETER),
    "curve not offered": (lambda data: b"\x03\0\x01" + data[3:], Alert.ILLEGAL_PARAMETER),
    "curve of before": (lambda data: b"\x03\0\x13" + data[3:], Alert.ILLEGAL_PARAMETER),
    "no point": (lambda data: b"\x03\0\x1d\0" + data[36:], Alert.ILLEGAL_PARAMETER),
    "algorithm not offered": (lambda data: data[:36] + numbers(0x0202) + data[38:],
                              Alert.ILLEGAL_PARAMETER),
    "algorithm of another key": (lambda data: data[:36] + numbers(0x0804) + data[38:],
                                 Alert.ILLEGAL_PARAMETER),
    "no signature": (lambda data: data[:36], Alert.DECODE_ERROR),
    "too long": (lambda data: data + b"x", Alert.DECODE_ERROR),
    "empty": (lambda data: b"", Alert.DECODE_ERROR),
}


@pytest.mark.parametrize("change, alert", BAD_EXCHANGE.values(), ids=BAD_EXCHANGE)
def test_server_key_exchange(ends, change, alert):
    with ends.meet(Server12) as peer:
        ends.refuse(peer, alert, server_key_exchange=body(change))


BAD_CLIENT_EXCHANGE = {
    "empty": (lambda data: b"", Alert.HANDSHAKE_FAILURE),
    "no point": (lambda data: b"\0", Alert.ILLEGAL_PARAMETER),
    "too short": (lambda data: listed(1, data[2:]), Alert.ILLEGAL_PARAMETER),
    "too long": (lambda data: data + b"x", Alert.DECODE_ERROR),
    "of small order": (lambda data: listed(1, bytes(32)), Alert.ILLEGAL_PARAMETER),
}


@pytest.mark.parametrize("change, alert", BAD_CLIENT_EXCHANGE.values(), ids=BAD_CLIENT_EXCHANGE)
def test_client_key_exchange(ends, change, alert):
    with ends.meet(Client12) as peer:
        ends.refuse(peer, alert, client_key_exchange=body(change))


def test_the_end_of_a_servers_flight_with_a_body(ends):
    with ends.meet(Server12) as peer:
        ends.refuse(peer, Alert.ILLEGAL_PARAMETER, server_hello_done=body(lambda data: b"x"))


# ---- another hello

@pytest.mark.parametrize("group, alert", [
    (0x1234, Alert.ILLEGAL_PARAMETER),  # not offered
    (X25519, Alert.ILLEGAL_PARAMETER),  # there was a share of it
])
def test_another_hello_for_a_wrong_group(ends, group, alert):
    with ends.meet(Server13) as peer:
        peer.handshake(until="server_hello")
        with pytest.raises(Alerted):
            peer.retry(group)
        ends.refuse(peer, alert)


def test_another_hello_for_no_reason(ends):
    with ends.meet(Server13) as peer:
        peer.handshake(until="server_hello")
        peer.message(server_hello(RETRY, peer.cipher, {VERSIONS: numbers(0x0304)},
                                  peer.hello.session))
        ends.refuse(peer, Alert.ILLEGAL_PARAMETER, server_hello=ABSENT)


def test_another_hello_twice(ends):
    with ends.meet(Server13) as peer:
        peer.handshake(until="server_hello")
        peer.retry(P256)
        with pytest.raises(Alerted):
            peer.retry(X25519)
        ends.refuse(peer, Alert.UNEXPECTED_MESSAGE)


@pytest.mark.parametrize("changes", [{"cipher": 0x1303}, {"more": {VERSIONS: numbers(0x0303)}},
                                     {"more": {SHARE: share(X25519, b"\x09" + bytes(31))}}])
def test_another_hello_and_then_something_else(ends, changes):
    with ends.meet(Server13) as peer:
        peer.handshake(until="server_hello")
        peer.retry(P256)
        ends.refuse(peer, Alert.ILLEGAL_PARAMETER, server_hello=hello_of(peer, **changes))


def change_share(peer):
    peer.extensions[SHARE] = listed(2, share(X25519, b"\x09" + bytes(31)))


def drop_share(peer):
    peer.extensions[SHARE] = listed(2, b"")


def change_ciphers(peer):
    peer.ciphers = (0x1302,)


@pytest.mark.parametrize("change, alert", [
    (change_share, Alert.ILLEGAL_PARAMETER),
    (drop_share, Alert.ILLEGAL_PARAMETER),
    (change_ciphers, Alert.ILLEGAL_PARAMETER),
])
def test_another_hello_of_a_client_that_does_not_fit(ends, change, alert):
    with ends.meet(Client13) as peer:
        peer.extensions |= {GROUPS: listed(2, numbers(P256)), SHARE: listed(2, b"")}
        peer.handshake(until="second_hello")
        change(peer)
        ends.refuse(peer, alert)
