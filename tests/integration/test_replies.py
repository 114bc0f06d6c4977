# SPDX-License-Identifier: MIT
"""Replies: their framing, whatever the handler does, and handlers that fail."""
import pytest

from serving import open_gate
from wire import Closed, chunked, request


def letters(size):
    """What /x/bytes answers with, and what the pieces of /x/stream begin with."""
    return (b"abcdefghijklmnopqrstuvwxyz" * (size // 26 + 1))[:size]


def test_unknown_length_is_sent_in_chunks(probe):
    with probe().connect() as client:
        answer = client.ask(target="/x/stream?pieces=4&size=1000")
        assert answer.chunks == [1000] * 4 and answer.body == letters(1000) * 4
        assert not answer.closing
        assert client.ask().status == 200


def test_empty_pieces_are_no_chunks(probe):
    with probe().connect() as client:
        assert client.ask(target="/x/empty_pieces").chunks == [1, 1]
        assert client.ask(target="/x/empty_pieces?none=1").chunks == []


def test_a_length_of_the_handlers_own(probe):
    with probe().connect() as client:
        answer = client.ask(target="/x/stream?length=1&pieces=3&size=100")
        assert answer.get("Content-Length") == "300" and answer.chunks is None
        assert client.ask(target="/x/too_much").body == b"12345"
        assert client.ask(target="/x/twice").body == b"once"


def test_bodies_of_all_sizes(probe):
    """Around the limit up to which they are copied, and beyond what the sockets hold."""
    with probe().connect() as client:
        for size in (0, 1, 8191, 8192, 8193, 16383, 16384, 16385, 65536, 5000000):
            for target in (f"/x/bytes?size={size}", f"/x/stream?pieces=1&size={size}",
                           f"/x/stream?pieces=1&size={size}&length=1"):
                assert client.ask(target=target).body == letters(size)


def test_answers_around_the_size_of_the_output(probe):
    """Two pieces, or two answers, that just fit together behind a head, or just do not."""
    with probe().connect() as client:
        for size in range(7950, 8193):
            for length in (0, 1):
                answer = client.ask(target=f"/x/stream?pieces=2&size={size}&length={length}")
                assert answer.body == letters(size) * 2
            client.send(request("GET", f"/x/bytes?size={size}") * 2)
            assert client.response().body == client.response().body == letters(size)


def test_a_body_for_a_client_that_takes_it_bit_by_bit(any_probe):
    with any_probe().connect(receive_buffer=4096) as client:
        for target in ("/x/bytes?size=3000000", "/x/stream?pieces=1&size=3000000"):
            assert client.ask(target=target).body == letters(3000000)


def test_a_flush_leaves_at_once(any_probe):
    server = any_probe()
    with server.connect() as client:
        client.send(request("GET", "/x/flush"))
        assert client.head().status == 200  # while the handler waits at the gate
        open_gate(server)
        assert client.take(17) == chunked(b"through")


@pytest.mark.parametrize("target, status", [
    ("/", 200), ("/x/stream", 200), ("/x/stream?length=1", 200), ("/x/bytes?size=100000", 200),
    ("/x/none", 404), ("/x/bytes?status=204", 204), ("/x/bytes?status=304", 304),
])
def test_head_has_the_fields_of_get_and_no_body(probe, target, status):
    with probe().connect() as client:
        get = client.ask("GET", target)
        head = client.ask("HEAD", target)
        assert get.status == head.status == status
        different = {"Date", "X-Method"}
        assert [f for f in head.fields if f[0] not in different] == \
               [f for f in get.fields if f[0] not in different]
        assert client.ask().status == 200  # and nothing before it


@pytest.mark.parametrize("target", ["/x/bytes?size=0", "/x/bytes?size=9",
                                    "/x/begin_and_write?length=-1", "/x/begin_and_write?length=9"])
def test_statuses_without_a_body(probe, target):
    """RFC 9110, 15.3.5, 15.3.6, 15.4.5. Only of 205 must the fields tell (RFC 9112, 6.3)."""
    with probe().connect() as client:
        for status, length in ((204, None), (205, "0"), (304, None)):
            for version in ("1.1", "1.0"):
                answer = client.ask("GET", f"{target}&status={status}", "Connection: keep-alive",
                                    version=version)
                assert answer.status == status and not answer.closing
                assert answer.get("Content-Length") == length and answer.body == b""
                assert not answer.all("Transfer-Encoding")
        assert client.ask().status == 200


def test_any_status(probe):
    with probe().connect() as client:
        for status in (200, 201, 299, 302, 400, 418, 451, 499, 500, 599):
            answer = client.ask(target=f"/x/bytes?status={status}&size=3")
            assert (answer.status, answer.body) == (status, b"abc")


# ---- handlers that fail -------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target, message", [
    ("/x/fail", "error: a handler failed: Input/output error"),
    ("/x/no_reply", "error: a handler returned without a reply"),
])
def test_failing_before_the_reply_is_500(probe, method, target, message):
    server = probe(options={"well": False})
    body = b"500 Internal Server Error\n"
    with server.connect() as client:
        answer = client.ask(method, target)
        assert answer.status == 500 and answer.closing and answer.get("X-Half-Done") is None
        assert answer.get("Content-Length") == str(len(body))
        assert answer.body == (b"" if method == "HEAD" else body)
        assert client.at_end()
    assert server.ask().status == 200
    server.signal()
    assert (server.wait(), server.err.lines) == (0, [message])


@pytest.mark.parametrize("flush", [0, 1])
def test_failing_later_cuts_the_connection(probe, flush):
    server = probe()
    for silently in (0, 1):
        with server.connect() as client:
            client.send(request("GET", f"/x/fail_later?length=1&flush={flush}&silently={silently}"))
            assert client.head().get("Content-Length") == "13"
            assert client.rest() == b"12345678"
    with server.connect() as client:
        client.send(request("GET", f"/x/fail_later?flush={flush}"))
        assert client.head().get("Transfer-Encoding") == "chunked"
        assert client.rest() == b"8\r\n12345678\r\n"
    assert server.ask().status == 200


def test_nothing_is_sent_behind_what_could_not_be(probe):
    """Even if the handler goes on, and the client reads again."""
    server = probe()
    with server.connect(receive_buffer=4096) as client:
        client.send(request("GET", "/x/careless"))
        assert client.head().get("Transfer-Encoding") == "chunked"
        size = int(client.line(), 16)
        open_gate(server)
        sent = client.rest()
        assert len(sent) < size and sent == letters(len(sent))


@pytest.mark.parametrize("requests", [
    request("GET", "/x/bytes?size=5000000"),
    request("GET", "/x/stream?pieces=1000&size=10000"),
    request("GET", "/x/stream?pieces=30000&size=100&flush=1"),
    request("GET", "/x/bytes?size=8000") * 2000,
], ids=["bytes", "stream", "flushes", "pipelined"])
def test_a_client_that_goes_during_the_answer_is_no_error(any_probe, requests):
    """No message either: the server must end well, and have said nothing."""
    server = any_probe()
    with server.connect(receive_buffer=4096) as client:
        client.send(requests)
        client.take(100)
    assert server.ask().status == 200


def test_a_file_that_is_shorter_than_said(probe, tmp_path):
    (tmp_path / "short").write_bytes(b"x" * 1000)
    server = probe(file=tmp_path / "short")
    assert server.ask(target="/x/file?size=1000").body == b"x" * 1000
    assert server.ask(target="/x/file?size=10&offset=990").body == b"x" * 10
    with pytest.raises(Closed):
        server.ask(target="/x/file?size=1001")
    assert server.ask("HEAD", "/x/file?size=1001").get("Content-Length") == "1001"


def test_nothing_is_forged_through_the_handler(probe):
    assert probe().ask(target="/x/forge").body == b"nothing"


# ---- what the handler sees ----------------------------------------------------------------------


@pytest.mark.parametrize("target, path, query", [
    ("/a*b@%40%233", "/a*b@@#3", ""),
    ("/%c3%a4/%e4", "/ä/\udce4", ""),
    ("/a/./b/../c?x=%41&y", "/a/c", "x=%41&y"),
    ("/?", "/", ""),
    ("/a%20b?c?d", "/a b", "c?d"),
    ("{scheme}://localhost/abs?q", "/abs", "q"),
])
def test_paths_are_decoded_and_targets_are_not(probe, target, path, query):
    server = probe()
    target = target.replace("{scheme}", server.scheme)
    answer = server.ask(target=target)
    assert answer.get("X-Target") == target
    assert answer.get("X-Path").encode("latin-1").decode("utf-8", "surrogateescape") == path
    assert answer.get("X-Query") == query


def test_fields_are_seen_one_by_one(probe):
    fields = ["A-B: 1", "A_B: 2", "a-b: 3", "Padded: \t x\ty \t", "Empty:", "Nbsp: \xa0x\xa0"]
    seen = probe().ask("GET", "/x/fields", *fields).body.decode("latin-1").splitlines()
    assert seen == ["Host=localhost", "A-B=1", "A_B=2", "a-b=3", "Padded=x\ty", "Empty=",
                    "Nbsp=\xa0x\xa0"]


def test_the_host_is_that_of_the_target_if_it_has_one(probe):
    server = probe()
    assert server.ask().get("X-Host") == "localhost"
    assert server.ask(host="example.org:8080").get("X-Host") == "example.org"
    assert server.ask(target=f"{server.scheme}://other.example/").get("X-Host") == "other.example"
    assert server.ask(host=None, version="1.0").get("X-Host") == ""
    assert server.ask(host="[::1]:80").get("X-Host") == "::1"


# ---- a kernel that is stingy --------------------------------------------------------------------


@pytest.mark.parametrize("bytes_a_call", [1, 7])
def test_a_kernel_that_moves_little_at_a_time(probe, servers, sanitized, tmp_path, bytes_a_call):
    if sanitized:
        pytest.skip("a sanitizer wants to be the first library")
    (tmp_path / "file").write_bytes(letters(3000))
    server = probe(file=tmp_path / "file", backend="poll", options={"env": {
        "LD_PRELOAD": str(servers / "stingy.so"), "STINGY": str(bytes_a_call)}})
    with server.connect() as client:
        body = b"hello" * 200
        assert client.ask("POST", "/", body=body).body == body
        client.send(request("POST", "/x/echo", "Transfer-Encoding: chunked"), chunked(body))
        assert client.response("POST").body == body
        assert client.ask(target="/x/stream?pieces=9&size=999").body == letters(999) * 9
        assert client.ask(target="/x/bytes?size=20000").body == letters(20000)
        assert client.ask(target="/x/file?size=3000").body == letters(3000)
        client.send(request() * 20)
        assert [client.response().status for _ in range(20)] == [200] * 20
