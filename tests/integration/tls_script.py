# SPDX-License-Identifier: MIT
"""Peers of TLS 1.2 and 1.3 that follow a script, in both roles, and leave it where a test wants.

    with Client13(socket) as client:
        client.handshake(finished=lambda data: data[:-1] + b"x")
        assert client.end() == 51

A handshake is a list of steps by name, one for each message that this side sends: it can stop
before any of them, send something else in its place, and go on. Between the steps the peer is a
Link, which sends whatever it is told to.

Sound libraries do not send what is wrong, and tlsfuzzer, which does, needs a library (tlslite-ng)
that Debian 12 does not have; so the protocol is done by hand here, on the primitives of
python3-cryptography. One cipher is enough to lie with, AES-128-GCM, and two groups, X25519 and
P-256. That this side plays by the rules when it means to is tested with OpenSSL's programs.
"""
import contextlib
import datetime
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from tls_link import Alerted, Ended, Link
from tls_messages import HANDSHAKE, X25519


class Identity:
    """A key on P-256 and a certificate for localhost that it has signed itself."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now, day = datetime.datetime.utcnow(), datetime.timedelta(days=1)
        names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
        self.cert = x509.CertificateBuilder(
            name, name, self.key.public_key(), x509.random_serial_number(), now - day, now + day,
        ).add_extension(names, False).sign(self.key, hashes.SHA256())
        self.der = self.cert.public_bytes(serialization.Encoding.DER)
        self.pem = self.cert.public_bytes(serialization.Encoding.PEM)

    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM,
                                      serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption())

    def sign(self, data):
        return self.key.sign(data, ec.ECDSA(hashes.SHA256()))


class Share:
    """This side's part of an exchange of keys."""

    def __init__(self, group):
        self.group = group
        if group == X25519:
            self.key = x25519.X25519PrivateKey.generate()
            self.public = self.key.public_key().public_bytes(
                serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())
            self.public = self.key.public_key().public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)

    def secret(self, other):
        if self.group == X25519:
            return self.key.exchange(x25519.X25519PublicKey.from_public_bytes(other))
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), other)
        return self.key.exchange(ec.ECDH(), point)


class Peer(Link):
    """Makes a handshake step by step. Attributes may be set before, and between steps."""

    identity = None  # with which it shows who it is
    session = b""

    def __init__(self, sock, **how):
        super().__init__(sock)
        self.random = os.urandom(32)
        self.share = Share(X25519)
        self.extensions = {}  # of the hello: number to bytes
        self.begin()
        for name, value in how.items():
            setattr(self, name, value)
        self.steps, self.held = self.play(), None

    def begin(self):
        """Sets what is said if nobody says otherwise."""

    def play(self):
        """Yields the steps, (name, kind of record, what makes the bytes), and reads in between."""
        raise NotImplementedError

    def handshake(self, until=None, **changes):
        """Goes on with the handshake, to its end or to before a step, which is then the next one.

        A change, `name=function`, makes of a message what is sent instead.
        """
        assert not until or until in self.names
        assert set(changes) <= set(self.names)
        while step := self.held or next(self.steps, None):
            self.held = step
            name, kind, make = step
            if name == until:
                return self
            self.held = None
            data = changes.get(name, lambda data: data)(make())
            if kind == HANDSHAKE:
                self.message(data)
            elif data:
                self.record(kind, data)
        return self

    def fail(self, **changes):
        """Goes on as far as the other side lets it; the last alert that has come, or None."""
        with contextlib.suppress(Alerted, Ended):
            self.handshake(**changes)
        return self.end()

    def leave_out(self, name):
        """Goes on to a step and passes over it, as if it were not in the script."""
        self.handshake(until=name)
        self.held = None
        return self
