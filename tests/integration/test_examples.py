# SPDX-License-Identifier: MIT
"""Each program in examples/ does what it says it shows."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time

import pytest

from serving import TIMEOUT, Lines, eventually

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def example(build):
    """The path of an example that is built."""
    return lambda name: build / "examples" / name


def run(program, *words, status=0):
    """Runs a program that ends by itself; what it prints, and what it says on standard error."""
    done = subprocess.run([program, *words], text=True, timeout=TIMEOUT, capture_output=True)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def test_every_example_is_tested():
    tested = set()
    for path in pathlib.Path(__file__).parent.glob("test_*.py"):
        tested.update(re.findall(r'examples?(?:\(|" / )"(\w+)"', path.read_text()))
    assert {path.stem for path in EXAMPLES.glob("*.c")} - tested == set()


def test_announce_says_who_calls(start, example):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = start(example("announce"), "127.0.0.1:0", f"127.0.0.1:{port}", 1)
        with socket.create_connection(server.address, TIMEOUT, ("127.0.0.7", 0)) as client:
            client.sendall(b"warp")
            client.shutdown(socket.SHUT_WR)
            with listener.accept()[0] as taken:
                taken.settimeout(TIMEOUT)
                taken.sendall(b"weft")
                heard = b"".join(iter(lambda: taken.recv(100), b""))
            said = b"".join(iter(lambda: client.recv(100), b""))
            own = client.getsockname()[1]
    assert heard.decode() == f"PROXY TCP4 127.0.0.7 127.0.0.1 {own} {server.address[1]}\r\nwarp"
    assert said == b"weft"


def test_echo_server_and_client(start, example, tmp_path):
    for address in ("127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/socket"):
        server = start(example("echo_server"), address)
        shown = server.out.lines[0].removeprefix("listening on ")
        lines = ["warp", "weft and weft", "x" * 1024]
        assert run(example("echo_client"), shown, *lines) == ("\n".join(lines) + "\n", "")


def test_echo_server_finishes_what_is_in_progress(start, example):
    server = start(example("echo_server"), "127.0.0.1:0")
    with server.connect() as client:
        client.send(b"warp")
        assert client.take(4) == b"warp"
        server.signal()
        client.send(b"weft")
        assert client.take(4) == b"weft"
    assert (server.wait(), server.err.lines) == (0, [])


def test_echo_client_gives_up_after_a_second(example):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        client = example("echo_client")
        printed = run(client, f"127.0.0.1:{silent.getsockname()[1]}", "warp", status=1)
        assert printed == ("", f"{client}: Connection timed out\n")
        assert time.monotonic() - began >= 1


def test_echo_client_says_what_is_wrong(example):
    client = example("echo_client")
    assert run(client, status=2) == ("", "usage: echo_client ADDRESS LINE...\n")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
        assert run(client, address, "warp", status=1) == (
            "", f"{client}: Connection refused: cannot connect to {address}\n")


def upgraded(server, authority, name="localhost"):
    """A client of tls_echo that has changed to TLS."""
    plain = socket.create_connection(server.address, TIMEOUT)
    plain.sendall(b"STARTTLS\n")
    assert plain.recv(6, socket.MSG_WAITALL) == b"ready\n"
    return authority.client().wrap_socket(plain, server_hostname=name)


def test_tls_echo_server_and_client(start, example, authority):
    server = start(example("tls_echo"), "serve", "127.0.0.1:0", *authority.server)
    shown = server.out.lines[0].removeprefix("listening on ")
    words = ("ask", shown, "localhost", authority.cert, "warp", "x" * 1024)
    assert run(example("tls_echo"), *words) == (f"TLSv1.3 with localhost\nwarp\n{'x' * 1024}\n", "")


def test_tls_echo_speaks_with_others(start, example, authority):
    much = bytes(range(256)) * 4096
    server = start(example("tls_echo"), "serve", "127.0.0.1:0", *authority.server)
    with upgraded(server, authority) as client:
        sender = threading.Thread(target=client.sendall, args=(much,))
        sender.start()
        got = b""
        while len(got) < len(much):
            got += client.recv(65536)
        sender.join()
        assert got == much
        client.unwrap().close()  # both have said the end
    with pytest.raises(ssl.SSLCertVerificationError):
        upgraded(server, authority, "other.example")


def test_tls_echo_says_what_is_wrong(start, example, authority):
    program = example("tls_echo")
    assert run(program, status=2)[1].startswith("usage: tls_echo serve ADDRESS CERT KEY\n")
    server = start(program, "serve", "127.0.0.1:0", *authority.server)
    shown = server.out.lines[0].removeprefix("listening on ")
    said = run(program, "ask", shown, "other.example", authority.cert, "warp", status=1)[1]
    assert "TLS failed" in said and "not for other.example" in said
    said = run(program, "serve", "127.0.0.1:0", "none.pem", "none.key", status=1)[1]
    assert "none.pem" in said


def test_forward_passes_on_both_ways_and_both_ends(start, example):
    much = bytes(range(256)) * 16384
    echo = start(example("echo_server"), "127.0.0.1:0")
    target = echo.out.lines[0].removeprefix("listening on ")
    forward = start(example("forward"), "127.0.0.1:0", target)
    assert forward.out.lines[0] == f"forwarding to {target}"
    with socket.create_connection(forward.address, timeout=TIMEOUT) as client:
        sender = threading.Thread(target=lambda: (client.sendall(much),
                                                  client.shutdown(socket.SHUT_WR)))
        sender.start()
        with client.makefile("rb") as back:
            assert back.read() == much
        sender.join()
    forward.signal()
    assert (forward.wait(), forward.err.lines) == (0, [])


def test_forward_says_what_is_wrong(example):
    assert run(example("forward"), status=2) == ("", "usage: forward LISTEN TARGET\n")


def wire_name(name):
    """A name as it stands in messages of name servers."""
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def answer_services(server, records):
    """Answers one question for SRV records (RFC 2782): priority, weight, port, host."""
    question, client = server.recvfrom(512)
    data = [struct.pack("!3H", *record[:3]) + wire_name(record[3]) for record in records]
    answers = b"".join(struct.pack("!HHHIH", 0xc00c, 33, 1, 60, len(d)) + d for d in data)
    head = question[:2] + struct.pack("!5H", 0x8180, 1, len(records), 0, 0)
    server.sendto(head + question[12:] + answers, client)


def test_lookup_finds_addresses_names_and_services(example, tmp_path):
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.1 Loom.test loom\n2001:db8::1 loom.test\n")
    shown, said = run(example("lookup"), "-H", hosts, "loom.test", "2001:db8::1")
    assert (sorted(shown.splitlines()), said) == (["2001:db8::1 name loom.test",
                                                   "loom.test address 192.0.2.1",
                                                   "loom.test address [2001:db8::1]"], "")
    shown, _ = run(example("lookup"), "-j", "-H", hosts, "loom")
    assert [json.loads(line) for line in shown.splitlines()] == [
        {"query": "loom", "address": "192.0.2.1"}, {"query": "loom", "canonical": "loom.test"}]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(TIMEOUT)
        records = [(20, 0, 389, "old.test"), (10, 0, 636, "new.test")]
        thread = threading.Thread(target=answer_services, args=(server, records))
        thread.start()
        by = f"127.0.0.1:{server.getsockname()[1]}"
        shown, _ = run(example("lookup"), "-H", hosts, "-s", by, "_ldap._tcp.test")
        thread.join()
    assert shown.splitlines() == ["_ldap._tcp.test service new.test:636",
                                  "_ldap._tcp.test service old.test:389"]


def test_lookup_says_what_is_wrong(example):
    usage = "usage: lookup [-j] [-H HOSTS_FILE] [-s SERVERS] NAME|ADDRESS...\n"
    assert run(example("lookup"), status=2) == ("", usage)
    shown, said = run(example("lookup"), "300.1.1.1", status=1)
    assert shown == "" and "'300.1.1.1' is no IPv4 address" in said


@contextlib.contextmanager
def datagrams_to(shown):
    """A socket that is connected to where a server says that it listens."""
    host, port = shown.removeprefix("listening on ").rsplit(":", 1)
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(TIMEOUT)
        client.connect((host.strip("[]"), int(port)))
        yield client


def test_udp_echo_returns_each_datagram(start, example):
    for address in ("udp://127.0.0.1:0", "[::1]:0"):
        server = start(example("udp_echo"), address)
        with datagrams_to(server.out.lines[0]) as client:
            sent = [b"", b"warp", b"x" * 2048] + [b"weft %d" % i for i in range(100)]
            for data in sent:
                client.send(data)
            assert [client.recv(4096) for _ in sent] == sent
        server.signal()
        assert (server.wait(), server.err.lines) == (0, [])


def test_udp_echo_says_what_is_wrong(start, example):
    server = start(example("udp_echo"), "127.0.0.1:0")
    shown = server.out.lines[0].removeprefix("listening on ")
    _, errors = run(example("udp_echo"), shown, status=1)  # no second one in the same place
    assert shown in errors and "Address already in use" in errors


def test_sntp_tells_the_time(start, example):
    server = start(example("sntp"), "127.0.0.1:0")
    shown = server.out.lines[0].removeprefix("listening on ")
    for _ in range(3):
        out, errors = run(example("sntp"), "--query", shown)
        offset, delay = map(int, re.fullmatch(
            r"offset ([+-]\d+) us, delay (\d+) us, stratum 1\n", out).groups())
        assert errors == "" and abs(offset) <= delay  # it is the same clock
    server.signal()
    assert (server.wait(), server.err.lines) == (0, [])


def test_sntp_server_speaks_the_protocol(start, example):
    server = start(example("sntp"), "127.0.0.1:0")
    asked = bytes(range(1, 9))
    with datagrams_to(server.out.lines[0]) as client:
        client.send(b"too short")
        client.send(bytes([4 << 3 | 4]) + bytes(47))  # an answer is no question
        before = time.time()
        client.send(bytes([3 << 3 | 3]) + bytes(39) + asked)
        answer = client.recv(1024)
        after = time.time()
    assert len(answer) == 48 and answer[0] == 3 << 3 | 4 and answer[1] == 1
    assert answer[24:32] == asked
    had, sent = (int.from_bytes(answer[at:at + 8], "big") / 2**32 - 2208988800 for at in (32, 40))
    assert before - 0.001 <= had <= sent <= after + 0.001


def test_sntp_client_asks_again_and_believes_only_its_answer(example):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(TIMEOUT)
        client = subprocess.Popen([example("sntp"), "--query", f"127.0.0.1:{server.getsockname()[1]}"],
                                  text=True, stdout=subprocess.PIPE)
        server.recvfrom(1024)  # the first one is lost
        asked, where = server.recvfrom(1024)
        now = int((time.time() + 100 + 2208988800) * 2**32).to_bytes(8, "big")
        head = bytes([4 << 3 | 4, 2]) + bytes(22)
        server.sendto(head + bytes(8) + now + now, where)  # to another question
        server.sendto(head + asked[40:48] + now + now, where)
        out, _ = client.communicate(timeout=TIMEOUT)
    offset = int(re.fullmatch(r"offset ([+-]\d+) us, delay \d+ us, stratum 2\n", out)[1])
    assert client.returncode == 0 and 99_000_000 < offset < 100_000_000 + TIMEOUT * 1_000_000


def test_sntp_says_that_nobody_is_there(example):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    out, errors = run(example("sntp"), "--query", f"127.0.0.1:{port}", status=1)
    assert out == "" and "Connection refused" in errors


def test_count_words_counts_as_wc_does(example, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "one").write_text("warp and\tweft\n")
    (tmp_path / "deep" / "two").write_text("  shuttle " * 5000)
    (tmp_path / "deep" / "er" / "none").write_text("")
    (tmp_path / "link").symlink_to("one")
    for i in range(100):
        (tmp_path / "deep" / f"many-{i}").write_text("reed heddle\n")
    counted = ("5203 words in 103 files\n", "")
    assert run(example("count_words"), tmp_path) == counted
    program = example("count_words")
    assert run(program, tmp_path / "none", status=1) == (
        "", f"{program}: No such file or directory: {tmp_path}/none\n")


def test_follow_shows_what_is_added(example, tmp_path):
    path = tmp_path / "log"
    path.write_text("first\n")
    with subprocess.Popen([example("follow"), path], text=True, stdout=subprocess.PIPE) as follower:
        shown = Lines(follower.stdout)
        assert shown.wait(lambda lines: lines == ["first"])
        with path.open("a") as log:
            for line in ("second", "third"):
                print(line, file=log, flush=True)
                assert shown.wait(lambda lines: lines[-1] == line)
        path.unlink()
        assert follower.wait(TIMEOUT) == 0
    assert shown.lines == ["first", "second", "third"]


def test_dispatch_echo_over_tcp(start, example, tmp_path):
    for address in ("127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/socket"):
        server = start(example("dispatch_echo"), address)
        with server.connect() as client:
            client.send(b"warp")
            assert client.take(4) == b"warp"
            client.send(b"weft" * 100000)
            client.socket.shutdown(socket.SHUT_WR)
            assert client.take(400000) == b"weft" * 100000
            assert client.socket.recv(1) == b""
        server.signal()
        assert (server.wait(), server.err.lines) == (0, [])


def test_dispatch_echo_over_udp(start, example):
    for family, address in ((socket.AF_INET, "127.0.0.1:0"), (socket.AF_INET6, "[::1]:0")):
        server = start(example("dispatch_echo"), address)
        with socket.socket(family, socket.SOCK_DGRAM) as client:
            client.settimeout(TIMEOUT)
            client.connect((address.rsplit(":", 1)[0].strip("[]"),
                            int(server.out.lines[0].rsplit(":", 1)[1])))
            for datagram in (b"warp", b"", b"x" * 16000):
                client.send(datagram)
                assert client.recv(65536) == datagram


def test_chat_room(start, example):
    server = start(example("chat_room"), "127.0.0.1:0")
    with contextlib.ExitStack() as stack:
        def come():
            client = stack.enter_context(server.connect())
            assert hear(client) == "* somebody has come"
            return client, "%s:%d" % client.socket.getsockname()

        def hear(client):
            line = b""
            while not line.endswith(b"\r\n"):
                line += client.take(1)
            return line[:-2].decode()

        one, one_name = come()
        two, two_name = come()
        assert hear(one) == "* somebody has come"
        one.send(b"hello")
        one.send(b" there\r\n\nsecond\n")
        assert [hear(two), hear(two)] == [f"{one_name}: hello there", f"{one_name}: second"]
        two.send(b"hi\n")
        assert hear(one) == f"{two_name}: hi"
        two.send(b"/quit\n")
        assert hear(two) == "bye" and two.socket.recv(1) == b""
        assert hear(one) == "* somebody has left"
        one.send(b"x" * 1001)  # longer than a line may be
        assert one.socket.recv(1) == b""
    server.signal()
    assert (server.wait(), server.err.lines) == (0, [])


def test_chat_room_shows_the_door_to_who_does_not_listen(start, example):
    server = start(example("chat_room"), "127.0.0.1:0")
    with server.connect() as deaf, server.connect() as talker:
        deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sender = threading.Thread(target=talker.socket.sendall, args=((b"x" * 999 + b"\n") * 20000,))
        sender.start()
        heard = b""
        while not heard.endswith(b"* somebody has left\r\n"):
            heard += talker.socket.recv(65536)
        sender.join()


def test_chat_files(start, example, tmp_path):
    content = os.urandom(1_000_000)
    (tmp_path / "big").write_bytes(content)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("big")
    server = start(example("chat_files"), "127.0.0.1:0", str(tmp_path))
    with server.connect() as client:
        client.send(b"big\nempty\nnone\n../big\nfolder\nlink\n.\nbig\n\n")
        for _ in range(2):
            assert client.take(8) == b"1000000\n"
            assert client.take(1_000_000) == content
            if _ == 0:
                assert client.take(2 + 5 * 3) == b"0\n" + b"no\n" * 5
        assert client.socket.recv(1) == b""
    program = example("chat_files")
    assert run(program, status=2) == ("", "usage: chat_files ADDRESS FOLDER\n")
    assert run(program, "127.0.0.1:0", tmp_path / "none", status=1) == (
        "", f"{program}: No such file or directory: {tmp_path}/none\n")


def test_http_hello(start, example):
    server = start(example("http_hello"), "http://127.0.0.1:0")
    with server.connect() as client:
        for target, status, body in [("/", 200, b"hello, world\n"),
                                     ("/hello/loom", 200, b"hello, loom\n"),
                                     ("/hello/warp%20and%20weft", 200, b"hello, warp and weft\n"),
                                     ("/hello/", 404, b"404 Not Found\n"),
                                     ("/else", 404, b"404 Not Found\n")]:
            answer = client.ask(target=target)
            assert (answer.status, answer.body) == (status, body), target
        assert client.ask("DELETE").status == 405


def test_limited_server_lets_the_third_client_wait(start, example):
    server = start(example("limited_server"), "127.0.0.1:0")
    first, second = server.connect(), server.connect()
    for client in (first, second):
        assert client.take(8) == b"welcome\n"
    with server.connect() as third, server.connect() as fourth:
        third.send(b"anybody?")
        for client in (first, second):
            client.send(b"warp")
            assert client.take(4) == b"warp"
        assert third.quiet() and fourth.quiet()
        first.close()
        second.close()
        assert third.take(16) == b"welcome\nanybody?"
        assert fourth.take(8) == b"welcome\n"


def test_no_sleeper_outlives_the_deadline(example):
    printed, errors = run(example("sleeps"))
    match = re.fullmatch(r"(\d+) rested, (\d+) were woken by the deadline after (\d+) ms: "
                         r"Connection timed out\n", printed)
    rested, woken, took = map(int, match.groups())
    assert (errors, rested + woken) == ("", 5000)
    assert woken >= 2499  # they want more than the 100 ms that there are
    assert took >= 100


def test_simulate(example):
    assert run(example("simulate")) == ("200 worlds, all answers right\n", "")


def test_simulate_tells_each_event_the_same_each_time(example):
    simulate = example("simulate")
    seventh, errors = run(simulate, "7")
    assert (errors, run(simulate, "7")[0]) == ("", seventh)
    assert run(simulate, "8")[0] != seventh
    for line in seventh.splitlines():
        assert re.match(r"\d+\.\d{9} +-?\d+ [a-z-]+ ", line), line
    assert " accept " in seventh


@pytest.fixture
def postgres():
    """A PostgreSQL server of our own on a Unix socket; how to connect to it."""
    programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if not programs:
        pytest.skip("PostgreSQL is not installed: tools/setup.sh test")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="thrum-postgres-"))
    as_user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
    if as_user:
        shutil.chown(folder, **as_user)
    settings = ("listen_addresses=", f"unix_socket_directories={folder}", "fsync=off",
                "max_connections=50", "shared_buffers=4MB")
    try:
        subprocess.run([programs / "initdb", "-D", folder / "data", "-U", "weaver", "-A", "trust",
                        "--no-sync"], check=True, capture_output=True, cwd=folder, **as_user)
        server = subprocess.Popen(
            [programs / "postgres", "-D", folder / "data",
             *(word for setting in settings for word in ("-c", setting))],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, **as_user)
        try:
            eventually(lambda: subprocess.run([programs / "pg_isready", "-q", "-h", folder]
                                              ).returncode == 0)
            yield f"host={folder} user=weaver dbname=postgres"
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait()
    finally:
        shutil.rmtree(folder)


def test_postgres_answers_many_fibers_at_once(example, postgres):
    assert run(example("postgres"), postgres) == (
        "20 right answers for 4000 ms of work, in much less\n", "")


def test_postgres_says_what_is_wrong(example, postgres):
    program = example("postgres")
    _, errors = run(program, postgres.replace("weaver", "nobody"), status=1)
    assert 'postgres: connecting:' in errors and 'role "nobody" does not exist' in errors
    assert run(program, status=2) == ("", "usage: postgres CONNINFO\n")


def test_curl_multi_transfers_in_parallel(start, thrum_bin, example, tmp_path):
    sizes = {f"file{n}": n * n * 1000 for n in range(1, 30)}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(b"x" * size)
    server = start(thrum_bin, "serve", "--listen", "127.0.0.1:0", "--access-log", "off", tmp_path)
    base = server.url.rstrip("/")
    printed, errors = run(example("curl_multi"), *(f"{base}/{name}" for name in sizes))
    assert (errors, printed) == ("", "".join(
        f"200 {size} {base}/{name}\n" for name, size in sizes.items()))
    printed, errors = run(example("curl_multi"), f"{base}/file1", f"{base}/none", status=1)
    assert printed.startswith(f"200 1000 {base}/file1\n404 ")
    assert run(example("curl_multi"), status=2) == ("", "usage: curl_multi URL...\n")


# ---- other libraries' loops

@pytest.mark.parametrize("backend", ["epoll", "uring"])
@pytest.mark.parametrize("way", ["hosted", "hosting"])
def test_foreign_loops_have_the_thread_or_a_fiber(example, monkeypatch, way, backend):
    monkeypatch.setenv("THRUM_BACKEND", backend)
    for program, library in ((example("foreign_glib"), "GLib"),
                             (example("foreign_libevent"), "libevent"),
                             (example("foreign_libuv"), "libuv")):
        if not program.exists():
            pytest.skip(f"{library} is not installed: tools/setup.sh test")
        assert run(program, way) == (f"5 ticks of {library}, many answers of fibers\n", "")


def test_a_foreign_loop_says_what_is_wrong(example, monkeypatch):
    program = example("foreign_libuv")
    assert run(program, status=2) == ("", f"usage: {program} hosted | hosting\n")
    monkeypatch.setenv("THRUM_BACKEND", "poll")
    assert run(program, "hosted", status=1) == ("", f"{program}: Operation not supported\n")
    assert run(program, "hosting")[1] == ""  # the other way round any back end will do


# ---- protocols

def check_echo_over_tcp_and_udp(start, program):
    server = start(program, "127.0.0.1:0", "udp://127.0.0.1:0")
    line = server.out.wait(lambda lines: next((x for x in lines if "receiving" in x), None))
    host, port = line.removeprefix("receiving on ").split(":")
    data = bytes(range(256)) * 4000  # more than all buffers on the way hold
    with server.connect() as client:
        sender = threading.Thread(target=client.send, args=(data,))
        sender.start()
        assert client.take(len(data)) == data
        sender.join()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.settimeout(TIMEOUT)
            datagrams.connect((host, int(port)))
            for message in (b"warp", b"", b"weft" * 300):
                datagrams.send(message)
                assert datagrams.recv(2000) == message
        server.signal()
        client.send(b"last")
        assert client.take(4) == b"last"
    assert (server.wait(), server.err.lines) == (0, [])


def test_protocol_echo_over_tcp_and_udp(start, example):
    check_echo_over_tcp_and_udp(start, example("protocol_echo"))


def test_pool_echo_over_tcp_and_udp(start, example):
    check_echo_over_tcp_and_udp(start, example("pool_echo"))


def test_reconnecting_client_comes_back_until_it_is_told_bye(example):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT)
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with subprocess.Popen([example("reconnecting_client"), address], text=True,
                              stdout=subprocess.PIPE) as client:
            for text in (b"one\r\nhalf a l", b"", b"two\r\nthree\r\n", b"bye\r\nnever\r\n"):
                connection, _ = server.accept()
                connection.sendall(text)
                if text.startswith(b"bye"):
                    assert connection.recv(1) == b""
                connection.close()
            shown = client.stdout.read()
            assert client.wait(TIMEOUT) == 0
    assert [line for line in shown.splitlines() if " ms" not in line] == [
        "one", "two", "three", "bye"]
    assert len(re.findall(r"^the server has hung up: again in \d+ ms$", shown, re.M)) == 3


def test_reconnecting_client_gives_up_after_ten_attempts(example):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        client = example("reconnecting_client")
        printed, errors = run(client, f"127.0.0.1:{nobody.getsockname()[1]}", status=1)
    delays = [int(ms) for ms in re.findall(r"^Connection refused: again in (\d+) ms$", printed,
                                           re.M)]
    assert len(delays) == 10 and max(delays[7:]) > 2 * delays[0]
    assert printed.endswith("Connection refused: giving up\n")
    assert errors == f"{client}: Connection refused\n"
