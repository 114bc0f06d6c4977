# SPDX-License-Identifier: MIT
"""DTLS against others: OpenSSL's own client and server, and GnuTLS's, in both roles."""
import contextlib
import socket
import subprocess

import pytest

from serving import TIMEOUT, eventually
from tls_peers import needs
from tls_servers import Ask, at_free_port, free_port
from tls_wire import KINDS, Authority


class Certs:
    def __init__(self, folder):
        authority = Authority(folder)
        self.cert, self.key = authority.issue("localhost", "127.0.0.1")
        self.ca = authority.cert


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    return Certs(tmp_path_factory.mktemp("certs"))


@pytest.fixture
def program(build):
    return build / "examples" / "dtls_echo"


def ask(program, port, ca, *words):
    done = subprocess.run([program, "ask", f"dtls://127.0.0.1:{port}", ca, *words], text=True,
                          timeout=TIMEOUT, capture_output=True)
    return done.returncode, done.stdout, done.stderr


def port_of(server):
    return server.out.lines[-1].rpartition(":")[2]


@pytest.fixture
def server(start, program, certs):
    return start(program, "serve", "dtls://127.0.0.1:0", certs.cert, certs.key)


def stops_well(server):
    server.signal()
    assert (server.wait(), server.err.lines) == (0, [])


def test_itself(server, program, certs):
    words = ["warp", "weft", "x" * 1000]
    assert ask(program, port_of(server), certs.ca, *words) == (0, "\n".join(words) + "\n", "")
    stops_well(server)


def test_who_is_not_trusted_is_refused(server, program, certs, tmp_path):
    other = Authority(tmp_path)
    code, out, err = ask(program, port_of(server), other.cert, "x")
    assert code != 0 and out == ""
    assert "unable to get local issuer" in err or "not trusted" in err or "issuer" in err, err


@contextlib.contextmanager
def running(*command):
    """A program of others, with what it says and hears."""
    program = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        yield program
    finally:
        program.kill()
        program.wait()


def say(program, line):
    program.stdin.write(line.encode() + b"\n")
    program.stdin.flush()


def talk(server, *command):
    """Has a client say lines and get them back."""
    with running(*command) as client:
        for line in ("one line", "and another"):
            say(client, line)
            while True:
                got = client.stdout.readline()
                assert got, line
                if got.strip().endswith(line.encode()):
                    break
    stops_well(server)


def test_openssl_as_client(server, certs):
    talk(server, "openssl", "s_client", "-dtls1_2", "-quiet", "-verify_return_error",
         "-verify_hostname", "localhost", "-CAfile", certs.ca, "-connect",
         f"127.0.0.1:{port_of(server)}")


@needs("gnutls-cli", "gnutls-bin")
def test_gnutls_as_client(server, certs):
    talk(server, "gnutls-cli", "--udp", "--x509cafile", certs.ca, "-p", port_of(server),
         "127.0.0.1")


def answered(program, port, ca):
    """An echo server of others is there once it answers."""
    code, out, _ = ask(program, port, ca, "warp", "weft")
    return code == 0 and out == "warp\nweft\n"


@needs("gnutls-serv", "gnutls-bin")
def test_gnutls_as_server(program, certs):
    port = free_port(socket.SOCK_DGRAM)
    with running("gnutls-serv", "--udp", "--echo", "--x509certfile", certs.cert, "--x509keyfile",
                 certs.key, "-p", port):
        eventually(lambda: answered(program, port, certs.ca))


def test_openssl_as_server(program, certs):
    """It prints what it gets, and has its lines from its input."""
    port = free_port(socket.SOCK_DGRAM)
    with running("openssl", "s_server", "-dtls1_2", "-quiet", "-listen", "-cert", certs.cert,
                 "-key", certs.key, "-port", port) as server:
        say(server, "from the server")
        client = eventually(lambda: connected(program, port, certs.ca))
        assert client == "from the server\n\n"


def connected(program, port, ca):
    code, out, _ = ask(program, port, ca, "to the server")
    return code == 0 and out


# ---- as a client, with all that is told of a connection

gnutls = needs("gnutls-serv", "gnutls-bin")


@pytest.fixture
def client(servers, authority):
    return Ask(servers / "tls_ask", authority)


@pytest.fixture
def other():
    """Starts a server of others: other("gnutls", pair, word...); .address is where it is."""
    with contextlib.ExitStack() as stack:
        def start_other(kind, pair, *more):
            words = {
                "gnutls": lambda port: [
                    "gnutls-serv", "--udp", "--echo", "--port", port, "--x509certfile", pair[0],
                    "--x509keyfile", pair[1], *more],
                "openssl": lambda port: [
                    "openssl", "s_server", "-dtls1_2", "-listen", "-accept", f"127.0.0.1:{port}",
                    "-cert", pair[0], "-key", pair[1], *more],
            }[kind]
            server = at_free_port(stack, words, kind="udp")
            server.address = f"dtls://{server.address}"
            return server
        yield start_other


@gnutls
@pytest.mark.parametrize("key", KINDS)
@pytest.mark.parametrize("more", [(), ("--noticket",)], ids=["tickets", "ids"])
def test_a_client_of_gnutls(other, client, pairs, key, more):
    """Sessions are resumed, be it the client that keeps them in a ticket or the server."""
    server = other("gnutls", pairs[key], "--disable-client-cert", *more)
    found = client(server.address, dtls=1, times=3, say="warp\n", until=5)
    assert [one["resumed"] for one in found] == [False, True, True]
    for one in found:
        assert (one["error"], one["version"], one["text"]) == ("", "DTLSv1.2", "warp\n")
        assert one["verified"] and one["cipher"].startswith("ECDHE-")


@pytest.mark.parametrize("key", ["p256", "rsa"])  # OpenSSL's servers have no Ed25519 for datagrams
def test_a_client_of_openssl(other, client, pairs, authority, key):
    """With a certificate of the client, whose end the server hears."""
    own = authority.issue("client.test", usage="clientAuth")
    server = other("openssl", pairs[key], "-Verify", "1", "-verify_return_error", "-CAfile",
                   authority.cert)
    with client.going_on(server.address, dtls=1, say="warp\n", until=5, cert=own[0],
                         key=own[1]) as asking:
        server.says("CN = client.test")
        server.says("warp")
        server.hears("weft")
        one = asking.answer()
    assert (one["error"], one["version"], one["text"]) == ("", "DTLSv1.2", "weft\n")
    assert one["verified"] and server.says("DONE")


@pytest.mark.parametrize("what, words, alert", [
    ("name", "certificate is for other.test, not for localhost", "bad certificate"),
    ("expired", "expired on 20", "certificate expired"),
    ("stranger", "unable to get local issuer", "unknown ca"),
])
def test_bad_certificates_are_refused_in_words(other, client, authority, tmp_path, what, words,
                                               alert):
    pair = {"name": lambda: authority.issue("other.test"),
            "expired": lambda: authority.issue("localhost", days=-1),
            "stranger": lambda: Authority(tmp_path / "x").issue("localhost")}[what]()
    server = other("openssl", pair)
    one = client(server.address, dtls=1)[0]
    assert one["error"] == "TH_ETLS" and words in one["detail"], one
    server.says(f"alert {alert}")


def test_without_a_certificate_openssl_refuses(other, client, pairs, authority):
    server = other("openssl", pairs["p256"], "-Verify", "1", "-CAfile", authority.cert)
    one = client(server.address, dtls=1)[0]
    assert one["error"] == "TH_ETLS"
    assert "the peer sent the alert 'handshake failure'" in one["detail"], one
    server.says("peer did not return a certificate")


@gnutls
def test_a_certificate_for_gnutls(other, client, pairs, authority):
    server = other("gnutls", pairs["p256"], "--require-client-cert", "--verify-client-cert",
                   "--x509cafile", authority.cert)
    own = authority.issue("client.test", usage="clientAuth")
    one = client(server.address, dtls=1, say="warp\n", until=5, cert=own[0], key=own[1])[0]
    assert (one["error"], one["text"]) == ("", "warp\n")
