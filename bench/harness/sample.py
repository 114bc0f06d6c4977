# SPDX-License-Identifier: MIT

"""One sample: a server is started, seen to answer rightly, loaded, read off and ended."""

import contextlib
import dataclasses
import http.client
import json
import pathlib
import select
import socket
import subprocess
import tempfile
import time

from harness import machine, process, scenarios
from harness.servers import HELLO

DISTURBED = 0.1  # CPUs that others may use during a sample before it counts as disturbed
START_SECONDS = 30  # what the load client may take beyond its own warm-up and duration


@dataclasses.dataclass(frozen=True)
class Settings:
    """How every sample of a run is taken."""

    load: pathlib.Path  # the load client
    seconds: float
    warmup: float
    server_cpu: int
    client_cpu: int
    attempts: int  # how often a disturbed sample is taken, at most
    patience: float  # seconds to wait for a quiet machine before each further one


def _check_http(scenario, server, port, www):
    """One request by another client: the answer has to be right, not only fast."""
    expected = www.joinpath(scenario.file).read_bytes() if scenario.file else HELLO
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(client):
        client.request("GET", scenario.path(server))
        answer = client.getresponse()
        body = answer.read()
    if answer.status != 200 or body != expected:
        raise process.Failed(f"{server.name}: wrong answer to {scenario.path(server)}: status "
                             f"{answer.status}, {len(body)} bytes")


def _check_echo(server, port):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
        s.sendall(HELLO)
        back = b""
        while len(back) < len(HELLO) and (more := s.recv(64)):
            back += more
    if back != HELLO:
        raise process.Failed(f"{server.name}: echoes {back!r}")


def _check_udp(server, child, port, seconds=10):
    """Asks until there is an answer: nobody can tell otherwise that a server receives."""
    end = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("127.0.0.1", port))
        s.settimeout(0.05)
        while time.monotonic() < end:
            if child.poll() is not None:
                raise process.Failed(f"ended at its start with status {child.returncode}")
            with contextlib.suppress(TimeoutError, ConnectionRefusedError):
                s.send(HELLO)
                back = s.recv(64)
                if back != HELLO:
                    raise process.Failed(f"{server.name}: echoes {back!r}")
                return
            time.sleep(0.02)
    raise process.Failed(f"answers no datagram on port {port} after {seconds} s")


def _check(scenario, server, child, port, www):
    if scenario.purpose == "udp":
        _check_udp(server, child, port)
        return
    process.wait_listening(child, port)
    if scenario.purpose in ("echo", "forward"):
        _check_echo(server, port)
    else:
        _check_http(scenario, server, port, www)


def _load_command(settings, scenario, server, port):
    command = [str(settings.load), scenario.mode, "--port", str(port), *scenario.load]
    if scenario.mode not in ("echo", "udp"):
        command += ["--path", scenario.path(server), "--expect", str(scenario.size())]
    return process.pinned(settings.client_cpu, command)


def _parse(text, what):
    try:
        return json.loads(text.splitlines()[-1])
    except (IndexError, ValueError) as e:
        raise process.Failed(f"{what}: the load client reported {text!r}") from e


def _rate(settings, scenario, server, port, pids, behind=None):
    """Rate, latencies and CPU shares under load. `behind` is a process that works for the server."""
    command = _load_command(settings, scenario, server, port)
    command += ["--spin", "--warmup", str(settings.warmup), "--seconds", str(settings.seconds)]
    for pid in pids:
        command += ["--server", str(pid)]
    span = settings.warmup + settings.seconds
    before = process.cpu_seconds(behind) if behind else 0
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=span + START_SECONDS, check=False)
    used = (process.cpu_seconds(behind) - before) / span if behind else 0
    if done.returncode != 0:
        raise process.Failed(f"{server.name}, {scenario.row.name}: {done.stderr}{done.stdout}")
    r = _parse(done.stdout, server.name)
    others = max(0.0, r["busy_cpu"] - r["client_cpu"] - r["server_cpu"] - used)
    found = {
        "value": r["rate"], "rate": r["rate"], "bytes_rate": r["bytes_rate"], "server_cpu": r["server_cpu"],
        "per_core": r["rate"] / r["server_cpu"] if r["server_cpu"] > 0 else None,
        "client_idle": r["client_idle"], "others_cpu": round(others, 3),
        "disturbed": others > DISTURBED, "answers": r["answers"],
        **{p: r["latency_us"][p] for p in ("p50", "p99", "p99.9", "max")},
    }
    if scenario.purpose == "forward":
        found["value"] = found["per_core"]
    return found


def _ready(client, seconds):
    """Waits for the line with which the load client says that all connections are open."""
    readable, _, _ = select.select([client.stdout], [], [], seconds)
    return bool(readable) and client.stdout.readline().strip() == "ready"


def _memory(settings, scenario, server, port, pids):
    """Growth of the server's own memory by connections that asked once and stay open."""
    command = _load_command(settings, scenario, server, port)
    count = int(scenario.load[scenario.load.index("--connections") + 1])
    before = process.private_bytes(pids)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as client:
        try:
            ready = _ready(client, START_SECONDS)
            after = process.private_bytes(pids) if ready else 0
            out, err = client.communicate("\n", timeout=START_SECONDS)
        finally:
            client.kill()
    if client.returncode != 0 or _parse(out, server.name)["held"] != count:
        raise process.Failed(f"{server.name}, idle: {err}{out}")
    return {"value": (after - before) / count, "before": before, "after": after,
            "disturbed": False}


@contextlib.contextmanager
def _behind(settings, scenario, log):
    """The server to which a forwarder forwards, if that is what is measured, on the load's CPU."""
    if scenario.purpose != "forward":
        yield None, None
        return
    port = process.free_port()
    echo = [str(settings.load.parent / "raw_epoll"), "echo", str(port)]
    with process.running(process.pinned(settings.client_cpu, echo), log) as child:
        process.wait_listening(child, port)
        machine.before_the_client(child.pid)
        yield port, child.pid


def _attempt(settings, scenario, server):
    port = process.free_port()
    with tempfile.TemporaryDirectory(prefix="thrum-bench-") as name, \
            tempfile.TemporaryFile() as log, \
            _behind(settings, scenario, log) as (to, behind):
        root = pathlib.Path(name)
        root.chmod(0o755)  # servers that drop privileges still have to read the files
        www = root / "www"
        scenarios.write_files(www)
        command = process.pinned(settings.server_cpu, server.command(scenario.purpose, port, root, to))
        with process.running(command, log) as child:
            try:
                _check(scenario, server, child, port, www)
                pids = process.family(child.pid)
                if scenario.mode == "idle":
                    return _memory(settings, scenario, server, port, pids)
                return _rate(settings, scenario, server, port, pids, behind)
            except (OSError, http.client.HTTPException, process.Failed) as e:
                log.seek(0)
                said = log.read(2000).decode(errors="replace").strip()
                raise process.Failed(f"{e}" + (f"\n{said}" if said else "")) from e


def take(settings, scenario, server):
    """A sample; the least disturbed one of several attempts where the machine is not quiet."""
    best = _attempt(settings, scenario, server)
    for _ in range(settings.attempts - 1):
        if not best["disturbed"]:
            break
        machine.wait_quiet(DISTURBED, settings.patience)
        again = _attempt(settings, scenario, server)
        if again["others_cpu"] < best["others_cpu"]:
            best = again
    return best
