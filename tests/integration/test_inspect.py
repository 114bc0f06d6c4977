# SPDX-License-Identifier: MIT
"""thrum ps, tree, why and profile see what every fiber of another process does, or of a core."""
import json
import mmap
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys

import jsonschema
import pytest

import serving
from inspecting import KINDS, Look, functions, named, waiting

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "ps.schema.json").read_text())
VARIANTS = ("waits", "waits_shared")


@pytest.fixture(scope="module")
def programs(build):
    return build / "tests" / "inspect"


@pytest.fixture(scope="module")
def look(thrum_bin):
    return Look(thrum_bin)


@pytest.fixture
def waits(programs):
    with waiting(programs / "waits", len(KINDS)) as process:
        yield process


def check_all_waits(snapshot, count):
    """All that waits.c has parked are there, with the right wait and the right stack."""
    jsonschema.validate(snapshot, SCHEMA)
    fibers = snapshot["fibers"]
    assert snapshot["complete"]
    assert len({fiber["id"] for fiber in fibers}) == len(fibers)
    for number, kind in enumerate(KINDS):
        waiters = [fiber for fiber in fibers if fiber["name"] == kind]
        assert len(waiters) == (count + len(KINDS) - 1 - number) // len(KINDS), kind
        for fiber in waiters:
            assert (fiber["state"], fiber["moving"]) == ("parked", False), fiber
            assert fiber["wait"]["kind"] == kind, fiber
            names = functions(fiber)
            start = names.index(f"wait_{kind}")
            assert names[start:start + 3] == [f"wait_{kind}", "middle", "body"], names
            assert fiber["stack"][start]["file"].endswith("waits.c"), fiber


# ---- all of them

@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("stopped", (False, True), ids=("running", "stopped"))
def test_a_thousand_fibers_in_every_kind_of_wait(look, programs, variant, stopped):
    with waiting(programs / variant, 1000) as process:
        if stopped:
            os.kill(process.pid, signal.SIGSTOP)
        check_all_waits(look.ps("--stacks", process.pid), 1000)


@pytest.fixture(scope="module", params=VARIANTS)
def core(request, build, programs, tmp_path_factory):
    """A core that the kernel wrote of a process with a thousand fibers; (core, its program)."""
    if serving.sanitized(build):
        pytest.skip("a sanitizer's shadow memory makes cores that are too large")
    pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if pattern.startswith(("|", "/")):
        pytest.skip(f"the system puts no core into the working folder (core_pattern is {pattern})")
    folder = tmp_path_factory.mktemp("core")
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard != resource.RLIM_INFINITY:
        pytest.skip(f"cores are limited to {hard} bytes here")
    program = programs / request.param
    done = subprocess.run(
        [program, "1000", "abort"], cwd=folder, stdout=subprocess.DEVNULL, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)))
    assert done.returncode == -signal.SIGABRT
    files = list(folder.iterdir())
    assert len(files) == 1, files
    yield files[0], program
    shutil.rmtree(folder)


def test_a_core_shows_the_same(look, core):
    snapshot = look.ps("--stacks", "--core", core[0])
    check_all_waits(snapshot, 1000)
    teller = named(snapshot, "teller")
    assert teller["state"] == "running"
    assert {"abort", "tell"} <= set(functions(teller)), teller  # from the registers of its thread
    assert named(snapshot, "patient")["wait"]["thread"] > 0


def test_a_core_finds_its_program_where_it_is_told(look, core, tmp_path):
    file, program = core
    copy = tmp_path / "elsewhere"
    shutil.copy(program, copy)
    snapshot = look.ps("--stacks", "--core", file, "--exe", copy)
    assert snapshot["program"] == str(copy)
    check_all_waits(snapshot, 1000)
    status, _, err = look.run("ps", "--core", file, "--exe", tmp_path / "nowhere")
    assert status == 1 and "no such program" in err


def test_damaged_cores_are_refused_or_shown_in_part(look, core, tmp_path):
    whole = core[0].read_bytes()
    damaged = tmp_path / "core"
    for size in (0, 1, 63, 64, 120, 4096, 100000, len(whole) // 3, len(whole) - 1):
        damaged.write_bytes(whole[:size])
        look.run("ps", "--stacks", "--core", damaged)
    for at in (16, 18, 32, 40, 54, 56, 64, 72, 96, 104, 200, 400, 1000, 2500):
        broken = bytearray(whole[:2_000_000])
        broken[at:at + 4] = b"\xff\xff\xff\x7f"
        damaged.write_bytes(broken)
        look.run("ps", "--stacks", "--core", damaged)


def test_garbage_in_a_core_is_no_crash(look, core, tmp_path):
    copy = tmp_path / "core"
    shutil.copy(core[0], copy)
    chance = random.Random(1)
    with open(copy, "r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
        pages = [at for at in range(65536, len(memory) - 4096, 4096)
                 if memory[at:at + 4096].count(0) < 4000]
        for damage in range(12):
            for _ in range(2 ** damage):
                at = chance.choice(pages) + chance.randrange(512) * 8
                other = chance.choice(pages) + chance.randrange(512) * 8
                memory[at:at + 8] = chance.choice((chance.randbytes(8), memory[other:other + 8],
                                                   bytes(8), b"\xff" * 8))
            for words in (["ps", "--stacks", "--json"], ["ps", "--summary"], ["tree"]):
                look.run(*words, "--core", copy)
        memory.close()
    look.run("why", "--core", copy, 1)
    copy.unlink()


def test_stripped_program_shows_waits_and_addresses(look, programs):
    with waiting(programs / "waits_stripped", len(KINDS)) as process:
        snapshot = look.ps("--stacks", process.pid)
        jsonschema.validate(snapshot, SCHEMA)
        for kind in KINDS:
            fiber = named(snapshot, kind)
            assert fiber["wait"]["kind"] == kind
            assert len(fiber["stack"]) >= 4
            assert {place["module"] for place in fiber["stack"]} == {str(programs / "waits_stripped")}


def test_without_libdw_the_stacks_are_the_same_but_nameless(look, programs, waits):
    plain = programs / "thrum_plain"
    if not plain.exists():
        pytest.skip("the program itself is built without libdw")
    by_frames = Look(plain).ps("--stacks", waits.pid)
    by_libdw = look.ps("--stacks", waits.pid)
    jsonschema.validate(by_frames, SCHEMA)
    for kind in KINDS:
        addresses = [place["pc"] for place in named(by_frames, kind)["stack"]]
        right = list(dict.fromkeys(place["pc"] for place in named(by_libdw, kind)["stack"]))
        assert len(addresses) > 3 and addresses == right[:len(addresses)], kind


# ---- what is told of each wait

def test_waits_tell_what_they_are_about(look, waits):
    snapshot = look.ps(waits.pid)
    wait = {kind: named(snapshot, kind)["wait"] for kind in KINDS}
    hour = 3600 * 10**9
    assert 0 < wait["sleep"]["left_ns"] < hour
    assert wait["mutex"]["fiber"] == named(snapshot, "holder")["id"]
    assert wait["mutex"]["symbol"] == "held"
    assert wait["event"]["symbol"] == "never_set"
    assert wait["join"]["fiber"] == named(snapshot, "joined")["id"]
    assert wait["scope"]["children"] == 1
    assert wait["spawn"]["text"] == "spawn, 1 of 1 children"
    assert re.fullmatch(r"tcp 127\.0\.0\.1:\d+ - 127\.0\.0\.1:\d+", wait["read"]["socket"])
    assert wait["write"]["socket"].startswith("unix")
    assert wait["offload"]["function"] == "blocking_work"
    assert named(snapshot, "patient")["wait"]["thread"] == waits.holder
    for kind in KINDS:
        assert 0 <= wait[kind]["waited_ns"] < hour


def test_fibers_tell_parents_deadlines_and_workers(look, waits):
    snapshot = look.ps(waits.pid)
    main = named(snapshot, "main")
    assert main["parent"] is None
    for kind in KINDS:  # on both workers
        assert named(snapshot, kind)["parent"] == main["id"]
    assert {fiber["worker"] for fiber in snapshot["fibers"]} == {0, 1}
    for kind in KINDS:
        assert re.fullmatch(r"body at waits\.c:\d+", named(snapshot, kind)["origin"])
    assert named(snapshot, "joined")["parent"] == named(snapshot, "join")["id"]
    assert 0 < named(snapshot, "scope")["deadline_ns"] < 3600 * 10**9
    assert named(snapshot, "sleep")["deadline_ns"] is None
    threads = [worker["thread"] for worker in snapshot["workers"]]
    assert sorted(threads)[0] == waits.pid
    assert set(threads) <= {int(name) for name in os.listdir(f"/proc/{waits.pid}/task")}


def test_list_can_be_filtered_and_sorted(look, waits):
    def ids(*words):
        return [int(line.split()[0]) for line in look.say("ps", *words, waits.pid).splitlines()[4:]]
    assert len(ids("--wait", "mutex")) == 2
    assert ids("--wait", "nonsense") == []
    everybody = ids()
    assert everybody == sorted(everybody)
    longest = [fiber["wait"]["waited_ns"] for fiber in look.ps("--sort", "time", waits.pid)["fibers"]]
    assert longest == sorted(longest, reverse=True)
    assert sorted(ids("--sort", "kind")) == everybody


def test_fibers_without_a_name_are_called_after_their_function(look, waits):
    names = [line.split()[1].rstrip(",") for line in look.say("tree", waits.pid)
             .replace("|- ", "").replace("`- ", "").replace("|  ", "").splitlines()]
    assert names.count("nameless") == 1 and names.count("sleep_body") == 1, names


def test_summary_counts_by_wait_and_place(look, programs):
    with waiting(programs / "waits", 10 * len(KINDS)) as process:
        rows = look.say("ps", "--summary", process.pid).splitlines()[4:]
    counts = {row[37:].split()[0]: int(row.split()[0]) for row in rows
              if re.search(r" wait_(?!for_thread)", row)}
    assert counts == {f"wait_{kind}": 10 for kind in KINDS}, rows


def test_tree_puts_children_below_their_parents(look, waits):
    lines = look.say("tree", waits.pid).splitlines()
    assert re.match(r"1 main, worker 0: scope, \d+ children", lines[0])
    assert all(re.match(r"[|`]- |[| ]  [|`]- ", line) for line in lines[1:])
    at = next(i for i, line in enumerate(lines) if re.search(r"\d join,", line))
    assert re.match(r"[| ]  `- \d+ joined, ", lines[at + 1]), lines


# ---- why

def test_why_follows_a_lock_to_its_holder(look, waits):
    snapshot = look.ps(waits.pid)
    out = look.say("why", waits.pid, named(snapshot, "mutex")["id"])
    holder = named(snapshot, "holder")["id"]
    assert f"for: mutex held, held by fiber {holder} (holder)" in out
    assert "in:  wait_mutex (waits.c:" in out
    assert re.search(rf"\n  fiber {holder} \(holder\), .*\n    for: sleep", out)
    assert "the clock ends that" in out
    out = look.say("why", waits.pid, named(snapshot, "patient")["id"])
    assert f"held by thread {waits.holder}" in out
    out = look.say("why", waits.pid, named(snapshot, "main")["id"])
    assert "more: see thrum tree" in out and "see above" in out


def test_why_finds_a_circle(look, programs):
    with waiting(programs / "waits", 1, "deadlock") as process:
        snapshot = look.ps(process.pid)
        circle = [fiber["id"] for fiber in snapshot["fibers"] if fiber["name"] == "philosopher"]
        assert len(circle) == 3
        for fiber in circle:
            status, out, err = look.run("why", process.pid, fiber)
            assert (status, err) == (3, "")
            assert f"fiber {fiber} again: they wait for each other in a circle" in out
            assert all(f"fiber {other} (philosopher)" in out for other in circle)
        status, out, err = look.run("why", process.pid, named(snapshot, "no circle")["id"])
        assert (status, err) == (0, "") and "but the end of any of them will do" in out, out
        sleeper = named(snapshot, "sleep")["id"]
        assert look.run("why", process.pid, sleeper)[0] == 0


def test_why_works_on_a_core(look, core):
    snapshot = look.ps("--core", core[0])
    waiter = next(fiber for fiber in snapshot["fibers"] if fiber["name"] == "mutex")
    out = look.say("why", "--core", core[0], waiter["id"])
    assert f"fiber {waiter['wait']['fiber']} (holder)" in out


def test_gdb_shows_a_core(core):
    words = ["gdb", "-nx", "-batch", "-ex", f"source {ROOT / 'tools' / 'gdb' / 'thrum.py'}",
             "-ex", "thrum waits mutex", "-ex", "thrum why 2", core[1], core[0]]
    out = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         timeout=120).stdout
    waiters = re.findall(r"^ +\d+ m?s +\d+  mutex on 0x[0-9a-f]+, held by (.*)", out, re.M)
    assert len(waiters) == 92 and waiters.count("fiber 2") == 91, out
    assert re.search(r"^2 +0  parked  holder +sleep, \d+\.\d s left", out, re.M), out


# ---- profile

def test_profile_folds_stacks_and_reads_those_that_rest_once(look, waits):
    status, out, err = look.run("profile", waits.pid, "--wait", "--seconds", 1, "--rate", 20,
                                "--stats")
    assert status == 0
    samples, seen, read = map(int, re.fullmatch(
        r"(\d+) samples, (\d+) fibers seen, (\d+) stacks read\n", err).groups())
    stacks = dict(line.rsplit(" ", 1) for line in out.splitlines())
    fibers = len(look.ps(waits.pid)["fibers"])
    # The one that has said "ready" may have been seen once, while it ended.
    assert samples >= 2 and 0 <= seen - samples * fibers <= 1 and 0 <= read - fibers <= 1
    assert 0 <= seen - sum(map(int, stacks.values())) <= 1
    for kind in KINDS:
        mine = [stack for stack in stacks if f";body;middle;wait_{kind};" in stack]
        assert len(mine) == 1 and mine[0].startswith(f"{kind};") and mine[0].endswith(f";{kind}")
        assert int(stacks[mine[0]]) == samples


# ---- what cannot be done is said

def test_refusals_say_what_is_wrong(look, waits, tmp_path):
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            assert "does not use Thrum" in look.run("ps", other.pid)[2]
        finally:
            other.kill()
    assert "no process 999999999" in look.run("ps", "999999999")[2]
    (tmp_path / "text").write_text("this is no core\n" * 100)
    assert "no core file" in look.run("ps", "--core", tmp_path / "text")[2]
    assert "no core file" in look.run("ps", "--core", tmp_path)[2]
    assert "No such file" in look.run("ps", "--core", tmp_path / "nothing")[2]
    assert "no fiber 987654" in look.run("why", waits.pid, 987654)[2]
    for words in (["ps"], ["ps", "0"], ["ps", "x"], ["ps", "1", "2"], ["ps", "--exe", "x", "1"],
                  ["ps", "--sort", "beauty", "1"], ["ps", "--core", "x", "1"], ["tree"],
                  ["why", "1"], ["why", "1", "2", "3"], ["why", "--core", "x"], ["profile", "1"],
                  ["profile", "--wait"], ["profile", "--wait", "--rate", "0", "1"]):
        status, out, err = look.run(*words)
        assert (status, out) == (2, "") and err.startswith(f"thrum {words[0]}: "), words
        assert err.count("\n") == 1


def test_refused_by_the_system_is_explained(look, waits):
    if os.geteuid() != 0:
        pytest.skip("only root can try as somebody else")
    status, out, err = look.run("ps", waits.pid, user=65534, group=65534)
    assert (status, out) == (1, "")
    assert "belongs to another user" in err


def test_process_that_ends_meanwhile_is_no_crash(look, programs):
    for delay in (0, 0.005, 0.02):
        with waiting(programs / "waits", 200) as process:
            ps = subprocess.Popen([str(look.program), "ps", "--stacks", str(process.pid)],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                ps.wait(delay)
            except subprocess.TimeoutExpired:
                pass
        assert ps.wait(60) in (0, 1)


# ---- a server under load

def test_looking_into_a_loaded_server_disturbs_neither(thrum_bin, build):
    runs = 10 if serving.sanitized(build) else 50
    done = subprocess.run([sys.executable, ROOT / "tests" / "inspect" / "soak.py", "--program",
                           thrum_bin, "--runs", str(runs)], text=True, capture_output=True,
                          timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{runs} runs, [1-9]\d* requests", done.stdout, re.M), done.stdout
