# SPDX-License-Identifier: MIT
"""HTTPS: what clients see of it, beginnings and ends, names, certificates of clients."""
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

import serving
import tls_wire
from files import content, www  # noqa: F401 (fixtures)
from wire import Client, Closed, request


@pytest.fixture(params=[("epoll", 1), ("epoll", 2), ("uring", 2), ("select", 1)],
                ids=lambda setup: f"{setup[0]}-{setup[1]}")
def any_tls_probe(tls_probe, request):
    backend, workers = request.param
    return lambda **settings: tls_probe(backend=backend, workers=workers, **settings)


@pytest.fixture
def tls_serve(start, thrum_bin, www, authority):
    """Starts `thrum serve` over TLS for the folder: tls_serve("--hsts", "100", ...)."""
    def start_serve(*options, pair=None, log="off", context=None, name="localhost", **more):
        cert, key = pair or authority.server
        server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--access-log", log, "--cert",
                       cert, "--key", key, *options, www, **more)
        return tls_wire.secured(server, context or authority.client(), name)
    return start_serve


def curl(*words, authority=None):
    more = ["--cacert", str(authority.cert)] if authority else []
    return subprocess.run(["curl", "-sS", "--max-time", "30", *more, *map(str, words)],
                          capture_output=True, check=False)


def shown_serial(server, context, name="localhost"):
    """The serial number of the certificate that a new connection sees."""
    context.check_hostname = context.check_hostname and name is not None
    with socket.create_connection(server.address, timeout=20) as plain:
        with context.wrap_socket(plain, server_hostname=name) as secure:
            return int(secure.getpeercert()["serialNumber"], 16)


# ---- clients

def test_curl_gets_files(tls_serve, www, authority):
    small, big = content(4000), content(10_000_000)
    (www / "small").write_bytes(small)
    (www / "big").write_bytes(big)
    server = tls_serve()
    port = server.address[1]
    for version in ("--tlsv1.2", "--tls-max 1.2 --tlsv1.2", "--tlsv1.3"):
        answer = curl(*version.split(), f"https://localhost:{port}/small", authority=authority)
        assert (answer.returncode, answer.stderr) == (0, b"")
        assert answer.stdout == small
    answer = curl(f"https://localhost:{port}/big", authority=authority)
    assert hashlib.sha256(answer.stdout).digest() == hashlib.sha256(big).digest()
    answer = curl("-r", "5000000-5000009", f"https://localhost:{port}/big", authority=authority)
    assert answer.stdout == big[5000000:5000010]


def test_curl_does_not_believe_a_stranger(tls_serve):
    server = tls_serve()
    answer = curl(f"https://localhost:{server.address[1]}/")
    assert answer.returncode == 60, answer.stderr  # the peer's certificate cannot be verified
    assert serving.eventually(lambda: server.ask().status == 403)


def test_a_client_of_the_standard_library_keeps_its_connection(tls_serve, www, authority):
    (www / "a").write_bytes(b"weft" * 1000)
    server = tls_serve()
    client = http.client.HTTPSConnection("localhost", server.address[1], timeout=20,
                                         context=authority.client())
    for _ in range(50):
        client.request("GET", "/a")
        assert client.getresponse().read() == b"weft" * 1000
    client.close()


def test_chromium_loads_a_page(tls_serve, www, authority, tmp_path):
    (www / "index.html").write_text("<!doctype html><title>x</title><body><p id=a></p><script>"
                                    "document.getElementById('a').textContent = 'loc ' + "
                                    "location.protocol + isSecureContext</script>")
    server = tls_serve()
    key = tls_wire.openssl("x509", "-in", authority.server[0], "-pubkey", "-noout")
    der = tls_wire.openssl("pkey", "-pubin", "-outform", "DER", data=key)
    import base64
    pin = base64.b64encode(hashlib.sha256(der).digest()).decode()
    command = ["/usr/bin/chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
               "--no-first-run", "--disable-background-networking", "--disable-dev-shm-usage",
               "--disable-component-update", "--disable-sync", "--disable-breakpad",
               f"--ignore-certificate-errors-spki-list={pin}",
               f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom",
               f"https://localhost:{server.address[1]}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    assert "loc https:true" in done.stdout


# ---- what is agreed on

def test_what_handlers_know(any_tls_probe, authority):
    server = any_tls_probe()
    words = server.ask(target="/x/tls").body.decode().split()
    assert words[:2] == ["https", "TLSv1.3"]
    assert words[2].startswith("TLS_")
    assert words[3] == "localhost"
    assert words[-1] == "-2"  # no certificate of the client: -ENOENT


def test_over_plain_http_handlers_know_that_too(probe):
    assert probe().ask(target="/x/tls").body.decode().split()[:2] == ["http", "ENOTCONN"]


def test_the_protocol_is_agreed_on(tls_serve, authority):
    server = tls_serve()
    for offered, chosen in ((["h2", "http/1.1"], "http/1.1"), (["http/1.1"], "http/1.1"),
                            (None, None)):
        context = authority.client()
        if offered:
            context.set_alpn_protocols(offered)
        with socket.create_connection(server.address, timeout=20) as plain:
            with context.wrap_socket(plain, server_hostname="localhost") as secure:
                assert secure.selected_alpn_protocol() == chosen
    context = authority.client()
    context.set_alpn_protocols(["spdy/1"])
    with socket.create_connection(server.address, timeout=20) as plain:
        with pytest.raises(ssl.SSLError, match="(?i)no application protocol"):
            context.wrap_socket(plain, server_hostname="localhost")


def test_names_choose_among_certificates(tls_serve, authority):
    one = authority.issue("one.test", serial=71)
    other = authority.issue("*.other.test", serial=72)
    server = tls_serve("--cert", one[0], "--key", one[1], "--cert", other[0], "--key", other[1])
    assert shown_serial(server, authority.client(), "one.test") == 71
    assert shown_serial(server, authority.client(), "a.other.test") == 72
    assert shown_serial(server, authority.client(), "localhost") not in (71, 72)


def test_a_minimum_version(tls_serve, authority):
    server = tls_serve("--min-tls", "1.3")
    old = authority.client(maximum_version=ssl.TLSVersion.TLSv1_2)
    with socket.create_connection(server.address, timeout=20) as plain:
        with pytest.raises(ssl.SSLError, match="(?i)protocol.version"):
            old.wrap_socket(plain, server_hostname="localhost")
    assert server.ask().status == 403


# ---- certificates of clients

def test_clients_need_a_certificate(tls_serve, authority):
    server = tls_serve("--client-ca", authority.cert)
    with pytest.raises((ssl.SSLError, Closed, ConnectionResetError)) as caught:
        server.ask()
    assert "certificate required" in str(caught.value).lower().replace("_", " ")
    cert, key = authority.issue("somebody", usage="clientAuth")
    tls_wire.secured(server, authority.client(cert, key))
    assert server.ask().status == 403
    stranger = tls_wire.Authority(authority.folder / "stranger", "Another Authority")
    cert, key = stranger.issue("somebody", usage="clientAuth")
    tls_wire.secured(server, authority.client(cert, key))
    with pytest.raises((ssl.SSLError, Closed, ConnectionResetError)) as caught:
        server.ask()
    assert "unknown ca" in str(caught.value).lower().replace("_", " ")


def test_a_client_whose_certificate_was_revoked(tls_serve, authority, tmp_path):
    cert, key = authority.issue("somebody", usage="clientAuth", serial=77)
    lists = tmp_path / "lists.pem"
    shutil.copy(authority.crl(), lists)
    server = tls_serve("--client-ca", authority.cert, "--client-crl", lists)
    tls_wire.secured(server, authority.client(cert, key))
    assert server.ask().status == 403
    shutil.copy(authority.crl(76, 77), tmp_path / "new")
    os.replace(tmp_path / "new", lists)
    line, = server.err.wait(lambda lines: list(lines))
    assert line.endswith("read again and are in use")
    server.err.lines.clear()
    with pytest.raises((ssl.SSLError, Closed, ConnectionResetError)) as caught:
        server.ask()
    assert "certificate revoked" in str(caught.value).lower().replace("_", " ")


@pytest.mark.parametrize("option,value", [("--client-cert", "required"),
                                          ("--client-cert", "optional"),
                                          ("--client-crl", "lists.pem")])
def test_no_certificate_is_demanded_that_nobody_could_judge(thrum_bin, authority, option, value):
    cert, key = authority.server
    done = subprocess.run([thrum_bin, "serve", "--listen", "127.0.0.1:0", "--cert", cert, "--key",
                           key, option, value], capture_output=True, text=True,
                          timeout=serving.TIMEOUT, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{option} needs --client-ca" in done.stderr


def test_a_certificate_that_has_expired_is_told_and_serves(tls_serve, authority):
    context = authority.client()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = tls_serve(pair=authority.issue("localhost", days=-1), context=context)
    assert server.ask().status == 403  # no list of a folder
    line, = server.err.wait(lambda lines: list(lines))
    assert line.startswith("thrum serve: a certificate expired on 20")
    assert line.endswith(" ago): clients refuse it")
    server.err.lines.clear()


def test_a_key_with_a_pass_phrase(tls_serve, thrum_bin, authority, tmp_path):
    cert, key = authority.server
    locked, phrase = tmp_path / "locked.pem", tmp_path / "phrase"
    phrase.write_text("warp and weft\nno matter\n")
    tls_wire.openssl("pkey", "-in", key, "-aes256", "-passout", f"file:{phrase}", "-out", locked)
    server = tls_serve("--phrase-file", phrase, pair=(cert, locked))
    assert shown_serial(server, authority.client()) > 0
    server.signal(signal.SIGHUP)  # it is read again
    line, = server.err.wait(lambda lines: list(lines))
    assert line.endswith("read again and are in use")
    server.err.lines.clear()
    for line, said in (("wrong", "wrong pass phrase for the key"),
                       ("x" * 1025, f"cannot be taken from {phrase}: a limit was reached"),
                       (None, f"cannot be taken from {phrase}: No such file")):
        phrase.unlink()
        if line:
            phrase.write_text(line + "\n")
        done = subprocess.run([thrum_bin, "serve", "--cert", cert, "--key", locked, "--phrase-file",
                               phrase], capture_output=True, text=True, timeout=serving.TIMEOUT,
                              check=False)
        assert (done.returncode, done.stdout) == (1, "") and said in done.stderr


def test_handlers_see_the_certificate_of_a_client(tls_probe, authority):
    server = tls_probe(client_ca=authority.cert)
    assert server.ask(target="/x/tls").body.split()[-2:] == [b"0", b"-2"]
    cert, key = authority.issue("somebody", usage="clientAuth")
    tls_wire.secured(server, authority.client(cert, key))
    verified, size = server.ask(target="/x/tls").body.split()[-2:]
    der = tls_wire.openssl("x509", "-in", cert, "-outform", "DER")
    assert (int(verified), int(size)) == (1, len(der))


# ---- what is no TLS

def test_plain_http_is_answered_in_it(any_tls_probe):
    server = any_tls_probe()
    with Client(server.address) as client:
        client.send(request())
        answer = client.response()
        assert (answer.status, answer.closing) == (400, True)
        assert b"https://" in answer.body
        assert client.at_end() and not client.reset
    assert server.ask().status == 200


@pytest.mark.parametrize("data", [b"\x00" * 50, b"\x16\x03\x01\xff\xff" + b"x" * 100,
                                  b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", b"\x80\x2e\x01"],
                         ids=["zeros", "too long", "no hello", "half"])
def test_garbage_hurts_nobody(any_tls_probe, data):
    server = any_tls_probe(head_time=300)
    with Client(server.address) as client:
        client.send(data)
        answer = client.rest()
        assert answer == b"" or answer[0] == 21  # nothing, or an alert
    assert server.ask().status == 200


def test_who_stops_in_the_handshake_is_cut(any_tls_probe, authority):
    """At any byte of the first message, and after the server's answer."""
    server = any_tls_probe(head_time=300)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(server.address))
                   for _ in range(0, len(hello) + 1, 40)]
        began = time.monotonic()
        for i, client in enumerate(clients):
            client.send(hello[:1 + 40 * i])
        for client in clients:
            client.rest()
        assert time.monotonic() - began < 10
    assert server.ask().status == 200


def test_who_says_nothing_is_cut_as_over_plain_http(any_tls_probe):
    server = any_tls_probe(idle_time=300)
    with Client(server.address) as client:
        assert client.at_end()


def test_clients_that_go_in_the_handshake_hurt_nobody(any_tls_probe, authority):
    server = any_tls_probe()
    for reset in (False, True):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.client().wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        hello = outgoing.read()
        for size in range(1, len(hello) + 1, 100):
            client = Client(server.address)
            client.send(hello[:size])
            if reset:
                client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                         b"\1\0\0\0\0\0\0\0")
            client.close()
    assert server.ask().status == 200


# ---- early data

@pytest.fixture
def send_early(tls_probe, authority, tmp_path):
    """A server that takes early data; send_early(bytes) sends them so and gives the answer."""
    server = tls_probe(early_data=16384)
    host = f"127.0.0.1:{server.address[1]}"
    session = tmp_path / "session"

    def s_client(*words, data=b""):
        return subprocess.run(["openssl", "s_client", "-connect", host, "-CAfile", authority.cert,
                               "-servername", "localhost", *words], input=data,
                              capture_output=True, timeout=30, check=False).stdout

    def send(data):
        s_client("-sess_out", str(session), "-ign_eof",
                 data=request("GET", "/", "Connection: close"))
        (tmp_path / "early").write_bytes(data)
        printed = s_client("-sess_in", str(session), "-early_data", str(tmp_path / "early"),
                           "-ign_eof")
        assert b"Early data was accepted" in printed, printed
        return printed
    return send


def test_what_is_safe_may_come_early(send_early):
    printed = send_early(request("GET", "/x/early", "Connection: close"))
    assert b"HTTP/1.1 200 OK" in printed
    assert b"\r\n\r\n1" in printed


def test_what_is_not_safe_waits_for_the_end_of_the_handshake(send_early):
    printed = send_early(request("POST", "/x/early", "Connection: close", body=b"x"))
    assert b"HTTP/1.1 200 OK" in printed
    assert b"\r\n\r\n0" in printed


def test_a_proxy_may_say_that_it_came_early(probe):
    server = probe()
    assert server.ask("GET", "/x/early", "Early-Data: 1").body == b"1"
    assert server.ask("POST", "/x/early", "Early-Data: 1", body=b"x").status == 425
    assert server.ask("POST", "/x/early", body=b"x").body == b"0"


# ---- targets

def test_absolute_targets_name_the_scheme(any_tls_probe):
    server = any_tls_probe()
    assert server.ask(target="https://localhost/a").status == 200
    assert server.ask(target="http://localhost/a").status == 421


def test_browsers_are_told_to_stay(tls_serve):
    server = tls_serve("--hsts", "86400")
    assert server.ask().get("Strict-Transport-Security") == "max-age=86400"
    with Client(server.address) as client:
        client.send(request())
        assert client.response().get("Strict-Transport-Security") is None


def test_nothing_is_said_of_it_otherwise(tls_serve):
    assert tls_serve().ask().get("Strict-Transport-Security") is None


# ---- the end

def ends_well(client):
    """Whether the server says its end, without another byte of HTTP; a cut raises SSLEOFError."""
    return client.at_end() and not client.reset


def test_the_end_is_said(any_tls_probe):
    """A client can tell it from one that somebody else has made (RFC 9112, 9.8)."""
    server = any_tls_probe(idle_time=500)
    with server.connect() as client:
        assert client.ask("GET", "/", "Connection: close").closing
        assert ends_well(client)
    with server.connect() as client:
        client.send(request("GET", "/x/bytes?size=3000000", "Connection: close"))
        assert len(client.response().body) == 3000000
        assert ends_well(client)
    with server.connect() as client:  # to the end of the connection
        client.send(request("GET", "/x/stream?pieces=300&size=10000", version="1.0"))
        assert len(client.response().body) == 3000000
    with server.connect() as client:
        client.send(b"nonsense\r\n\r\n")
        assert client.response().status == 400
        assert ends_well(client)
    with server.connect() as client:
        assert client.ask().status == 200
        assert ends_well(client)  # its time was over


def test_a_client_that_says_its_end_is_answered(any_tls_probe):
    server = any_tls_probe()
    with server.connect() as client:
        client.send(request("POST", "/", body=b"x" * 100))
        client.finish()
        assert client.response().body == b"x" * 100
        assert ends_well(client)


def test_a_client_that_says_its_end_late_loses_nothing(tls_probe):
    """Its close_notify comes when the server has said all: that must not reset what is on its
    way."""
    server = tls_probe(workers=1)
    with server.connect(receive_buffer=4096) as client:
        client.send(request("GET", "/x/stream?pieces=2&size=50000", "Connection: close"))
        serving.eventually(lambda: tls_wire.peer_has_ended(client.socket.plain))
        client.finish()
        server.ask()
        assert len(client.response().body) == 100000
        assert ends_well(client)


def test_a_body_that_somebody_cuts_is_not_taken_for_all(any_tls_probe):
    """The end of the connection alone is no end of the body, though its length is not known."""
    server = any_tls_probe()
    with server.connect() as client:
        client.send(request("POST", "/", "Transfer-Encoding: chunked"), b"5\r\nhello\r\n")
        client.socket.plain.shutdown(socket.SHUT_WR)
        client.rest()
    serving.eventually(lambda: server.ask(target="/x/last").body == b"TH_ETRUNCATED")


def test_an_orderly_stop_says_the_end(any_tls_probe):
    server = any_tls_probe()
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(10)]
        for client in idle[:5]:
            assert client.ask().status == 200
        busy = stack.enter_context(server.connect())
        busy.send(request("GET", "/x/gate"))
        serving.eventually(lambda: server.ask(target="/x/waiting").body != b"0")
        gate = stack.enter_context(server.connect())
        assert gate.ask().status == 200
        server.signal()
        for client in idle:
            assert ends_well(client)
        assert ends_well(gate)
        busy.close()
    server.signal()
    server.wait()
    server.process = subprocess.Popen(["true"])  # it was told twice
    server.process.wait()


def test_a_request_just_when_the_time_is_over(any_tls_probe):
    """It is answered, or the end was said before: nothing in between."""
    server = any_tls_probe(idle_time=100)
    clients = [server.connect() for _ in range(5)]
    server.signal(signal.SIGSTOP)
    for client in clients:
        with contextlib.suppress(ConnectionError):
            client.send(request())
    time.sleep(0.15)
    server.signal(signal.SIGCONT)
    for client in clients:
        answer = client.rest()
        assert answer.startswith(b"HTTP/1.1 200 ") or answer == b""
        client.close()
    assert server.ask().status == 200


def test_max_connections_lets_the_next_one_wait(any_tls_probe):
    server = any_tls_probe(max_connections=2)
    first, second = server.connect(), server.connect()
    for client in (first, second):
        assert client.ask().status == 200
    with Client(server.address) as third:
        third.socket.settimeout(0.3)
        plain = third.socket
        with pytest.raises(TimeoutError):
            server.tls(plain)
    first.close()
    second.close()
    assert server.ask().status == 200


# ---- idle connections

def test_idle_connections_are_no_fibers(any_tls_probe):
    server = any_tls_probe()
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            assert stack.enter_context(server.connect()).ask().status == 200

        def live():
            text = server.ask(target="/x/metrics").body.decode()
            return int(next(line.split()[1] for line in text.splitlines()
                            if line.startswith("thrum_fibers_live ")))
        serving.eventually(lambda: 0 < live() < 15)


def test_memory_of_an_idle_connection(tls_probe, sanitized):
    """At most 16 KiB in all, measured from outside."""
    if sanitized:
        pytest.skip("a sanitizer's memory is its own")
    server = tls_probe(workers=1)
    count = 400
    with contextlib.ExitStack() as stack:
        for _ in range(50):  # what is made once is there
            assert stack.enter_context(server.connect()).ask().status == 200
        before = server.memory()
        for _ in range(count):
            assert stack.enter_context(server.connect()).ask().status == 200
        each = (server.memory() - before) / count
    assert each <= 16 * 1024, f"{each:.0f} bytes for each"


# ---- the log

def test_the_log_tells_version_and_cipher(tls_serve):
    server = tls_serve(log="json")
    assert server.ask().status == 403
    line = serving.eventually(lambda: server.out.lines[4:])[0]
    record = json.loads(line)
    assert record["tls"] == "TLSv1.3"
    assert record["cipher"].startswith("TLS_")
