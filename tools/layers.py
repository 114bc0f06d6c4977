#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds the layers: no folder of src/ includes a later one, and no modules include in a circle.

A module is a .c and a .h of the same name. A public header belongs to the first layer that has a
module of its name, unless PUBLIC below says otherwise. The program and the examples see public
headers only.

Usage: layers.py [ROOT]
"""
import collections
import pathlib
import sys

from csource import LAYERS, ROOT, includes

# Public headers whose layer does not follow from the name of a module.
PUBLIC = {"addr": "io", "defs": "base", "fiber": "runtime", "http": "http", "mem": "base",
          "metrics": "observe", "pool": "pool", "queue": "sync", "select": "sync", "serve": "net",
          "signals": "io", "str": "base", "time": "sys", "tls": "tls",
          "tls_engine": "tls", "tls_session": "tls", "tls_stream": "tls"}
OUTSIDE = ["thrum", "examples"]


class Tree:
    def __init__(self, root):
        self.root = root
        self.errors = []
        self.edges = collections.defaultdict(dict)  # module -> module -> where

    def error(self, path, line, text):
        self.errors.append(f"{path.relative_to(self.root)}:{line}: {text}")

    def layer_of_public(self, name):
        """Returns the layer of <thrum/name.h>, or None."""
        if name in PUBLIC:
            return PUBLIC[name]
        for layer in LAYERS:
            if any((self.root / "src" / layer / (name + end)).exists() for end in (".c", ".h")):
                return layer
        return None

    def module_of(self, included, quoted):
        """Returns (layer or None, module) of an include of ours; None for the system's."""
        path = pathlib.PurePath(included)
        if not quoted:
            if path.parts[0] != "thrum":
                return ("*", "thrum") if included == "thrum.h" else None
            return self.layer_of_public(path.stem), "thrum/" + path.stem
        return (path.parts[0] if path.parts[0] in LAYERS else None), str(path.with_suffix(""))

    def check_file(self, path, layer, module):
        for line, included, quoted in includes(path.read_text()):
            target = self.module_of(included, quoted)
            if target is None:
                continue
            to_layer, to_module = target
            if to_layer == "*":
                self.error(path, line, "the umbrella header is for programs")
            elif to_layer is None:
                self.error(path, line, f'"{included}" is in no layer; write it as "layer/module.h"'
                           if quoted else f"<{included}> is in no layer; see tools/layers.py")
            elif LAYERS.index(to_layer) > LAYERS.index(layer):
                self.error(path, line, f"{layer} includes {included} of the later layer {to_layer}")
            elif to_module != module:
                self.edges[module].setdefault(to_module, f"{path.relative_to(self.root)}:{line}")

    def check_sources(self):
        for folder in sorted((self.root / "src").iterdir()):
            if not folder.is_dir():
                continue
            if folder.name not in LAYERS:
                self.error(folder, 0, "no such layer; see tools/csource.py")
                continue
            for path in sorted(folder.rglob("*.[chS]")):
                module = str(path.relative_to(self.root / "src").with_suffix(""))
                self.check_file(path, folder.name, module)
        for path in sorted((self.root / "include" / "thrum").glob("*.h")):
            layer = self.layer_of_public(path.stem)
            if layer is None:
                self.error(path, 1, "in no layer; name it in PUBLIC of tools/layers.py")
            else:
                self.check_file(path, layer, "thrum/" + path.stem)

    def check_outside(self):
        for name in OUTSIDE:
            folder = self.root / name
            for path in sorted(folder.rglob("*.[ch]")) if folder.is_dir() else []:
                for line, included, quoted in includes(path.read_text()):
                    target = (path.parent / included).resolve()
                    if quoted and not (target.exists() and target.is_relative_to(folder)):
                        self.error(path, line, f'"{included}": only public headers may be seen')

    def check_cycles(self):
        """Depth first search; the path from a module back to itself is the report."""
        state, stack = {}, []

        def visit(module):
            state[module] = "open"
            stack.append(module)
            for target, where in self.edges[module].items():
                if state.get(target) == "open":
                    circle = stack[stack.index(target):] + [target]
                    self.errors.append(f"{where}: cycle: " + " -> ".join(circle))
                elif target not in state:
                    visit(target)
            stack.pop()
            state[module] = "done"

        for module in sorted(self.edges):
            if module not in state:
                visit(module)


def main():
    tree = Tree(pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT)
    tree.check_sources()
    tree.check_outside()
    tree.check_cycles()
    print(*tree.errors, sep="\n", end="\n" if tree.errors else "")
    return 1 if tree.errors else 0


if __name__ == "__main__":
    sys.exit(main())
