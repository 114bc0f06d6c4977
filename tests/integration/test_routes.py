# SPDX-License-Identifier: MIT
"""Routes as a client sees them."""
import pytest

from files import site, www  # noqa: F401 (fixtures)


@pytest.fixture
def client(site, www):
    (www / "f").write_text("file")
    with site().connect() as client:
        yield client


@pytest.mark.parametrize("method, target, answer", [
    ("GET", "/routes/plain", "GET /routes/plain"),
    ("POST", "/routes/plain", "POST /routes/plain"),
    ("DELETE", "/routes/plain", "DELETE /routes/:a a=plain"),
    ("GET", "/routes/other", "GET /routes/:a a=other"),
    ("GET", "/routes/plain?a=b", "GET /routes/plain"),
    ("GET", "/routes/%70lain", "GET /routes/plain"),
    ("GET", "/routes/./x/../plain", "GET /routes/plain"),
    ("GET", "//routes///plain", "GET /routes/plain"),
    ("GET", "/routes/a%20b%25", "GET /routes/:a a=a b%"),
    ("GET", "/routes/%3Aa", "GET /routes/:a a=:a"),
    ("GET", "/routes/a+b", "GET /routes/:a a=a+b"),
    ("GET", "/routes/x/y", "GET /routes/:a/:b a=x b=y"),
    ("GET", "/routes/x/y/", "GET /routes/:a/*rest a=x rest=y/"),
    ("GET", "/routes/x/", "GET /routes/:a/*rest a=x rest="),
    ("GET", "/routes/x/y/z%3F", "GET /routes/:a/*rest a=x rest=y/z?"),
    ("BREW", "/routes/any/thing", "* /routes/any/thing"),
    ("OPTIONS", "/routes/any/thing", "* /routes/any/thing"),
    ("BREW", "/routes/tea%20pot", "BREW /routes/tea pot"),
    ("GET", "http://localhost/routes/x", "GET /routes/:a a=x"),
    ("GET", "/f", "file"),
])
def test_a_request_finds_its_route(client, method, target, answer):
    got = client.ask(method, target)
    assert (got.status, got.body) == (200, answer.encode())


def test_umlauts_are_bytes(client):
    assert client.ask(target="/routes/%C3%A4").body == "GET /routes/:a a=ä".encode()


def test_head_is_answered_by_get(client):
    answer = client.ask("HEAD", "/routes/plain")
    assert (answer.status, answer.get("Content-Length")) == (200, str(len("GET /routes/plain")))


@pytest.mark.parametrize("method, target, allow", [
    ("PUT", "/routes/plain", "GET, HEAD, OPTIONS, POST, DELETE"),
    ("BREW", "/routes/plain", "GET, HEAD, OPTIONS, POST, DELETE"),  # another route has it
    ("POST", "/routes/x/y", "GET, HEAD, OPTIONS"),
    ("POST", "/routes/put/only", "GET, HEAD, OPTIONS, PUT"),
])
def test_other_methods_are_told_which_there_are(client, method, target, allow):
    answer = client.ask(method, target)
    assert (answer.status, answer.get("Allow")) == (405, allow)
    assert answer.body == b"405 Method Not Allowed\n"


def test_a_method_that_nobody_knows_is_not_implemented(client):
    answer = client.ask("get", "/routes/plain")
    assert (answer.status, answer.body) == (501, b"501 Not Implemented\n")
    assert answer.get("Allow") == "GET, HEAD, OPTIONS, POST, DELETE"


def test_options(client):
    answer = client.ask("OPTIONS", "/routes/plain")
    assert (answer.status, answer.get("Allow")) == (204, "GET, HEAD, OPTIONS, POST, DELETE")
    assert answer.get("Content-Length") is None
    answer = client.ask("OPTIONS", "*")
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("target", ["/routes/%2F", "/routes/a%2fb", "/routes/..%2f..", "/routes/%00",
                                    "/routes/%0a", "/routes/a%5cb", "/../routes/x", "/routes/%zz"])
def test_paths_that_mean_two_things_reach_no_route(client, target):
    assert client.ask(target=target).status == 400
