# SPDX-License-Identifier: MIT

"""The load client under test: the one that Meson built (BENCH_LOAD), else one compiled here."""

import os
import pathlib
import subprocess
import sys

import pytest

BENCH = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(BENCH))


@pytest.fixture(scope="session")
def load_program(tmp_path_factory):
    built = os.environ.get("BENCH_LOAD")
    if built:
        return built
    program = tmp_path_factory.mktemp("load") / "load"
    sources = [BENCH / "load.c", *sorted((BENCH / "load").glob("*.c"))]
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-D_GNU_SOURCE", "-O1", f"-I{BENCH}",
                    "-o", program, *sources, "-lm"], check=True, timeout=120)
    return str(program)
