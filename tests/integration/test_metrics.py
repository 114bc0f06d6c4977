# SPDX-License-Identifier: MIT
"""The figures of /metrics add up."""
import contextlib
import re

import serving


def read(server):
    """The metrics that have no label but one of theirs: name -> number."""
    text = server.ask(target="/x/metrics").body.decode()
    return {name: float(value)
            for name, value in re.findall(r"^(\w+(?:\{\w+=\"\w+\"\})?) ([0-9.]+)$", text, re.M)}


def test_connections_are_accepted_then_open_then_closed(any_probe):
    server = any_probe()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(20)]
        for client in clients:
            assert client.ask().status == 200
        serving.eventually(lambda: read(server)["thrum_http_connections_idle"] == 20)
        now = read(server)
        assert now["thrum_connections_open"] == 21  # with the one that asks
    serving.eventually(lambda: read(server)["thrum_connections_open"] == 1)
    now = read(server)
    assert now["thrum_connections_accepted_total"] == now["thrum_connections_closed_total"] + 1


def test_idle_connections_are_no_fibers(any_probe):
    server = any_probe()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            assert stack.enter_context(server.connect()).ask().status == 200
        # The main one, a few of the server, that of the request; told once a round, so roughly.
        serving.eventually(lambda: 0 < read(server)["thrum_fibers_live"] < 15)


def test_requests_are_counted_by_class(probe):
    server = probe(options={"well": False})  # the log has something to say
    before = read(server)
    for target, status in [("/", 200), ("/x/none", 404), ("/x/fail", 500)]:
        assert server.ask(target=target).status == status
    with server.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.response().status == 400
    now = read(server)
    grown = {name: now[name] - before[name] for name in now}
    assert grown['thrum_http_requests_total{class="2xx"}'] == 2  # the look before is one
    assert grown['thrum_http_requests_total{class="4xx"}'] == 2
    assert grown['thrum_http_requests_total{class="5xx"}'] == 1
    assert grown['thrum_http_request_errors_total{kind="malformed"}'] == 1
    assert now["thrum_http_requests_in_flight"] == 1
