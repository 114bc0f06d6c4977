# SPDX-License-Identifier: MIT
"""Reads the text that Prometheus scrapes (text format 0.0.4), and takes nothing that is dubious.

Where the format leaves room it is stricter than a scraper: each metric has a HELP and then a TYPE
line, all its samples follow, there are no other comments, empty lines or time stamps.
"""
import dataclasses
import re

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
HELP = re.compile(rf"# HELP ({NAME}) ((?:[^\\]|\\[\\n])+)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram)")
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? "
                    r"([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)")
ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


class Wrong(Exception):
    """What is no exposition."""


@dataclasses.dataclass
class Metric:
    kind: str
    help: str
    samples: dict = dataclasses.field(default_factory=dict)  # (name, labels as text) -> number
    labels: list = dataclasses.field(default_factory=list)  # of each sample: a dict

    @property
    def values(self):
        return list(self.samples.values())


def expect(condition, what):
    if not condition:
        raise Wrong(what)


def labels_of(text):
    """The labels of a sample as a dict."""
    pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', text or "")
    labels = {name: re.sub(r"\\.", lambda m: ESCAPES[m[0]], value) for name, value in pairs}
    expect(len(labels) == len(pairs), f"a label twice: {text}")
    return labels


def check_histogram(name, metric):
    """Buckets in rising order, each with what the one before has, then sum and count."""
    names = [sample for sample, _ in metric.samples]
    buckets = names.count(f"{name}_bucket")
    expect(names == buckets * [f"{name}_bucket"] + [f"{name}_sum", f"{name}_count"],
           f"the samples of {name}: {names}")
    bounds = [labels.get("le") for labels in metric.labels[:buckets]]
    expect(buckets > 0 and bounds[-1] == "+Inf", f"{name} ends with {bounds[-1:]}")
    limits = [float(bound) for bound in bounds]
    expect(all(a < b for a, b in zip(limits, limits[1:])), f"the bounds of {name}: {bounds}")
    counts = metric.values[:buckets]
    expect(counts == sorted(counts), f"{name} is not cumulative: {counts}")
    expect(counts[-1] == metric.values[-1], f"{name}: {counts[-1]} in all, {metric.values[-1]}")


def check(name, metric):
    expect(metric.samples, f"{name} has no samples")
    expect((metric.kind == "counter") == name.endswith("_total"), f"{name} is a {metric.kind}")
    if metric.kind == "histogram":
        check_histogram(name, metric)
    else:
        expect({sample for sample, _ in metric.samples} == {name}, f"other samples in {name}")
        expect(len({tuple(labels) for labels in metric.labels}) == 1, f"the labels of {name}")
    if metric.kind != "gauge":
        expect(min(metric.values) >= 0, f"{name} is negative")


def parse(text):
    """The metrics of a text: name -> Metric."""
    expect(text.endswith("\n"), "the last line does not end")
    metrics = {}
    lines = iter(text[:-1].split("\n"))
    name = None
    for line in lines:
        if line.startswith("#"):
            title = HELP.fullmatch(line)
            kind = TYPE.fullmatch(next(lines, ""))
            expect(title and kind and title[1] == kind[1], f"HELP and TYPE at: {line}")
            name = title[1]
            expect(name not in metrics, f"{name} comes twice")
            metrics[name] = Metric(kind[2], title[2])
            continue
        sample = SAMPLE.fullmatch(line)
        expect(sample and name and sample[1].startswith(name), f"no sample of {name}: {line}")
        labels = labels_of(sample[2])
        expect((sample[1], sample[2] or "") not in metrics[name].samples, f"twice: {line}")
        metrics[name].samples[sample[1], sample[2] or ""] = float(sample[3])
        metrics[name].labels.append(labels)
    for name, metric in metrics.items():
        check(name, metric)
    return metrics
