# SPDX-License-Identifier: MIT
"""thrum(1) describes the commands and options that the program has, and no others."""
import pathlib
import re
import subprocess

from certs import SUBCOMMANDS

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "man" / "thrum.1"


def say(*command):
    return subprocess.run(command, text=True, check=True, capture_output=True).stdout


def test_page_and_help_agree(thrum_bin):
    page = PAGE.read_text().replace("\\-", "-")
    commands = re.findall(r"^  (\w+) ", say(thrum_bin, "--help"), re.M)
    assert commands and commands == re.findall(r"^\.SS thrum (\w+)", page, re.M)
    words = [[command] for command in commands if command not in ("cert", "version")]
    words += [["cert", command] for command in SUBCOMMANDS]
    options = {option for command in words
               for option in re.findall(r"^  (--[\w-]+)", say(thrum_bin, *command, "--help"), re.M)}
    assert options == set(re.findall(r"^\.BI? (--[\w-]+)", page, re.M))


def test_page_carries_the_version(thrum_bin):
    assert f'"{say(thrum_bin, "version").strip().capitalize()}"' in PAGE.read_text()
