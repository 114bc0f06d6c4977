#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs programs under another kernel: Debian's own, with its module tls, in an emulated machine.

Usage: vm.py [--time SECONDS] BUILD PROGRAM...

The kernel is fetched as a package and unpacked in BUILD/../vm, never installed. The machine's only
disk is an initial one in memory, made of BUILD/tests/vm/vm_init, the programs and the libraries
that they need, each at the path that it has here. What they print goes to the serial console, which
is passed on. The exit status is 0 when all of them ended with 0.

Of the speed of anything nothing can be learned here: the processor is emulated.
"""
import argparse
import os
import pathlib
import re
import stat
import subprocess
import sys

PACKAGE = "linux-image-cloud-amd64"
# What kernel TLS needs, and what it needs in turn: crypto/ in the kernel asks for ciphers by name.
MODULES = ["gcm", "ctr", "ghash-generic", "seqiv", "chacha_generic", "poly1305_generic",
           "chacha20poly1305", "tls"]
ENVIRONMENT = ["THRUM_KTLS=1", "CK_TIMEOUT_MULTIPLIER=10"]


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def fetch_kernel(folder):
    """Unpacks the kernel package that the meta package stands for; returns where."""
    name = re.search(r"Depends: (linux-image-\S+)", run("apt-cache", "depends", PACKAGE)).group(1)
    root = folder / name
    if not (root / "boot").exists():
        folder.mkdir(parents=True, exist_ok=True)
        run("apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", name, cwd=folder)
        package = sorted(folder.glob(name + "_*.deb"))[-1]
        run("dpkg", "-x", str(package), str(root) + ".new")
        pathlib.Path(str(root) + ".new").rename(root)
        package.unlink()
    return root


def modules_in_order(kernel):
    """The modules' files, each behind those that it needs; what is built in has none."""
    files = {path.stem.replace("-", "_"): path for path in kernel.rglob("*.ko")}
    order = []

    def add(name):
        path = files.get(name.replace("-", "_"))
        if not path or path in order:
            return
        needs = re.search(rb"(?:^|\0)depends=([^\0]*)\0", path.read_bytes()).group(1).decode()
        for need in filter(None, needs.split(",")):
            add(need)
        order.append(path)

    for name in MODULES:
        add(name)
    return order


def libraries_of(program):
    return {pathlib.Path(path) for path in re.findall(r"(/\S+) \(0x", run("ldd", str(program)))}


class Disk:
    """An archive as cpio calls "newc", which the kernel unpacks into its first file system."""

    def __init__(self):
        self.parts = []
        self.there = set()

    def put(self, path, mode, content=b"", device=(0, 0)):
        name = str(path).lstrip("/").encode() + b"\0"
        fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, *device, len(name), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        for part in (head, content):
            self.parts.append(part + b"\0" * (-len(part) % 4))

    def folders(self, path):
        for folder in reversed(list(pathlib.Path(path).parents)[:-1]):
            if folder not in self.there:
                self.there.add(folder)
                self.put(folder, stat.S_IFDIR | 0o755)

    def file(self, path, content, mode=0o644):
        if pathlib.Path(path) not in self.there:
            self.there.add(pathlib.Path(path))
            self.folders(path)
            self.put(path, stat.S_IFREG | mode, content)

    def write(self, path):
        self.put("TRAILER!!!", 0)
        path.write_bytes(b"".join(self.parts))


def make_disk(path, modules, init, programs):
    disk = Disk()
    disk.folders("/dev/console")
    disk.put("/dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    disk.file("/init", init.read_bytes(), 0o755)
    for module in modules:
        disk.file("/lib/modules/" + module.name, module.read_bytes())
    for program in programs:
        disk.file(program, program.read_bytes(), 0o755)
    for library in sorted(set().union(*map(libraries_of, [init, *programs]))):
        disk.file(library, library.read_bytes(), 0o755)
    disk.file("/modules", "".join(f"/lib/modules/{module.name}\n" for module in modules).encode())
    disk.file("/programs", "".join(f"{program}\n" for program in programs).encode())
    disk.write(path)


def start(kernel, disk, seconds):
    """Runs the machine; whether its last word was that all is well."""
    image = next((kernel / "boot").glob("vmlinuz-*"))
    # Words without a meaning to the kernel that have a "=" are the environment of /init.
    words = ["console=ttyS0", "quiet", "panic=-1", *ENVIRONMENT]
    command = ["timeout", "--foreground", str(seconds), "qemu-system-x86_64",
               "-accel", "tcg", "-cpu", "max",
               "-smp", "2", "-m", "1536", "-nodefaults", "-no-reboot", "-display", "none",
               "-serial", "stdio", "-kernel", str(image), "-initrd", str(disk),
               "-append", " ".join(words)]
    result = None
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          errors="replace") as machine:
        for line in machine.stdout:
            line = re.sub(r"\x1b(\[[0-9;?]*[a-zA-Z]|c)", "", line).rstrip()
            print(line, flush=True)
            if match := re.fullmatch(r"vm: result ([01])", line):
                result = match.group(1)
    if machine.returncode == 124:
        print(f"vm: it took longer than {seconds} s", file=sys.stderr)
    elif result is None:
        print("vm: the machine ended without a result", file=sys.stderr)
    return result == "0"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--time", type=int, default=600, help="seconds for all; 600")
    parser.add_argument("build", type=lambda path: pathlib.Path(path).resolve())
    parser.add_argument("programs", nargs="+", type=lambda path: pathlib.Path(path).resolve())
    args = parser.parse_args()

    folder = args.build.parent / "vm"
    kernel = fetch_kernel(folder)
    disk = folder / f"disk-{os.getpid()}"
    try:
        make_disk(disk, modules_in_order(kernel), args.build / "tests" / "vm" / "vm_init",
                  args.programs)
        return 0 if start(kernel, disk, args.time) else 1
    finally:
        disk.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
