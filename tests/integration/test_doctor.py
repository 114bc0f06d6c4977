# SPDX-License-Identifier: MIT
"""thrum doctor: what a machine and a user allow, and the exact change to make.

Machines are folders with the files of /proc and /sys that matter; what only a kernel can tell is
asked of the one that we are on, with and without a sandbox.
"""
import json
import pathlib
import re
import resource
import subprocess

import jsonschema
import pytest

from serving import TIMEOUT

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "doctor.schema.json").read_text())

LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max processes             {nproc}                {nproc}                processes
Max open files            {soft}                {hard}              files
Max locked memory         8388608              8388608              bytes
"""


def machine(**changes):
    """The files of an ordinary server: 4 CPUs, 8 GiB, systemd's limits, control groups version 2."""
    files = {
        "proc/sys/kernel/osrelease": "6.1.0-18-amd64",
        "proc/sys/kernel/threads-max": "62000",
        "proc/sys/kernel/io_uring_disabled": "0",
        "proc/sys/kernel/random/entropy_avail": "256",
        "proc/self/status": "Name:\tthrum\nThreads:\t1\nSeccomp:\t0\nCpus_allowed_list:\t0-3\n",
        "proc/self/limits": LIMITS.format(nproc=31000, soft=1024, hard=524288),
        "proc/self/cgroup": "0::/system.slice/weaver.service",
        "proc/meminfo": "MemTotal:        8167848 kB\nMemAvailable:    7000000 kB\n",
        "proc/sys/fs/nr_open": "1048576",
        "proc/sys/fs/file-max": "9223372036854775807",
        "proc/sys/fs/file-nr": "1216\t0\t9223372036854775807",
        "proc/sys/vm/max_map_count": "65530",
        "proc/sys/net/core/somaxconn": "4096",
        "proc/sys/net/core/rmem_default": "212992",
        "proc/sys/net/core/rmem_max": "4194304",
        "proc/sys/net/core/wmem_max": "4194304",
        "proc/sys/net/ipv4/tcp_max_syn_backlog": "1024",
        "proc/sys/net/ipv4/tcp_syncookies": "1",
        "proc/sys/net/ipv4/ip_local_port_range": "32768\t60999",
        "proc/sys/net/ipv4/ip_local_reserved_ports": "",
        "proc/sys/net/ipv4/tcp_tw_reuse": "2",
        "proc/sys/net/ipv4/tcp_max_tw_buckets": "32768",
        "proc/sys/net/ipv4/tcp_timestamps": "1",
        "proc/sys/net/ipv4/tcp_mem": "95610\t127482\t191220",
        "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t6291456",
        "proc/sys/net/ipv4/tcp_wmem": "4096\t16384\t4194304",
        "proc/sys/net/ipv4/tcp_congestion_control": "cubic",
        "proc/sys/net/ipv4/tcp_available_congestion_control": "reno cubic",
        "proc/sys/net/ipv4/tcp_available_ulp": "espintcp mptcp tls",
        "sys/fs/cgroup/system.slice/weaver.service/cpu.max": "max 100000",
        "sys/fs/cgroup/system.slice/weaver.service/memory.max": "max",
        "sys/fs/cgroup/system.slice/weaver.service/memory.current": "1048576",
        "sys/fs/cgroup/system.slice/weaver.service/pids.max": "9000",
        "sys/fs/cgroup/system.slice/weaver.service/pids.current": "1",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "tsc",
        "sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc hpet acpi_pm",
        "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
    }
    files.update(changes)
    return {name: text for name, text in files.items() if text is not None}


@pytest.fixture
def doctor(thrum_bin, tmp_path):
    """Runs it on a machine: doctor(files, "--for", "1000") gives (status, report)."""
    def run(files, *words, json_out=True):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text + "\n")
        done = subprocess.run([thrum_bin, "doctor", "--root", tmp_path, *words,
                               *(["--json"] if json_out else [])],
                              text=True, timeout=TIMEOUT, capture_output=True)
        assert done.stderr == ""
        if not json_out:
            return done.returncode, done.stdout
        report = json.loads(done.stdout)
        jsonschema.validate(report, SCHEMA)
        report["by"] = {finding["topic"]: finding for finding in report["findings"]}
        assert len(report["by"]) == len(report["findings"])
        assert report["mend"] == sum(f["level"] == "mend" for f in report["findings"])
        assert done.returncode == (report["mend"] > 0)
        return done.returncode, report
    return run


def levels(report):
    """Of those topics that are not fine."""
    return {f["topic"]: f["level"] for f in report["findings"] if f["level"] != "fine"}


# ---- machines

def test_an_ordinary_server_is_good_for_ten_thousand(doctor):
    status, report = doctor(machine(), "--for", "10000")
    assert (status, levels(report)) == (0, {"descriptors": "note"})
    found = report["by"]
    assert found["descriptors"]["values"] == {
        "soft": 1024, "hard": 524288, "nr_open": 1048576, "file_max": "unlimited", "in_use": 1216}
    assert found["descriptors"]["changes"][0].startswith("ulimit -n 10064 ")
    assert found["CPUs"]["values"] == {"allowed": 4, "quota_milli": "unlimited", "workers": 4}
    assert found["ports"]["values"] == {"first": 32768, "last": 60999, "usable": 28232}
    assert found["threads"]["values"] == {"user": 31000, "group": 9000, "left": 8999}
    assert (report["connections"], report["held_by"]) == (524224, "descriptors")
    assert report["bytes_per_second_at_100_ms"] == 6291456 // 2 * 10


def test_more_connections_than_descriptors(doctor):
    status, report = doctor(machine(), "--for", "2000000")
    assert status == 1
    assert report["by"]["descriptors"]["changes"] == [
        "sysctl -w fs.nr_open=2000064", "in [Service]: LimitNOFILE=2000064",
        "in /etc/security/limits.conf, for logins: * - nofile 2000064"]
    assert levels(report)["memory"] == "mend"  # 8 GiB do not hold so many
    assert levels(report)["TCP memory"] == "mend"


def test_a_login_with_few_descriptors(doctor):
    few = machine(**{"proc/self/limits": LIMITS.format(nproc=31000, soft=256, hard=1024)})
    status, report = doctor(few)
    assert (status, levels(report)) == (1, {"descriptors": "mend"})
    assert (report["connections"], report["held_by"]) == (960, "descriptors")
    assert report["by"]["descriptors"]["changes"][0] == "in [Service]: LimitNOFILE=1064"
    assert doctor(few, "--for", "960")[0] == 0  # one more is one too many
    assert doctor(few, "--for", "961")[0] == 1


def test_the_whole_machine_is_short_of_descriptors(doctor):
    _, report = doctor(machine(**{"proc/sys/fs/file-max": "2000",
                                  "proc/sys/fs/file-nr": "1500\t0\t2000"}))
    assert levels(report) == {"descriptors": "mend", }
    assert report["by"]["descriptors"]["changes"][0] == "sysctl -w fs.file-max=3628"
    assert report["connections"] == 2000 - 1500 - 64


def test_a_small_container(doctor):
    """Half a CPU, 64 MiB, 50 threads, and no io_uring: a container in a namespace of its own."""
    small = machine(**{
        "proc/self/cgroup": "0::/../../kubepods/pod7",
        "sys/fs/cgroup/cpu.max": "150000 100000",
        "sys/fs/cgroup/memory.max": str(64 << 20), "sys/fs/cgroup/memory.current": str(4 << 20),
        "sys/fs/cgroup/pids.max": "50", "sys/fs/cgroup/pids.current": "7",
        "proc/sys/kernel/io_uring_disabled": "2"})
    status, report = doctor(small, "--for", "20000")
    found = report["by"]
    assert status == 1
    assert levels(report) == {"CPUs": "note", "memory": "mend", "threads": "mend",
                              "io_uring": "note", "descriptors": "note"}
    assert found["CPUs"]["values"] == {"allowed": 4, "quota_milli": 1500, "workers": 2}
    assert found["CPUs"]["changes"] == ["in [Service]: CPUQuota=200%"]
    assert found["memory"]["values"]["group"] == 64 << 20
    assert found["memory"]["changes"][0].startswith("in [Service]: MemoryMax=")
    assert found["threads"]["changes"] == ["in [Service]: TasksMax=73"]
    assert found["io_uring"]["changes"] == ["sysctl -w kernel.io_uring_disabled=0"]
    assert report["held_by"] == "memory"
    assert report["connections"] == (60 << 20) // found["memory"]["values"]["per_idle_connection"]


def test_control_groups_of_version_1(doctor):
    """Each controller has its tree; the limits are two levels above our own group."""
    old = machine(**{
        "proc/self/cgroup": "4:memory:/box/inner/own\n3:cpu,cpuacct:/box/inner/own\n"
                            "2:pids:/box/inner/own\n0::/",
        "sys/fs/cgroup/cpu/box/inner/own/cpu.cfs_quota_us": "-1",
        "sys/fs/cgroup/cpu/box/inner/own/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "200000",
        "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000",
        "sys/fs/cgroup/memory/box/inner/own/memory.limit_in_bytes": "9223372036854771712",
        "sys/fs/cgroup/memory/box/inner/own/memory.usage_in_bytes": "1000",
        "sys/fs/cgroup/memory/box/memory.limit_in_bytes": str(1 << 30),
        "sys/fs/cgroup/memory/box/memory.usage_in_bytes": str(1 << 29),
        "sys/fs/cgroup/pids/box/inner/own/pids.max": "max",
        "sys/fs/cgroup/pids/box/inner/own/pids.current": "3",
        "sys/fs/cgroup/pids/box/pids.max": "500",
        "sys/fs/cgroup/pids/box/pids.current": "100"})
    status, report = doctor(old)
    found = report["by"]
    assert (status, levels(report)) == (0, {"descriptors": "note"})
    assert found["CPUs"]["values"] == {"allowed": 4, "quota_milli": 2000, "workers": 2}
    assert found["memory"]["values"]["group"] == 1 << 30
    assert found["threads"]["values"] == {"user": 31000, "group": 500, "left": 400}


def test_an_old_machine(doctor):
    """What kernels of ten years ago, firewalls and virtual machines are known for."""
    old = machine(**{
        "proc/sys/kernel/osrelease": "4.4.0", "proc/sys/kernel/io_uring_disabled": None,
        "proc/sys/net/core/somaxconn": "128", "proc/sys/net/ipv4/tcp_syncookies": "0",
        "proc/sys/net/ipv4/tcp_max_syn_backlog": "512",
        "proc/sys/net/core/rmem_max": "212992", "proc/sys/net/core/wmem_max": "212992",
        "proc/sys/net/ipv4/tcp_rmem": "4096\t87380\t1048576",
        "proc/sys/net/ipv4/tcp_available_ulp": None,
        "proc/sys/net/netfilter/nf_conntrack_max": "8192",
        "proc/sys/net/netfilter/nf_conntrack_count": "192",
        "proc/sys/vm/max_map_count": "8000",
        "sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet",
        "sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never"})
    status, report = doctor(old, "--for", "10000")
    changes = {f["topic"]: f["changes"] for f in report["findings"] if f["level"] != "fine"}
    assert status == 1
    assert changes == {
        "descriptors": changes["descriptors"],
        "mappings": ["sysctl -w vm.max_map_count=65530"],
        "backlog": ["sysctl -w net.core.somaxconn=4096", "sysctl -w net.ipv4.tcp_syncookies=1",
                    "sysctl -w net.ipv4.tcp_max_syn_backlog=4096"],
        "TCP buffers": ['sysctl -w net.ipv4.tcp_rmem="4096 131072 8388608"'],
        "UDP buffers": ["sysctl -w net.core.rmem_max=4194304",
                        "sysctl -w net.core.wmem_max=4194304"],
        "connection tracking": ["sysctl -w net.netfilter.nf_conntrack_max=20192"],
        "clock": ["echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource"],
        "huge pages": ["echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"],
        "TLS in the kernel": ["modprobe tls"],
    }
    assert (report["connections"], report["held_by"]) == (8000, "connection tracking")


def test_a_proxy_needs_ports(doctor):
    status, report = doctor(machine(**{"proc/sys/net/ipv4/ip_local_reserved_ports":
                                       "8080,40000-40099,60990-62000"}),
                            "--for", "40000", "--outgoing")
    found = report["by"]
    assert status == 1
    assert found["ports"]["values"]["usable"] == 28232 - 100 - 10
    assert found["ports"]["changes"] == ['sysctl -w net.ipv4.ip_local_port_range="1024 65535"']
    assert found["ended connections"]["values"]["new_per_second"] == 28122 // 60
    assert found["ended connections"]["changes"] == ["sysctl -w net.ipv4.tcp_tw_reuse=1"]
    assert (report["connections"], report["held_by"]) == (28122, "ports")


def test_more_than_one_address_has_ports_for(doctor):
    _, report = doctor(machine(), "--for", "200000", "--outgoing")
    assert report["by"]["ports"]["changes"][1].startswith("4 source addresses ")


def test_no_entropy_must_be_mended(doctor):
    status, report = doctor(machine(**{"proc/sys/kernel/random/entropy_avail": "0"}))
    assert status == 1
    assert levels(report)["entropy"] == "mend"


def test_what_is_not_there_is_unknown_and_nothing_is_made_up(doctor):
    status, report = doctor({"proc/sys/kernel/osrelease": "6.1.0"})
    assert status == 0
    assert (report["connections"], report["held_by"]) == (None, None)
    assert report["by"]["descriptors"]["values"]["hard"] is None
    for finding in report["findings"]:
        assert "-1" not in finding["fact"] + finding["meaning"], finding


def test_files_full_of_nonsense(doctor):
    """Whatever stands in them, it ends well, and as JSON."""
    for text in ("", "-5", "x" * 9000, "\x01\"\\\x7f", "99999999999999999999999", "1 2", "max"):
        nonsense = {name: text for name in machine()}
        nonsense["proc/sys/kernel/osrelease"] = f"6 {text}"
        doctor(nonsense)


# ---- words

def test_for_people(doctor):
    small = machine(**{"proc/self/limits": LIMITS.format(nproc=31000, soft=256, hard=1024)})
    status, text = doctor(small, json_out=False)
    assert status == 1
    assert text.startswith("For 1,000 connections at the same time:\n")
    assert re.search(r"^  mend  descriptors +soft limit 256, hard limit 1,024; the machine has "
                     r"unlimited in all$", text, re.M)
    assert re.search(r"^ +> in \[Service\]: LimitNOFILE=1064$", text, re.M)
    assert "\nAbout 960 connections at the same time; more is held back by: descriptors.\n" in text
    assert "\n1 thing must be mended for 1,000 connections. " in text
    assert max(map(len, text.splitlines())) <= 110
    assert "Nothing must be mended for 1,000 connections.\n" in doctor(machine(), json_out=False)[1]


@pytest.mark.parametrize("words, line", [
    (["--for", "0"], "--for 0: must be a number from 1 to 100000000"),
    (["--for", "many"], "--for many: must be a number from 1 to 100000000"),
    (["--root", ""], "--root '': must be a folder"),
    (["x"], "x: no argument is expected"),
])
def test_a_wrong_command_line(thrum_bin, words, line):
    done = subprocess.run([thrum_bin, "doctor", *words], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"thrum doctor: {line} (see thrum doctor --help)\n"


def test_a_root_that_is_none(thrum_bin, tmp_path):
    done = subprocess.run([thrum_bin, "doctor", "--root", tmp_path], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert "osrelease" in done.stderr


# ---- this machine

def here(thrum_bin, *words, before=(), **options):
    done = subprocess.run([*before, thrum_bin, "doctor", "--json", *words], text=True,
                          timeout=TIMEOUT, capture_output=True, **options)
    assert done.returncode in (0, 1) and done.stderr == "", done.stderr
    report = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    return {f["topic"]: f for f in report["findings"]}


def test_this_machine(thrum_bin):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = here(thrum_bin)
    assert found["descriptors"]["values"]["soft"] == soft
    assert found["descriptors"]["values"]["hard"] == hard
    somaxconn = pathlib.Path("/proc/sys/net/core/somaxconn").read_text()
    assert found["backlog"]["values"]["somaxconn"] == int(somaxconn)
    assert found["clock"]["values"]["look_ns"] < 100_000
    assert found["entropy"]["values"]["ready"] == 1


def test_limits_are_those_of_whoever_asks(thrum_bin):
    def lower():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
    found = here(thrum_bin, preexec_fn=lower)
    assert found["descriptors"]["values"]["soft"] == 100
    assert found["descriptors"]["level"] == "mend"


def test_a_sandbox_that_refuses_io_uring_is_recognised(thrum_bin, servers):
    if here(thrum_bin)["io_uring"]["values"]["works"] == 0:
        pytest.skip("there is no io_uring on this machine anyway")
    found = here(thrum_bin, before=[servers / "refuse"])
    assert found["io_uring"]["level"] == "note"
    assert "seccomp" in found["io_uring"]["fact"]


def test_io_uring_agrees_with_the_back_end(thrum_bin, start):
    """What the doctor says is what a server gets."""
    server = start(thrum_bin, "echo", "--listen", "127.0.0.1:0", "--backend", "uring")
    line = server.out.wait(lambda lines: lines[2] if len(lines) >= 3 else None)
    works = "back end uring" in line
    assert here(thrum_bin)["io_uring"]["values"]["works"] == works


def test_the_cost_of_private_keys_is_measured_here(thrum_bin):
    report = json.loads(subprocess.run([thrum_bin, "doctor", "--json"], capture_output=True, text=True,
                                       timeout=TIMEOUT, check=False).stdout)
    keys = next(finding for finding in report["findings"] if finding["topic"] == "private keys")
    values = keys["values"]
    assert 20_000 <= values["handoff_ns"] <= 100_000
    assert 0 < values["p256_ns"] < values["rsa4096_ns"]
    assert "RSA-4096" in keys["fact"].split("in the pool")[1]
    assert "Ed25519" in keys["fact"].split("in the pool")[0]
