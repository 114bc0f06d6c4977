# SPDX-License-Identifier: MIT
"""What the tools need to know of C: comments, includes, public prototypes and their docstrings.

This is no C parser. It reads C as clang-format leaves it here: a function's body opens and closes
with a brace in the first column, and a public prototype starts with TH_API or static inline.
"""
import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
LAYERS = ["base", "sys", "proto", "loop", "fiber", "runtime", "sync", "pool", "io", "net", "tls",
          "callback", "http", "observe", "cluster", "wsgi"]

TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
PROTOTYPE = re.compile(r"^(?:TH_API\b|static inline\b|TH_MUST static inline\b)[^;{]*[;{]", re.M)


def blank(text):
    """Returns as much white space as the text takes, with the same lines."""
    return re.sub(r"[^\n]", " ", text)


def strip_comments(text):
    """Replaces comments by blanks; strings stay, positions and line numbers stay."""
    return TOKEN.sub(lambda m: blank(m.group()) if m.group().startswith("/") else m.group(), text)


def strip_strings(text):
    """Replaces what stands in string and character literals by blanks."""
    return TOKEN.sub(lambda m: m.group()[0] + blank(m.group()[1:-1]) + m.group()[-1]
                     if m.group()[0] in "\"'" else m.group(), text)


def code_only(text):
    """Leaves only code: no comments, no contents of literals, no preprocessor lines."""
    text = strip_strings(strip_comments(text))
    return DIRECTIVE.sub(lambda m: blank(m.group()), text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def includes(text):
    """Yields (line, path, quoted) for each include."""
    clean = strip_comments(text)
    for match in INCLUDE.finditer(clean):
        yield line_of(clean, match.start()), match.group(2), match.group(1) == '"'


@dataclasses.dataclass
class Prototype:
    name: str
    text: str  # as written, without a body, blanks folded
    returns: str
    params: list  # names, in order
    doc: str | None  # text of the docstring right above, without its frame
    line: int
    exported: bool  # TH_API, not static inline


def split_top(text):
    """Splits at the commas that stand in no parentheses."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c in "([{") - (c in ")]}")
        if c == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [part.strip() for part in parts + [text[start:]]]


def param_name(param):
    """Returns the name that a parameter declaration gives, or None where it gives none."""
    pointer = re.search(r"\(\s*[*^]\s*(\w+)", param)
    if pointer:
        return pointer.group(1)
    words = re.findall(r"\w+", re.sub(r"\[[^]]*\]", "", param))
    return words[-1] if len(words) > 1 else None


def closing(text, opening):
    """Returns the position of the parenthesis that closes the one at `opening`."""
    depth = 0
    for i in range(opening, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if depth == 0:
            return i
    raise ValueError("unbalanced parentheses: " + text)


def doc_above(text, position):
    """Returns the text of the docstring that ends right above a position, or None."""
    before = text[:position].rstrip()
    if not before.endswith("*/"):
        return None
    start = before.rfind("/*")
    comment = before[start:]
    if not comment.startswith("/**") or "\n\n" in text[len(before):position]:
        return None
    lines = comment[3:-2].split("\n")
    return "\n".join(re.sub(r"^[ \t]*\*[ ]?", "", line).rstrip() for line in lines).strip()


def prototypes(text):
    """Yields the public prototypes of a header in order of their appearance."""
    clean = code_only(text)
    for match in PROTOTYPE.finditer(clean):
        declaration = " ".join(match.group()[:-1].split())
        name = re.search(r"\b(thi?_\w+)\s*\(", declaration)
        if not name:
            continue  # a variable or a type
        opening = name.end() - 1
        inside = declaration[opening + 1:closing(declaration, opening)].strip()
        params = [] if inside in ("", "void") else [p for p in split_top(inside) if p != "..."]
        before = re.sub(r"\b(TH_(?!u?int)[A-Z_]+(\([^)]*\))?|static|inline)(?=\s|$)", "",
                        declaration[:name.start()])
        yield Prototype(name.group(1), declaration, " ".join(before.split()),
                        [param_name(p) for p in params], doc_above(text, match.start()),
                        line_of(text, match.start()), declaration.startswith("TH_API"))


def functions(text):
    """Yields (name, line, length) of each function body, braces included."""
    clean = code_only(text).split("\n")
    start = None
    for number, line in enumerate(clean, 1):
        if line.startswith("{") and start is None:
            start = number
        elif line.startswith("}") and start is not None:
            head, i = "", start - 2
            while i >= 0 and clean[i].strip() and clean[i][0] not in "};":
                head = clean[i] + " " + head
                i -= 1
            name = re.search(r"(\w+)\s*\(", re.sub(r"\bTH_[A-Z]+(\([^)]*\))?", "", head))
            yield (name.group(1) if name else "?"), start, number - start + 1
            start = None


def public_headers(root=ROOT):
    return sorted((root / "include").rglob("*.h"))
