# SPDX-License-Identifier: MIT

"""
From samples to statements: medians, spreads, ratios and targets, as plain text or Markdown.

A sample is a dictionary with at least `scenario`, `subject` (who was measured), `round` and
`value`. Ratios are formed inside a round, where both sides saw the same machine within seconds,
and only then the median is taken: a machine that is slow for a minute changes both sides of a
ratio, and hardly the ratio.
"""

import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Target:
    """
    What one subject's values shall be. With peers, the ratio subject / peer is meant, against the
    peer that comes out best; without, the value itself. `at_least` tells the direction. Of one that
    is `above` its peer, the difference is meant.
    """

    bound: float
    peers: tuple = ()
    at_least: bool = True
    above: bool = False

    def text(self):
        sign = ">=" if self.at_least else "<="
        return f"{sign} {self.bound:,}"

    def met(self, value):
        return value >= self.bound if self.at_least else value <= self.bound


@dataclasses.dataclass(frozen=True)
class Row:
    """What there is to show and to judge for one scenario."""

    name: str
    title: str
    unit: str
    targets: tuple = ()
    digits: int = 0
    compare: bool = True  # show the ratios to peers that no target names
    columns: tuple = ()  # (heading, key in the sample, factor, digits) of what else is shown
    also: tuple = ()  # other subjects of ours, for which the targets hold as well


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One comparison with its outcome. `met` is None where there is no target or no figure."""

    what: str
    value: float | None
    low: float | None
    high: float | None
    target: str
    met: bool | None


def of(samples, scenario, subject):
    """The samples of one subject in one scenario."""
    return [s for s in samples if s["scenario"] == scenario and s["subject"] == subject]


def _pairs(samples, scenario, subject, peer):
    """The values of both in each round in which both were measured."""
    theirs = {s["round"]: s["value"] for s in of(samples, scenario, peer)}
    return [(s["value"], theirs[s["round"]]) for s in of(samples, scenario, subject)
            if theirs.get(s["round"])]


def ratios(samples, scenario, subject, peer):
    """subject / peer in each round in which both were measured."""
    return [mine / its for mine, its in _pairs(samples, scenario, subject, peer)]


def differences(samples, scenario, subject, peer):
    """subject - peer in each round in which both were measured."""
    return [mine - its for mine, its in _pairs(samples, scenario, subject, peer)]


def _verdict(what, values, target):
    if not values:
        return Verdict(what, None, None, None, target.text() if target else "", None)
    middle = statistics.median(values)
    return Verdict(what, middle, min(values), max(values), target.text() if target else "",
                   target.met(middle) if target else None)


def _against_best(samples, row, subject, target):
    """The verdict against that peer of the target which leaves the subject the worst ratio."""
    sign, relate = ("-", differences) if target.above else ("/", ratios)
    each = [_verdict(f"{subject} {sign} {peer}", relate(samples, row.name, subject, peer), target)
            for peer in target.peers]
    measured = [v for v in each if v.value is not None]
    if not measured:
        return dataclasses.replace(each[0], what=f"{subject} {sign} {' or '.join(target.peers)}")
    worst = (min if target.at_least else max)(measured, key=lambda v: v.value)
    if len(target.peers) == 1:
        return worst
    return dataclasses.replace(worst, what=f"{worst.what} (the best of {', '.join(target.peers)})")


def verdicts(samples, row, subject):
    """All that is said about the subject in one scenario: targets first, then the other peers."""
    found = []
    judged = set()
    for target in row.targets:
        if target.peers:
            found.append(_against_best(samples, row, subject, target))
            judged.update(target.peers if len(target.peers) == 1 else ())
        else:
            values = [s["value"] for s in of(samples, row.name, subject)]
            found.append(_verdict(f"{subject} ({row.unit})", values, target))
    others = {s["subject"]: None for s in samples if s["scenario"] == row.name}
    for peer in others if row.compare else ():
        values = ratios(samples, row.name, subject, peer)
        if peer != subject and peer not in judged and values:
            found.append(_verdict(f"{subject} / {peer}", values, None))
    return found


def all_verdicts(samples, row, subject):
    """The same of the row's other subjects, too, as far as they were measured."""
    found = verdicts(samples, row, subject)
    for other in row.also:
        if of(samples, row.name, other):
            found += verdicts(samples, row, other)
    return found


def _number(value, digits):
    return f"{value:,.{digits}f}"


def _subject_cells(samples, row, subject):
    mine = of(samples, row.name, subject)
    values = [s["value"] for s in mine]
    cells = [subject, _number(statistics.median(values), row.digits),
             f"{_number(min(values), row.digits)} .. {_number(max(values), row.digits)}"]
    for _heading, key, factor, digits in row.columns:
        found = [s[key] * factor for s in mine if s.get(key) is not None]
        cells.append(_number(statistics.median(found), digits) if found else "-")
    disturbed = sum(1 for s in mine if s.get("disturbed"))
    cells.append(f"{disturbed} of {len(mine)}" if disturbed else "")
    return cells


def subject_table(samples, row, order):
    """Heading and lines: one line per subject that was measured."""
    heading = ["", f"median {row.unit}", "min .. max", *(c[0] for c in row.columns), "disturbed"]
    lines = [_subject_cells(samples, row, s) for s in order if of(samples, row.name, s)]
    if not any(line[-1] for line in lines):
        heading.pop()
        lines = [line[:-1] for line in lines]
    return heading, lines


def verdict_table(found):
    """Heading and lines: one line per verdict."""
    lines = []
    for v in found:
        digits = 0 if v.value is not None and v.value >= 100 else 2
        outcome = {True: "met", False: "NOT MET", None: "not measured" if v.target else ""}[v.met]
        value = "-" if v.value is None else _number(v.value, digits)
        spread = "" if v.value is None else f"{v.low:,.{digits}f} .. {v.high:,.{digits}f}"
        lines.append([v.what, value, spread, v.target, outcome])
    return ["comparison", "median", "min .. max", "target", ""], lines


def as_text(heading, lines):
    """A table for the terminal: first column to the left, the others to the right."""
    widths = [max(len(line[i]) for line in [heading, *lines]) for i in range(len(heading))]

    def one(cells):
        first = cells[0].ljust(widths[0])
        return "  " + "  ".join([first, *(c.rjust(w) for c, w in zip(cells[1:], widths[1:]))])

    return "\n".join(one(cells).rstrip() for cells in [heading, *lines])


def as_markdown(heading, lines):
    """A table in Markdown."""
    rule = ["---", *("---:" for _ in heading[1:])]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [heading, rule, *lines])


def report(result, rows, subject, markdown=False):
    """The whole report of a result, a paragraph per scenario that was run."""
    table = as_markdown if markdown else as_text
    mark = "### " if markdown else ""
    samples = result["samples"]
    order = [subject, *(s for s in result["subjects"] if s != subject)]
    parts = []
    for row in rows:
        if not any(s["scenario"] == row.name for s in samples):
            continue
        heading, lines = subject_table(samples, row, order)
        parts.append(f"{mark}{row.title}\n" + ("\n" if markdown else "") + table(heading, lines))
        found = all_verdicts(samples, row, subject)
        if found:
            parts.append(table(*verdict_table(found)))
    return "\n\n".join(parts)


def unmet(result, rows, subject):
    """The verdicts whose target was measured and missed."""
    return [v for row in rows for v in all_verdicts(result["samples"], row, subject)
            if v.met is False]
