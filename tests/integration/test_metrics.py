# SPDX-License-Identifier: MIT
"""The figures of /metrics are in the form that Prometheus reads, and they add up."""
import contextlib
import re

import pytest

import exposition
import serving
from files import content, www  # noqa: F401 (fixtures)
from wire import Client


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

        def all_are_open():
            now = read(server)  # with the connection that asks
            return (now["thrum_connections_open"], now["thrum_http_connections_idle"]) == (21, 20)
        serving.eventually(all_are_open)

    def all_but_one_are_closed():
        now = read(server)  # by one more connection, while the one before it perhaps still ends
        return (now["thrum_connections_open"] == 1 and now["thrum_connections_accepted_total"]
                == now["thrum_connections_closed_total"] + 1 > 21)
    serving.eventually(all_but_one_are_closed)


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


# ---- the text

GOOD = """\
# HELP a_total Words, \\\\ and \\n
# TYPE a_total counter
a_total{x="1",y="\\\\\\"\\n"} 1
a_total{x="2",y=""} 2.5e3
# HELP b What
# TYPE b gauge
b -1
# HELP c Times
# TYPE c histogram
c_bucket{le="0.5"} 1
c_bucket{le="1"} 1
c_bucket{le="+Inf"} 3
c_sum 7.25
c_count 3
"""


def test_the_parser_reads_what_is_right():
    metrics = exposition.parse(GOOD)
    assert [(name, metric.kind) for name, metric in metrics.items()] == [
        ("a_total", "counter"), ("b", "gauge"), ("c", "histogram")]
    assert metrics["a_total"].labels == [{"x": "1", "y": '\\"\n'}, {"x": "2", "y": ""}]
    assert metrics["a_total"].values == [1, 2500]
    assert metrics["c"].values == [1, 1, 3, 7.25, 3]


@pytest.mark.parametrize("old, new", [
    ("b -1\n", ""), ("b -1\n", "b -1\n\n"), ("b -1", "b  -1"), ("b -1", "b -1 1700000000"),
    ("b -1", "b -1\nb 2"), ("b -1", "b 0x1"), ("b -1", "b nan"), ("b -1", 'b{x=1} 1'),
    ("b -1", 'b{x="a"b"} 1'), ("b -1", 'b{x="\\t"} 1'), ("b -1", 'b{x="1",x="2"} 1'),
    ("b -1", "b{} 1"), ("b -1", 'b{x="1"} 1\nb 1'), ("b -1", "other -1"), ("b -1", "b_more -1"),
    ("# TYPE b gauge\n", ""), ("# HELP b What\n", ""), ("# HELP b What", "# HELP b a\\tb"),
    ("b gauge", "b meter"), ("b gauge", "b counter"), ("# HELP b", "# HELP a_total"),
    ("a_total{x=\"1\"", "a_total{z=\"1\""), (" 2.5e3", " -2.5"), ("c_count 3", "c_count 4"),
    ("c_count 3\n", "c_count 3"), ("c_count 3\n", ""), ("c_sum 7.25\n", ""),
    ('{le="1"} 1', '{le="1"} 0'), ('{le="1"} 1', '{le="0.5"} 1'), ('{le="1"} 1', '{le="0.4"} 1'),
    ('c_bucket{le="+Inf"} 3\n', ""), ('{le="+Inf"} 3', '{le="2"} 3'), ("b -1", "# b\nb -1"),
])
def test_the_parser_refuses_what_is_wrong(old, new):
    assert GOOD.count(old) == 1
    with pytest.raises((exposition.Wrong, ValueError)):
        exposition.parse(GOOD.replace(old, new))


# ---- a mixed load

class Scraper:
    """Reads the metrics on one connection, and counts what that adds to them."""

    def __init__(self, server):
        self.client = CountingClient(server.address)
        self.reads = 0

    def read(self):
        answer = self.client.ask(target="/metrics")
        assert (answer.status, answer.get("Content-Type")) == (200, exposition.CONTENT_TYPE)
        assert answer.get("Cache-Control") == "no-store"
        self.reads += 1
        return exposition.parse(answer.body.decode("utf-8", "strict"))


class CountingClient(Client):
    """Counts the bytes that it has sent and received."""

    def __init__(self, address):
        super().__init__(address)
        self.sent = self.received = 0

    def send(self, *data):
        super().send(*data)
        self.sent += len(b"".join(data))

    def more(self):
        before = len(self.buffer)
        result = super().more()
        self.received += len(self.buffer) - before
        return result


REQUESTS = [  # for one connection
    (200, "GET", "/small"), (200, "HEAD", "/small"), (200, "GET", "/big"), (404, "GET", "/none"),
    (206, "GET", "/big", "Range: bytes=5-100000"), (416, "GET", "/big", "Range: bytes=9999999-"),
    (304, "GET", "/small", "If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT"),
    (301, "GET", "/folder"), (405, "DELETE", "/small"), (204, "OPTIONS", "*"),
]


def mixed_load(server):
    """Requests of many kinds; returns the statuses of their answers, and the clients."""
    statuses = []
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(CountingClient(server.address)) for _ in range(5)]
        steady, old, broken, long, _ = clients
        for status, method, target, *fields in REQUESTS:
            assert steady.ask(method, target, *fields).status == status, target
            statuses.append(status)
        assert steady.ask("POST", "/small", body=b"x" * 1000).status == 405
        assert old.ask("GET", "/big", version="1.0").status == 200
        broken.send(b"nonsense\r\n\r\n")
        assert broken.response().status == 400
        assert long.ask("GET", "/" + 9000 * "x").status == 414
        for client in (old, broken, long):
            assert client.at_end()
    return statuses + [405, 200, 400, 414], clients


@pytest.mark.parametrize("backend", ["epoll", "uring", "poll", "select"])
def test_figures_add_up_after_a_mixed_load(start, thrum_bin, www, backend):
    (www / "small").write_bytes(content(100))
    (www / "big").write_bytes(content(300000))
    (www / "folder").mkdir()
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--workers", "2", "--backend",
                   backend, "--access-log", "off", www)
    scraper = Scraper(server)
    before, skipped = scraper.read(), scraper.client.sent

    def grown(now, name, label=""):
        return now[name].samples[name, label] - before[name].samples[name, label]

    statuses, clients = mixed_load(server)
    with contextlib.ExitStack() as stack:
        for _ in range(3):  # connections that stay
            clients.append(stack.enter_context(CountingClient(server.address)))
            statuses.append(clients[-1].ask(target="/small").status)

        def settled():
            """Answers leave a moment after they are counted, and bytes are counted after that."""
            received = sum(client.received for client in [scraper.client, *clients])
            now = scraper.read()
            held = [now[f"thrum_{what}"].values for what in ("connections_open",
                                                             "http_connections_idle")]
            written = grown(now, "thrum_written_bytes_total")
            return (now, received) if held == [[4], [3]] and written >= received else None
        now, received = serving.eventually(settled)

    for name, metric in now.items():
        assert list(metric.samples) == list(before[name].samples)
        if metric.kind != "gauge":
            for value, old in zip(metric.values, before[name].values):
                assert value >= old, name

    scrapes = scraper.reads - 1  # the last one is not finished when it counts
    for digit in "12345":
        count = sum(1 for status in statuses if status // 100 == int(digit))
        expected = count + (scrapes if digit == "2" else 0)
        assert grown(now, "thrum_http_requests_total", f'class="{digit}xx"') == expected
    errors = {kind: grown(now, "thrum_http_request_errors_total", f'kind="{kind}"')
              for kind in ("malformed", "too_large", "timeout")}
    assert errors == {"malformed": 1, "too_large": 1, "timeout": 0}
    duration = "thrum_http_request_duration_seconds"
    answers = now[duration].values[-1] - before[duration].values[-1]
    assert answers == len(statuses) + scrapes
    assert 0 < now[duration].values[-2] < answers * serving.TIMEOUT

    assert grown(now, "thrum_connections_accepted_total") == len(clients)
    accepted, closed = (now[f"thrum_connections_{what}_total"].values[0]
                        for what in ("accepted", "closed"))
    assert accepted == closed + now["thrum_connections_open"].values[0]
    assert now["thrum_http_requests_in_flight"].values == [1]
    assert grown(now, "thrum_accept_errors_total") == 0

    sent = sum(client.sent for client in [scraper.client, *clients]) - skipped
    assert grown(now, "thrum_read_bytes_total") == sent
    assert grown(now, "thrum_written_bytes_total") == received
    assert (now["thrum_workers"].values, now["thrum_workers"].labels) == ([2], [
        {"backend": server.out.wait(lambda lines: lines[2:3])[0].split()[4]}])
    scraper.client.close()
