# SPDX-License-Identifier: MIT
"""Both roles of TLS 1.2 by script, RFC 5246."""
from tls_keys import Aead12, digest, prf
from tls_messages import (
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, CHANGE_CIPHER_SPEC, CLIENT_HELLO,
    CLIENT_KEY_EXCHANGE, ECDSA_P256, FINISHED, GROUPS, HANDSHAKE, NEW_TICKET, P256, RENEGOTIATION,
    SERVER_HELLO, SERVER_HELLO_DONE, SERVER_KEY_EXCHANGE, SIGNATURES, TICKET, X25519, Reader,
    certificate12, client_hello, listed, message, numbers, read_hello, server_hello, share, signed)
from tls_script import Peer, Share

ECDSA_SUITE, RSA_SUITE = 0xC02B, 0xC02F  # ECDHE, with a certificate of either kind


class Peer12(Peer):
    def derive(self, public, randoms):
        """With the other side's share: the keys, which wait for ChangeCipherSpec."""
        self.randoms = randoms
        self.master = prf(self.share.secret(public), b"master secret", randoms, 48)
        block = prf(self.master, b"key expansion", randoms[32:] + randoms[:32], 40)
        self.client = Aead12(block[:16], block[32:36])
        self.server = Aead12(block[16:32], block[36:])

    def finished(self, role):
        return message(FINISHED, prf(self.master, role + b" finished", digest(self.transcript),
                                     12))

    def take_finished(self, role):
        self.expect(CHANGE_CIPHER_SPEC)
        self.opening = self.server if role == b"server" else self.client
        wanted = self.finished(role)[4:]
        assert self.take(FINISHED) == wanted


class Client12(Peer12):
    meets = "server"
    names = ("hello", "certificate", "client_key_exchange", "certificate_verify",
             "change_cipher_spec", "finished")
    ciphers = (ECDSA_SUITE, RSA_SUITE)
    ticket = None

    def begin(self):
        self.extensions = {GROUPS: listed(2, numbers(X25519, P256)), RENEGOTIATION: b"\0",
                           SIGNATURES: listed(2, numbers(ECDSA_P256, 0x0804)), TICKET: b""}

    def hello(self):
        return client_hello(self.random, self.ciphers, self.extensions, self.session)

    def play(self):
        yield "hello", HANDSHAKE, self.hello
        self.answer = read_hello(self.take(SERVER_HELLO), server=True)
        asked = self.take_flight()
        if asked:
            chain = [self.identity.der] if self.identity else []
            yield "certificate", HANDSHAKE, lambda: certificate12(*chain)
        yield "client_key_exchange", HANDSHAKE, lambda: message(
            CLIENT_KEY_EXCHANGE, listed(1, self.share.public))
        if asked and self.identity:
            yield "certificate_verify", HANDSHAKE, lambda: message(
                CERTIFICATE_VERIFY, signed(ECDSA_P256, self.identity.sign(self.transcript)))
        yield "change_cipher_spec", CHANGE_CIPHER_SPEC, lambda: b"\x01"
        self.sealing = self.client
        yield "finished", HANDSHAKE, lambda: self.finished(b"client")
        if TICKET in self.answer.extensions:
            self.ticket = Reader(self.take(NEW_TICKET)[4:]).listed(2)
        self.take_finished(b"server")

    def take_flight(self):
        """What the server sends behind its hello; whether it asks for a certificate."""
        self.take(CERTIFICATE)
        reader = Reader(self.take(SERVER_KEY_EXCHANGE)[1:])
        self.share = Share(reader.number(2))
        self.derive(reader.listed(1), self.random + self.answer.random)
        kind, _ = self.take_message()
        if kind == CERTIFICATE_REQUEST:
            self.take(SERVER_HELLO_DONE)
        return kind == CERTIFICATE_REQUEST


class Server12(Peer12):
    meets = "client"
    names = ("server_hello", "certificate", "server_key_exchange", "certificate_request",
             "server_hello_done", "change_cipher_spec", "finished")
    request = False
    cipher = ECDSA_SUITE

    def begin(self):
        self.extensions = {RENEGOTIATION: b"\0"}

    def key_exchange(self):
        params = b"\x03" + share(self.share.group, b"")[:2] + listed(1, self.share.public)
        words = self.hello.random + self.random + params
        return message(SERVER_KEY_EXCHANGE, params + signed(ECDSA_P256, self.identity.sign(words)))

    def play(self):
        self.hello = read_hello(self.take(CLIENT_HELLO), server=False)
        yield "server_hello", HANDSHAKE, lambda: server_hello(
            self.random, self.cipher, self.extensions, self.session)
        yield "certificate", HANDSHAKE, lambda: certificate12(self.identity.der)
        yield "server_key_exchange", HANDSHAKE, self.key_exchange
        if self.request:
            yield "certificate_request", HANDSHAKE, lambda: message(
                CERTIFICATE_REQUEST, b"\x01\x40" + listed(2, numbers(ECDSA_P256)) + b"\0\0")
        yield "server_hello_done", HANDSHAKE, lambda: message(SERVER_HELLO_DONE)
        has_certificate = self.request and len(self.take(CERTIFICATE)) > 3
        self.derive(self.take(CLIENT_KEY_EXCHANGE)[1:], self.hello.random + self.random)
        if has_certificate:
            self.take(CERTIFICATE_VERIFY)
        self.take_finished(b"client")
        yield "change_cipher_spec", CHANGE_CIPHER_SPEC, lambda: b"\x01"
        self.sealing = self.server
        yield "finished", HANDSHAKE, lambda: self.finished(b"server")
