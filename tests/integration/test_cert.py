# SPDX-License-Identifier: MIT
"""thrum cert: makes, signs and converts certificates. openssl(1) reads what it writes, and back.

test_cert_seen.py has what it says of certificates: show and check. test_cert_dev.py has the
authority for developing.
"""
import os
import stat
import subprocess

import pytest

from certs import SUBCOMMANDS, Openssl

LIMIT = 120  # seconds; a large RSA key takes as long as chance will have it
TYPES = {
    "p256": "prime256v1", "p384": "secp384r1", "p521": "secp521r1", "rsa2048": "(2048 bit",
    "rsa3072": "(3072 bit", "rsa4096": "(4096 bit", "ed25519": "ED25519",
}


@pytest.fixture
def cert(thrum_bin, tmp_path):
    """Runs thrum cert in a folder of its own: (status, output, lines of its errors)."""
    def run(*words, stdin=b"", text=True):
        done = subprocess.run([thrum_bin, "cert", *words], cwd=tmp_path, timeout=LIMIT,
                              input=stdin, capture_output=True)
        out = done.stdout.decode() if text else done.stdout
        return done.returncode, out, done.stderr.decode().splitlines()
    return run


@pytest.fixture
def good(cert):
    """The same, for what has to succeed: its output."""
    def run(*words, **options):
        status, out, err = cert(*words, **options)
        assert (status, err) == (0, []), (out, err)
        return out
    return run


@pytest.fixture
def openssl(tmp_path):
    return Openssl(tmp_path)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


# ---- the command line

def test_help_names_each_subcommand(cert):
    status, out, err = cert("--help")
    assert (status, err) == (0, [])
    assert [line.split()[0] for line in out.splitlines()
            if line.startswith("  ")] == list(SUBCOMMANDS)
    assert cert("-h") == (0, out, [])


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_help_of_a_subcommand(cert, name):
    status, out, err = cert(name, "--help")
    assert (status, err) == (0, [])
    assert out.startswith(f"usage: thrum cert {name} [OPTIONS]")
    assert max(len(line) for line in out.splitlines()) <= 120


@pytest.mark.parametrize("words, line", [
    ([], "thrum cert: a subcommand is missing (see thrum cert --help)"),
    (["weave"], "thrum cert: there is no subcommand 'weave' (see thrum cert --help)"),
    (["new"], "thrum cert new: a name is missing (see thrum cert new --help)"),
    (["new", "a", "--days", "0"],
     "thrum cert new: --days 0: must be a number from 1 to 36500 (see thrum cert new --help)"),
    (["new", "a", "--type", "dsa"],
     "thrum cert new: --type dsa: must be p256, p384, p521, ed25519, rsa2048, rsa3072 or rsa4096 "
     "(see thrum cert new --help)"),
    (["new", "a", "--usage", "mail"],
     "thrum cert new: --usage mail: must be server, client or both (see thrum cert new --help)"),
    (["request"], "thrum cert request: a name is missing (see thrum cert request --help)"),
    (["sign"], "thrum cert sign: a request is missing (see thrum cert sign --help)"),
    (["sign", "a.csr"],
     "thrum cert sign: --ca FILE or --dev must say who signs (see thrum cert sign --help)"),
    (["sign", "a.csr", "b.csr"],
     "thrum cert sign: b.csr: only one request can be signed (see thrum cert sign --help)"),
    (["show"], "thrum cert show: a file or HOST:PORT is missing (see thrum cert show --help)"),
    (["check"], "thrum cert check: a file or HOST:PORT is missing (see thrum cert check --help)"),
    (["convert", "a"],
     "thrum cert convert: two files are needed: from and to (see thrum cert convert --help)"),
    (["convert", "a", "b.xyz"],
     "thrum cert convert: b.xyz: its name does not tell the form; say --to pem, der or p12 "
     "(see thrum cert convert --help)"),
])
def test_a_wrong_command_line_is_one_line_and_status_2(cert, words, line):
    assert cert(*words) == (2, "", [line])


# ---- new

@pytest.mark.parametrize("kind", TYPES)
def test_a_new_certificate_is_good_for_openssl(good, openssl, tmp_path, kind):
    out = good("new", "db.example", "--type", kind, "--days", "30")
    assert out.splitlines()[0].startswith("certificate  db.example.pem: db.example, until ")
    text = openssl("x509", "-in", "db.example.pem", "-noout", "-text")
    assert TYPES[kind] in text
    assert "DNS:db.example" in text and "CA:FALSE" in text
    assert "TLS Web Server Authentication" in text and "TLS Web Client" not in text
    assert openssl("x509", "-in", "db.example.pem", "-noout", "-checkhost", "db.example") \
        .strip().endswith("does match certificate")
    assert openssl("x509", "-in", "db.example.pem", "-noout", "-pubkey") == \
        openssl("pkey", "-in", "db.example-key.pem", "-pubout")
    openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "db.example.pem",
            "db.example.pem")
    assert openssl.fails("x509", "-in", "db.example.pem", "-noout", "-checkend", f"{31 * 86400}")
    openssl("x509", "-in", "db.example.pem", "-noout", "-checkend", f"{29 * 86400}")
    assert mode(tmp_path / "db.example-key.pem") == 0o600


def test_names_of_every_kind(good, openssl):
    good("new", "a.example", "*.b.example", "10.0.0.1", "2001:db8::7", "ops@a.example",
         "https://a.example/id", "--out", "c.pem", "--key", "k.pem")
    text = openssl("x509", "-in", "c.pem", "-noout", "-ext", "subjectAltName")
    assert text.splitlines()[1].strip() == (
        "DNS:a.example, DNS:*.b.example, IP Address:10.0.0.1, IP Address:2001:DB8:0:0:0:0:0:7, "
        "email:ops@a.example, URI:https://a.example/id")


@pytest.mark.parametrize("name", ["", "a b", "-a.example", "a..example", "a.*.example", "x" * 64,
                                  "10.0.0.256", "a@", "exämple"])
def test_what_is_no_name_is_refused(cert, tmp_path, name):
    status, out, err = cert("new", "--", name)
    assert (status, out, len(err)) == (2, "", 1)
    assert os.listdir(tmp_path) == []


def test_subject_usage_and_authority(good, openssl):
    good("new", "ops@a.example", "--subject", "C=FI,O=Loom & Söhne,OU=Weft,OU=Warp,CN=Ada",
         "--usage", "both", "--out", "c.pem", "--key", "k.pem")
    subject = openssl("x509", "-in", "c.pem", "-noout", "-subject", "-nameopt", "utf8,sep_comma_plus")
    assert subject.strip() == "subject=C=FI,O=Loom & Söhne,OU=Weft,OU=Warp,CN=Ada"
    text = openssl("x509", "-in", "c.pem", "-noout", "-text")
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in text
    good("new", "Loom Root", "--authority", "--out", "ca.pem", "--key", "ca-key.pem")
    text = openssl("x509", "-in", "ca.pem", "-noout", "-text")
    assert "CA:TRUE" in text and "Certificate Sign, CRL Sign" in text
    assert "CN = Loom Root" in text and "DNS:" not in text


def test_a_key_that_is_there_is_used_and_stays(good, openssl, tmp_path):
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384", "-out", "k.pem")
    before = (tmp_path / "k.pem").read_bytes()
    out = good("new", "a.example", "--key", "k.pem", "--out", "c.pem")
    assert "EC P-384" in out and "new" not in out.splitlines()[1]
    assert (tmp_path / "k.pem").read_bytes() == before
    assert openssl("x509", "-in", "c.pem", "-noout", "-pubkey") == \
        openssl("pkey", "-in", "k.pem", "-pubout")


def test_nothing_is_replaced_unless_asked_for(cert, good, tmp_path):
    good("new", "a.example")
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    line = "thrum cert new: a.example.pem is there already; --force replaces it"
    assert cert("new", "a.example") == (1, "", [line])
    assert cert("new", "a.example", "--key", "other.pem") == (1, "", [line])
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before
    good("new", "a.example", "--force")
    assert (tmp_path / "a.example.pem").read_bytes() != before["a.example.pem"]
    assert (tmp_path / "a.example-key.pem").read_bytes() == before["a.example-key.pem"]


def test_a_pass_phrase_guards_the_key(cert, good, openssl, tmp_path):
    (tmp_path / "phrase").write_text("wärp and weft\n")
    (tmp_path / "other").write_text("warp\n")
    good("new", "a.example", "--pass", "phrase")
    assert "ENCRYPTED" in (tmp_path / "a.example-key.pem").read_text()
    openssl("pkey", "-in", "a.example-key.pem", "-passin", "file:phrase", "-noout")
    good("new", "a.example", "--pass", "phrase", "--out", "b.pem", "--key", "a.example-key.pem")
    key = ["--key", "a.example-key.pem", "--out", "c.pem"]
    status, _, err = cert("new", "a.example", *key)
    assert (status, len(err)) == (1, 1) and "--pass FILE" in err[0]
    status, _, err = cert("new", "a.example", *key, "--pass", "other")
    assert (status, len(err)) == (1, 1) and "a.example-key.pem" in err[0]
    assert not (tmp_path / "c.pem").exists()


def test_a_folder_that_is_not_there(cert):
    status, _, err = cert("new", "a.example", "--out", "no/a.pem")
    assert (status, err) == (1, ["thrum cert new: no/a.pem: No such file or directory"])


# ---- request and sign

@pytest.fixture
def authority(openssl):
    """An authority that openssl made: ca.pem, ca-key.pem."""
    openssl.authority("ca", "Loom Root")
    return openssl


def test_a_request_is_good_for_openssl(good, openssl):
    out = good("request", "a.example", "10.0.0.1", "--subject", "O=Loom,CN=a.example")
    assert out.splitlines()[0] == "request      a.example.csr: a.example, 10.0.0.1"
    text = openssl("req", "-in", "a.example.csr", "-verify", "-noout", "-text")
    assert "Subject: O = Loom, CN = a.example" in text
    assert "DNS:a.example, IP Address:10.0.0.1" in text


def test_openssl_signs_our_request_and_we_sign_its(good, authority):
    good("request", "a.example")
    authority("x509", "-req", "-in", "a.example.csr", "-CA", "ca.pem", "-CAkey", "ca-key.pem",
              "-copy_extensions", "copy", "-out", "a.pem")
    authority("verify", "-CAfile", "ca.pem", "-verify_hostname", "a.example", "a.pem")
    authority("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "b-key.pem", "-out",
              "b.csr", "-subj", "/O=Weft/CN=b.example", "-addext", "subjectAltName=DNS:b.example")
    out = good("sign", "b.csr", "--ca", "ca.pem", "--ca-key", "ca-key.pem", "--days", "90")
    assert out.splitlines()[0].startswith("certificate  b.pem: b.example, until ")
    authority("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "ca.pem",
              "-verify_hostname", "b.example", "b.pem")
    text = authority("x509", "-in", "b.pem", "-noout", "-text")
    assert "Subject: O = Weft, CN = b.example" in text and "Issuer: CN = Loom Root" in text
    assert authority.fails("x509", "-in", "b.pem", "-noout", "-checkend", f"{91 * 86400}")


def test_a_request_without_names_gets_its_common_name(good, authority):
    """Clients have not looked at it since RFC 2818 was left behind; it would be good for nobody."""
    authority("req", "-new", "-newkey", "ed25519", "-nodes", "-keyout", "b-key.pem", "-out",
              "b.csr", "-subj", "/CN=b.example")
    good("sign", "b.csr", "--ca", "ca.pem", "--ca-key", "ca-key.pem")
    authority("verify", "-CAfile", "ca.pem", "-verify_hostname", "b.example", "b.pem")


def test_a_request_does_not_make_itself_an_authority(good, authority):
    authority("req", "-new", "-newkey", "ed25519", "-nodes", "-keyout", "b-key.pem", "-out",
              "b.csr", "-subj", "/CN=b.example", "-addext", "basicConstraints=critical,CA:TRUE",
              "-addext", "keyUsage=keyCertSign", "-addext", "subjectAltName=DNS:b.example")
    good("sign", "b.csr", "--ca", "ca.pem", "--ca-key", "ca-key.pem")
    text = authority("x509", "-in", "b.pem", "-noout", "-text")
    assert "CA:FALSE" in text and "Certificate Sign" not in text


def test_a_chain_of_three(good, authority):
    good("request", "Loom Issuing", "--authority", "--out", "sub.csr", "--key", "sub-key.pem")
    good("sign", "sub.csr", "--authority", "--ca", "ca.pem", "--ca-key", "ca-key.pem")
    good("request", "a.example")
    good("sign", "a.example.csr", "--ca", "sub.pem", "--ca-key", "sub-key.pem")
    # The file has what a server sends: its certificate and the intermediate one, not the root.
    pem = (authority.folder / "a.example.pem").read_text()
    assert pem.count("BEGIN CERTIFICATE") == 2
    authority("verify", "-x509_strict", "-CAfile", "ca.pem", "-untrusted", "a.example.pem",
              "a.example.pem")
    text = authority("x509", "-in", "sub.pem", "-noout", "-text")
    assert "CA:TRUE, pathlen:0" in text
    # A path length of 0 allows no further authority below it.
    good("request", "Deeper", "--authority", "--out", "deep.csr", "--key", "deep-key.pem")
    status, _, err = cert_of(good)("sign", "deep.csr", "--authority", "--ca", "sub.pem", "--ca-key",
                                   "sub-key.pem")
    assert (status, len(err)) == (1, 1) and "may sign no further authority" in err[0]


def cert_of(good):
    """The runner beneath `good`, for what fails."""
    return good.__closure__[0].cell_contents


@pytest.mark.parametrize("case", ["broken", "key", "no-authority", "no-request", "missing"])
def test_what_cannot_be_signed(cert, good, authority, case):
    folder = authority.folder
    good("request", "a.example")
    ca, key = "ca.pem", "ca-key.pem"
    if case == "broken":
        der = bytearray(authority("req", "-in", "a.example.csr", "-outform", "DER", text=False))
        der[-1] ^= 1
        (folder / "a.example.csr").write_bytes(der)
    elif case == "key":
        authority("genpkey", "-algorithm", "ed25519", "-out", "other.pem")
        key = "other.pem"
    elif case == "no-authority":
        good("new", "c.example")
        ca, key = "c.example.pem", "c.example-key.pem"
    elif case == "no-request":
        (folder / "a.example.csr").write_text("warp and weft\n")
    else:
        (folder / "a.example.csr").unlink()
    status, out, err = cert("sign", "a.example.csr", "--ca", ca, "--ca-key", key)
    assert (status, out, len(err)) == (1, "", 1)
    words = {"broken": "its signature is wrong", "key": "other.pem", "missing": "No such file",
             "no-authority": "c.example.pem is no authority", "no-request": "a.example.csr"}
    assert words[case] in err[0]
    assert not (folder / "a.example.pem").exists()


def test_no_certificate_outlives_its_authority(good, authority):
    good("new", "Short", "--authority", "--days", "10", "--out", "s.pem", "--key", "s-key.pem")
    good("request", "a.example")
    good("sign", "a.example.csr", "--ca", "s.pem", "--ca-key", "s-key.pem", "--days", "100")
    end = [authority("x509", "-in", name, "-noout", "-enddate") for name in ("s.pem", "a.example.pem")]
    assert end[0] == end[1]


# ---- convert

def bytes_of(folder, name):
    return (folder / name).read_bytes()


def test_pem_and_der_and_back_is_the_same(good, authority):
    good("convert", "ca.pem", "ca.der")
    assert bytes_of(authority.folder, "ca.der") == authority("x509", "-in", "ca.pem", "-outform",
                                                             "DER", text=False)
    good("convert", "ca.der", "again.pem")
    assert bytes_of(authority.folder, "again.pem") == bytes_of(authority.folder, "ca.pem")
    good("convert", "ca-key.pem", "k.der")
    good("convert", "k.der", "k.pem")
    assert mode(authority.folder / "k.der") == mode(authority.folder / "k.pem") == 0o600
    assert authority("pkey", "-in", "k.pem", "-pubout") == \
        authority("pkey", "-in", "ca-key.pem", "-pubout")


@pytest.mark.parametrize("kind", ["request", "list"])
def test_requests_and_lists_convert_too(good, authority, kind):
    good("request", "a.example")
    if kind == "list":
        authority.revoke("ca", [])
    source = {"request": "a.example.csr", "list": "ca.crl"}[kind]
    tool = {"request": "req", "list": "crl"}[kind]
    good("convert", "--to", "der", source, "x.bin")
    assert bytes_of(authority.folder, "x.bin") == authority(tool, "-in", source, "-outform", "DER",
                                                            text=False)
    good("convert", "--to", "pem", "x.bin", "x.pem")
    assert authority(tool, "-in", "x.pem", "-outform", "DER", text=False) == \
        bytes_of(authority.folder, "x.bin")


def test_pkcs12_for_openssl_and_from_it(cert, good, authority):
    folder = authority.folder
    (folder / "phrase").write_text("weft\n")
    (folder / "wrong").write_text("warp\n")
    good("request", "a.example")
    good("sign", "a.example.csr", "--ca", "ca.pem", "--ca-key", "ca-key.pem")
    good("convert", "a.example.pem", "a.p12", "--key", "a.example-key.pem", "--chain", "ca.pem",
         "--pass", "phrase", "--name", "loom")
    assert mode(folder / "a.p12") == 0o600
    text = authority("pkcs12", "-in", "a.p12", "-passin", "file:phrase", "-nodes")
    assert text.count("BEGIN CERTIFICATE") == 2 and "friendlyName: loom" in text
    assert text.count("BEGIN PRIVATE KEY") == 1
    info = authority("pkcs12", "-in", "a.p12", "-passin", "file:phrase", "-noout", "-info",
                     errors=True)
    assert "AES-256-CBC" in info
    authority("pkcs12", "-export", "-in", "a.example.pem", "-inkey", "a.example-key.pem",
              "-certfile", "ca.pem", "-passout", "file:phrase", "-out", "b.p12")
    good("convert", "b.p12", "b.pem", "--pass", "phrase")
    assert mode(folder / "b.pem") == 0o600
    pem = (folder / "b.pem").read_text()
    assert pem.count("BEGIN CERTIFICATE") == 2 and pem.count("BEGIN PRIVATE KEY") == 1
    assert authority("pkey", "-in", "b.pem", "-pubout") == \
        authority("pkey", "-in", "a.example-key.pem", "-pubout")
    assert authority("x509", "-in", "b.pem") == authority("x509", "-in", "a.example.pem")
    status, _, err = cert("convert", "b.p12", "c.pem", "--pass", "wrong")
    assert (status, len(err)) == (1, 1) and "b.p12" in err[0] and "pass phrase" in err[0]
    status, _, err = cert("convert", "b.p12", "c.pem")
    assert (status, len(err)) == (1, 1) and "--pass FILE" in err[0]
    assert not (folder / "c.pem").exists()


def test_a_key_of_another_certificate_goes_into_no_pkcs12(cert, authority):
    (authority.folder / "phrase").write_text("weft\n")
    authority("genpkey", "-algorithm", "ed25519", "-out", "other.pem")
    status, _, err = cert("convert", "ca.pem", "a.p12", "--key", "other.pem", "--pass", "phrase")
    assert (status, len(err)) == (1, 1) and "other.pem does not belong to ca.pem" in err[0]


def test_standard_input_and_output(good, authority):
    folder = authority.folder
    out = good("convert", "--to", "der", "-", "-", stdin=bytes_of(folder, "ca.pem"), text=False)
    assert out == authority("x509", "-in", "ca.pem", "-outform", "DER", text=False)


def test_what_is_no_certificate(cert, tmp_path):
    (tmp_path / "a.pem").write_text("warp and weft\n")
    (tmp_path / "empty.pem").write_text("")
    for name in ("a.pem", "empty.pem", "none.pem"):
        status, _, err = cert("convert", name, "b.der")
        assert (status, len(err)) == (1, 1) and name in err[0]
    assert not (tmp_path / "b.der").exists()
