# SPDX-License-Identifier: MIT
"""Bodies of requests: how long they are, who reads them, and who does not."""
import threading

import pytest

from serving import eventually
from wire import chunked, request

HIDDEN = request("GET", "/hidden")


def post(target, *fields, **more):
    return request("POST", target, *fields, **more)


def framed(coding, target, body, *fields):
    """A request with a body of known length, or of one chunk."""
    if coding == "length":
        return post(target, *fields, f"Content-Length: {len(body)}") + body
    return post(target, *fields, "Transfer-Encoding: chunked") + chunked(body)


@pytest.fixture(params=["length", "chunked"])
def coding(request):
    return request.param


def last(server):
    """How the last read of a body ended."""
    return server.ask(target="/x/last").body.decode()


def handled(server):
    return int(server.ask(target="/x/handled").body)


def test_junk_behind_the_last_body_does_no_harm(probe):
    with probe().connect() as client:
        client.send(post("/", version="1.0", body=b"a=a"), b"junk" * 5)
        answer = client.response("POST")
        assert answer.body == b"a=a" and answer.closing
        assert client.at_end() and not client.reset


def test_an_ignored_body_is_never_taken_for_a_request(probe, coding):
    server = probe()
    with server.connect() as client:
        client.send(framed(coding, "/x/ignore", HIDDEN * 3))
        assert client.response("POST").body == b"ignored"
        assert client.ask("GET", "/next").get("X-Target") == "/next"
    assert handled(server) == 2


def test_a_larger_ignored_body_ends_the_connection(probe):
    with probe().connect() as client:
        client.send(post("/x/ignore", "Content-Length: 10000000"), b"x" * 100000)
        assert client.response("POST").body == b"ignored"
        client.finish()
        assert client.at_end()


def test_a_body_that_is_read_in_part(probe):
    with probe().connect() as client:
        for framing, body in (("Transfer-Encoding: chunked", chunked(b"0123456", b"789abc", HIDDEN)),
                              ("Content-Length: 1000", b"0123456789" + b"x" * 990)):
            client.send(post("/x/part?n=10", framing), body)
            assert client.response("POST").body == b"0123456789"
            assert client.ask("GET", "/next").get("X-Target") == "/next"


@pytest.mark.parametrize("size", [1, 3, 7, 4095, 4096, 65536])
def test_bodies_are_the_same_however_they_are_read(probe, size):
    pieces = [b" hai" * 30, b"x", b"y" * 5000, b"oh"]
    body = b"".join(pieces)
    with probe().connect() as client:
        for send in (client.send, client.send_slowly):
            for target in (f"/x/echo?size={size}", "/"):
                send(post(target, "Transfer-Encoding: chunked") + chunked(*pieces))
                assert client.response("POST").body == body
                send(post(target, body=body))
                assert client.response("POST").body == body


def test_an_echo_that_waits_for_each_answer(any_probe):
    """What the handler has written leaves before it waits for more of the body."""
    with any_probe().connect() as client:
        client.send(post("/x/echo", "Transfer-Encoding: chunked"))
        assert client.head().status == 200
        for word in (b"one", b"two", b"three"):
            piece = b"%x\r\n%s\r\n" % (len(word), word)
            client.send(piece)
            assert client.take(len(piece)) == piece
        client.send(b"0\r\n\r\n")
        assert client.take(5) == b"0\r\n\r\n"
        assert client.ask().status == 200


def test_an_echo_of_more_than_the_sockets_hold(any_probe):
    body = bytes(range(256)) * 40000
    with any_probe().connect() as client:
        sender = threading.Thread(target=client.send, daemon=True,
                                  args=[post("/x/echo?size=100000", body=body)])
        sender.start()
        assert client.response("POST").body == body
        sender.join()


@pytest.mark.parametrize("body, error", [
    (b"5\r\nhel", "TH_ETRUNCATED"),           # gone inside a chunk
    (b"5\r\nhello\r\n", "TH_ETRUNCATED"),     # between two
    (b"5\r\nhello\r\n0\r\n", "TH_ETRUNCATED"),
    (b"cats\r\n", "TH_EPROTO"),
    (b"5\r\nhello!\r\n", "TH_EPROTO"),
])
def test_a_chunked_body_that_ends_badly_is_an_error(probe, body, error):
    server = probe()
    with server.connect() as client:
        client.send(post("/x/sum", "Transfer-Encoding: chunked"), body)
        client.finish()
        if error == "TH_EPROTO":
            assert client.response("POST").status == 400
        assert client.at_end()
    assert last(server) == error
    assert server.ask().status == 200


def test_a_client_that_goes_in_the_middle_of_a_body_is_an_error(any_probe):
    server = any_probe()
    with server.connect() as client:
        client.send(post("/x/sum", "Content-Length: 1000"), b"x" * 100)
    eventually(lambda: last(server) == "TH_ETRUNCATED")
    with server.connect() as client:
        client.send(post("/x/forgive", "Content-Length: 1000"), b"x" * 100)
        client.finish()
        answer = client.response("POST")
        assert answer.body == b"forgiven" and answer.closing and client.at_end()


def test_what_is_refused_reaches_no_handler(probe):
    server = probe(body_size=1000)
    for status, field in ((400, "Content-Length: x"), (413, "Content-Length: 1001"),
                          (417, "Expect: 200-ok")):
        with server.connect() as client:
            client.send(post("/", field), HIDDEN)
            answer = client.response("POST")
            assert answer.status == status and answer.closing and client.at_end()
    assert handled(server) == 0


# ---- limits -------------------------------------------------------------------------------------


def test_the_largest_body_and_one_byte_more(probe, coding):
    server = probe(body_size=1000)
    for size, status in ((1000, 200), (1001, 413)):
        for target in ("/", "/x/sum"):
            with server.connect() as client:
                client.send(framed(coding, target, b"x" * size))
                answer = client.response("POST")
                assert answer.status == status and answer.closing == (status == 413)


def test_the_handlers_own_limit(probe, coding):
    server = probe(read_all=1000)
    for size, status in ((999, 200), (1000, 200), (1001, 413)):
        with server.connect() as client:
            client.send(framed(coding, "/", b"x" * size))
            answer = client.response("POST")
            assert answer.status == status and answer.closing == (status == 413)


def test_no_limit(probe):
    size = 20 << 20
    with probe(body_size=-1).connect() as client:
        client.send(post("/x/sum", f"Content-Length: {size}"))
        for _ in range(20):
            client.send(b"\x01" * (1 << 20))
        assert client.response("POST").body == b"%d %d" % (size, size)


def test_a_whole_body_of_the_default_limit(probe, coding):
    """16 MiB, in memory at once."""
    body = b"0123456789abcdef" * (1 << 20)
    with probe().connect() as client:
        client.send(framed(coding, "/", body))
        assert client.response("POST").body == body


def test_the_answer_gets_through_to_a_client_that_is_still_sending(any_probe):
    """The server reads on for a while, lest its closing be heard as a reset before the answer."""
    server = any_probe(body_size=1000)
    with server.connect() as client:
        sender = threading.Thread(
            target=client.send_slowly, daemon=True,
            args=[post("/", "Content-Length: 900000") + b"x" * 900000, 10000])
        sender.start()
        answer = client.response("POST")
        assert answer.status == 413 and answer.closing
        sender.join()
        client.finish()
        assert client.at_end() and not client.reset


# ---- Expect: 100-continue -----------------------------------------------------------------------


def test_a_handler_that_reads_says_continue(any_probe):
    with any_probe().connect() as client:
        for value in ("100-continue", "100-Continue", "100-CONTINUE"):
            for framing, body in (("Content-Length: 5", b"hello"),
                                  ("Transfer-Encoding: chunked", chunked(b"hello"))):
                client.send(post("/", f"Expect: {value}", framing))
                assert client.head().status == 100
                client.send(body)
                answer = client.response("POST")
                assert answer.body == b"hello" and not answer.closing


def test_no_continue_for_a_client_that_did_not_wait(probe, coding):
    with probe().connect() as client:
        client.send(framed(coding, "/", b"hello", "Expect: 100-continue"))
        answer = client.response("POST")
        assert answer.interim == [] and answer.body == b"hello"
        assert client.ask().status == 200


def test_no_continue_from_a_handler_that_does_not_read(probe):
    server = probe()
    with server.connect() as client:
        client.send(post("/x/ignore", "Expect: 100-continue", f"Content-Length: {len(HIDDEN)}"))
        answer = client.response("POST")
        assert answer.interim == [] and answer.body == b"ignored" and answer.closing
        client.send(HIDDEN)  # the body, or the next request: nobody can know
        client.finish()
        assert client.at_end()
    assert handled(server) == 1


def test_no_continue_once_the_answer_has_begun(probe):
    with probe().connect() as client:
        client.send(post("/x/echo", "Expect: 100-continue", "Content-Length: 5"))
        assert client.head().status == 200
        client.send(b"hello")
        assert client.rest() == chunked(b"hello")


def test_no_continue_for_a_body_that_is_too_large(probe):
    with probe(body_size=1000).connect() as client:
        client.send(post("/", "Expect: 100-continue", "Content-Length: 1001"))
        answer = client.response("POST")
        assert (answer.status, answer.interim) == (413, []) and answer.closing


def test_no_continue_without_a_body_or_in_http_1_0(probe):
    with probe().connect() as client:
        assert client.ask("POST", "/", "Expect: 100-continue").interim == []
        client.send(post("/", "Expect: 100-continue", "Content-Length: 2", version="1.0"))
        client.send(b"ab")
        answer = client.response("POST")
        assert answer.interim == [] and answer.body == b"ab"
