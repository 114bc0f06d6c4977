# SPDX-License-Identifier: MIT

"""What is measured of TLS and asked of Thrum, and how a sample of it is taken."""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import random
import ssl
import subprocess
import tempfile

from harness import machine, process, servers, tls_servers
from harness.evaluate import Row, Target
from harness.sample import DISTURBED, START_SECONDS

PEERS = ("nginx", "haproxy", "h2o", "h2o-neverbleed", "go")
FILE_PEERS = ("nginx", "h2o", "h2o-neverbleed", "go")
DOWNLOAD = 64 * 1024 * 1024
PLAIN_RATE = 1600  # requests per second beside a storm
BESIDE = 10  # niceness of the storm's client, which shares its CPU with the one that measures

COLUMNS = (("per second", "rate", 1, 0), ("CPU %", "server_cpu", 100, 0), ("p50 us", "p50", 1, 0),
           ("p99 us", "p99", 1, 0), ("client idle %", "client_idle", 100, 0))
FILE_COLUMNS = (("MB/s", "bytes_rate", 1e-6, 0), *COLUMNS)
STORM_COLUMNS = (("handshakes/s", "handshakes", 1, 0), ("CPU %", "server_cpu", 100, 0),
                 ("p50 us", "p50", 1, 0), ("p99.9 us", "p99.9", 1, 0), ("max us", "max", 1, 0),
                 ("unanswered", "unanswered", 1, 0))


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing to measure: `mode` and `load` are the load client's."""

    row: Row
    key: str  # of tls_servers.KEYS
    mode: str  # full, resumed, http or storm
    purpose: str = "hello"
    load: tuple = ()

    def path(self, server):
        return "/64m.bin" if self.purpose == "files" else server.hello_path

    def size(self):
        return DOWNLOAD if self.purpose == "files" else len(servers.HELLO)


def _case(name, title, key, mode, *load, **more):
    purpose = more.pop("purpose", "hello")
    row = Row(name, title, more.pop("unit", "per second of CPU"),
              **{"targets": (Target(1, PEERS),), "columns": COLUMNS, **more})
    return Case(row, key, mode, purpose, load)


ALL = (
    _case("full-p256", "Full handshakes, P-256", "p256", "full", "--connections", "32"),
    _case("full-rsa2048", "Full handshakes, RSA-2048", "rsa2048", "full", "--connections", "32"),
    _case("resumed-p256", "Resumed handshakes, P-256", "p256", "resumed", "--connections", "32"),
    _case("resumed-rsa2048", "Resumed handshakes, RSA-2048", "rsa2048", "resumed",
          "--connections", "32"),
    _case("https-hello", "Answer of 13 bytes over HTTPS, 64 keep-alive connections", "p256",
          "http", "--connections", "64"),
    _case("https-64m", "64 MiB over HTTPS, 4 connections", "p256", "http", "--connections", "4",
          purpose="files", unit="MB per second of CPU", targets=(Target(1, FILE_PEERS),), columns=FILE_COLUMNS),
    _case("storm", f"p99 of {PLAIN_RATE} plain requests a second on 32 connections beside a storm "
          "of RSA-2048 handshakes", "rsa2048", "storm", unit="us",
          targets=(Target(0.5, PEERS, at_least=False),), columns=STORM_COLUMNS),
    _case("storm-rate", "Handshakes in that storm", "rsa2048", "storm", unit="per second"),
)

ROWS = tuple(c.row for c in ALL)
MEASURED = tuple(c for c in ALL if c.row.name != "storm-rate")  # that is read off another sample


def _write_files(case, www):
    www.mkdir()
    www.chmod(0o755)
    www.joinpath("hello.txt").write_bytes(servers.HELLO)
    if case.purpose == "files":
        www.joinpath("64m.bin").write_bytes(random.Random(1).randbytes(DOWNLOAD))


def _check(case, server, place):
    """One request by another client: the answer has to be right, not only fast."""
    context = ssl.create_default_context(cafile=place.cert)
    context.check_hostname = False
    client = http.client.HTTPSConnection("127.0.0.1", place.secure, timeout=20, context=context)
    with contextlib.closing(client):
        client.request("GET", case.path(server))
        answer = client.getresponse()
        body = answer.read()
    expected = place.root.joinpath("www/64m.bin").read_bytes() if case.purpose == "files" \
        else servers.HELLO
    if answer.status != 200 or body != expected:
        raise process.Failed(f"{server.name}: wrong answer to {case.path(server)}: status "
                             f"{answer.status}, {len(body)} bytes")


def _client(settings, program, mode, port, case, server, pids):
    command = [str(settings.load.parent / program), mode, "--port", str(port),
               "--path", case.path(server), "--expect", str(case.size()),
               "--warmup", str(settings.warmup), "--seconds", str(settings.seconds)]
    for pid in pids:
        command += ["--server", str(pid)]
    return process.pinned(settings.client_cpu, command)


def _run(settings, command, server, case):
    """Runs a load client to its end: what it reports."""
    span = settings.warmup + settings.seconds
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=span + START_SECONDS, check=False)
    if done.returncode != 0:
        raise process.Failed(f"{server.name}, {case.row.name}: {done.stderr}{done.stdout}")
    return json.loads(done.stdout.splitlines()[-1])


def _found(r, used=0.0):
    others = max(0.0, r["busy_cpu"] - r["client_cpu"] - r["server_cpu"] - used)
    return {"rate": r["rate"], "bytes_rate": r["bytes_rate"], "server_cpu": r["server_cpu"],
            "client_idle": r["client_idle"], "others_cpu": round(others, 3),
            "disturbed": others > DISTURBED, "unanswered": r["unanswered"],
            **{p: r["latency_us"][p] for p in ("p50", "p99", "p99.9", "max")}}


def _alone(settings, case, server, place, pids):
    command = _client(settings, "tls_load", case.mode, place.secure, case, server, pids)
    r = _run(settings, [*command, *case.load, "--spin"], server, case)
    if r["server_cpu"] <= 0:
        raise process.Failed(f"{server.name}, {case.row.name}: the server's CPU time is unknown")
    work = r["bytes_rate"] / 1e6 if case.purpose == "files" else r["rate"]
    return {**_found(r), "value": work / r["server_cpu"]}


def _storm(settings, case, server, place, pids):
    """Two clients on one CPU: the one that measures comes first, and neither polls."""
    plain = _client(settings, "load", "http", place.plain, case, server, pids)
    plain += ["--connections", "32", "--rate", str(PLAIN_RATE)]
    storm = _client(settings, "tls_load", "full", place.secure, case, server, ())
    storm += ["--connections", "32"]
    with subprocess.Popen(["nice", "-n", str(BESIDE), *storm], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as beside:
        try:
            with subprocess.Popen(plain, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) as first:
                machine.before_the_client(first.pid)
                out, err = first.communicate(timeout=settings.seconds + START_SECONDS)
            made, wrong = beside.communicate(timeout=START_SECONDS)
        finally:
            beside.kill()
    if first.returncode != 0 or beside.returncode != 0:
        raise process.Failed(f"{server.name}, {case.row.name}: {err}{out}{wrong}{made}")
    r, s = (json.loads(text.splitlines()[-1]) for text in (out, made))
    return {**_found(r, s["client_cpu"]), "handshakes": s["rate"], "value": r["latency_us"]["p99"]}


def _attempt(settings, case, server):
    with tempfile.TemporaryDirectory(prefix="thrum-bench-") as name, \
            tempfile.TemporaryFile() as log:
        place = tls_servers.Place(pathlib.Path(name), process.free_port(), process.free_port())
        place.root.chmod(0o755)
        _write_files(case, place.root / "www")
        tls_servers.make_certificate(place, case.key)
        command = process.pinned(settings.server_cpu, server.command_tls(case.purpose, place))
        with process.running(command, log) as child:
            try:
                process.wait_listening(child, place.secure)
                _check(case, server, place)
                pids = process.family(child.pid)
                take = _storm if case.mode == "storm" else _alone
                return take(settings, case, server, place, pids)
            except (OSError, http.client.HTTPException, subprocess.TimeoutExpired,
                    process.Failed) as e:
                log.seek(0)
                said = log.read(2000).decode(errors="replace").strip()
                raise process.Failed(f"{e}" + (f"\n{said}" if said else "")) from e


def take(settings, case, server):
    """A sample; the least disturbed one of several attempts where the machine is not quiet."""
    best = _attempt(settings, case, server)
    for _ in range(settings.attempts - 1):
        if not best["disturbed"]:
            break
        machine.wait_quiet(DISTURBED, settings.patience)
        again = _attempt(settings, case, server)
        if again["others_cpu"] < best["others_cpu"]:
            best = again
    return best


def samples_of(case, server, number, found):
    """What a measurement says: one sample, or both of a storm."""
    yield {"scenario": case.row.name, "subject": server.name, "round": number, **found}
    if case.mode == "storm":
        yield {**found, "scenario": "storm-rate", "subject": server.name, "round": number,
               "value": found["handshakes"], "rate": found["handshakes"]}
