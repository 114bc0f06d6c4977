# SPDX-License-Identifier: MIT
"""thrum cert show and check: what is said of certificates that openssl(1) made, good ones and bad."""
import datetime
import os
import re
import socket
import subprocess

import pytest

from certs import Openssl, tls_server
from serving import TIMEOUT

SERVER = ["subjectAltName=DNS:db.example", "extendedKeyUsage=serverAuth",
          "keyUsage=critical,digitalSignature", "basicConstraints=CA:FALSE",
          "subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid"]
STATUS = {"ok": 0, "warning": 1, "critical": 2}


def server(*changes, **options):
    """The lines of SERVER with others instead of those of the same name; None leaves one out."""
    lines = {line.split("=")[0]: line for line in SERVER}
    lines.update({line.split("=")[0]: line for line in changes})
    lines.update({name: None for name in options.get("without", ())})
    return [line for line in lines.values() if line]


@pytest.fixture
def cert(thrum_bin, tmp_path):
    def run(*words, **env):
        done = subprocess.run([thrum_bin, "cert", *words], cwd=tmp_path, timeout=TIMEOUT,
                              capture_output=True, env={**os.environ, **env})
        return done.returncode, done.stdout.decode(), done.stderr.decode().splitlines()
    return run


@pytest.fixture
def show(cert):
    """The output of a show that succeeds."""
    def run(*words):
        status, out, err = cert("show", *words)
        assert (status, err) == (0, [])
        return out
    return run


@pytest.fixture
def check(cert):
    """Checks a file against ca.pem: [(grade, words), ...]; the status has to be that of the worst."""
    def run(what, *words):
        status, out, err = cert("check", what, "--trust", "ca.pem", *words)
        assert err == []
        lines = [re.fullmatch(rf"(\w+): {re.escape(what)}: (.*)", line).groups()
                 for line in out.splitlines()]
        assert status == max([STATUS[grade] for grade, _ in lines], default=0)
        return lines
    return run


@pytest.fixture
def openssl(tmp_path):
    result = Openssl(tmp_path)
    result.authority("ca", "Loom Root")
    return result


@pytest.fixture
def free_port():
    """Nobody listens there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def rows(out):
    """[(first words, rest), ...] of the lines of a show; headings have no rest."""
    return [(line[2:15].strip(), line[16:]) if line.startswith("  ") else (line, "")
            for line in out.splitlines()]


def row(out, name):
    return [rest for first, rest in rows(out) if first == name]


# ---- show

def test_a_certificate_in_words(show, openssl):
    openssl.sign("db", "ca", server("subjectAltName=DNS:db.example,DNS:*.db.example,IP:10.0.0.1,"
                                    "email:ops@db.example,URI:https://db.example/"),
                 "-set_serial", "0x1234567890abcdef1234567890abcdef", days=100, key="p256")
    out = show("db.pem", "--trust", "ca.pem")
    assert out.startswith("certificate 1 of 1\n")
    assert row(out, "subject") == ["CN=db"] and row(out, "issuer") == ["CN=Loom Root"]
    assert row(out, "names") == ["db.example"]
    for name in ("*.db.example", "10.0.0.1", "mail ops@db.example", "https://db.example/"):
        assert ("", name) in rows(out)
    end = openssl("x509", "-in", "db.pem", "-noout", "-enddate").strip().split("=")[1]
    end = datetime.datetime.strptime(end, "%b %d %H:%M:%S %Y GMT")
    assert row(out, "until") == [f"{end:%Y-%m-%d %H:%M:%S} UTC (in 100 days)"]
    assert row(out, "key") == ["EC P-256"] and row(out, "is for") == ["TLS servers"]
    assert row(out, "its key does") == ["digital signatures"]
    assert row(out, "serial") == ["1234567890ABCDEF1234567890ABCDEF"]
    print_ = openssl("x509", "-in", "db.pem", "-noout", "-fingerprint", "-sha256").strip()
    assert row(out, "SHA-256") == [print_.split("=")[1]]
    openssl("pkey", "-in", "db-key.pem", "-pubout", "-outform", "DER", "-out", "spki")
    pin = openssl("dgst", "-sha256", "spki").strip().split()[-1]
    assert row(out, "pin of key") == [f"sha256/{pin}"]
    assert row(out, "good") == ["trusted by ca.pem"]


def test_bad_certificates_are_shown_too(show, openssl):
    openssl.sign("old", "ca", server(), days=-1)
    out = show("old.pem", "--trust", "ca.pem", "--name", "other.example")
    bad = row(out, "not good")
    assert any(words.startswith("expired on ") for words in bad)
    assert "is not for other.example, but for db.example" in bad and row(out, "good") == []
    out = show("old.pem")
    assert any("is not trusted: " in words for words in row(out, "not good"))


def test_a_chain_a_key_and_their_order(show, openssl):
    openssl.sign("sub", "ca", ["basicConstraints=critical,CA:TRUE,pathlen:0",
                               "keyUsage=keyCertSign"])
    openssl.sign("db", "sub", server())
    folder = openssl.folder
    (folder / "all.pem").write_bytes(b"".join((folder / name).read_bytes() for name in
                                              ("db-key.pem", "db.pem", "sub.pem")))
    out = show("all.pem", "--trust", "ca.pem")
    assert [line for line in out.splitlines() if line.startswith("certificate")] == [
        "certificate 1 of 2", "certificate 2 of 2"]
    assert "private key" in out.splitlines()
    assert row(out, "belongs to") == ["certificate 1"] and row(out, "good") != []
    assert row(out, "authority") == [
        "may sign others, with at most 0 further authorities below it"]
    pem = show("all.pem", "--pem")
    assert pem.count("BEGIN CERTIFICATE") == 2 and "PRIVATE" not in pem


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_requests_lists_and_keys(show, openssl, form):
    openssl.key("a", "rsa2048")
    openssl("req", "-new", "-key", "a-key.pem", "-subj", "/O=Loom/CN=a.example", "-addext",
            "subjectAltName=DNS:a.example", "-outform", form, "-out", "a.csr")
    out = show("a.csr")
    assert out.startswith("request for a certificate\n")
    assert row(out, "subject") == ["O=Loom, CN=a.example"] and row(out, "names") == ["a.example"]
    assert row(out, "key") == ["RSA, 2048 bits"] and row(out, "signature")[0].endswith(", good")
    openssl.sign("db", "ca", server())
    openssl.revoke("ca", ["db"])
    openssl("crl", "-in", "ca.crl", "-outform", form, "-out", "x.crl")
    out = show("x.crl")
    assert out.startswith("revocation list\n") and row(out, "revoked") == ["1"]
    serial = openssl("x509", "-in", "db.pem", "-noout", "-serial").strip().split("=")[1]
    assert serial in out
    openssl("pkey", "-in", "a-key.pem", "-outform", form, "-out", "k")
    assert show("k").startswith("private key\n")
    openssl("pkey", "-in", "a-key.pem", "-pubout", "-outform", form, "-out", "p")
    assert show("p").startswith("public key\n")
    assert row(show("p"), "pin of key") == row(show("k"), "pin of key")


def test_what_is_encrypted(cert, show, openssl):
    (openssl.folder / "phrase").write_text("weft\n")
    openssl("pkey", "-in", "ca-key.pem", "-aes256", "-passout", "file:phrase", "-out", "k.pem")
    assert show("k.pem") == "private key, encrypted\n"
    assert show("k.pem", "--pass", "phrase").startswith("private key\n")
    openssl("pkcs12", "-export", "-in", "ca.pem", "-inkey", "ca-key.pem", "-passout", "file:phrase",
            "-out", "a.p12")
    assert "certificate 1 of 1" in show("a.p12", "--pass", "phrase")
    assert cert("show", "a.p12") == (
        1, "", ["thrum cert show: a.p12: it is encrypted; --pass FILE tells its pass phrase"])
    (openssl.folder / "wrong").write_text("warp\n")
    assert cert("show", "a.p12", "--pass", "wrong") == (
        1, "", ["thrum cert show: a.p12: the pass phrase is wrong"])


def test_what_a_stranger_wrote_does_not_reach_the_terminal(show, openssl):
    openssl("req", "-x509", "-new", "-key", "ca-key.pem", "-out", "x.pem", "-subj",
            "/CN=a\x1b[31m\u009b2J\n  good          trusted")
    out = show("x.pem")
    assert "\x1b" not in out and "\u009b" not in out and row(out, "good") == []


@pytest.mark.parametrize("content", ["", "warp\n", "-----BEGIN CERTIFICATE-----\nAAAA\n",
                                     "\x30\x82"])
def test_what_is_nothing(cert, openssl, content):
    (openssl.folder / "x").write_text(content)
    for command, expected in (("show", 1), ("check", 2)):
        status, out, err = cert(command, "x")
        assert (status, out, len(err)) == (expected, "", 1) and f"thrum cert {command}: x: " in err[0]


def test_a_file_that_is_not_there(cert):
    line = "x.pem: No such file or directory"
    assert cert("show", "x.pem") == (1, "", [f"thrum cert show: {line}"])
    assert cert("check", "x.pem") == (2, "", [f"thrum cert check: {line}"])


# ---- check

def test_a_good_one(check, cert, openssl):
    openssl.sign("db", "ca", server())
    assert [grade for grade, _ in check("db.pem", "--name", "db.example")] == ["ok"]
    grade, words = check("db.pem")[0]
    assert grade == "ok" and re.fullmatch(r"db\.example, until .* UTC \(in 365 days\)", words)
    assert check("db.pem", "--quiet") == []


@pytest.mark.parametrize("days, words, grade", [
    (31, [], "ok"), (29, [], "warning"), (8, [], "warning"), (6, [], "critical"),
    (-1, [], "critical"), (29, ["--days", "28"], "ok"), (6, ["--critical-days", "5"], "warning"),
    (1, ["--days", "0", "--critical-days", "0"], "ok"),
])
def test_when_it_expires(check, openssl, days, words, grade):
    openssl.sign("db", "ca", server(), days=days)
    found = check("db.pem", *words)
    assert [g for g, _ in found] == [grade]
    if grade != "ok":
        assert found[0][1].startswith("expired on " if days < 0 else "expires on ")


BAD = {
    "wrong usage": (server("extendedKeyUsage=clientAuth"), {}, [],
                    "is not for TLS servers: its extended key usage does not say so"),
    "wrong key usage": (server("keyUsage=keyEncipherment"), {}, [],
                        "its key may not sign: its key usage lacks digitalSignature"),
    "no names": (server(without=["subjectAltName"]), {}, [],
                 "has no alternative names: clients do not look at the common name any more"),
    "wrong name": (server(), {}, ["--name", "x.example"],
                   "is not for x.example, but for db.example"),
    "name of the parent": (server(), {}, ["--name", "a.db.example"],
                           "is not for a.db.example, but for db.example"),
    "weak key": (server(), {"key": "rsa1024"}, [], "its key is weak: RSA, 1024 bits"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_one(check, openssl, case):
    extensions, options, words, expected = BAD[case]
    openssl.sign("db", "ca", extensions, **options)
    assert check("db.pem", *words) == [("critical", expected)]


def test_what_is_good_for_another_use(check, openssl):
    openssl.sign("c", "ca", server("extendedKeyUsage=clientAuth", without=["subjectAltName"]))
    assert [grade for grade, _ in check("c.pem", "--usage", "client")] == ["ok"]
    assert [grade for grade, _ in check("c.pem", "--usage", "any")] == ["ok"]


@pytest.mark.parametrize("digest", ["md5", "sha1"])
def test_a_weak_signature(check, openssl, digest):
    openssl.authority("ca", "Loom Root", key="rsa2048")
    openssl.sign("db", "ca", server(), f"-{digest}")
    found = check("db.pem")
    assert [grade for grade, _ in found] == ["critical"]
    assert found[0][1].startswith("its signature is weak: ") and digest in found[0][1].lower()


def test_the_key(check, openssl):
    openssl.sign("db", "ca", server())
    openssl.key("other")
    assert [g for g, _ in check("db.pem", "--key", "db-key.pem")] == ["ok"]
    assert check("db.pem", "--key", "other-key.pem") == [
        ("critical", "the key in other-key.pem is not its key")]
    folder = openssl.folder
    (folder / "both.pem").write_bytes((folder / "other-key.pem").read_bytes() +
                                      (folder / "db.pem").read_bytes())
    assert check("both.pem") == [("critical", "the key in both.pem is not its key")]


def test_whom_it_is_signed_by(check, cert, openssl):
    openssl.authority("stranger", "Stranger")
    openssl.sign("db", "stranger", server())
    found = check("db.pem")
    assert [grade for grade, _ in found] == ["critical"]
    assert found[0][1].startswith("is not trusted: ")
    assert [grade for grade, _ in check("db.pem", "--no-trust")] == ["ok"]
    # Several things that are wrong are all told.
    openssl.sign("db", "stranger", server(), days=-1)
    assert sorted(words.split()[0] for _, words in check("db.pem", "--name", "x.example")) == [
        "expired", "is", "is"]


def test_the_chain(check, openssl):
    ca = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign",
          "subjectKeyIdentifier=hash"]
    openssl.sign("sub", "ca", ca, subject="Loom Sub", days=20)
    openssl.sign("db", "sub", server())
    folder = openssl.folder

    def chain(*names):
        (folder / "c.pem").write_bytes(b"".join((folder / f"{n}.pem").read_bytes() for n in names))
        return check("c.pem")
    assert [(g, w[:28]) for g, w in chain("db", "sub")] == [
        ("warning", "certificate 2 of 2 expires o")]
    assert [g for g, w in chain("db") if w.startswith("is not trusted: ")] == ["critical"]
    openssl.sign("sub", "ca", ca, subject="Loom Sub")
    openssl.sign("db", "sub", server())
    assert [g for g, _ in chain("db", "sub")] == ["ok"]
    assert [g for g, _ in chain("db", "sub", "ca")] == ["ok"]
    openssl.sign("leaf", "ca", server())
    found = chain("db", "sub", "leaf")
    assert ("critical", "certificate 3 of 3 stands behind the leaf, but is no authority's") in found
    assert any(g == "warning" and "the order is wrong" in w for g, w in found)


def test_several_and_the_worst_of_them(cert, openssl):
    for name, days in (("a", 365), ("b", 20)):
        openssl.sign(name, "ca", server(), days=days)
    status, out, err = cert("check", "a.pem", "b.pem", "--trust", "ca.pem")
    assert (status, [line.split(":")[:2] for line in out.splitlines()], err) == (
        1, [["ok", " a.pem"], ["warning", " b.pem"]], [])
    status, out, err = cert("check", "a.pem", "no.pem", "--trust", "ca.pem")
    assert (status, err) == (2, ["thrum cert check: no.pem: No such file or directory"])
    assert out.startswith("ok: a.pem: ")


# ---- servers

def test_a_server_is_shown_good_or_not(show, openssl):
    openssl.sign("sub", "ca", ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"])
    openssl.sign("db", "sub", server("subjectAltName=DNS:localhost"))
    with tls_server(openssl.folder, "-cert", "db.pem", "-key", "db-key.pem", "-cert_chain",
                    "sub.pem") as port:
        out = show(f"localhost:{port}", "--trust", "ca.pem")
        assert row(out, "connection")[0].startswith("TLSv1.3, TLS_AES_")
        assert "certificate 2 of 2" in out.splitlines()
        assert row(out, "good") == ["trusted by ca.pem, and for localhost"]
        out = show(f"127.0.0.1:{port}")
        bad = row(out, "not good")
        assert "is not for 127.0.0.1, but for localhost" in bad
        assert any(words.startswith("is not trusted: ") for words in bad)
        for address in (f"tls://localhost:{port}", f"https://localhost:{port}/x"):
            assert row(show(address, "--trust", "ca.pem"), "good") != []
        assert show(f"localhost:{port}", "--pem").count("BEGIN CERTIFICATE") == 2


def test_a_server_is_asked_for_a_name(show, openssl):
    openssl.sign("a", "ca", server("subjectAltName=DNS:a.example"))
    openssl.sign("b", "ca", server("subjectAltName=DNS:b.example"))
    with tls_server(openssl.folder, "-cert", "a.pem", "-key", "a-key.pem", "-servername",
                    "b.example", "-cert2", "b.pem", "-key2", "b-key.pem") as port:
        for name in ("a", "b"):
            out = show(f"127.0.0.1:{port}", "--name", f"{name}.example", "--trust", "ca.pem")
            assert row(out, "names") == [f"{name}.example"]
            assert row(out, "good") == [f"trusted by ca.pem, and for {name}.example"]


@pytest.mark.parametrize("options", [["-tls1_2"], ["-tls1_3"]])
def test_a_server_is_checked(check, openssl, options):
    openssl.sign("db", "ca", server("subjectAltName=DNS:localhost"), days=20)
    with tls_server(openssl.folder, "-cert", "db.pem", "-key", "db-key.pem", *options) as port:
        assert [grade for grade, _ in check(f"localhost:{port}")] == ["warning"]
        assert [grade for grade, _ in check(f"localhost:{port}", "--days", "10")] == ["ok"]
        assert [grade for grade, _ in check(f"localhost:{port}", "--days", "10", "--name",
                                            "x.example")] == ["critical"]


def test_a_server_that_is_none(cert, free_port):
    status, out, err = cert("check", f"127.0.0.1:{free_port}")
    assert (status, out, len(err)) == (2, "", 1) and "Connection refused" in err[0]
    status, out, err = cert("show", f"127.0.0.1:{free_port}")
    assert (status, out, len(err)) == (1, "", 1) and "Connection refused" in err[0]


@pytest.mark.parametrize("command, expected", [("show", 1), ("check", 2)])
def test_a_server_that_says_nothing(cert, command, expected):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert cert(command, address, "--timeout", "1") == (
            expected, "", [f"thrum cert {command}: {address}: no answer within 1 s"])


def test_a_server_that_speaks_no_tls(cert, start, thrum_bin):
    echo = start(thrum_bin, "serve", "--listen", "127.0.0.1:0")
    host, port = echo.addresses[0]
    status, out, err = cert("show", f"{host}:{port}")
    assert (status, out, len(err)) == (1, "", 1) and f"thrum cert show: {host}:{port}: " in err[0]
