# SPDX-License-Identifier: MIT
"""tools/setup.sh asks for what is missing and for nothing else, on a machine made of stubs."""
import os
import pathlib
import shutil
import subprocess

import pytest

SETUP = pathlib.Path(__file__).resolve().parents[2] / "tools" / "setup.sh"
REAL = ("bash", "cat", "env", "grep", "printf", "sort")  # what the script may use as it is


@pytest.fixture
def machine(tmp_path):
    """Runs setup.sh with the given installed packages; returns (status, output, commands made)."""
    def run(*groups, missing=(), root=False, sudo=False, failing="nothing"):
        bin_dir, log = tmp_path / "bin", tmp_path / "log"
        shutil.rmtree(bin_dir, ignore_errors=True)
        bin_dir.mkdir()
        log.write_text("")
        for name in REAL:
            (bin_dir / name).symlink_to(shutil.which(name))

        def stub(name, text):
            path = bin_dir / name
            path.write_text(f"#!{shutil.which('bash')}\n{text}\n")
            path.chmod(0o755)

        gone = " ".join(missing)
        stub("id", "echo 0" if root else "echo 1000")
        stub("dpkg-query", f'for p in "${{@:3}}"; do case " {gone} " in *" $p "*) echo "$p unknown";; '
                           '*) echo "$p installed";; esac; done')
        note = f'echo "${{0##*/}} $*" >>{log}; case " $* " in *" {failing} "*) exit 100;; esac'
        for name in ("apt-get", "systemctl", "rm", "chmod", "tee"):
            stub(name, note)
        if sudo:
            stub("sudo", note)
        env = dict(os.environ, PATH=str(bin_dir), POLICY_RC_D=str(tmp_path / "policy-rc.d"))
        done = subprocess.run([SETUP, *groups], env=env, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode, done.stdout, log.read_text().splitlines()
    return run


def test_complete_machine_is_left_alone(machine):
    assert machine("build", "test", "debug", "cross", "bench", "check") == (0, "", [])


def test_missing_packages_are_installed_after_one_update(machine):
    status, out, made = machine("build", "test", missing=["meson", "check"], root=True)
    assert status == 0 and "installing check meson" in out
    assert len(made) == 2 and made[0].startswith("apt-get") and " update" in made[0]
    assert made[1].endswith("install -y --no-install-recommends check meson")


def test_only_the_groups_asked_for_count(machine):
    assert machine("build", missing=["check", "nginx-light"], root=True) == (0, "", [])


def test_sudo_is_used_when_there_is_one(machine):
    status, _, made = machine("build", missing=["meson"], sudo=True)
    assert status == 0 and all(line.startswith("sudo ") for line in made) and len(made) == 2


def test_without_rights_the_exact_command_is_shown(machine):
    status, out, made = machine("build", missing=["meson", "ninja-build"])
    assert status == 1 and made == []
    assert "apt-get update && apt-get install -y --no-install-recommends meson ninja-build" in out


@pytest.mark.parametrize("who", [{"root": True}, {"sudo": True}])
def test_what_fails_is_explained(machine, who):
    status, out, made = machine("build", missing=["meson"], failing="install", **who)
    assert status == 1 and len(made) == 2
    assert "could not be installed: meson\n" in out
    assert "apt-get update && apt-get install -y --no-install-recommends meson\n" in out


def test_old_lists_do_not_stop_it(machine):
    status, out, made = machine("build", missing=["meson"], root=True, failing="update")
    assert status == 0 and "may be old" in out
    assert made[-1].endswith("install -y --no-install-recommends meson")


def test_daemons_are_kept_from_starting(machine, tmp_path):
    policy = tmp_path / "policy-rc.d"
    status, out, made = machine("bench", missing=["nginx-light", "h2o"], sudo=True)
    assert status == 0 and "is not started" in out
    installed = next(i for i, line in enumerate(made) if " install " in line)
    assert f"sudo tee {policy}" in made[:installed]
    assert made[-1] == f"sudo rm -f {policy}"
    assert {"sudo systemctl disable nginx", "sudo systemctl disable h2o"} <= set(made)


def test_policy_that_is_there_stays(machine, tmp_path):
    (tmp_path / "policy-rc.d").write_text("")
    _, _, made = machine("bench", missing=["h2o"], sudo=True)
    assert not any("policy-rc.d" in line for line in made)


def test_unknown_group_is_refused(machine):
    status, out, made = machine("nonsense")
    assert status == 2 and "no group 'nonsense'" in out and made == []
