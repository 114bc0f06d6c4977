#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes the manual's section 3 from the docstrings of the public headers.

One page per header (thrum_mem.3 for <thrum/mem.h>): its first sentence, its calls, its types, and
each call's docstring. Each call is also a page of its own, an alias of that page.

Usage: man.py [--root ROOT] FOLDER
"""
import argparse
import pathlib
import re
import shutil
import sys

from csource import ROOT, code_only, prototypes, public_headers

FIXED = ("Suspends", "Thread", "On cancel", "Since")
TYPE = re.compile(r"^(?:typedef|enum|struct|union)\b", re.M)


def escape(text):
    """Makes text safe for troff."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text, flags=re.M)


def paragraphs(text):
    """Returns troff lines for prose: paragraphs, and lists whose items start with `- `."""
    lines = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        items = re.split(r"^\s*- ", paragraph, flags=re.M)
        if items[0].strip():
            lines += [".PP", escape(" ".join(items[0].split()))]
        for item in items[1:]:
            lines += [".IP \\(bu 2", escape(" ".join(item.split()))]
    return lines


def code(text):
    return [".PP", ".nf", ".RS 4", escape(text.expandtabs()), ".RE", ".fi"]


def first_sentence(text):
    """Returns the sentence that says what a header is for, from the comment in its third line."""
    comment = re.search(r"^/\*(?!\*)((?:(?!SPDX|\*/).)*)\*/", text, re.S | re.M)
    if not comment:
        return None
    prose = " ".join(re.sub(r"^[ \t]*\*", "", comment.group(1), flags=re.M).split())
    return re.split(r"(?<=\.)\s", prose)[0].rstrip(".")


def types(text):
    """Yields (comment above, definition) of each type that a header shows."""
    clean = code_only(text)
    for match in TYPE.finditer(clean):
        depth = 0
        for end in range(match.start(), len(clean)):
            depth += (clean[end] == "{") - (clean[end] == "}")
            if clean[end] == ";" and depth == 0:
                break
        above = re.search(r"/\*(?!\*)((?:(?!\*/).)*)\*/\n\Z", text[:match.start()], re.S)
        comment = re.sub(r"^[ \t]*\*[ ]?", "", above.group(1), flags=re.M) if above else ""
        yield comment, text[match.start():end + 1]


def sections(doc):
    """Takes a docstring apart: prose, [(tag, name, text)], {fixed line: text}."""
    fixed, tags, prose = {}, [], []
    target = prose
    for line in doc.split("\n"):
        key = re.match(rf"({'|'.join(FIXED)}):\s*(.*)", line)
        tag = re.match(r"@(param)\s+(\w+)\s*(.*)|@(return)\s+(.*)", line)
        if key:
            fixed[key.group(1)] = target = [key.group(2)]
        elif tag and tag.group(1):
            tags.append(("param", tag.group(2), [tag.group(3)]))
            target = tags[-1][2]
        elif tag:
            tags.append(("return", "", [tag.group(5)]))
            target = tags[-1][2]
        elif not line.strip() and target is not prose:
            target = prose
            prose.append("")
        else:
            target.append(line)
    return ("\n".join(prose), [(kind, name, "\n".join(text)) for kind, name, text in tags],
            {key: " ".join(text) for key, text in fixed.items()})


def call(proto):
    """Returns the part of the page about one call."""
    prose, tags, fixed = sections(proto.doc or "")
    lines = [f".SS {proto.name}()", *code(declaration(proto)), *paragraphs(prose)]
    for kind, name, text in tags:
        if kind == "param":
            lines += [".TP", f".I {name}", escape(" ".join(text.split()))]
    returns = [text for kind, _, text in tags if kind == "return"]
    if returns:
        lines += [".PP", "Returns " + escape(" ".join(returns[0].split()))]
        for text in returns[1:]:
            lines += [".IP \\(bu 2", escape(" ".join(text.split()))]
    if fixed:
        lines += [".PP", " ".join(f"\\fI{key}:\\fP {escape(text).rstrip('.')}."
                                  for key, text in fixed.items())]
    return lines


def declaration(proto):
    """Returns a prototype without what only the compiler cares about."""
    text = re.sub(r"\b(TH_API|TH_MUST|static|inline)\s+", "", proto.text)
    return re.sub(r"\s*\bTH_PRINTF\([^)]*\)", "", text).strip() + ";"


def page(header, name, text, purpose, version):
    protos = [proto for proto in prototypes(text) if not proto.name.endswith("_")]
    lines = [f'.TH {name.upper()} 3 "" "Thrum {version}" "Thrum Manual"', ".SH NAME",
             escape(f"{', '.join([name] + [proto.name for proto in protos])} - ").rstrip()
             + " " + escape(purpose), ".SH LIBRARY", "Thrum (libthrum, \\-lthrum)",
             ".SH SYNOPSIS", ".nf", f".B #include <{header}>", ".PP"]
    lines += [escape(declaration(proto)) for proto in protos] + [".fi"]
    shown = list(types(text))
    if shown:
        lines.append(".SH TYPES")
        for comment, definition in shown:
            lines += (paragraphs(comment) if comment.strip() else []) + code(definition)
    if protos:
        lines.append(".SH CALLS")
        for proto in protos:
            lines += call(proto)
    lines += [".SH SEE ALSO", ".BR thrum (1)", ""]
    return "\n".join(lines), [proto.name for proto in protos]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=pathlib.Path, default=ROOT)
    parser.add_argument("folder", type=pathlib.Path)
    args = parser.parse_args()
    shutil.rmtree(args.folder, ignore_errors=True)
    args.folder.mkdir(parents=True)
    include = args.root / "include"
    version = re.search(r'TH_VERSION\s+"([^"]+)"',
                        (include / "thrum" / "defs.h").read_text()).group(1)
    for path in public_headers(args.root):
        name = "_".join(path.relative_to(include).with_suffix("").parts)
        source = path.read_text()
        purpose = first_sentence(source)
        if not purpose:
            print(f"{path.relative_to(args.root)}: no comment says what the header is for")
            return 1
        text, calls = page(path.relative_to(include), name, source, purpose, version)
        (args.folder / f"{name}.3").write_text(text)
        for alias in calls:
            (args.folder / f"{alias}.3").write_text(f".so man3/{name}.3\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
