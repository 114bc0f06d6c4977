# SPDX-License-Identifier: MIT
"""Both roles of TLS 1.3 by script, RFC 8446."""
from tls_keys import NOTHING, Aead13, Schedule, digest, expand, finished13
from tls_messages import (
    CERTIFICATE, CERTIFICATE_REQUEST, CERTIFICATE_VERIFY, CHANGE_CIPHER_SPEC, CLIENT_HELLO, DATA,
    ECDSA_P256, ENCRYPTED_EXTENSIONS, FINISHED, GROUPS, HANDSHAKE, KEY_UPDATE, MESSAGE_HASH,
    NEW_TICKET, P256, PSK, PSK_MODES, RETRY, SERVER_HELLO, SHARE, SIGNATURES, SUITE_13, VERSIONS,
    X25519, Reader, certificate13, certificate_request13, client_hello, extensions, listed, message,
    numbers, read_extensions, read_hello, read_shares, read_ticket13, server_hello, share, signed)
from tls_script import Peer, Share


class Peer13(Peer):
    skipped = (CHANGE_CIPHER_SPEC,)
    psk = None  # of the session to be resumed
    asked = None  # the context of a request for a certificate

    def _open(self, head, body):
        """Alerts, and what is for those who look on, may be plain at any time."""
        return super()._open(head, body) if head[0] == DATA else (head[0], body)

    def secret(self, label, master=None):
        return expand(master or self.schedule.master, label, digest(self.transcript))

    def agree(self, public):
        """With the other side's share: the secrets of the handshake, client's and server's."""
        self.schedule.share(self.share.secret(public))
        self.client = self.secret(b"c hs traffic", self.schedule.handshake)
        self.server = self.secret(b"s hs traffic", self.schedule.handshake)

    def retried(self, hello):
        """Puts a hash in the place of the first hello, behind which another one came."""
        self.transcript = message(MESSAGE_HASH, digest(hello))

    def verification(self, role):
        words = b" " * 64 + b"TLS 1.3, " + role + b" CertificateVerify\0"
        return self.identity.sign(words + digest(self.transcript))

    def certificate_verify(self, role):
        return message(CERTIFICATE_VERIFY, signed(ECDSA_P256, self.verification(role)))

    def check_finished(self, secret):
        wanted = finished13(secret, self.transcript)
        assert self.take(FINISHED) == wanted

    def psk_of(self, nonce):
        """The key of a session that the server has sent with this nonce."""
        return expand(self.resumption, b"resumption", nonce)

    def update_keys(self, asked):
        """Sends an update of this side's keys, and uses them."""
        self.message(message(KEY_UPDATE, bytes([asked])))
        self.sealing = self.sealing.updated()


class Client13(Peer13):
    meets = "server"
    names = ("hello", "second_hello", "certificate", "certificate_verify", "finished")
    ciphers = (SUITE_13,)
    ticket = None  # what it offers

    def begin(self):
        self.extensions = {VERSIONS: listed(1, numbers(0x0304)),
                           GROUPS: listed(2, numbers(X25519, P256)),
                           SIGNATURES: listed(2, numbers(ECDSA_P256)),
                           SHARE: listed(2, share(X25519, self.share.public))}

    def hello(self):
        if not self.ticket:
            return client_hello(self.random, self.ciphers, self.extensions, self.session)
        self.schedule = Schedule(self.ticket.psk)
        identity = listed(2, self.ticket.ticket) + self.age.to_bytes(4, "big")
        table = {PSK_MODES: b"\x01\x01", **self.extensions,
                 PSK: listed(2, identity) + listed(2, listed(1, NOTHING))}
        data = client_hello(self.random, self.ciphers, table, self.session)[:-35]
        self.binder = self.schedule.binder(self.transcript + data)
        return data + listed(2, listed(1, self.binder))

    @property
    def age(self):
        """Of the ticket, as it is told: hidden, and here always 0."""
        return self.ticket.age_add

    def server_hello(self):
        return read_hello(self.take(SERVER_HELLO), server=True)

    def play(self):
        yield "hello", HANDSHAKE, self.hello
        first = self.transcript
        self.answer = self.server_hello()
        if self.answer.random == RETRY:
            rest = self.transcript[len(first):]
            self.retried(first)
            self.transcript += rest
            self.share = Share(int.from_bytes(self.answer.extensions[SHARE], "big"))
            self.extensions[SHARE] = listed(2, share(self.share.group, self.share.public))
            yield "second_hello", HANDSHAKE, self.hello
            self.answer = self.server_hello()
        self.resumed = PSK in self.answer.extensions
        if not self.resumed:
            self.schedule = Schedule()
        self.agree(self.answer.extensions[SHARE][4:])
        self.sealing, self.opening = Aead13(self.client), Aead13(self.server)
        self.take_flight()
        if self.asked is not None:
            chain = [self.identity.der] if self.identity else []
            yield "certificate", HANDSHAKE, lambda: certificate13(*chain, context=self.asked)
            if self.identity:
                yield "certificate_verify", HANDSHAKE, lambda: self.certificate_verify(b"client")
        yield "finished", HANDSHAKE, lambda: message(
            FINISHED, finished13(self.client, self.transcript))
        self.sealing = Aead13(self.data)
        self.resumption = self.secret(b"res master")

    def take_flight(self):
        """What the server sends behind its hello."""
        self.encrypted = read_extensions(Reader(self.take(ENCRYPTED_EXTENSIONS)))
        if not self.resumed:
            kind, body = self.take_message()
            if kind == CERTIFICATE_REQUEST:
                self.asked = Reader(body).listed(1)
                kind, body = self.take_message()
            assert kind == CERTIFICATE
            self.take(CERTIFICATE_VERIFY)
        self.check_finished(self.server)
        self.data = self.secret(b"c ap traffic")
        self.opening = Aead13(self.secret(b"s ap traffic"))

    def take_ticket(self):
        ticket = read_ticket13(self.take(NEW_TICKET))
        ticket.psk = self.psk_of(ticket.nonce)
        return ticket


class Server13(Peer13):
    meets = "client"
    names = ("server_hello", "encrypted_extensions", "certificate_request", "certificate",
             "certificate_verify", "finished")
    encrypted = {}
    request = False  # whether it asks for a certificate
    cipher = SUITE_13

    def begin(self):
        self.extensions = {VERSIONS: numbers(0x0304)}

    def take_hello(self):
        self.hello = read_hello(self.take(CLIENT_HELLO), server=False)

    def retry(self, group):
        """Asks for another hello, with a share of this group, and takes it."""
        self.retried(self.transcript)
        table = {VERSIONS: numbers(0x0304), SHARE: numbers(group)}
        self.message(server_hello(RETRY, self.cipher, table, self.hello.session))
        self.take_hello()
        self.share = Share(group)

    def server_hello(self):
        table = {**self.extensions, SHARE: share(self.share.group, self.share.public)}
        if self.psk:
            table[PSK] = numbers(0)
        return server_hello(self.random, self.cipher, table, self.hello.session)

    def play(self):
        self.take_hello()
        yield "server_hello", HANDSHAKE, self.server_hello
        self.schedule = Schedule(self.psk or NOTHING)
        self.agree(read_shares(self.hello.extensions[SHARE])[self.share.group])
        self.sealing, self.opening = Aead13(self.server), Aead13(self.client)
        yield "encrypted_extensions", HANDSHAKE, lambda: message(
            ENCRYPTED_EXTENSIONS, extensions(self.encrypted))
        if not self.psk:
            if self.request:
                yield "certificate_request", HANDSHAKE, certificate_request13
            yield "certificate", HANDSHAKE, lambda: certificate13(self.identity.der)
            yield "certificate_verify", HANDSHAKE, lambda: self.certificate_verify(b"server")
        yield "finished", HANDSHAKE, lambda: message(
            FINISHED, finished13(self.server, self.transcript))
        data = self.secret(b"c ap traffic")
        self.sealing = Aead13(self.secret(b"s ap traffic"))
        if self.request and not self.psk:
            self.take_certificate()
        self.check_finished(self.client)
        self.opening = Aead13(data)
        self.resumption = self.secret(b"res master")

    def take_certificate(self):
        if len(self.take(CERTIFICATE)) > 4:
            self.take(CERTIFICATE_VERIFY)
