# SPDX-License-Identifier: MIT
"""Clients of `thrum serve --tls` that other people wrote: GnuTLS, Go's, Python's, OpenSSL's.

Each by TLS 1.2 and 1.3: protocol, name, certificates of clients, resumption, big bodies, and that
the end of a connection is said. curl and Chromium are in test_https.py.
"""
import hashlib
import socket
import ssl
import subprocess

import pytest

import tls_wire
from files import content, www  # noqa: F401 (fixtures)
from serving import TIMEOUT
from tls_peers import GoPeer, gnutls_client, needs

VERSIONS = ("1.2", "1.3")
GNUTLS_VERSION = {version: f"--priority=NORMAL:-VERS-ALL:+VERS-TLS{version}" for version in
                  ("1.1", *VERSIONS)}
PYTHON_VERSION = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
BIG = 20_000_000
SOME = 200_000  # gnutls-cli writes what comes byte by byte
ASK = b"GET /%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"

version = pytest.mark.parametrize("version", VERSIONS)
gnutls = needs("gnutls-cli", "gnutls-bin")
golang = needs("go", "golang-go")


@pytest.fixture
def serve(start, thrum_bin, www, authority):
    """Starts `thrum serve` over TLS for the folder, which has files of three sizes."""
    (www / "small").write_bytes(content(4000))
    (www / "some").write_bytes(content(SOME))
    (www / "big").write_bytes(content(BIG))

    def start_serve(*options, pair=None, **more):
        cert, key = pair or authority.server
        server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--access-log", "off",
                       "--cert", cert, "--key", key, *options, www, **more)
        return tls_wire.secured(server, authority.client())
    return start_serve


@pytest.fixture(scope="session")
def go(go_peer):
    return GoPeer(go_peer)


@pytest.fixture
def client_pair(authority):
    return authority.issue("client.test", usage="clientAuth")


def digest(data):
    return hashlib.sha256(data).hexdigest()


# ---- Go

@golang
@version
def test_go(serve, go, authority, version):
    answers = go.get(serve(), ca=authority.cert, max=version, alpn="h2,http/1.1", times=3,
                     target="/big")
    for i, answer in enumerate(answers):
        assert answer == {"Version": version, "Alpn": "http/1.1", "Resumed": i > 0,
                          "Subject": "localhost", "Status": 200, "Size": BIG,
                          "Sha256": digest(content(BIG)), "CleanEnd": True, "Error": ""}
    assert len(answers) == 3


@golang
def test_go_does_not_believe_a_stranger(serve, go, authority):
    server = serve()
    assert "unknown authority" in go.get(server)[0]["Error"]
    wrong = go.get(server, ca=authority.cert, name="other.test")[0]
    assert "not other.test" in wrong["Error"]
    assert go.get(server, ca=authority.cert)[0]["Status"] == 403


@golang
def test_go_finds_no_old_version_and_no_protocol(serve, go, authority):
    server = serve()
    assert "protocol version" in go.get(server, ca=authority.cert, max="1.1")[0]["Error"]
    assert go.get(server, ca=authority.cert, alpn="h2")[0]["Status"] == 0
    assert go.get(server, ca=authority.cert, target="/small")[0]["Size"] == 4000


@golang
@version
def test_go_with_a_certificate(serve, go, authority, client_pair, version):
    server = serve("--client-ca", authority.cert)
    cert, key = client_pair
    # RFC 5246, 7.4.6, and RFC 8446, 4.4.2.4
    alert = "handshake failure" if version == "1.2" else "certificate required"
    assert alert in go.get(server, ca=authority.cert, max=version)[0]["Error"]
    for answer in go.get(server, ca=authority.cert, max=version, cert=cert, key=key, times=2,
                         target="/small"):
        assert (answer["Status"], answer["Error"], answer["CleanEnd"]) == (200, "", True)


@golang
def test_go_chooses_by_name(serve, go, authority):
    cert, key = authority.issue("other.test", "*.other.test")
    server = serve("--cert", cert, "--key", key)
    for name, subject in (("localhost", "localhost"), ("other.test", "other.test"),
                          ("a.other.test", "other.test")):
        answer = go.get(server, ca=authority.cert, name=name, target="/small")[0]
        assert (answer["Subject"], answer["Status"]) == (subject, 200)


# ---- GnuTLS

@gnutls
@version
def test_gnutls(serve, authority, version):
    done = gnutls_client(serve(), GNUTLS_VERSION[version], "--alpn=h2", "--alpn=http/1.1",
                         "--logfile=/dev/null", data=ASK % b"some", authority=authority)
    assert done.returncode == 0, done.stderr
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and digest(body) == digest(content(SOME))


@gnutls
@version
def test_gnutls_says_what_was_agreed_on(serve, authority, version):
    done = gnutls_client(serve(), GNUTLS_VERSION[version], "--alpn=h2", "--alpn=http/1.1",
                         data=ASK % b"small", authority=authority)
    assert b"Description: (TLS" + version.encode() in done.stdout
    assert b"Application protocol: http/1.1" in done.stdout
    assert b"Status: The certificate is trusted" in done.stdout
    assert b"Peer has closed the GnuTLS connection" in done.stdout  # close_notify; not cut
    assert done.returncode == 0


@gnutls
@version
def test_gnutls_resumes(serve, authority, version):
    more = ["--waitresumption"] if version == "1.3" else []
    done = gnutls_client(serve(), GNUTLS_VERSION[version], "--resume", *more,
                         data=ASK % b"small", authority=authority)
    assert b"*** This is a resumed session" in done.stdout, done.stdout[-2000:]
    assert b"HTTP/1.1 200 " in done.stdout


@gnutls
def test_gnutls_updates_its_keys(serve, authority):
    """In TLS 1.3 `^rekey^` asks the server for new keys as well."""
    words = b"^rekey^\n" + ASK % b"small"
    done = gnutls_client(serve(), GNUTLS_VERSION["1.3"], "--inline-commands", data=words,
                         authority=authority)
    assert b"HTTP/1.1 200 " in done.stdout, done.stdout[-2000:]
    assert done.returncode == 0


@gnutls
@version
def test_gnutls_with_a_certificate(serve, authority, client_pair, version):
    server = serve("--client-ca", authority.cert)
    cert, key = client_pair
    quiet = [GNUTLS_VERSION[version], "--logfile=/dev/null"]
    done = gnutls_client(server, *quiet, data=ASK % b"small", authority=authority)
    assert done.returncode != 0 and b"HTTP/" not in done.stdout
    done = gnutls_client(server, *quiet, f"--x509certfile={cert}", f"--x509keyfile={key}",
                         data=ASK % b"small", authority=authority)
    assert done.returncode == 0 and done.stdout.startswith(b"HTTP/1.1 200 ")


@gnutls
def test_gnutls_believes_no_stranger_and_finds_no_old_version(serve, authority):
    server = serve()
    done = gnutls_client(server, data=ASK % b"small", authority=authority, name="other.test")
    assert done.returncode == 1 and b"does not match" in done.stdout
    done = gnutls_client(server, GNUTLS_VERSION["1.1"], data=ASK % b"small", authority=authority)
    assert done.returncode == 1 and b"HTTP/1.1" not in done.stdout
    assert server.ask(target="/small").status == 200


# ---- Python

@version
def test_python(serve, authority, version):
    server = serve()
    context = authority.client(maximum_version=PYTHON_VERSION[version])
    context.set_alpn_protocols(["h2", "http/1.1"])
    session = None
    for i in range(3):
        with socket.create_connection(server.address, TIMEOUT) as plain:
            secure = context.wrap_socket(plain, server_hostname="localhost", session=session,
                                         suppress_ragged_eofs=False)
            assert secure.version() == "TLSv" + version
            assert secure.selected_alpn_protocol() == "http/1.1"
            assert secure.session_reused == (i > 0)
            secure.sendall(ASK % b"big")
            data = bytearray()
            while piece := secure.recv(65536):  # an end that is not said would be an error
                data += piece
            assert digest(data.partition(b"\r\n\r\n")[2]) == digest(content(BIG))
            session = secure.session
            secure.unwrap()


# ---- OpenSSL's program

@version
def test_openssl(serve, authority, version, tmp_path):
    """With a new session, and with that one resumed."""
    server = serve()
    host, port = server.address
    common = ["openssl", "s_client", "-connect", f"{host}:{port}", "-CAfile", authority.cert,
              "-servername", "localhost", "-verify_return_error", "-verify_hostname", "localhost",
              "-tls" + version.replace(".", "_"), "-alpn", "h2,http/1.1", "-ign_eof"]
    ask = ASK % b"small"
    for more, word in ((["-sess_out", tmp_path / "s"], b"New, TLSv"),
                       (["-sess_in", tmp_path / "s"], b"Reused, TLSv")):
        done = subprocess.run([*common, *more], input=ask, capture_output=True, timeout=TIMEOUT,
                              check=False)
        assert word in done.stdout and b"ALPN protocol: http/1.1" in done.stdout
        assert b"HTTP/1.1 200 " in done.stdout
        assert done.stdout.rstrip().endswith(b"closed"), done.stdout[-300:]


# ---- stapled responses about revocation

@pytest.fixture
def stapled(serve, authority, tmp_path):
    """A server whose chain has the issuer in it, so that it can verify the response itself."""
    cert, key = authority.server
    chain = tmp_path / "chain.pem"
    chain.write_bytes(cert.read_bytes() + authority.cert.read_bytes())

    def start(**more):
        return serve("--ocsp", authority.ocsp(cert, **more), pair=(chain, key), well=not more)
    return start


@version
def test_openssl_sees_the_stapled_response(stapled, authority, version):
    host, port = stapled().address
    shown = tls_wire.openssl("s_client", "-connect", f"{host}:{port}", "-CAfile", authority.cert,
                             "-status", "-tls" + version.replace(".", "_"), data=b"")
    assert b"OCSP Response Status: successful" in shown and b"Cert Status: good" in shown


@gnutls
@version
def test_gnutls_believes_the_stapled_response(stapled, authority, version):
    ask = ASK % b"small"
    done = gnutls_client(stapled(), GNUTLS_VERSION[version], data=ask, authority=authority)
    assert b"HTTP/1.1 200 " in done.stdout and done.returncode == 0
    server = stapled(revoked=True)  # it says so, and shows it
    done = gnutls_client(server, GNUTLS_VERSION[version], data=ask, authority=authority)
    assert b"revoked" in done.stdout and b"HTTP/1.1" not in done.stdout and done.returncode == 1
    assert server.err.wait(lambda lines: "was revoked on 2025-01-01" in "".join(lines))
