# SPDX-License-Identifier: MIT
"""Thrum as a client of TLS servers that other people wrote: OpenSSL's, GnuTLS's, Go's, Python's and
nginx. What is agreed on, sessions, certificates of both sides, ends that are said and ends that are
not, and what each of them can do to a client.

The other way round, Thrum as the server, is test_tls_peers.py; datagrams are test_dtls.py.
"""
import contextlib
import pathlib

import pytest

from tls_peers import needs
from tls_servers import ALL, REQUEST, VERSIONS, Ask, Go, Nginx, Settings

KEYS = {"p256": "ec", "rsa": "rsa", "ed25519": "ed25519"}

version = pytest.mark.parametrize("version", VERSIONS)
peer = pytest.mark.parametrize("kind", [pytest.param(kind, marks=needs(*cls.needs))
                                        for kind, cls in ALL.items()])
golang = needs(*Go.needs)


@pytest.fixture(scope="session")
def pairs(authority):
    """By kind of key."""
    return {name: authority.issue("localhost", "127.0.0.1", key=key) for name, key in KEYS.items()}


@pytest.fixture
def ask(servers, authority):
    return Ask(servers / "tls_ask", authority)


@pytest.fixture
def serve(pairs, tmp_path, request):
    """Starts a server of others: serve(Go, version="1.2", ...); with more for it in `more`."""
    with contextlib.ExitStack() as stack:
        def start(cls, key="p256", pair=None, more=(), **settings):
            if cls is Go:
                Go.built = request.getfixturevalue("go_peer")
            if cls is Nginx:
                more = (tmp_path, *more)
            return cls(stack, Settings(pair or pairs[key], **settings), *more)
        yield start


def answers(server, ask, **settings):
    """Asks it for its line, which has to come whole and to its end."""
    found = ask(server.address, say=server.said,
                until=None if server.said == REQUEST else len(server.heard), **settings)
    for one in found:
        assert (one["error"], one["end"]) == ("", "TH_EOF"), one
        assert one["text"].endswith(server.heard)
    return found


# ---- what is agreed on

@peer
@version
@pytest.mark.parametrize("key", KEYS)
def test_what_is_agreed_on(serve, ask, kind, version, key):
    server = serve(ALL[kind], key=key, version=version)
    found = answers(server, ask, times=3, alpn="h2,http/1.1")
    assert [one["resumed"] for one in found] == [False, True, True]
    for one in found:
        assert one["version"] == f"TLSv{version}" and one["alpn"] == "http/1.1"
        assert one["verified"] and one["peer_certs"] == 1
        assert one["cipher"].startswith("TLS_" if version == "1.3" else "ECDHE-")


@peer
def test_the_best_version_is_taken_and_its_limits_hold(serve, ask, kind):
    server = serve(ALL[kind])
    assert answers(server, ask)[0]["version"] == "TLSv1.3"
    assert answers(server, ask, max="1.2")[0]["version"] == "TLSv1.2"
    server = serve(ALL[kind], version="1.2")
    one = ask(server.address, min="1.3")[0]
    assert one["error"] == "TH_ETLS"
    alert = "handshake failure" if kind == "gnutls" else "protocol version"  # RFC 8446, 4.2.1
    assert f"the peer sent the alert '{alert}'" in one["detail"], one


@golang
def test_nothing_below_1_2_is_spoken(serve, ask):
    server = serve(Go, version="1.1")
    assert ask(server.address)[0]["error"] == "TH_ETLS"
    assert "offered only unsupported versions" in server.program.says("end: ")


@peer
@version
def test_certificates_of_clients(serve, ask, authority, kind, version):
    server = serve(ALL[kind], version=version, client_ca=authority.cert)
    cert, key = authority.issue("client.test", usage="clientAuth")
    found = answers(server, ask, cert=cert, key=key, times=2)
    if kind == "nginx":
        assert "Client: CN=client.test\r\n" in found[0]["text"]
    else:
        assert server.saw("client.test")
    assert found[1]["resumed"]


# What a client without a certificate gets to know. RFC 5246, 7.4.6; RFC 8446, 4.4.2.4
REFUSED = {"1.2": "handshake failure", "1.3": "certificate required"}


@peer
@version
def test_without_a_certificate_the_client_is_refused(serve, ask, authority, kind, version):
    server = serve(ALL[kind], version=version, client_ca=authority.cert)
    one = ask(server.address, say=server.said)[0]
    if kind == "nginx":  # it says so in HTTP
        assert "400 No required SSL certificate was sent" in one["text"]
        return
    assert one["error"] == "TH_ETLS" and "the peer sent the alert '" in one["detail"], one
    if kind in ("openssl", "python"):
        assert REFUSED[version] in one["detail"]
