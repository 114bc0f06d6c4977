#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Holds the docstrings: each public prototype has a complete one right above it.

Complete means: one line of purpose that ends in a full stop; a `@param name` for each parameter, by
its exact name, in order, and none besides; `@return` unless the result is void; then the lines
Suspends, Thread, On cancel, Since, in this order. A call that suspends can be cancelled while it
does: it says what is so then. A `static inline` of a public header needs the
purpose, and what it has of the rest must be right. Names that end in _ are private: they are seen
only because inline code calls them.

Usage: docstrings.py [ROOT]
"""
import pathlib
import re
import sys

from csource import ROOT, prototypes, public_headers

# The fixed lines and what they may say.
FIXED = [("Suspends", r"(yes|no)\b.*"), ("Thread", r"(fiber|worker|any)\b.*"),
         ("On cancel", r"\S.*"), ("Since", r"\d+\.\d+")]


def check_params(proto):
    documented = re.findall(r"^@param\s+(\w+)(.*)", proto.doc, re.M)
    names = [name for name, _ in documented]
    for name in proto.params:
        if name is None:
            yield "a parameter has no name"
        elif name not in names:
            yield f"no @param {name}"
    for name, text in documented:
        if name not in proto.params:
            yield f"@param {name} is no parameter"
        elif not text.strip():
            yield f"@param {name} says nothing"
    known = [name for name in names if name in proto.params]
    if known != [name for name in proto.params if name in known]:
        yield "the @param are in another order than the parameters"


def check_fixed(doc):
    at = -1
    for key, rule in FIXED:
        line = re.search(rf"^{key}:[ ]*(.*)$", doc, re.M)
        if not line:
            yield f"no line `{key}:`"
            continue
        if not re.fullmatch(rule, line.group(1)):
            yield f"`{line.group(0)}` does not fit {rule}"
        if line.start() < at:
            yield f"`{key}:` is out of order"
        at = line.start()


def check_cancel(doc):
    """What suspends says what a cancellation leaves behind."""
    suspends = re.search(r"^Suspends:[ ]*yes\b", doc, re.M)
    cancel = re.search(r"^On cancel:[ ]*(.*)$", doc, re.M)
    if suspends and cancel and re.match(r"(not applicable|no|none|nothing|-)\W*$", cancel.group(1)):
        yield f"it suspends, and `{cancel.group(0)}` does not say what is so then"


def check(proto):
    """Yields what is wrong with the docstring of a prototype."""
    if not proto.doc:
        yield "no docstring right above"
        return
    purpose = proto.doc.split("\n\n")[0].strip()
    if "\n" in purpose or purpose.startswith("@") or not purpose.endswith("."):
        yield "the purpose is not one line that ends in a full stop"
    if not proto.exported and "@param" not in proto.doc:
        return
    yield from check_params(proto)
    returns = re.search(r"^@return\s+\S", proto.doc, re.M)
    if proto.returns == "void" and returns:
        yield "@return, but the result is void"
    if proto.returns != "void" and not returns:
        yield "no @return"
    if proto.exported:
        yield from check_fixed(proto.doc)
        yield from check_cancel(proto.doc)


def main():
    root = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT
    errors = [f"{path.relative_to(root)}:{proto.line}: {proto.name}: {problem}"
              for path in public_headers(root) for proto in prototypes(path.read_text())
              if not proto.name.endswith("_")
              for problem in check(proto)]
    print(*errors, sep="\n", end="\n" if errors else "")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
