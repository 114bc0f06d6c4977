# SPDX-License-Identifier: MIT
"""An HTTP/1.1 client that sees every byte, and takes none that RFC 9110 and 9112 do not allow."""
import dataclasses
import email.utils
import re
import socket

TIMEOUT = 20  # of any wait; only a server that hangs ever gets there

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e]*)\r\n")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*((?:[^\x00-\x08\x0a-\x1f\x7f]*[^\x00-\x20\x7f])?)[ \t]*\r\n")
CHUNK_LINE = re.compile(rb"([0-9a-f]+)\r\n")


class Closed(Exception):
    """The server closed the connection where a response, or more of it, was expected."""


@dataclasses.dataclass
class Response:
    status: int
    reason: str
    fields: list  # of (name, value)
    body: bytes = b""
    interim: list = dataclasses.field(default_factory=list)  # statuses of 1xx answers before it
    chunks: list = None  # sizes, where it came in chunks

    def all(self, name):
        return [value for key, value in self.fields if key.lower() == name.lower()]

    def get(self, name):
        """The value of a field that may occur once at most."""
        values = self.all(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None

    @property
    def closing(self):
        return self.get("Connection") == "close"


def request(method="GET", target="/", *fields, body=b"", version="1.1", host="localhost"):
    """Makes the bytes of a request; Content-Length is added where there is a body."""
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += fields
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(*pieces):
    """A body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


class Client:
    """One connection to a server, at (host, port) or at a path; `tls`: what makes TLS of it."""

    def __init__(self, address, timeout=TIMEOUT, receive_buffer=None, tls=None):
        family = socket.AF_UNIX if isinstance(address, str) else (
            socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.socket = socket.socket(family)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        self.socket.connect(address)
        if family != socket.AF_UNIX:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            try:
                self.socket = tls(self.socket)
            except BaseException:
                self.socket.close()
                raise
        self.buffer = b""
        self.reset = False

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.socket.close()

    # ---- out

    def send(self, *data):
        self.socket.sendall(b"".join(data))

    def send_slowly(self, data, step=1):
        """Sends in pieces. A server that has answered and closed meanwhile is no failure here."""
        for i in range(0, len(data), step):
            try:
                self.socket.sendall(data[i:i + step])
            except (BrokenPipeError, ConnectionResetError):
                return

    def finish(self):
        """Says that nothing more will be sent."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:  # the server was faster
            pass

    # ---- in

    def more(self):
        """Reads what is there; False at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            self.reset = True
            return False
        self.buffer += data
        return bool(data)

    def _need(self, size):
        while len(self.buffer) < size:
            if not self.more():
                raise Closed(f"{size - len(self.buffer)} bytes are missing after "
                             f"{self.buffer[-100:]!r}")

    def take(self, size):
        self._need(size)
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def line(self):
        while b"\n" not in self.buffer:
            if not self.more():
                raise Closed(f"the end in a line: {self.buffer!r}")
        return self.take(self.buffer.index(b"\n") + 1)

    def skip(self, size):
        """Reads so many bytes and forgets them."""
        while size > 0:
            if not self.buffer and not self.more():
                raise Closed(f"{size} bytes are missing")
            gone = min(size, len(self.buffer))
            self.buffer = self.buffer[gone:]
            size -= gone

    def rest(self):
        """Everything up to the end of the connection."""
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def at_end(self):
        """Whether the connection ends here without another byte."""
        return not self.buffer and not self.more()

    def quiet(self):
        """Whether the connection is open and nothing has arrived."""
        if self.buffer:
            return False
        self.socket.setblocking(False)
        try:
            self.buffer += self.socket.recv(65536)
            return False
        except BlockingIOError:
            return True
        except ConnectionResetError:
            return False
        finally:
            self.socket.settimeout(TIMEOUT)

    # ---- responses

    def head(self):
        """Reads the head of a response."""
        first = self.line()
        match = STATUS_LINE.fullmatch(first)
        assert match, first
        fields = []
        while (line := self.line()) != b"\r\n":
            field = FIELD_LINE.fullmatch(line)
            assert field, line
            fields.append((field[1].decode(), field[2].decode("latin-1")))
        response = Response(int(match[1]), match[2].decode(), fields)
        if response.status >= 200:
            assert email.utils.parsedate_to_datetime(response.get("Date")), first
        return response

    def _chunks(self, response):
        response.chunks = []
        while True:
            match = CHUNK_LINE.fullmatch(self.line())
            assert match, "not the size of a chunk"
            size = int(match[1], 16)
            response.body += self.take(size)
            assert self.take(2) == b"\r\n"
            if size == 0:
                return
            response.chunks.append(size)

    def response(self, method="GET"):
        """Reads one whole response, with the interim ones before it."""
        interim = []
        while (response := self.head()).status < 200:
            assert not response.all("Content-Length") and not response.all("Transfer-Encoding")
            interim.append(response.status)
        response.interim = interim
        length = response.get("Content-Length")
        coding = response.get("Transfer-Encoding")
        assert length is None or coding is None
        assert length is None or re.fullmatch("0|[1-9][0-9]*", length)
        if response.status in (204, 304):
            assert response.status == 304 or (length is None and coding is None)
        elif method == "HEAD":
            pass
        elif coding is not None:
            assert coding == "chunked"
            self._chunks(response)
        elif length is not None:
            response.body = self.take(int(length))
        else:
            assert response.closing, "a body without a length, and the connection stays open"
            response.body = self.rest()
        return response

    def ask(self, method="GET", target="/", *fields, **more):
        """Sends a request and reads its response."""
        self.send(request(method, target, *fields, **more))
        return self.response(method)
