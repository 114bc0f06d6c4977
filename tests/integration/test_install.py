# SPDX-License-Identifier: MIT
"""`make install` gives other people's programs all they need, by pkg-config and by CMake."""
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import guide  # noqa: E402

PROGRAM = """\
#include <thrum.h>

#include <stdio.h>
#include <string.h>

int main(void)
{
    puts(th_errname(TH_EOF));
    return strcmp(th_strerror(0), "success");
}
"""

# A function whose frame is larger than its fiber's stack by far, and that uses its far end alone.
LARGE_FRAME = """\
#include <thrum.h>

static int large(void *arg)
{
    volatile char frame[1 << 20];
    (void)arg;
    frame[0] = 1;
    return frame[0];
}

static int app(void *arg)
{
    th_spawn_opts opts = { .stack_size = 65536 };
    th_scope scope;
    (void)arg;
    if (th_scope_open(&scope, 0) < 0 || th_spawn_with(&scope, large, 0, &opts, 0) < 0)
        return 1;
    return th_scope_close(&scope);
}

int main(void)
{
    return th_run(app, 0, 0) < 0;
}
"""

CMAKE = """\
cmake_minimum_required(VERSION 3.18)
project(user C)
find_package(thrum 0.1 REQUIRED)
foreach(kind thrum static)
  add_executable(with_${kind} program.c)
  target_link_libraries(with_${kind} PRIVATE thrum::${kind})
endforeach()
"""


def run(*command, **options):
    """Runs a command that must succeed; returns what it prints."""
    done = subprocess.run([str(word) for word in command], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, **options)
    assert done.returncode == 0, done.stdout
    return done.stdout


def make_install(prefix, destdir=""):
    run("make", "install", f"PREFIX={prefix}", f"DESTDIR={destdir}", "STAGE=install-test",
        cwd=ROOT)


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    path = tmp_path_factory.mktemp("prefix")
    make_install(path)
    return path


@pytest.fixture
def program(tmp_path):
    (tmp_path / "program.c").write_text(PROGRAM)
    return tmp_path / "program.c"


def libdir(prefix):
    return next(prefix.rglob("libthrum.a")).parent


def flags(prefix, *options):
    env = dict(os.environ, PKG_CONFIG_PATH=str(libdir(prefix) / "pkgconfig"))
    return run("pkg-config", "--cflags", "--libs", *options, "thrum", env=env).split()


def test_shared_through_pkg_config(prefix, program, tmp_path):
    run("cc", "-std=c99", program, *flags(prefix), "-o", tmp_path / "shared")
    env = dict(os.environ, LD_LIBRARY_PATH=str(libdir(prefix)))
    assert run(tmp_path / "shared", env=env) == "TH_EOF\n"
    assert "libthrum.so.0" in run("ldd", tmp_path / "shared", env=env)


def test_large_frames_meet_the_guard_of_a_stack(prefix, tmp_path):
    """Compiled as pkg-config says: without that the far end is in somebody else's memory."""
    (tmp_path / "large.c").write_text(LARGE_FRAME)
    run("cc", tmp_path / "large.c", *flags(prefix), "-o", tmp_path / "large")
    done = subprocess.run([tmp_path / "large"], stderr=subprocess.PIPE, text=True,
                          env=dict(os.environ, LD_LIBRARY_PATH=str(libdir(prefix))))
    assert done.returncode == -signal.SIGSEGV and "stack overflow in fiber" in done.stderr


def test_static_through_pkg_config(prefix, program, tmp_path):
    run("cc", "-static", program, *flags(prefix, "--static"), "-o", tmp_path / "static")
    assert run(tmp_path / "static") == "TH_EOF\n"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def connect(port, server):
    """Connects as soon as the server listens; fails if it ends instead."""
    for _ in range(500):
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            with pytest.raises(subprocess.TimeoutExpired):
                server.wait(0.02)
    raise AssertionError("it does not listen")


def test_first_program_of_the_readme_echoes_and_drains(prefix, tmp_path):
    port = free_port()
    source = re.search(r"```c\n(.*?)```", (ROOT / "README.md").read_text(), re.S).group(1)
    (tmp_path / "echo.c").write_text(source.replace("127.0.0.1:7000", f"127.0.0.1:{port}"))
    run("cc", "-Wall", "-Wextra", "-Werror", tmp_path / "echo.c", *flags(prefix), "-o",
        tmp_path / "echo")
    env = dict(os.environ, LD_LIBRARY_PATH=str(libdir(prefix)))
    with subprocess.Popen([tmp_path / "echo"], env=env) as server:
        try:
            with connect(port, server) as client:
                client.sendall(b"warp and weft")
                assert client.recv(100) == b"warp and weft"
                server.send_signal(signal.SIGTERM)
                client.sendall(b"still there")
                assert client.recv(100) == b"still there"
            assert server.wait(10) == 0
        finally:
            server.kill()


def test_both_through_cmake_also_after_a_move(prefix, program, tmp_path):
    moved = tmp_path / "elsewhere"
    run("cp", "-a", prefix, moved)
    (tmp_path / "CMakeLists.txt").write_text(CMAKE)
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={moved}")
    assert "-fstack-clash-protection" in run("cmake", "--build", tmp_path / "build", "--verbose")
    for kind in ("thrum", "static"):
        assert run(tmp_path / "build" / f"with_{kind}") == "TH_EOF\n"
    assert str(moved) in run("ldd", tmp_path / "build" / "with_thrum")


def test_cmake_refuses_another_series(prefix, program, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(CMAKE.replace("0.1 REQUIRED", "0.2 REQUIRED"))
    done = subprocess.run(["cmake", "-S", tmp_path, "-B", tmp_path / "build",
                           f"-DCMAKE_PREFIX_PATH={prefix}"], capture_output=True)
    assert done.returncode != 0 and b"not accepted" in done.stderr


@pytest.mark.parametrize("kind, name, commands", [
    ("cmake", "CMakeLists.txt", [["cmake", "-B", "build"], ["cmake", "--build", "build"]]),
    ("meson", "meson.build", [["meson", "setup", "build"], ["ninja", "-C", "build"]]),
])
def test_build_files_of_the_guide(prefix, tmp_path, kind, name, commands):
    blocks = list(guide.blocks(ROOT / "docs" / "guide" / "getting-started.md"))
    program = next(block for block in blocks if block.is_program)
    (tmp_path / program.name).write_text(program.text)
    (tmp_path / name).write_text(next(block.text for block in blocks if block.kind == kind))
    env = dict(os.environ, CMAKE_PREFIX_PATH=str(prefix),
               PKG_CONFIG_PATH=str(libdir(prefix) / "pkgconfig"))
    for command in commands:
        run(*command, cwd=tmp_path, env=env)
    assert str(prefix) in run("ldd", tmp_path / "build" / program.name[:-2],
                              env=dict(os.environ, LD_LIBRARY_PATH=str(libdir(prefix))))


def test_every_public_header_and_its_page_are_installed(prefix):
    headers = {path.relative_to(ROOT / "include") for path in (ROOT / "include").rglob("*.h")}
    assert {path.relative_to(prefix / "include") for path in prefix.rglob("*.h")} == headers
    for header in headers:
        page = "_".join(header.with_suffix("").parts) + ".3"
        assert (prefix / "share" / "man" / "man3" / page).exists()
    assert (prefix / "share" / "man" / "man3" / "th_strerror.3").exists()


def test_destdir_holds_all_and_the_prefix_nothing(tmp_path):
    prefix, destdir = tmp_path / "usr", tmp_path / "stage"
    make_install(prefix, destdir)
    assert not prefix.exists()
    inside = destdir / prefix.relative_to("/")
    assert (inside / "include" / "thrum.h").exists()
    pc = next(inside.rglob("thrum.pc")).read_text()
    assert str(prefix) in pc and str(destdir) not in pc
