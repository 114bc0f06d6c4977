# SPDX-License-Identifier: MIT
"""DTLS against others: OpenSSL's own client and server, and GnuTLS's, in both roles."""
import socket
import subprocess

import pytest

from serving import TIMEOUT, eventually
from tls_peers import needs
from tls_wire import Authority


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


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_itself(server, program, certs):
    words = ["warp", "weft", "x" * 1000]
    assert ask(program, port_of(server), certs.ca, *words) == (0, "\n".join(words) + "\n", "")
    server.signal()
    assert (server.wait(), server.err.lines) == (0, [])


def test_who_is_not_trusted_is_refused(server, program, certs, tmp_path):
    other = Authority(tmp_path)
    code, out, err = ask(program, port_of(server), other.cert, "x")
    assert code != 0 and out == ""
    assert "unable to get local issuer" in err or "not trusted" in err or "issuer" in err, err


def talk(command, answers):
    """Has a client say lines and get them back."""
    client = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        for line in answers:
            client.stdin.write(line.encode() + b"\n")
            client.stdin.flush()
            while True:
                got = client.stdout.readline()
                assert got, line
                if got.strip().endswith(line.encode()):
                    break
    finally:
        client.kill()
        client.wait()


def test_openssl_as_client(server, certs):
    talk(["openssl", "s_client", "-dtls1_2", "-quiet", "-verify_return_error", "-verify_hostname",
          "localhost", "-CAfile", certs.ca, "-connect", f"127.0.0.1:{port_of(server)}"],
         ["one line", "and another"])
    server.signal()
    assert (server.wait(), server.err.lines) == (0, [])


@needs("gnutls-cli", "gnutls-bin")
def test_gnutls_as_client(server, certs):
    talk(["gnutls-cli", "--udp", "--x509cafile", certs.ca, "-p", port_of(server), "127.0.0.1"],
         ["one line", "and another"])
    server.signal()
    assert (server.wait(), server.err.lines) == (0, [])


def running(command):
    return subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def answered(program, port, ca):
    """An echo server of others is there once it answers."""
    code, out, _ = ask(program, port, ca, "warp", "weft")
    return code == 0 and out == "warp\nweft\n"


@needs("gnutls-serv", "gnutls-bin")
def test_gnutls_as_server(program, certs):
    port = free_port()
    server = running(["gnutls-serv", "--udp", "--echo", "--x509certfile", certs.cert,
                      "--x509keyfile", certs.key, "-p", port])
    try:
        eventually(lambda: answered(program, port, certs.ca))
    finally:
        server.kill()
        server.wait()


def test_openssl_as_server(program, certs):
    """It prints what it gets, and has its lines from its input."""
    port = free_port()
    server = running(["openssl", "s_server", "-dtls1_2", "-quiet", "-listen", "-cert", certs.cert,
                      "-key", certs.key, "-port", port])
    try:
        server.stdin.write(b"from the server\n")
        server.stdin.flush()
        client = eventually(lambda: connected(program, port, certs.ca))
        assert client == "from the server\n\n"
    finally:
        server.kill()
        server.wait()


def connected(program, port, ca):
    code, out, _ = ask(program, port, ca, "to the server")
    return code == 0 and out
