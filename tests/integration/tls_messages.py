# SPDX-License-Identifier: MIT
"""Messages of TLS as bytes, made and taken apart."""
import dataclasses
import struct

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23

(HELLO_REQUEST, CLIENT_HELLO, SERVER_HELLO, NEW_TICKET, END_OF_EARLY_DATA, ENCRYPTED_EXTENSIONS,
 CERTIFICATE, SERVER_KEY_EXCHANGE, CERTIFICATE_REQUEST, SERVER_HELLO_DONE, CERTIFICATE_VERIFY,
 CLIENT_KEY_EXCHANGE, FINISHED, KEY_UPDATE, MESSAGE_HASH) = (
     0, 1, 2, 4, 5, 8, 11, 12, 13, 14, 15, 16, 20, 24, 254)

GROUPS, SIGNATURES, ALPN, TICKET = 10, 13, 16, 35  # extensions
PSK, EARLY_DATA, VERSIONS, PSK_MODES, SHARE = 41, 42, 43, 45, 51
RENEGOTIATION = 0xFF01

P256, X25519 = 0x17, 0x1D
ECDSA_P256 = 0x0403
SUITE_13 = 0x1301  # TLS_AES_128_GCM_SHA256

RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def listed(width, data):
    """Bytes with their count in front, in `width` bytes."""
    return len(data).to_bytes(width, "big") + data


def numbers(*values):
    return b"".join(struct.pack("!H", value) for value in values)


def message(kind, body=b""):
    return bytes([kind]) + listed(3, body)


def extensions(table):
    """From a dict or pairs of numbers and bytes."""
    pairs = table.items() if isinstance(table, dict) else table
    return listed(2, b"".join(numbers(number) + listed(2, data) for number, data in pairs))


def share(group, public):
    return numbers(group) + listed(2, public)


def client_hello(random, ciphers, table, session=b"", version=0x0303):
    return message(CLIENT_HELLO, numbers(version) + random + listed(1, session) +
                   listed(2, numbers(*ciphers)) + b"\x01\0" + extensions(table))


def server_hello(random, cipher, table, session=b"", version=0x0303, compression=0):
    return message(SERVER_HELLO, numbers(version) + random + listed(1, session) +
                   numbers(cipher) + bytes([compression]) + extensions(table))


def certificate12(*chain):
    return message(CERTIFICATE, listed(3, b"".join(listed(3, der) for der in chain)))


def certificate13(*chain, context=b"", more=b"\0\0"):
    """`more`: the extensions of each certificate."""
    entries = b"".join(listed(3, der) + more for der in chain)
    return message(CERTIFICATE, listed(1, context) + listed(3, entries))


def certificate_request13(context=b"", schemes=(ECDSA_P256,)):
    return message(CERTIFICATE_REQUEST, listed(1, context) +
                   extensions({SIGNATURES: listed(2, numbers(*schemes))}))


def signed(scheme, signature):
    return numbers(scheme) + listed(2, signature)


def ticket13(ticket, nonce=b"\0", lifetime=3600, age_add=0, table=()):
    return message(NEW_TICKET, struct.pack("!II", lifetime, age_add) + listed(1, nonce) +
                   listed(2, ticket) + extensions(table))


# ---- taken apart

class Reader:
    def __init__(self, data):
        self.data = data

    def take(self, size):
        assert len(self.data) >= size, "a message ends too soon"
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def number(self, width):
        return int.from_bytes(self.take(width), "big")

    def listed(self, width):
        return self.take(self.number(width))


@dataclasses.dataclass
class Hello:
    random: bytes
    session: bytes
    ciphers: list  # one in a server's
    extensions: dict


def read_extensions(reader):
    table, inner = {}, Reader(reader.listed(2) if reader.data else b"")
    while inner.data:
        number = inner.number(2)
        table[number] = inner.listed(2)
    return table


def read_hello(body, server):
    """The hello of a server or of a client, without its head."""
    reader = Reader(body[2:])
    random, session = reader.take(32), reader.listed(1)
    words = reader.take(2) if server else reader.listed(2)
    reader.take(1 if server else reader.number(1))
    return Hello(random, session, list(struct.unpack(f"!{len(words) // 2}H", words)),
                 read_extensions(reader))


def read_shares(data):
    """A client's shares of keys: {group: public}."""
    shares, reader = {}, Reader(Reader(data).listed(2))
    while reader.data:
        group = reader.number(2)
        shares[group] = reader.listed(2)
    return shares


@dataclasses.dataclass
class Ticket:
    """A session of TLS 1.3, as a client has it."""
    lifetime: int
    age_add: int
    nonce: bytes
    ticket: bytes
    extensions: dict
    psk: bytes = b""


def read_ticket13(body):
    reader = Reader(body)
    return Ticket(reader.number(4), reader.number(4), reader.listed(1), reader.listed(2),
                  read_extensions(reader))
