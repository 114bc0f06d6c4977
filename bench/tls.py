#!/usr/bin/python3
# SPDX-License-Identifier: MIT

"""
Compares Thrum's TLS with that of nginx, HAProxy, h2o and Go, side by side in one run.

For each case and each round, every server is started on one CPU in shuffled order, checked, loaded
from the other CPU, and ended. What is judged is the ratio of two servers within a round. See
README.md beside this file.
"""

import argparse
import datetime
import json
import pathlib
import random
import sys

from harness import evaluate, machine, process, sample, tls_cases, tls_servers

HERE = pathlib.Path(__file__).resolve().parent
SUBJECT = "thrum"


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--build", type=pathlib.Path, default=HERE.parent / "build" / "bench",
                   help="build directory, configured with -Dbench=true (%(default)s)")
    p.add_argument("--thrum", type=pathlib.Path, help="the program (BUILD/thrum/thrum)")
    p.add_argument("--scenario", action="append", metavar="NAME",
                   choices=sorted(c.row.name for c in tls_cases.MEASURED),
                   help="only this one (repeatable): "
                   + ", ".join(c.row.name for c in tls_cases.MEASURED))
    p.add_argument("--servers", metavar="A,B", help="only these: "
                   + ", ".join(tls_servers.all_servers(".")))
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
                   help="run before all ordinary programs (SCHED_FIFO, needs root)")
    p.add_argument("--out", type=pathlib.Path, help="result file (BUILD/bench-tls-<time>.json)")
    p.add_argument("--strict", action="store_true", help="fail when a target is missed")
    a = p.parse_args()
    if a.quick:
        a.rounds, a.seconds, a.warmup, a.attempts = 2, 0.5, 0.2, 1
    return a


def choose_servers(a):
    """The servers asked for, by name."""
    known = tls_servers.all_servers(a.build, a.thrum)
    names = a.servers.split(",") if a.servers else list(known)
    unknown = [n for n in names if n not in known]
    if unknown:
        sys.exit(f"tls.py: no such server: {', '.join(unknown)}")
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


def measure(a, settings, chosen):
    """All samples, interleaved: rounds outside, servers in shuffled order inside."""
    shuffle = random.Random(a.seed)
    failed = set()
    told = set()
    for case in [c for c in tls_cases.MEASURED if not a.scenario or c.row.name in a.scenario]:
        able = able_servers(case, chosen, told)
        for number in range(1, a.rounds + 1):
            shuffle.shuffle(able)
            for server in [s for s in able if (case.row.name, s.name) not in failed]:
                try:
                    found = tls_cases.take(settings, case, server)
                except process.Failed as e:
                    failed.add((case.row.name, server.name))
                    print(f"{server.name} left out of {case.row.name}: {e}", file=sys.stderr)
                    continue
                yield from tls_cases.samples_of(case, server, number, found)


def main():
    a = parse_arguments()
    process.unwind_on_signals()
    if a.realtime:
        machine.before_all_others()
    load = a.build / "bench" / "load"
    if not load.exists() or not load.with_name("tls_load").exists():
        sys.exit(f"tls.py: {load} or tls_load beside it is missing: meson setup -Dbench=true "
                 f"{a.build} && ninja -C {a.build}")
    settings = sample.Settings(load, a.seconds, a.warmup, a.server_cpu, a.client_cpu, a.attempts,
                               a.patience)
    chosen = choose_servers(a)
    result = {
        "kind": "tls", "machine": machine.describe(),
        "settings": {"rounds": a.rounds, "seconds": a.seconds, "warmup": a.warmup, "seed": a.seed,
                     "realtime": a.realtime},
        "subjects": list(chosen), "versions": {n: s.version() for n, s in chosen.items()},
        "samples": list(measure(a, settings, chosen)),
    }
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    out = a.out or a.build / f"bench-tls-{stamp}.json"
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(evaluate.report(result, tls_cases.ROWS, SUBJECT))
    print(f"\nresult: {out}")
    return 1 if a.strict and evaluate.unmet(result, tls_cases.ROWS, SUBJECT) else 0


if __name__ == "__main__":
    sys.exit(main())
