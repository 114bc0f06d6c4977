# SPDX-License-Identifier: MIT
"""A connection whose records of TLS are made and read one by one."""
import contextlib
import enum
import struct

from tls_messages import ALERT, DATA, HANDSHAKE, Reader

RECORD_MAX = 16384


class Alert(enum.IntEnum):
    """Descriptions, RFC 8446, 6."""
    CLOSE_NOTIFY = 0
    UNEXPECTED_MESSAGE = 10
    BAD_RECORD_MAC = 20
    RECORD_OVERFLOW = 22
    HANDSHAKE_FAILURE = 40
    BAD_CERTIFICATE = 42
    UNKNOWN_CA = 48
    ILLEGAL_PARAMETER = 47
    DECODE_ERROR = 50
    DECRYPT_ERROR = 51
    PROTOCOL_VERSION = 70
    INTERNAL_ERROR = 80
    NO_RENEGOTIATION = 100
    MISSING_EXTENSION = 109
    UNSUPPORTED_EXTENSION = 110


class Alerted(Exception):
    """The other side has sent an alert."""

    def __init__(self, data):
        super().__init__(f"alert {data.hex()}")
        self.level, self.description = data


class Ended(Exception):
    """The connection has ended."""


def record(kind, data, version=0x0303):
    """A record that nothing protects."""
    return struct.pack("!BHH", kind, version, len(data)) + data


class Link:
    """Sends what it is told to, in whatever order, and keeps the transcript of the handshake."""

    sealing = opening = None  # how records are protected; None: not at all
    skipped = ()  # kinds of records that are passed over
    piece = RECORD_MAX  # bytes of the handshake in one record
    gathers = False  # messages wait for the next one, with which they are sent

    def __init__(self, sock):
        self.socket, self.port = sock, sock.getsockname()[1]
        self.buffer = b""
        self.messages = b""  # that have come and were not taken
        self.gathered = b""
        self.transcript = b""
        self.alerted = None  # the last alert that has come, a number
        self.reset = False

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    # ---- out

    def raw(self, *data):
        """Bytes as they are. That the other side has closed is for a reader to find."""
        try:
            self.socket.sendall(b"".join(data))
        except (BrokenPipeError, ConnectionResetError):
            pass

    def send(self, *data):
        """As raw(), for a chain of calls."""
        self.raw(*data)
        return self

    def sealed(self, kind, data, pad=0):
        """The bytes of a record, protected if that is on."""
        return self.sealing.seal(kind, data, pad) if self.sealing else record(kind, data)

    def record(self, kind, data, pad=0):
        self.raw(self.sealed(kind, data, pad))

    def records(self, kind, *pieces):
        """Many at once."""
        self.raw(*[self.sealed(kind, piece) for piece in pieces])

    def message(self, data):
        """Messages of the handshake."""
        self.transcript += data
        data = self.gathered + data
        self.gathered = data if self.gathers else b""
        if not self.gathers:
            self.records(HANDSHAKE, *[data[i:i + self.piece]
                                      for i in range(0, len(data), self.piece)])

    def alert(self, level, description):
        self.record(ALERT, bytes([level, description]))

    # ---- in

    def _need(self, size):
        while len(self.buffer) < size:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                self.reset, data = True, b""
            if not data:
                raise Ended()
            self.buffer += data
        taken, self.buffer = self.buffer[:size], self.buffer[size:]
        return taken

    def _open(self, head, body):
        return self.opening.open(head, body) if self.opening else (head[0], body)

    def take_record(self):
        """The next record as (kind, content); an alert is raised."""
        while True:
            head = self._need(5)
            kind, data = self._open(head, self._need(int.from_bytes(head[3:], "big")))
            if kind == ALERT:
                self.alerted = data[1]
                raise Alerted(data)
            if kind not in self.skipped:
                return kind, data

    def expect(self, wanted):
        """The content of the next record, which has to be of this kind."""
        kind, data = self.take_record()
        assert kind == wanted, (kind, data)
        return data

    def take_message(self):
        """The next message of the handshake, as (kind, body)."""
        while len(self.messages) < 4 or len(self.messages) < 4 + int.from_bytes(
                self.messages[1:4], "big"):
            self.messages += self.expect(HANDSHAKE)
        reader = Reader(self.messages)
        kind, body = reader.number(1), reader.listed(3)
        self.transcript += self.messages[:4 + len(body)]
        self.messages = reader.data
        return kind, body

    def take(self, wanted):
        """The body of the next message, which has to be of this kind."""
        kind, body = self.take_message()
        assert kind == wanted, (kind, body)
        return body

    def text(self):
        """What the other side says to its user, up to its end."""
        said = b""
        try:
            while True:
                kind, data = self.take_record()
                said += data if kind == DATA else b""
        except Alerted as alert:
            assert alert.description == Alert.CLOSE_NOTIFY
            return said

    def drain(self):
        """Waits for the end of the connection, whatever comes before."""
        with contextlib.suppress(ConnectionResetError):
            while self.socket.recv(65536):
                pass

    def end(self):
        """Reads to the end of the connection: the last alert, a number, or None."""
        while True:
            try:
                self.take_record()
            except Alerted:
                pass
            except Ended:
                return self.alerted
