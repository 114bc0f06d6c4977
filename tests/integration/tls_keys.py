# SPDX-License-Identifier: MIT
"""Keys of TLS 1.2 and 1.3 by hand, for one cipher alone: AES-128-GCM with SHA-256."""
import hashlib
import hmac
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NOTHING = bytes(32)  # where a secret could be, and there is none


def digest(data):
    return hashlib.sha256(data).digest()


def mac(key, data):
    return hmac.digest(key, data, "sha256")


# ---- TLS 1.2, RFC 5246, 5

def prf(secret, label, seed, size):
    seed = label + seed
    out, step = b"", seed
    while len(out) < size:
        step = mac(secret, step)
        out += mac(secret, step + seed)
    return out[:size]


class Aead12:
    """Protects the records of one direction, RFC 5288."""

    def __init__(self, key, salt):
        self.aead, self.salt, self.count = AESGCM(key), salt, 0

    def _next(self, head, size):
        count = self.count.to_bytes(8, "big")
        self.count += 1
        return count, count + head[:3] + size.to_bytes(2, "big")

    def seal(self, kind, data, pad=0):
        del pad  # there is none in TLS 1.2
        head = struct.pack("!BHH", kind, 0x0303, len(data) + 24)
        count, known = self._next(head, len(data))
        return head + count + self.aead.encrypt(self.salt + count, data, known)

    def open(self, head, body):
        _count, known = self._next(head, len(body) - 24)
        return head[0], self.aead.decrypt(self.salt + body[:8], body[8:], known)


# ---- TLS 1.3, RFC 8446, 7

def expand(secret, label, context=b"", size=32):
    """HKDF-Expand-Label."""
    label = b"tls13 " + label
    info = struct.pack("!HB", size, len(label)) + label + bytes([len(context)]) + context
    assert size <= 32
    return mac(secret, info + b"\x01")[:size]


class Aead13:
    """Protects the records of one direction under one traffic secret."""

    def __init__(self, secret):
        self.secret, self.count = secret, 0
        self.aead = AESGCM(expand(secret, b"key", size=16))
        self.iv = int.from_bytes(expand(secret, b"iv", size=12), "big")

    def updated(self):
        """What comes after an update of keys."""
        return Aead13(expand(self.secret, b"traffic upd"))

    def _nonce(self):
        self.count += 1
        return (self.iv ^ (self.count - 1)).to_bytes(12, "big")

    def seal(self, kind, data, pad=0):
        """Without a kind it is padding alone, which nobody may send."""
        inner = data + (b"" if kind is None else bytes([kind])) + bytes(pad)
        head = struct.pack("!BHH", 23, 0x0303, len(inner) + 16)
        return head + self.aead.encrypt(self._nonce(), inner, head)

    def open(self, head, body):
        inner = self.aead.decrypt(self._nonce(), body, head).rstrip(b"\0")
        return inner[-1], inner[:-1]


class Schedule:
    """The secrets of a connection."""

    def __init__(self, psk=NOTHING):
        self.early = mac(NOTHING, psk)
        self.handshake = self.master = None

    def share(self, secret):
        """Takes what the exchange of keys gave."""
        self.handshake = mac(expand(self.early, b"derived", digest(b"")), secret)
        self.master = mac(expand(self.handshake, b"derived", digest(b"")), NOTHING)

    def binder(self, hello):
        """What proves that the sender of a hello, here without its binders, has the key."""
        key = expand(self.early, b"res binder", digest(b""))
        return mac(expand(key, b"finished"), digest(hello))


def finished13(secret, transcript):
    return mac(expand(secret, b"finished"), digest(transcript))
