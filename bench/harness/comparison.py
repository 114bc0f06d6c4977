# SPDX-License-Identifier: MIT

"""
A comparison of servers on this machine, side by side in one run: arguments, samples, the result.

For each case and each round, every server is started on one CPU in shuffled order, checked, loaded
from the other CPU, and ended. What is judged is the ratio of two servers within a round.
"""

import argparse
import datetime
import json
import pathlib
import random
import sys
import typing

from . import evaluate, machine, process, sample

BENCH = pathlib.Path(__file__).resolve().parent.parent
SUBJECT = "thrum"


class Comparison(typing.NamedTuple):
    """What differs from one comparison to another."""
    program: str            # "run.py", for messages
    kind: str               # "http", in the result
    servers: typing.Callable  # (build, thrum): all of them by name
    cases: list             # in the order in which they are measured
    rows: list              # of the report
    take: typing.Callable   # (settings, case, server): what was found
    samples: typing.Callable  # (case, server, round, found): what is kept of that
    loads: tuple            # programs in BUILD/bench that make the load


def parse_arguments(c, description):
    p = argparse.ArgumentParser(description=description,
                                formatter_class=argparse.RawTextHelpFormatter)
    names = [case.row.name for case in c.cases]
    p.add_argument("--build", type=pathlib.Path, default=BENCH.parent / "build" / "bench",
                   help="build directory, configured with -Dbench=true (%(default)s)")
    p.add_argument("--thrum", type=pathlib.Path, help="the program (BUILD/thrum/thrum)")
    p.add_argument("--scenario", action="append", choices=sorted(names), metavar="NAME",
                   help="only this one (repeatable): " + ", ".join(names))
    p.add_argument("--servers", metavar="A,B",
                   help="only these: " + ", ".join(c.servers(".", None)))
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=3, help="measured time of a sample")
    p.add_argument("--warmup", type=float, default=0.5, help="time before it")
    p.add_argument("--quick", action="store_true", help="two short rounds: does it work at all?")
    p.add_argument("--server-cpu", type=int, default=0)
    p.add_argument("--client-cpu", type=int, default=1)
    p.add_argument("--attempts", type=int, default=3,
                   help="how often a sample is taken that other load disturbs")
    p.add_argument("--patience", type=float, default=10,
                   help="seconds to wait for a quiet machine before another attempt")
    p.add_argument("--seed", type=int, default=1, help="of the order of the servers")
    p.add_argument("--realtime", action="store_true",
                   help="run before all ordinary programs (SCHED_FIFO, needs root): for a machine\n"
                        "that others use as well")
    p.add_argument("--out", type=pathlib.Path,
                   help=f"result file (BUILD/bench-{c.kind}-<time>.json)")
    p.add_argument("--strict", action="store_true", help="fail when a target is missed")
    a = p.parse_args()
    if a.quick:
        a.rounds, a.seconds, a.warmup, a.attempts = 2, 0.5, 0.2, 1
    return a


def choose_servers(c, a):
    """The servers asked for, by name."""
    known = c.servers(a.build, a.thrum)
    names = a.servers.split(",") if a.servers else list(known)
    unknown = [n for n in names if n not in known]
    if unknown:
        sys.exit(f"{c.program}: no such server: {', '.join(unknown)}")
    return {name: known[name] for name in names}


def able_servers(case, chosen, told):
    """Those that can run the case; why another one cannot is told once."""
    able = []
    for server in [s for s in chosen.values() if case.purpose in s.purposes]:
        why = server.missing(case.purpose)
        if not why:
            able.append(server)
        elif why not in told:
            told.add(why)
            print(f"{server.name} left out: {why}", file=sys.stderr)
    return able


def tell(text):
    """Shows on a terminal what is going on; the line is overwritten by the next one."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def measure(c, a, settings, chosen):
    """All samples, interleaved: rounds outside, servers in shuffled order inside."""
    shuffle = random.Random(a.seed)
    failed = set()
    told = set()
    for case in [x for x in c.cases if not a.scenario or x.row.name in a.scenario]:
        able = able_servers(case, chosen, told)
        for number in range(1, a.rounds + 1):
            shuffle.shuffle(able)
            for server in [s for s in able if (case.row.name, s.name) not in failed]:
                tell(f"{case.row.name}, round {number} of {a.rounds}: {server.name}")
                try:
                    found = c.take(settings, case, server)
                except process.Failed as e:
                    failed.add((case.row.name, server.name))
                    tell("")
                    print(f"{server.name} left out of {case.row.name}: {e}", file=sys.stderr)
                    continue
                yield from c.samples(case, server, number, found)
    tell("")


def find_loads(c, build):
    """The first program that makes load; all have to be there."""
    loads = [build / "bench" / name for name in c.loads]
    missing = [str(load) for load in loads if not load.exists()]
    if missing:
        sys.exit(f"{c.program}: missing: {', '.join(missing)}: meson setup -Dbench=true {build} "
                 f"&& ninja -C {build}")
    return loads[0]


def run(c, description):
    """The whole comparison; the exit status."""
    a = parse_arguments(c, description)
    process.unwind_on_signals()
    if a.realtime:
        machine.before_all_others()
    settings = sample.Settings(find_loads(c, a.build), a.seconds, a.warmup, a.server_cpu,
                               a.client_cpu, a.attempts, a.patience)
    chosen = choose_servers(c, a)
    result = {
        "kind": c.kind, "machine": machine.describe(),
        "settings": {"rounds": a.rounds, "seconds": a.seconds, "warmup": a.warmup, "seed": a.seed,
                     "realtime": a.realtime},
        "subjects": list(chosen), "versions": {n: s.version() for n, s in chosen.items()},
        "samples": list(measure(c, a, settings, chosen)),
    }
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    out = a.out or a.build / f"bench-{c.kind}-{stamp}.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(evaluate.report(result, c.rows, SUBJECT))
    print(f"\nresult: {out}")
    return 1 if a.strict and evaluate.unmet(result, c.rows, SUBJECT) else 0
