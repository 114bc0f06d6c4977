# SPDX-License-Identifier: MIT
"""Thrum as a client of TLS servers that other people wrote: OpenSSL's, GnuTLS's, Go's, Python's and
nginx. What is agreed on, sessions, certificates of both sides, ends that are said and ends that are
not, and what each of them can do to a client.

The other way round, Thrum as the server, is test_tls_peers.py; datagrams are test_dtls.py.
"""
import contextlib
import hashlib
import pathlib

import pytest

import tls_wire
from files import content
from serving import eventually
from tls_peers import needs
from tls_servers import ALL, REQUEST, VERSIONS, Ask, Go, Gnutls, Nginx, Openssl, Python, Settings

BIG = 20_000_000

version = pytest.mark.parametrize("version", VERSIONS)
peer = pytest.mark.parametrize("kind", [pytest.param(kind, marks=needs(*cls.needs))
                                        for kind, cls in ALL.items()])
golang = needs(*Go.needs)
gnutls = needs(*Gnutls.needs)
nginx = needs(*Nginx.needs)


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


def holds(file, text):
    """What a client saves, as it comes: at last just this."""
    eventually(lambda: file.exists() and file.read_text() == text)


# ---- what is agreed on

@peer
@version
@pytest.mark.parametrize("key", tls_wire.KINDS)
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


# ---- certificates that are not good

def stranger(tmp_path):
    return tls_wire.Authority(tmp_path / "stranger", "Stranger").issue("localhost")


# What is wrong: how the certificate is made, the client's words, and the alert that it sends.
BAD = {
    "name": (lambda a, _: a.issue("other.test"),
             "certificate is for other.test, not for localhost", "bad certificate"),
    "expired": (lambda a, _: a.issue("localhost", days=-1), "expired on 20", "certificate expired"),
    "usage": (lambda a, _: a.issue("localhost", usage="clientAuth"),
              "unsuitable certificate purpose", "unsupported certificate"),
    "stranger": (lambda _, folder: stranger(folder), "unable to get local issuer", "unknown ca"),
}


@peer
@pytest.mark.parametrize("what", BAD)
def test_bad_certificates_are_refused_in_words(serve, ask, authority, tmp_path, kind, what):
    make, words, _ = BAD[what]
    server = serve(ALL[kind], pair=make(authority, tmp_path))
    one = ask(server.address, say=server.said)[0]
    assert (one["error"], one["bytes"]) == ("TH_ETLS", 0)
    assert words in one["detail"], one


@version
@pytest.mark.parametrize("what", BAD)
def test_the_server_is_told_what_is_bad(serve, ask, authority, tmp_path, version, what):
    make, _, alert = BAD[what]
    server = serve(Openssl, pair=make(authority, tmp_path), version=version)
    assert ask(server.address)[0]["error"] == "TH_ETLS"
    assert server.program.says(f"alert {alert}")


# ---- what servers say about revocation

# How a server is given a response to staple.
STAPLED = {"openssl": ["-rev", "-status_file"],
           "gnutls": ["--echo", "--ignore-ocsp-response-errors", "--ocsp-response"]}
stapling = pytest.mark.parametrize("kind", ["openssl", pytest.param("gnutls", marks=gnutls)])


@pytest.fixture
def serve_stapled(serve, pairs, authority):
    def start(kind, version, **more):
        response = authority.ocsp(pairs["p256"][0], **more)
        return serve(ALL[kind], version=version, more=(*STAPLED[kind], response))
    return start


@stapling
@version
def test_a_stapled_response_is_good(serve_stapled, ask, kind, version):
    answers(serve_stapled(kind, version), ask, ocsp="required")


@stapling
@version
def test_a_revoked_certificate_is_refused(serve_stapled, ask, kind, version):
    server = serve_stapled(kind, version, revoked=True)
    one = ask(server.address, ocsp="ask")[0]
    assert one["error"] == "TH_ETLS" and "revoked" in one["detail"], one
    answers(server, ask)  # who does not ask does not hear of it


@stapling
@version
def test_without_a_response_one_that_demands_it_fails(serve, ask, kind, version):
    server = serve(ALL[kind], version=version)
    one = ask(server.address, ocsp="required")[0]
    assert one["error"] == "TH_ETLS" and "OCSP" in one["detail"], one
    answers(server, ask, ocsp="ask")


# ---- much

@pytest.mark.parametrize("kind", [pytest.param("go", marks=golang), "python"])
@version
def test_much_in_both_directions(serve, ask, kind, version):
    server = serve(ALL[kind], version=version)
    one = ask(server.address, much=BIG)[0]
    assert (one["error"], one["end"], one["bytes"], one["same"]) == ("", "TH_EOF", BIG, True)


def downloaded(ask, server, path):
    """What comes of it, behind the head."""
    one = ask(server.address, say="GET /big HTTP/1.0\r\n\r\n", save=path)[0]
    assert (one["error"], one["end"]) == ("", "TH_EOF"), one
    return hashlib.sha256(path.read_bytes().partition(b"\r\n\r\n")[2]).digest()


@nginx
@version
def test_a_big_file_of_nginx(serve, ask, tmp_path, version):
    (tmp_path / "big").write_bytes(content(BIG))
    server = serve(Nginx, version=version)
    assert downloaded(ask, server, tmp_path / "got") == hashlib.sha256(content(BIG)).digest()


@version
@pytest.mark.parametrize("record", [512, 16384])
def test_a_big_file_of_openssl_in_small_records(serve, ask, tmp_path, version, record):
    (tmp_path / "big").write_bytes(content(BIG // 4))
    server = serve(Openssl, version=version, folder=tmp_path,
                   more=("-WWW", "-http_server_binmode", "-max_send_frag", record))
    assert downloaded(ask, server, tmp_path / "got") == hashlib.sha256(content(BIG // 4)).digest()


@gnutls
@version
def test_a_big_file_of_gnutls(serve, ask, tmp_path, version):
    (tmp_path / "big").write_bytes(content(BIG // 4))
    server = serve(Gnutls, version=version, more=("--http", "--httpdata", tmp_path / "big"))
    assert downloaded(ask, server, tmp_path / "got") == hashlib.sha256(content(BIG // 4)).digest()


# ---- ends

@golang
@version
def test_go_hears_the_clients_end(serve, ask, version):
    server = serve(Go, version=version)
    answers(server, ask)
    assert server.program.says("end: ").startswith("end: EOF ")  # not `unexpected EOF`


@version
def test_python_hears_the_clients_end(serve, ask, version):
    server = serve(Python, version=version)
    answers(server, ask)
    server.stop()
    assert server.errors == []  # ragged ends would be one


@pytest.mark.parametrize("kind, cut", [pytest.param("go", "-cut", marks=golang), ("python", "cut")])
@version
def test_an_end_that_is_not_said_is_a_cut(serve, ask, kind, cut, version):
    server = serve(ALL[kind], version=version, more=(cut,))
    one = ask(server.address, say="warp")[0]
    assert (one["text"], one["error"], one["end"]) == ("warp", "TH_ETRUNCATED", "TH_ETRUNCATED")


@pytest.mark.parametrize("kind", ["openssl", pytest.param("gnutls", marks=gnutls)])
@version
def test_a_server_that_is_killed_has_cut_it(serve, ask, tmp_path, kind, version):
    server = serve(ALL[kind], version=version)
    saved = tmp_path / "saved"
    with ask.going_on(server.address, say=server.said, save=saved) as client:
        holds(saved, server.heard)
        server.program.cut()
        one = client.answer()
    assert (one["text"], one["end"]) == (server.heard, "TH_ETRUNCATED")


@nginx
@version
def test_a_download_that_stops_in_the_middle_is_cut(serve, ask, tmp_path, version):
    (tmp_path / "big").write_bytes(content(BIG))
    server = serve(Nginx, version=version, more=("limit_rate 100k;",))
    saved = tmp_path / "saved"
    with ask.going_on(server.address, say="GET /big HTTP/1.0\r\n\r\n", save=saved) as client:
        eventually(lambda: saved.exists() and saved.stat().st_size > 1000)
        server.program.cut()
        one = client.answer()
    assert one["end"] == "TH_ETRUNCATED" and 1000 < one["bytes"] < BIG


# ---- what servers can do to a client

@pytest.mark.parametrize("more", [("-groups", "P-384"), ("-groups", "P-384", "-stateless")])
def test_it_is_asked_to_say_hello_again(serve, ask, more):
    """Its first hello has a key for x25519 only; with -stateless it has to send a cookie back."""
    server = serve(Openssl, more=("-rev", *more))
    found = answers(server, ask, times=2)
    assert [one["group"] for one in found] == ["secp384r1"] * 2
    assert found[1]["resumed"]


def test_keys_change_and_a_certificate_is_asked_for_afterwards(serve, ask, authority, tmp_path):
    """In TLS 1.3: new keys both ways, and a certificate in the middle of the conversation."""
    server = serve(Openssl, version="1.3", more=("-CAfile", authority.cert, "-msg"))
    cert, key = authority.issue("client.test", usage="clientAuth")
    saved = tmp_path / "saved"

    def say(line, text):
        server.program.hears(line)
        holds(saved, text)
    with ask.going_on(server.address, cert=cert, key=key, pha=1, save=saved, until=17,
                      say="warp\n", then="weft\n") as client:
        server.program.says("warp")
        say("hello", "hello\n")
        server.program.hears("K")
        say("after", "hello\nafter\n")
        server.program.hears("c")
        server.program.says("CN = client.test")
        say("last", "hello\nafter\nlast\n")
        one = client.answer()
    assert (one["error"], one["end"]) == ("", "TH_EOF")
    server.program.says("weft")  # with the client's new keys
    for way in (">>>", "<<<"):
        assert server.program.says(f"{way} TLS 1.3, Handshake [length 0005], KeyUpdate")


def test_it_does_not_renegotiate(serve, ask, tmp_path):
    """It says no; OpenSSL's server takes that for the end."""
    server = serve(Openssl, version="1.2", more=("-msg",))
    saved = tmp_path / "saved"
    with ask.going_on(server.address, save=saved) as client:
        server.program.says("Secure Renegotiation IS supported")
        server.program.hears("hello")
        holds(saved, "hello\n")
        server.program.hears("r")
        one = client.answer()
    assert server.program.says("Alert [length 0002], warning no_renegotiation")
    assert (one["text"], one["error"]) == ("hello\n", "TH_ETLS")
    assert "the peer sent the alert 'handshake failure'" in one["detail"]


@gnutls
def test_early_data_is_taken_by_gnutls(serve, ask):
    server = serve(Gnutls, version="1.3", more=("--echo", "--earlydata"))
    found = answers(server, ask, early=1, times=2, first="early\n")
    assert [one["early"] for one in found] == [0, 1]
