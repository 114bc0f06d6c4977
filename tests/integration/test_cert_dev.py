# SPDX-License-Identifier: MIT
"""thrum cert dev: a private authority, and certificates of it that clients believe.

Time is not waited for: what is near its end is made so by openssl(1).
"""
import os
import re
import socket
import ssl
import stat
import subprocess

import pytest

from certs import Openssl, tls_server
from serving import TIMEOUT, eventually
from test_chromium import page_at

FILES = [".lock", "authority-key.pem", "authority.pem", "localhost.pem"]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "thrum"


@pytest.fixture
def dev(thrum_bin, tmp_path):
    """Runs thrum cert dev: (status, output, lines of its errors)."""
    def run(*words, **env):
        done = subprocess.run([thrum_bin, "cert", "dev", *words], text=True, timeout=TIMEOUT,
                              capture_output=True, cwd=tmp_path,
                              env={**os.environ, "XDG_DATA_HOME": str(tmp_path), **env})
        return done.returncode, done.stdout, done.stderr.splitlines()
    return run


@pytest.fixture
def made(dev):
    """The same, for what has to succeed: what it says, by its first word."""
    def run(*words, **env):
        status, out, err = dev(*words, **env)
        assert (status, err) == (0, []), err
        return dict(re.findall(r"^(authority|its key|certificate|names|until) +(.*)$", out, re.M))
    return run


@pytest.fixture
def openssl(folder):
    return Openssl(folder)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def names_of(openssl):
    text = openssl("x509", "-in", "localhost.pem", "-noout", "-ext", "subjectAltName")
    return [part.split(":", 1)[1] for part in text.splitlines()[1].strip().split(", ")]


def test_the_first_call_makes_all(made, openssl, folder):
    said = made()
    assert said["authority"] == f"{folder}/authority.pem (new)"
    assert said["certificate"] == f"{folder}/localhost.pem (new), with its key"
    assert said["names"].startswith("localhost, 127.0.0.1, ::1")
    assert sorted(contents(folder)) == FILES
    assert mode(folder) == 0o700
    assert [mode(folder / name) for name in FILES] == [0o600, 0o600, 0o644, 0o600]
    for host in ("-verify_hostname localhost", "-verify_ip 127.0.0.1", "-verify_ip ::1"):
        openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", "authority.pem",
                *host.split(), "localhost.pem")
    assert openssl("x509", "-in", "localhost.pem", "-noout", "-pubkey") == \
        openssl("pkey", "-in", "localhost.pem", "-pubout")


def test_the_next_calls_change_nothing(made, folder):
    made()
    before = contents(folder)
    said = made()
    assert "(new)" not in "".join(said.values())
    made("127.0.0.1", "LOCALHOST", "0:0:0:0:0:0:0:1")
    assert contents(folder) == before


def test_it_says_how_to_trust_it(dev, folder):
    out = dev()[1]
    for client in ("curl", "Chromium", "Firefox", "Debian", "Python", "Node.js", "Fedora"):
        assert client in out
    assert f"curl --cacert {folder}/authority.pem https://localhost:8443/" in out
    assert dev("--paths") == (0, f"{folder}/authority.pem\n{folder}/localhost.pem\n", [])


def test_curl_and_python_believe_it(made, openssl, folder):
    made("shop.test")
    with tls_server(folder, "-cert", "localhost.pem", "-key", "localhost.pem") as port:
        for host in ("localhost", "127.0.0.1", "shop.test"):
            done = subprocess.run(
                ["curl", "-sS", "--cacert", "authority.pem", "--resolve",
                 f"{host}:{port}:127.0.0.1", f"https://{host}:{port}/"], cwd=folder,
                timeout=TIMEOUT, capture_output=True)
            assert done.returncode == 0 and b"s_server" in done.stdout, done.stderr
        context = ssl.create_default_context(cafile=folder / "authority.pem")
        with socket.create_connection(("127.0.0.1", port)) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as client:
            assert client.version() == "TLSv1.3"
        refused = subprocess.run(["curl", "-sS", f"https://localhost:{port}/"], cwd=folder,
                                 timeout=TIMEOUT, capture_output=True)
        assert refused.returncode == 60


@pytest.mark.parametrize("told, hosts", [(True, ["localhost", "127.0.0.1", "shop.test"]),
                                         (False, ["localhost"])])
def test_chromium_believes_it_when_it_is_told(dev, folder, tmp_path, told, hosts):
    """With the commands that are shown."""
    shown = dev("shop.test")[1]
    home = tmp_path / "home"
    (home / ".pki/nssdb").mkdir(parents=True)
    commands = ["certutil -N --empty-password -d sql:$HOME/.pki/nssdb"]
    if told:
        commands += re.findall(r"^  Chromium, Chrome +(certutil .*)$", shown, re.M)
    for command in commands:
        subprocess.run(["sh", "-c", command], env={**os.environ, "HOME": str(home)}, check=True,
                       timeout=TIMEOUT)
    with tls_server(folder, "-cert", "localhost.pem", "-key", "localhost.pem") as port:
        for host in hosts:
            page = page_at(f"https://{host}:{port}/", home,
                           "--host-resolver-rules=MAP shop.test 127.0.0.1")
            assert ("s_server" in page) == told


def test_gnutls_believes_it(made, folder):
    made("shop.test")
    for host in ("localhost", "shop.test", "example.com"):
        done = subprocess.run(
            ["certtool", "--verify", "--load-ca-certificate", "authority.pem", "--infile",
             "localhost.pem", f"--verify-hostname={host}", "--verify-purpose=1.3.6.1.5.5.7.3.1"],
            cwd=folder, timeout=TIMEOUT, capture_output=True)
        assert (done.returncode == 0) == (host != "example.com"), done.stdout


def test_names_are_added_and_stay(made, openssl, folder):
    made()
    authority = contents(folder)["authority.pem"]
    said = made("shop.test", "*.shop.test", "192.168.7.7")
    assert "(new)" not in said["authority"] and "(new)" in said["certificate"]
    before = names_of(openssl)
    assert {"shop.test", "*.shop.test", "192.168.7.7"} < set(before)
    assert "(new)" not in made("shop.test")["certificate"]
    assert "(new)" in made("--renew")["certificate"]
    assert sorted(names_of(openssl)) == sorted(before)
    assert contents(folder)["authority.pem"] == authority


@pytest.mark.parametrize("name", ["example.com", "8.8.8.8", "2001:db8::1", "localhost.com"])
def test_the_authority_speaks_for_nobody_else(made, dev, openssl, folder, name):
    made()
    before = contents(folder)
    status, out, err = dev(name)
    assert (status, out, len(err)) == (1, "", 1) and name in err[0]
    assert contents(folder) == before
    # Nor would anybody believe it who took its key.
    kind = "IP" if name[0].isdigit() else "DNS"
    openssl("req", "-new", "-newkey", "ed25519", "-nodes", "-keyout", "k.pem", "-out", "r.csr",
            "-subj", "/CN=x")
    (folder / "ext").write_text(f"subjectAltName={kind}:{name}\n")
    openssl("x509", "-req", "-in", "r.csr", "-CA", "authority.pem", "-CAkey", "authority-key.pem",
            "-extfile", "ext", "-out", "bad.pem")
    done = openssl.run("verify", "-CAfile", "authority.pem", "bad.pem")
    assert done.returncode != 0 and b"permitted subtree violation" in done.stderr


@pytest.mark.parametrize("name", ["", "a b", "ops@localhost", "https://localhost/"])
def test_what_is_no_name(dev, name):
    status, out, err = dev("--", name)
    assert status != 0 and len(err) == 1 and out == ""


def sign_leaf(openssl, days, names="DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1,DNS:old.test"):
    """Puts another certificate of the authority in place."""
    openssl("req", "-new", "-newkey", "ed25519", "-nodes", "-keyout", "k.pem", "-out", "r.csr",
            "-subj", "/CN=localhost")
    (openssl.folder / "ext").write_text(f"subjectAltName={names}\n")
    openssl("x509", "-req", "-in", "r.csr", "-CA", "authority.pem", "-CAkey", "authority-key.pem",
            "-extfile", "ext", "-days", str(days), "-out", "c.pem")
    path = openssl.folder / "localhost.pem"
    path.write_bytes((openssl.folder / "k.pem").read_bytes() +
                     (openssl.folder / "c.pem").read_bytes())
    path.chmod(0o600)
    for name in ("k.pem", "r.csr", "ext", "c.pem"):
        (openssl.folder / name).unlink()


@pytest.mark.parametrize("days, is_near", [(29, True), (32, False)])
def test_a_certificate_near_its_end_is_made_again(made, openssl, days, is_near):
    host = [name for name in made()["names"].split(", ") if "." not in name and ":" not in name]
    sign_leaf(openssl, days, "IP:127.0.0.1,IP:::1,DNS:old.test," +
              ",".join(f"DNS:{name}" for name in host))
    said = made()
    assert ("(new)" in said["certificate"]) == is_near and "(new)" not in said["authority"]
    assert "old.test" in said["names"].split(", ")


@pytest.mark.parametrize("days, is_near", [(29, True), (32, False)])
def test_an_authority_near_its_end_is_made_again(made, openssl, folder, days, is_near):
    made("shop.test")
    openssl("req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "k.pem", "-out",
            "authority.pem", "-days", str(days), "-subj", "/CN=Old", "-addext",
            "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=keyCertSign")
    secret = folder / "authority-key.pem"
    secret.write_bytes((folder / "k.pem").read_bytes() + (folder / "authority.pem").read_bytes())
    said = made()
    assert ("(new)" in said["authority"]) == is_near and "(new)" in said["certificate"]
    assert "shop.test" in said["names"]
    assert mode(secret) == 0o600
    openssl("verify", "-CAfile", "authority.pem", "localhost.pem")


def test_the_public_file_follows_the_secret_one(made, openssl, folder):
    made()
    before = contents(folder)["authority.pem"]
    (folder / "authority.pem").write_text("weft\n")
    made()
    assert contents(folder)["authority.pem"] == before
    (folder / "authority.pem").unlink()
    made()
    assert contents(folder)["authority.pem"] == before


@pytest.mark.parametrize("name", ["authority-key.pem", "localhost.pem"])
def test_a_key_that_others_can_read_is_refused(dev, made, folder, name):
    made()
    (folder / name).chmod(0o640)
    before = contents(folder)
    status, out, err = dev()
    assert (status, out, len(err)) == (1, "", 1)
    assert f"{folder}/{name}" in err[0] and "chmod 600" in err[0]
    assert contents(folder) == before


@pytest.mark.parametrize("name", ["authority-key.pem", "localhost.pem"])
def test_a_broken_file_is_told_and_left_alone(dev, made, folder, name):
    made()
    (folder / name).write_text("warp and weft\n")
    before = contents(folder)
    status, out, err = dev()
    assert (status, out, len(err)) == (1, "", 1) and f"{folder}/{name}" in err[0]
    assert contents(folder) == before


def test_a_certificate_of_another_authority_is_replaced(made, openssl, folder):
    made()
    (folder / "authority-key.pem").unlink()
    said = made()
    assert "(new)" in said["authority"] and "(new)" in said["certificate"]
    openssl("verify", "-CAfile", "authority.pem", "localhost.pem")


def test_where_it_is_kept(dev, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for env, where in (
            ({"XDG_DATA_HOME": "", "HOME": str(home)}, home / ".local/share/thrum"),
            ({"XDG_DATA_HOME": "not/absolute", "HOME": str(home)}, home / ".local/share/thrum"),
            ({"XDG_DATA_HOME": str(home / "x/y"), "HOME": ""}, home / "x/y/thrum")):
        assert dev("--paths", **env)[1].splitlines()[1] == f"{where}/localhost.pem"
        assert sorted(os.listdir(where)) == FILES
    assert dev("--paths", "--dir", "here")[1].splitlines()[1] == "here/localhost.pem"
    status, _, err = dev(XDG_DATA_HOME="", HOME="")
    assert (status, len(err)) == (1, 1) and "neither XDG_DATA_HOME nor HOME is set" in err[0]


def test_a_folder_that_cannot_be_made(dev, tmp_path):
    (tmp_path / "file").write_text("")
    status, _, err = dev("--dir", "file/x")
    assert (status, len(err)) == (1, 1) and "file" in err[0]


@pytest.mark.parametrize("round", range(5))
def test_many_at_once_agree(thrum_bin, openssl, folder, tmp_path, round):
    """Each wants a name of its own; in the end one authority stands, and all names are there."""
    names = [f"n{i}.test" for i in range(6)]
    processes = [subprocess.Popen([thrum_bin, "cert", "dev", "--paths", name],
                                  env={**os.environ, "XDG_DATA_HOME": str(tmp_path)},
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                 for name in names]
    for process in processes:
        out, err = process.communicate(timeout=TIMEOUT)
        assert (process.returncode, err) == (0, b""), err
    assert sorted(contents(folder)) == FILES
    openssl("verify", "-CAfile", "authority.pem", "localhost.pem")
    assert openssl("x509", "-in", "authority-key.pem") == openssl("x509", "-in", "authority.pem")
    assert set(names) <= set(names_of(openssl))


def test_a_request_signed_by_it(thrum_bin, made, openssl, folder, tmp_path):
    made()
    env = {**os.environ, "XDG_DATA_HOME": str(tmp_path)}
    for words in (["request", "a.test"], ["sign", "a.test.csr", "--dev"]):
        subprocess.run([thrum_bin, "cert", *words], cwd=folder, env=env, check=True,
                       timeout=TIMEOUT, stdout=subprocess.DEVNULL)
    openssl("verify", "-CAfile", "authority.pem", "-verify_hostname", "a.test", "a.test.pem")


def test_thrum_serve_uses_it_and_makes_it_first(start, thrum_bin, made, folder, tmp_path):
    server = start(thrum_bin, "serve", "--tls", "--listen", "127.0.0.1:0", "--workers", "1",
                   env={"XDG_DATA_HOME": str(tmp_path)})
    line = server.out.wait(lambda lines: next((one for one in lines if "certificate" in one), None))
    assert line == (f"  the certificate is {folder}/localhost.pem, for this machine; "
                    "`thrum cert dev` says how it is trusted")
    port = server.addresses[0][1]

    def serial():
        done = subprocess.run(
            ["curl", "-sS", "--cacert", folder / "authority.pem", "-o", "page",
             f"https://localhost:{port}/"], cwd=tmp_path, timeout=TIMEOUT, capture_output=True)
        assert done.returncode == 0 and b"Thrum" in (tmp_path / "page").read_bytes(), done.stderr
        with socket.create_connection(("127.0.0.1", port)) as plain, ssl.create_default_context(
                cafile=folder / "authority.pem").wrap_socket(
                    plain, server_hostname="localhost") as client:
            return client.getpeercert()["serialNumber"]
    first = serial()
    assert "(new)" not in made()["certificate"]
    assert "(new)" in made("--renew")["certificate"]
    eventually(lambda: serial() != first)
    server.signal()
    assert server.wait() == 0
    assert set(server.err.lines) == {
        "thrum serve: the certificates were read again and are in use"}
