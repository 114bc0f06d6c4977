# SPDX-License-Identifier: MIT
"""The program: its command line, what it says at the start, what it sets up, and how it ends.

Its log is in test_access_log.py, its figures are in test_metrics.py, the files that it serves in
test_files*.py. test_guide.py does what the guide shows.
"""
import ctypes
import os
import re
import resource
import signal
import socket
import subprocess

import pytest

from files import content, www  # noqa: F401 (fixtures)
from serving import TIMEOUT, connected, eventually
from wire import Client, request

COMMANDS = ("serve", "echo")
STOP_LINE = "  stop with Ctrl-C or SIGTERM: what is in progress is finished first"
IO_URING_SETUP = 425  # the same on every architecture


@pytest.fixture
def run(thrum_bin):
    """Runs the program to its end: (status, lines of its output, lines of its errors)."""
    def run_program(*words, **env):
        done = subprocess.run([thrum_bin, *words], text=True, timeout=TIMEOUT, capture_output=True,
                              env={**os.environ, **env})
        return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()
    return run_program


@pytest.fixture
def begin(start, thrum_bin):
    """Starts a command on a free port: begin("serve", "--workers", "2", ...)."""
    def begin_command(command, *words, before=(), **options):
        return start(*before, thrum_bin, command, "--listen", "127.0.0.1:0", *words, **options)
    return begin_command


def start_lines(server):
    """The four lines of a server with one address."""
    return server.out.wait(lambda lines: lines[:4] if len(lines) >= 4 else None)


def engine(server):
    """What the start-up lines say of workers and back end."""
    return start_lines(server)[2].strip()


def table(server):
    """The rows of the built-in site: what is running."""
    page = server.ask().body.decode()
    return dict(re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", page))


# ---- the command line

@pytest.mark.parametrize("words, line", [
    ([], "thrum: a command is missing (see thrum --help)"),
    ([""], "thrum: a command is missing (see thrum --help)"),
    (["weave"], "thrum: there is no command 'weave' (see thrum --help)"),
    (["--weave"], "thrum: there is no command '--weave' (see thrum --help)"),
    (["we\nave\x1b\x7f"], "thrum: there is no command 'we?ave??' (see thrum --help)"),
    (["help", "weave"], "thrum: there is no command 'weave' (see thrum --help)"),
    (["version", "x"], "thrum version: x: no argument is expected (see thrum version --help)"),
    (["version", "--x"], "thrum version: there is no option --x (see thrum version --help)"),
])
def test_a_wrong_command_is_one_line_and_status_2(run, words, line):
    assert run(*words) == (2, [], [line])


PORT = "the port must be a number from 0 to 65535"
WORKERS = "must be a number from 1 to 1024"
BACKENDS = "must be auto, epoll, uring, poll or select"
WRONG = [
    (["--weave"], "there is no option --weave"),
    (["--weave=3"], "there is no option --weave"),
    (["--work", "3"], "there is no option --work"),
    (["-w", "3"], "there is no option -w"),
    (["--listen"], "--listen needs a value: ADDR"),
    (["--workers"], "--workers needs a value: N"),
    (["--backend"], "--backend needs a value: NAME"),
    (["--quiet=yes"], "--quiet takes no value"),
    (["--workers", "0"], f"--workers 0: {WORKERS}"),
    (["--workers", "1025"], f"--workers 1025: {WORKERS}"),
    (["--workers=-1"], f"--workers -1: {WORKERS}"),
    (["--workers", "two"], f"--workers two: {WORKERS}"),
    (["--workers", "2x"], f"--workers 2x: {WORKERS}"),
    (["--workers", "99999999999999999999"], f"--workers 99999999999999999999: {WORKERS}"),
    (["--workers="], f"--workers '': {WORKERS}"),
    (["--backend", "kqueue"], f"--backend kqueue: {BACKENDS}"),
    (["--backend="], f"--backend '': {BACKENDS}"),
    (["--backend", "EPOLL"], f"--backend EPOLL: {BACKENDS}"),
    (["--backend", "sim"], f"--backend sim: {BACKENDS}"),
    (["--listen", ""], "--listen '': '' lacks a port; write HOST:PORT or unix:/path"),
    (["--listen", "127.0.0.1"],
     "--listen 127.0.0.1: '127.0.0.1' lacks a port; write HOST:PORT or unix:/path"),
    (["--listen", "https://127.0.0.1:80/"],
     "--listen https://127.0.0.1:80/: 'https://127.0.0.1:80/': no address begins with https://; "
     "write HOST:PORT, tls://HOST:PORT or unix:/path"),
    (["--listen", "\n:"], f"--listen ?:: '?:': {PORT}"),
    (["--listen", "127.0.0.1:65536"], f"--listen 127.0.0.1:65536: '127.0.0.1:65536': {PORT}"),
    (["--listen", "127.0.0.1:-1"], f"--listen 127.0.0.1:-1: '127.0.0.1:-1': {PORT}"),
    (["--listen", "127.0.0.1:http"], f"--listen 127.0.0.1:http: '127.0.0.1:http': {PORT}"),
    (["--listen", "127.1:80"],
     "--listen 127.1:80: '127.1:80': '127.1' is neither an IPv4 address nor 'localhost'; IPv6 "
     "addresses stand in brackets"),
    (["--listen", "[::g]:80"], "--listen [::g]:80: '[::g]:80': '::g' is no IPv6 address"),
    (["--listen", "unix:"], "--listen unix:: 'unix:' names no path"),
    (["--listen", "unix:/" + 108 * "a"],
     f"--listen unix:/{108 * 'a'}: 'unix:/{94 * 'a'}': the path has 109 bytes, 108 are possible"),
    (["--listen", "127.0.0.1:0"] * 64 + ["--listen", "127.0.0.1:1"],
     "--listen 127.0.0.1:1: at most 64 addresses are possible"),
    # What is right does not make up for what is wrong before it.
    (["--workers", "0", "--help"], f"--workers 0: {WORKERS}"),
]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("words, what", WRONG, ids=[" ".join(words)[:30] for words, _ in WRONG])
def test_a_wrong_option_is_one_line_and_status_2(run, command, words, what):
    assert run(command, *words) == (
        2, [], [f"thrum {command}: {what} (see thrum {command} --help)"])


@pytest.mark.parametrize("words, what", [
    (["serve", "--access-log", "xml"], "--access-log xml: must be common, json or off"),
    (["serve", "--access-log="], "--access-log '': must be common, json or off"),
    (["serve", "--no-metrics=1"], "--no-metrics takes no value"),
    (["serve", "/", "/tmp"], "/tmp: only one folder can be served"),
    (["serve", "/", "--", "--quiet"], "--quiet: only one folder can be served"),
    (["serve", ""], "'': no folder has an empty name"),
    (["echo", "/"], "/: no argument is expected"),
    (["echo", "--access-log", "off"], "there is no option --access-log"),
])
def test_a_wrong_option_of_one_command(run, words, what):
    assert run(*words) == (
        2, [], [f"thrum {words[0]}: {what} (see thrum {words[0]} --help)"])


def test_help_of_the_program(run):
    status, lines, errors = run("--help")
    assert (status, errors) == (0, [])
    assert lines[0] == "usage: thrum COMMAND [OPTIONS]"
    for command in (*COMMANDS, "version"):
        assert any(line.startswith(f"  {command} ") for line in lines)
    assert run("help") == run("-h") == (0, lines, [])


@pytest.mark.parametrize("command", [*COMMANDS, "version"])
def test_help_of_a_command(run, command):
    status, lines, errors = run(command, "--help")
    assert (status, errors) == (0, [])
    assert lines[0].startswith(f"usage: thrum {command} [OPTIONS]")
    assert run("help", command) == run(command, "-h") == (0, lines, [])
    if command != "version":
        assert run(command, "--workers", "2", "--help") == (0, lines, [])


def test_version(run):
    status, lines, errors = run("version")
    assert (status, errors) == (0, []) and len(lines) == 1
    assert re.fullmatch(r"thrum \d+\.\d+\.\d+", lines[0])
    assert run("--version") == (0, lines, [])


# ---- what keeps it from starting

@pytest.fixture
def taken():
    """A port of ::1 that somebody else has."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other:
        yield other.getsockname()[1]


def test_a_folder_that_cannot_be_served_is_one_line_and_status_1(run, tmp_path):
    (tmp_path / "file").write_text("")
    for name, reason in (("no\nne", "No such file or directory"), ("file", "Not a directory")):
        folder = str(tmp_path / name)
        assert run("serve", folder) == (
            1, [], [f"thrum serve: {folder}: {reason}".replace("\n", "?")])


def test_a_file_that_is_not_there_is_said_once(run):
    line = "thrum serve: no.pem: No such file or directory"
    assert run("serve", "--cert", "no.pem") == (1, [], [line])


@pytest.mark.parametrize("command", COMMANDS)
def test_an_address_that_cannot_be_had_is_one_line_and_status_1(run, command, taken, tmp_path):
    for address, reason in ((f"[::1]:{taken}", "Address already in use"),
                            ("192.0.2.1:0", "Cannot assign requested address"),
                            (f"unix:{tmp_path}/none/socket", "No such file or directory")):
        socket_file = tmp_path / "socket"
        assert run(command, "--listen", f"unix:{socket_file}", "--listen", address) == (
            1, [], [f"thrum {command}: cannot listen on {address}: {reason}"])
        assert not socket_file.exists()


def hold(port):
    """A listening socket on the port, or None while somebody else has one."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError:
        return None


@pytest.mark.parametrize("command, port", [("serve", 8080), ("echo", 7000)])
def test_the_default_address(run, command, port):
    """Which one it is shows without a need for it to be free: here it is taken."""
    with eventually(lambda: hold(port)):
        assert run(command) == (
            1, [], [f"thrum {command}: cannot listen on 127.0.0.1:{port}: Address already in use"])


# ---- where it listens

@pytest.mark.parametrize("command, scheme, end, what", [
    ("serve", "http://", "/", "serving the built-in site"), ("echo", "tcp://", "", "echo")])
def test_what_it_says_at_the_start(begin, run, tmp_path, command, scheme, end, what):
    path = tmp_path / "socket"
    server = begin(command, "--listen", "[::1]:0", "--workers", "3", f"--listen=unix:{path}",
                   "--backend=poll", count=3)
    lines = server.out.wait(lambda lines: lines if len(lines) >= 6 else None)
    (ip4, port4), (ip6, port6), unix = server.addresses
    assert (ip4, ip6, unix) == ("127.0.0.1", "::1", str(path))
    assert lines == [f"{run('version')[1][0]}: {what}",
                     f"  listening on {scheme}127.0.0.1:{port4}{end}",
                     f"  listening on {scheme}[::1]:{port6}{end}",
                     f"  listening on unix:{path}",
                     "  3 workers, back end poll (asked for)",
                     STOP_LINE]


def test_it_says_which_folder_it_serves(begin, www):
    assert start_lines(begin("serve", www))[0].endswith(f": serving {www}")


def test_it_serves_on_every_address(begin, www, tmp_path):
    (www / "f").write_bytes(content(70000))
    path = tmp_path / "socket"
    server = begin("serve", "--listen", "[::1]:0", "--listen", f"unix:{path}", "--access-log",
                   "off", www, count=3)
    for address in server.addresses:
        with Client(address) as client:
            assert client.ask(target="/f").body == content(70000)
    server.stop()
    assert not path.exists()


def test_echo_gives_back_what_it_gets_on_every_address(begin, tmp_path):
    server = begin("echo", "--listen", "[::1]:0", "--listen", f"unix:{tmp_path}/socket", count=3)
    for address in server.addresses:
        with Client(address) as client:
            for size in (1, 16384, 16385, 100000):
                client.send(content(size))
                assert client.take(size) == content(size)
            client.finish()
            assert client.at_end() and not client.reset


def test_a_unix_socket_that_somebody_listens_on_is_not_taken_away(begin, run, tmp_path):
    path = tmp_path / "socket"
    first = begin("serve", "--listen", f"unix:{path}", count=2)
    assert run("serve", "--listen", f"unix:{path}") == (
        1, [], [f"thrum serve: cannot listen on unix:{path}: Address already in use"])
    with Client(first.addresses[1]) as client:
        assert client.ask().status == 200


def test_a_unix_socket_that_nobody_listens_on_is_replaced(start, thrum_bin, tmp_path):
    path = tmp_path / "socket"
    first = start(thrum_bin, "serve", "--listen", f"unix:{path}")
    first.kill()
    assert path.is_socket()
    assert start(thrum_bin, "serve", "--listen", f"unix:{path}").ask().status == 200


def test_what_is_no_socket_is_left_alone(run, tmp_path):
    path = tmp_path / "data"
    path.write_text("mine")
    assert run("serve", "--listen", f"unix:{path}") == (
        1, [], [f"thrum serve: cannot listen on unix:{path}: Address already in use"])
    assert path.read_text() == "mine"


# ---- workers and back ends

@pytest.mark.parametrize("count, words", [(1, "1 worker"), (5, "5 workers")])
def test_as_many_workers_as_asked_for(begin, count, words):
    server = begin("serve", "--workers", str(count))
    assert engine(server) == f"{words}, back end epoll (default)"
    assert table(server)["workers"] == str(count)
    assert len(os.listdir(f"/proc/{server.pid}/task")) >= count


def test_one_worker_for_each_cpu_that_it_may_use(begin):
    cpu = min(os.sched_getaffinity(0))
    assert engine(begin("echo", before=["taskset", "-c", str(cpu)])).startswith("1 worker, ")


def expected_engine(name, source):
    """What is said of a back end that was asked for: only io_uring may be refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    if name == "uring":
        ring = libc.syscall(IO_URING_SETUP, 1, ctypes.create_string_buffer(120))
        if ring < 0:
            reason = os.strerror(ctypes.get_errno())
            return f"epoll (uring was {source}, but the system refuses it: {reason})"
        os.close(ring)
    return f"{name} ({source})"


@pytest.mark.parametrize("name", ["epoll", "uring", "poll", "select"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_back_end_by_option_and_by_environment(begin, command, name):
    other = "poll" if name != "poll" else "epoll"
    asked = begin(command, "--workers", "2", "--backend", name, env={"THRUM_BACKEND": other})
    assert engine(asked) == f"2 workers, back end {expected_engine(name, 'asked for')}"
    for words in ([], ["--backend", "auto"]):
        told = begin(command, "--workers", "2", *words, env={"THRUM_BACKEND": name})
        expected = expected_engine(name, "asked for by THRUM_BACKEND")
        assert engine(told) == f"2 workers, back end {expected}"
        with told.connect() as client:
            client.send(request())
            assert client.more()


@pytest.mark.parametrize("name", ["", "auto"])
def test_no_back_end_in_the_environment_is_the_default(begin, name):
    server = begin("serve", "--workers", "1", env={"THRUM_BACKEND": name})
    assert engine(server) == "1 worker, back end epoll (default)"


def test_an_unknown_back_end_in_the_environment_is_one_line_and_status_1(run):
    status, lines, errors = run("serve", "--listen", "127.0.0.1:0", THRUM_BACKEND="kqueue")
    assert (status, lines, len(errors)) == (1, [], 1)
    assert errors[0].startswith("thrum serve: no back end is called 'kqueue'; there are epoll, ")


@pytest.mark.parametrize("words, env, source", [
    (["--backend", "uring"], {}, "asked for"),
    ([], {"THRUM_BACKEND": "uring"}, "asked for by THRUM_BACKEND"),
])
def test_where_io_uring_is_refused_epoll_serves(begin, servers, words, env, source):
    server = begin("serve", "--workers", "2", *words, env=env, before=[servers / "refuse"])
    assert engine(server) == (f"2 workers, back end epoll (uring was {source}, but the system "
                              "refuses it: Operation not permitted)")
    assert table(server)["back end"].startswith("epoll (uring was ")
    server.stop()  # nothing on standard error


# ---- what it prints, and what it sets up

@pytest.mark.parametrize("command", COMMANDS)
def test_quiet_prints_nothing(thrum_bin, tmp_path, command):
    path = tmp_path / "socket"
    with subprocess.Popen([thrum_bin, command, "--quiet", "--listen", f"unix:{path}"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            with connected(str(path)) as client:
                client.send(request())
                assert client.more()
            process.terminate()
            assert (process.communicate(timeout=TIMEOUT)[0], process.returncode) == (b"", 0)
        finally:
            process.kill()


def test_quiet_prints_errors(run, taken):
    assert run("serve", "--quiet", "--listen", f"[::1]:{taken}") == (
        1, [], [f"thrum serve: cannot listen on [::1]:{taken}: Address already in use"])


def test_closed_standard_descriptors_are_given_to_nobody(thrum_bin, tmp_path):
    """The first connection would get the access log otherwise, or an event loop would."""
    path = tmp_path / "socket"
    command = ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', thrum_bin, "serve", "--listen",
               f"unix:{path}"]
    with subprocess.Popen(command) as process:
        try:
            with connected(str(path)) as client:
                assert client.ask().status == 200
                for number in (0, 1, 2):
                    assert os.readlink(f"/proc/{process.pid}/fd/{number}") == "/dev/null"
            process.terminate()
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()


def test_the_limit_of_descriptors_is_raised_as_far_as_it_goes(begin):
    server = begin("serve", "--access-log", "off", limits={resource.RLIMIT_NOFILE: (64, 512)})
    with open(f"/proc/{server.pid}/limits") as limits:
        assert re.search(r"^Max open files +512 +512 ", limits.read(), re.M)
    clients = [server.connect() for _ in range(200)]
    for client in clients:
        assert client.ask().status == 200
        client.close()


# ---- the built-in site

def test_the_built_in_site_says_what_is_running(begin, run):
    server = begin("serve", "--workers", "2", "--backend", "select")
    with server.connect() as client:
        answer = client.ask()
        assert answer.get("Content-Type") == "text/html; charset=utf-8"
        host, port = client.socket.getsockname()
        page = answer.body.decode()
        assert dict(re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", page)) == {
            "version": run("version")[1][0].split()[1], "workers": "2",
            "back end": "select (asked for)", "your address": f"{host}:{port}"}
        assert client.ask("HEAD").get("Content-Length") == str(len(answer.body))
        links = re.findall(r'href="(.*?)"', page)
        assert links == ["/metrics"]
        numbers = client.ask(target=links[0])
        assert (numbers.status, numbers.body[:2]) == (200, b"# ")
        assert client.ask(target="/else").status == 404
        answer = client.ask("POST")
        assert (answer.status, answer.get("Allow")) == (405, "GET, HEAD, OPTIONS")


def test_without_metrics_there_is_no_link_to_them(begin):
    server = begin("serve", "--no-metrics")
    assert b"href" not in server.ask().body
    assert server.ask(target="/metrics").status == 404


def test_without_metrics_a_file_of_that_name_is_served(begin, www):
    (www / "metrics").write_text("mine")
    assert begin("serve", "--no-metrics", www).ask(target="/metrics").body == b"mine"
    assert begin("serve", www).ask(target="/metrics").body.startswith(b"# HELP thrum_")


# ---- the end

def refuses(server):
    """Whether nobody listens any more."""
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("backend", ["epoll", "uring", "poll", "select"])
def test_what_is_in_progress_is_finished_and_nothing_else(begin, www, backend, number):
    size = 20 << 20  # far more than the kernel keeps for a client that does not read
    with open(www / "big", "wb") as file:
        file.truncate(size)
    server = begin("serve", "--workers", "1", "--backend", backend, "--access-log", "off", www)
    with server.connect() as idle, server.connect() as new, \
            server.connect(receive_buffer=65536) as busy:
        assert idle.ask(target="/none").status == 404
        busy.send(request("GET", "/big"))
        assert busy.head().get("Content-Length") == str(size)
        server.signal(number)
        assert idle.at_end() and not idle.reset
        assert new.at_end() and not new.reset
        eventually(lambda: refuses(server))
        busy.skip(size)
        assert busy.at_end() and not busy.reset
    assert (server.wait(), server.err.lines) == (0, [])


@pytest.mark.parametrize("command", COMMANDS)
def test_it_ends_at_once_when_there_is_nothing_to_finish(begin, command):
    server = begin(command)
    with server.connect():
        pass
    server.signal(signal.SIGINT)
    assert (server.wait(), server.err.lines, len(server.out.lines)) == (0, [], 4)
