# SPDX-License-Identifier: MIT
"""What every integration test starts from: the program under test, its build folder, servers."""
import contextlib
import os
import pathlib

import pytest

import serving
import tls_ends
import tls_peers
import tls_wire

ROOT = pathlib.Path(__file__).resolve().parents[2]
BACKENDS = ("epoll", "uring", "poll", "select")
SETUPS = [(backend, workers) for backend in BACKENDS for workers in (1, 2)]


@pytest.fixture(scope="session")
def build():
    """The build folder under test; `make test` sets THRUM_BUILD."""
    return pathlib.Path(os.environ.get("THRUM_BUILD", ROOT / "build" / "test"))


@pytest.fixture(scope="session")
def thrum_bin(build):
    """Path of the program under test; `make test` sets THRUM_BIN."""
    return pathlib.Path(os.environ.get("THRUM_BIN", build / "thrum" / "thrum"))


@pytest.fixture(scope="session")
def sanitized(build):
    return serving.sanitized(build)


@pytest.fixture(scope="session")
def servers(build):
    """The folder of the test servers."""
    return build / "tests" / "integration"


@pytest.fixture(params=SETUPS, ids=lambda setup: f"{setup[0]}-{setup[1]}")
def setup(request):
    """Each back end, with one worker and with two: (backend, workers)."""
    return request.param


@pytest.fixture
def start():
    """Starts servers that end with the test: start(command, ...) gives a serving.Server."""
    with contextlib.ExitStack() as stack:
        yield lambda *command, **options: stack.enter_context(serving.running(command, **options))


@pytest.fixture
def probe(start, servers):
    """Starts the HTTP server for tests: probe(body_size=1000, ...). Two workers unless told."""
    def start_probe(*arguments, options=None, **settings):
        words = [f"{name}={value}" for name, value in {"workers": 2, **settings}.items()]
        return start(servers / "http_probe", *words, *arguments, **(options or {}))
    return start_probe


@pytest.fixture
def stream_probe(start, servers):
    """Starts the server of streams for tests."""
    def start_probe(options=None, **settings):
        words = [f"{name}={value}" for name, value in {"workers": 2, **settings}.items()]
        return start(servers / "stream_probe", *words, **(options or {}))
    return start_probe


@pytest.fixture
def any_probe(probe, setup):
    """The HTTP server for tests on each back end, with one worker and with two."""
    backend, workers = setup
    return lambda **settings: probe(backend=backend, workers=workers, **settings)


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """A certificate authority for the tests, with a certificate of this machine: .server."""
    made = tls_wire.Authority(tmp_path_factory.mktemp("authority"))
    made.server = made.issue("localhost", "127.0.0.1", "::1")
    return made


@pytest.fixture
def tls_probe(start, servers, authority):
    """As probe, over TLS; its clients believe the authority."""
    def start_probe(*arguments, options=None, **settings):
        cert, key = authority.server
        words = [f"{name}={value}" for name, value in
                 {"workers": 2, "cert": cert, "key": key, **settings}.items()]
        server = start(servers / "http_probe", *words, *arguments, **(options or {}))
        return tls_wire.secured(server, authority.client())
    return start_probe


@pytest.fixture(scope="session")
def pairs(authority):
    """Certificates for this host with their keys, by the kind of key in tls_wire.KINDS."""
    return {name: authority.issue("localhost", "127.0.0.1", key=key)
            for name, key in tls_wire.KINDS.items()}


@pytest.fixture(scope="session")
def go_peer(tmp_path_factory):
    """Go's crypto/tls as a peer: the program."""
    return tls_peers.build_go(tmp_path_factory.mktemp("go"), "tls_peer.go")


@pytest.fixture(scope="module")
def several_ends(servers, tmp_path_factory):
    """Both ends of TLS, for peers by script: several_ends.get(handshake_time=300, ...)."""
    several = tls_ends.Several(servers / "tls_ends", tmp_path_factory.mktemp("ends"))
    try:
        yield several
        several.stop()
    finally:
        several.kill()


@pytest.fixture
def ends(several_ends):
    """Both ends as nobody says otherwise. What a test has left behind is found behind it."""
    found = several_ends.get()
    yield found
    found.serve()
    found.is_well()
