# SPDX-License-Identifier: MIT
"""Connections: how long they live, who closes them, and requests one behind another."""
import random
import signal
import threading
import time

import pytest

from wire import chunked, request


def test_three_requests_on_one_connection(any_probe):
    with any_probe().connect() as client:
        answers = [client.ask(target=target) for target in ("/", "/other", "/")]
    assert [answer.get("X-Target") for answer in answers] == ["/", "/other", "/"]
    assert all(answer.get("Connection") is None for answer in answers)


def test_an_error_of_known_length_keeps_the_connection(probe):
    with probe().connect() as client:
        assert client.ask(target="/x/none").status == 404
        assert client.ask().status == 200


def test_close_is_answered_with_close(any_probe):
    with any_probe().connect() as client:
        assert not client.ask().closing
        assert client.ask("GET", "/", "Connection: close").closing
        assert client.at_end() and not client.reset


def test_http_1_0_closes(any_probe):
    with any_probe().connect() as client:
        answer = client.ask(version="1.0")
        assert answer.closing and answer.body == b""
        assert client.at_end() and not client.reset


def test_http_1_0_keeps_the_connection_when_asked(any_probe):
    with any_probe().connect() as client:
        for _ in range(3):
            answer = client.ask("GET", "/", "Connection: keep-alive", version="1.0")
            assert answer.get("Connection") == "keep-alive"


def test_http_1_0_and_unknown_length_closes(probe):
    with probe().connect() as client:
        client.send(request("GET", "/x/stream", "Connection: keep-alive", version="1.0"))
        answer = client.response()
        assert answer.closing and answer.chunks is None
        assert answer.body == b"abcdefghij" * 3
        assert not client.reset


def test_http_1_1_asking_for_keep_alive_hears_of_its_time(probe):
    with probe(idle_time=2500).connect() as client:
        assert client.ask().get("Keep-Alive") is None
        assert client.ask("GET", "/", "Connection: Keep-Alive").get("Keep-Alive") == "timeout=2"


def test_empty_line_between_requests(probe):
    with probe().connect() as client:
        client.send(request(), b"\r\n", request("GET", "/2"))
        assert client.response().get("X-Target") == "/"
        assert client.response().get("X-Target") == "/2"


@pytest.mark.parametrize("count", [16, 1000])
def test_pipelined_requests_are_answered_in_order(any_probe, count):
    with any_probe().connect() as client:
        data = b"".join(request("POST", f"/{i}", body=b"%d" % i * (i % 7)) for i in range(count))
        sender = threading.Thread(target=client.send, args=[data], daemon=True)
        sender.start()
        for i in range(count):
            answer = client.response("POST")
            assert (answer.get("X-Target"), answer.body) == (f"/{i}", b"%d" % i * (i % 7))
        sender.join()
        assert client.quiet()


def test_what_is_pipelined_behind_a_close_is_not_handled(probe):
    server = probe()
    with server.connect() as client:
        client.send(request("GET", "/", "Connection: close"), request("GET", "/2"))
        assert client.response().closing
        assert client.at_end()
    assert server.ask(target="/x/handled").body == b"1"


def in_one_piece(server, client, data):
    """Has the server find all of the data at once."""
    server.signal(signal.SIGSTOP)
    client.send(data)
    server.signal(signal.SIGCONT)


def padded(size, target="/"):
    """A request of exactly so many bytes."""
    short = request("GET", target, "X: ")
    return request("GET", target, "X: " + "x" * (size - len(short)))


# With head_size=1024 a connection reads 1024 + 4096 bytes at a time.
INPUT = 5120


@pytest.mark.parametrize("size", [256, 250])
def test_requests_that_fill_the_input_exactly_are_answered(any_probe, size):
    """Nothing is held back for the sake of the last one, of which a part is still to come."""
    server = any_probe(head_size=1024, head_count=8)
    with server.connect() as client:
        data = b"".join(padded(size, f"/{i:02}") for i in range(21))
        in_one_piece(server, client, data[:INPUT])
        for i in range(INPUT // size):
            assert client.response().get("X-Target") == f"/{i:02}"
        client.send(data[INPUT:])
        assert client.response().get("X-Target") == f"/{INPUT // size}"


@pytest.mark.parametrize("size", range(INPUT - 3, INPUT + 4))
@pytest.mark.parametrize("framing, body", [("Content-Length: 5", b"hello"),
                                           ("Transfer-Encoding: chunked", chunked(b"he", b"llo"))])
def test_a_body_behind_a_head_at_the_end_of_the_input(probe, size, framing, body):
    """The requests before it are answered meanwhile: a client may wait for that."""
    server = probe(head_size=1024, workers=1)
    last = request("POST", "/last", framing)
    many, rest = divmod(size - len(last), 256)
    with server.connect() as client:
        in_one_piece(server, client, padded(256) * (many - 1) + padded(256 + rest) + last)
        for _ in range(many):
            assert client.response().status == 200
        client.send(body)
        assert client.response("POST").body == b"hello"
        assert client.ask().status == 200


def test_an_idle_connection_is_closed_silently(any_probe):
    server = any_probe(idle_time=100)
    with server.connect() as never, server.connect() as once:
        assert once.ask().status == 200
        assert never.at_end() and once.at_end()
        assert not never.reset and not once.reset


def test_a_long_sleep_does_not_age_the_next_client(any_probe):
    """The loop sleeps until the first client's time is over; the second comes right after."""
    server = any_probe(idle_time=100)
    for _ in range(4):
        with server.connect() as client:
            assert client.at_end()
        assert server.ask().status == 200


def test_a_request_just_when_the_time_is_over(any_probe):
    """The event and the timer are found in the same turn of the loop. Either may come first."""
    server = any_probe(idle_time=100)
    clients = [server.connect() for _ in range(10)]
    server.signal(signal.SIGSTOP)
    for client in clients:
        client.send(request())
    time.sleep(0.15)
    server.signal(signal.SIGCONT)
    for client in clients:
        assert client.rest().startswith(b"HTTP/1.1 200 ") or client.reset
        client.close()
    assert server.ask().status == 200


def test_a_client_that_goes_at_any_moment_hurts_nobody(any_probe):
    server = any_probe()
    whole = request("POST", "/", body=b"x" * 50)
    for size in range(0, len(whole) + 1, 3):
        with server.connect() as client:
            client.send(whole[:size])
        with server.connect() as client:
            client.send(whole[:size])
            client.finish()
            if size == len(whole):
                assert client.response().body == b"x" * 50
            assert client.at_end()
    assert server.ask("POST", "/", body=b"abc").body == b"abc"


def test_clients_that_reset_while_a_file_is_sent_hurt_nobody(any_probe, tmp_path):
    """sendfile(2) may send a part and raise SIGPIPE for the rest, which must not end the server."""
    (tmp_path / "file").write_bytes(b"x" * 4000000)
    server = any_probe(file=tmp_path / "file")

    def come_and_go(seed):
        for size in random.Random(seed).choices(range(1, 200000), k=100):
            with server.connect() as client:
                client.send(request("GET", "/x/file?size=4000000"))
                client.socket.recv(size)

    threads = [threading.Thread(target=come_and_go, args=[seed]) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.ask().status == 200


def test_half_closed_clients_get_their_answers(any_probe):
    with any_probe().connect() as client:
        client.send(request(), request("GET", "/2"))
        client.finish()
        assert client.response().get("X-Target") == "/"
        assert client.response().get("X-Target") == "/2"
        assert client.at_end() and not client.reset


def test_max_connections_lets_the_next_one_wait(any_probe):
    server = any_probe(max_connections=3)
    inside = [server.connect() for _ in range(3)]
    for client in inside:
        assert client.ask().status == 200
    with server.connect() as outside:
        outside.send(request())
        assert inside[0].ask().status == 200  # a turn of the loop later
        assert outside.quiet()
        inside.pop().close()
        assert outside.response().status == 200
    for client in inside:
        client.close()
    for _ in range(10):
        assert server.ask().status == 200


def test_many_listeners(probe, tmp_path):
    path = tmp_path / "socket"
    server = probe("listen=127.0.0.1:0", "listen=[::1]:0", f"listen=unix:{path}",
                   options={"count": 3})
    for address in server.addresses:
        with server.connect(address) as client:
            assert client.ask().status == 200
    with server.connect(server.addresses[1]) as client:
        assert client.ask(target="/x/peer").body.startswith(b"[::1]:")
    with server.connect(str(path)) as client:
        assert client.ask(target="/x/peer").body == b"unix:"
    server.stop()
    assert not path.exists()


def test_abstract_sockets(probe):
    server = probe("listen=unix:@thrum-test-abstract")
    assert server.ask().status == 200
