# SPDX-License-Identifier: MIT

"""The load clients under test: those that Meson built (BENCH_LOAD, BENCH_TLS_LOAD), else compiled."""

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


@pytest.fixture(scope="session")
def tls_load_program(tmp_path_factory):
    built = os.environ.get("BENCH_TLS_LOAD")
    if built:
        return built
    program = tmp_path_factory.mktemp("load") / "tls_load"
    sources = [BENCH / "tls" / "load.c", BENCH / "tls" / "client.c",
               *(BENCH / "load" / f"{name}.c" for name in ("account", "histogram", "http"))]
    subprocess.run([os.environ.get("CC", "cc"), "-std=c17", "-D_GNU_SOURCE", "-O1", f"-I{BENCH}",
                    "-o", program, *sources, "-lssl", "-lcrypto", "-lm"], check=True, timeout=120)
    return str(program)
