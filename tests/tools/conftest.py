# SPDX-License-Identifier: MIT
"""A small source tree that every tool is content with, to plant one violation at a time in."""
import pathlib
import subprocess

import pytest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"

HEADER = """\
/* SPDX-License-Identifier: MIT */

/* Rings: a header with one call. */
#ifndef THRUM_RING_H
#define THRUM_RING_H

#include <thrum/defs.h>

/* How loud. */
typedef enum th_volume { TH_SOFT, TH_LOUD } th_volume;

/**
 * Rings a bell.
 *
 * It rings `times` times, and each time
 * - once softly,
 * - once loudly.
 *
 * @param times  in: how often, 1 to 10
 * @param fn     in: called with each count
 * @return 0
 * @return -EINVAL  times is out of range
 *
 * Suspends: no
 * Thread: any
 * On cancel: not applicable
 * Since: 0.1
 */
TH_API TH_MUST int th_ring(int times, void (*fn)(int count));

#endif
"""

FILES = {
    "include/thrum.h": "/* All. */\n#include <thrum/defs.h>\n#include <thrum/ring.h>\n",
    "include/thrum/defs.h": '/* Macros. */\n#ifndef THRUM_DEFS_H\n#define THRUM_DEFS_H\n#define TH_VERSION "1.2"\n'
                            "#define TH_API\n#define TH_MUST\n#endif\n",
    "include/thrum/ring.h": HEADER,
    "src/base/ring.h": "#include <thrum/ring.h>\n",
    "src/base/ring.c": '#include "base/ring.h"\n#include <stdio.h>\n\nint th_ring(int times, '
                       "void (*fn)(int))\n{\n    fn(times);\n    return 0;\n}\n",
    "src/http/bell.c": '#include "base/ring.h"\n',
    "src/libthrum.map": "LIBTHRUM_0.1 {\n    global:\n        th_ring;\n    local:\n        *;\n};\n",
    "thrum/main.c": '#include "main.h"\n#include <thrum.h>\n',
    "thrum/main.h": "",
    "examples/bell.c": "#include <thrum.h>\n",
}


class Tree:
    def __init__(self, root):
        self.root = root
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change(self, name, old, new):
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def run(self, tool, *args):
        """Runs a tool; returns (exit status, output)."""
        done = subprocess.run([TOOLS / tool, *args], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def fails(self, tool, *args):
        """Runs a tool that must find something; returns what it says."""
        status, out = self.run(tool, *args)
        assert status == 1 and out.strip(), out
        return out

    def passes(self, tool, *args):
        status, out = self.run(tool, *args)
        assert (status, out) == (0, "")


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)
