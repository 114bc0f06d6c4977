# SPDX-License-Identifier: MIT

"""
Benchmarks that are programs of a common shape: `PROGRAM CASE COUNT` prints one JSON object.

For each case and each round every program runs once, in shuffled order. What is judged is the
ratio of two programs within a round, their difference, or the value itself.
"""

import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import random
import subprocess
import sys

from harness import evaluate, machine, process

SUBJECT = "thrum"
TIME_LIMIT = 120  # seconds that a program may take for a case
BENCH = pathlib.Path(__file__).resolve().parent.parent


@dataclasses.dataclass(frozen=True)
class Case:
    """One case: how often it is repeated inside a run, and by whom it can be run."""

    row: evaluate.Row
    count: int
    quick: int
    programs: tuple
    rounds: int | None = None  # fewer rounds than the others
    cpus: int = 1  # how many it runs on
    partial: bool = False  # a program that did not get through says how far it came


@dataclasses.dataclass(frozen=True)
class Set:
    """The cases of one benchmark, and the programs: name -> file in the build directory."""

    kind: str
    cases: tuple
    programs: dict

    def rows(self):
        return tuple(c.row for c in self.cases)


def parse_arguments(description, these):
    names = [c.row.name for c in these.cases]
    p = argparse.ArgumentParser(description=description,
                                formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--build", type=pathlib.Path, default=BENCH.parent / "build" / "bench",
                   help="build directory, configured with -Dbench=true (%(default)s)")
    p.add_argument("--scenario", action="append", choices=sorted(names), metavar="NAME",
                   help="only this one (repeatable): " + ", ".join(names))
    p.add_argument("--programs", metavar="A,B", help="only these: " + ", ".join(these.programs))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--quick", action="store_true", help="two short rounds: does it work at all?")
    p.add_argument("--cpu", type=int, default=0,
                   help="the CPU to run on; cases for two use the next one as well")
    p.add_argument("--seed", type=int, default=1, help="of the order of the programs")
    p.add_argument("--realtime", action="store_true",
                   help="run before all ordinary programs (SCHED_FIFO, needs root)")
    p.add_argument("--out", type=pathlib.Path,
                   help=f"result file (BUILD/bench-{these.kind}-<time>.json)")
    p.add_argument("--strict", action="store_true", help="fail when a target is missed")
    a = p.parse_args()
    if a.quick:
        a.rounds = 2
    return a


def _choose_programs(a, these):
    """name -> path of the programs that are there; a missing one is told."""
    names = a.programs.split(",") if a.programs else list(these.programs)
    unknown = [n for n in names if n not in these.programs]
    if unknown:
        sys.exit(f"no such program: {', '.join(unknown)}")
    chosen = {}
    for name in names:
        path = a.build / "bench" / these.programs[name]
        if os.access(path, os.X_OK):
            chosen[name] = path
        else:
            print(f"{name}: {path} is not built; left out", file=sys.stderr)
    return chosen


def _run_case(a, case, path):
    """The program's report on one case."""
    count = case.quick if a.quick else case.count
    cpus = ",".join(str(a.cpu + i) for i in range(case.cpus))
    done = subprocess.run(process.pinned(cpus, [str(path), case.row.name, str(count)]),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=TIME_LIMIT, check=False)
    try:
        said = json.loads(done.stdout)
    except ValueError as e:
        raise process.Failed(f"status {done.returncode}: {done.stderr}{done.stdout}") from e
    if not said["ok"] and not case.partial:
        raise process.Failed(f"could not do it: {said}")
    return {"value": said["value"], "seconds": said["seconds"], "bytes": said["bytes"]}


def _measure(a, these, chosen):
    """All samples, interleaved: rounds outside, programs in shuffled order inside."""
    shuffle = random.Random(a.seed)
    for case in [c for c in these.cases if not a.scenario or c.row.name in a.scenario]:
        able = [n for n in chosen if n in case.programs]
        for number in range(1, min(a.rounds, case.rounds or a.rounds) + 1):
            shuffle.shuffle(able)
            for name in list(able):
                try:
                    found = _run_case(a, case, chosen[name])
                except (process.Failed, subprocess.TimeoutExpired) as e:
                    able.remove(name)
                    print(f"{name} left out of {case.row.name}: {e}", file=sys.stderr)
                    continue
                yield {"scenario": case.row.name, "subject": name, "round": number, **found}


def main(description, these):
    """Measures, reports, and writes the result: the exit status."""
    a = parse_arguments(description, these)
    process.unwind_on_signals()
    if a.realtime:
        machine.before_all_others()
    chosen = _choose_programs(a, these)
    versions = {"go": machine.first_line(["go", "version"])} if "go" in chosen else {}
    result = {
        "kind": these.kind, "machine": machine.describe(),
        "settings": {"rounds": a.rounds, "seed": a.seed, "realtime": a.realtime},
        "subjects": list(chosen), "versions": versions,
        "samples": list(_measure(a, these, chosen)),
    }
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    out = a.out or a.build / f"bench-{these.kind}-{stamp}.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(evaluate.report(result, these.rows(), SUBJECT))
    print(f"\nresult: {out}")
    return 1 if a.strict and evaluate.unmet(result, these.rows(), SUBJECT) else 0
