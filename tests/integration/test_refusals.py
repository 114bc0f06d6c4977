# SPDX-License-Identifier: MIT
"""How the server says no: what goes with the status, and what becomes of the connection."""
import pytest

from files import site, www  # noqa: F401 (fixtures)
from wire import chunked, request


@pytest.mark.parametrize("status, data", [
    (400, request("HEAD", "/", "X : y")),
    (400, b"HEAD  / HTTP/1.1\r\n"),
    (400, request("HEAD", host=None)),
    (414, request("HEAD", "/" + "a" * 9000)),
    (417, request("HEAD", "/", "Expect: much")),
    (431, request("HEAD", "/", "X: " + "x" * 20000)),
    (505, request("HEAD", version="2.0")),
])
def test_a_refusal_of_head_has_no_content(probe, status, data):
    """RFC 9110, 9.3.2: the method was read, though not the rest."""
    with probe().connect() as client:
        client.send(data)
        answer = client.response("HEAD")
        assert (answer.status, answer.closing) == (status, True)
        assert int(answer.get("Content-Length")) > 0
        assert client.at_end()


# ---- bodies that nobody wants

LENGTH = "Content-Length: {}".format
CHUNKED = "Transfer-Encoding: chunked"
DROPPED = 256 * 1024  # what a server reads for the sake of the connection


@pytest.mark.parametrize("field, body, closing", [
    (LENGTH(5), b"hello", False),
    (LENGTH(DROPPED), b"x" * DROPPED, False),
    (LENGTH(DROPPED + 1), b"", True),
    (CHUNKED, chunked(b"hello", b"x" * 1000), False),
    (CHUNKED, b"%x\r\n" % (DROPPED + 2000), True),
    (CHUNKED, b"5\r\nhello!", True),
    (CHUNKED, b"0x5\r\nhello\r\n0\r\n\r\n", True),
], ids=["small", "largest", "too large", "chunks", "chunk too large", "chunk too long", "no chunk"])
def test_a_close_because_of_an_ignored_body_is_announced(probe, field, body, closing):
    """RFC 9112, 9.6. The body is there before the handler is called."""
    with probe().connect() as client:
        client.send(request("POST", "/x/ignore", field) + body)
        answer = client.response("POST")
        assert (answer.body, answer.closing) == (b"ignored", closing)
        assert client.at_end() if closing else client.ask().status == 200


@pytest.mark.parametrize("method, target, status", [
    ("GET", "/f", 200), ("HEAD", "/f", 200), ("POST", "/files/f", 405), ("BREW", "/files/f", 501),
    ("GET", "/none", 404), ("POST", "/f", 405), ("OPTIONS", "/f", 204), ("OPTIONS", "*", 204),
])
def test_files_and_routes_look_at_bodies_first(site, www, method, target, status):
    """The framing is checked although nobody wants the body, however it arrives."""
    (www / "f").write_text("x")
    server = site()
    head = request(method, target, CHUNKED)
    with server.connect() as client:
        client.send(head)
        client.send(chunked(b"hello"))
        assert client.response(method).status == status
        client.send(head)
        client.send(b"5\r\nhello")
        assert client.quiet()
        client.send(b"!")
        refused = client.response(method)
        assert (refused.status, refused.closing) == (400, True)
        assert client.at_end()
    for more in ((LENGTH(5), "Expect: 100-continue"), (LENGTH(DROPPED + 1),)):
        with server.connect() as client:
            client.send(request(method, target, *more))
            answer = client.response(method)
            assert (answer.status, answer.interim, answer.closing) == (status, [], True)
            assert client.at_end()


@pytest.mark.parametrize("status, fields", [
    (413, [LENGTH(8 << 20)]),
    (400, ["X : y", LENGTH(8 << 20)]),
    (417, ["Expect: much", LENGTH(8 << 20)]),
])
def test_a_client_that_sends_first_and_reads_then_gets_its_refusal(probe, status, fields):
    """RFC 9112, 9.6: what it sends is read on for a while, else a reset would overtake the answer."""
    with probe(body_size=1000).connect() as client:
        client.send(request("POST", "/", *fields), b"x" * (8 << 20))
        answer = client.response("POST")
        assert (answer.status, answer.closing) == (status, True)
        assert client.at_end() and not client.reset
