# SPDX-License-Identifier: MIT

"""The arithmetic behind the tables: medians, ratios within rounds, targets."""

import pytest

from harness import evaluate
from harness.evaluate import Row, Target


def samples(**values):
    """Samples of scenario "s": subject -> its values in rounds 1, 2, …; None leaves a round out."""
    return [{"scenario": "s", "subject": subject, "round": number, "value": value}
            for subject, row in values.items()
            for number, value in enumerate(row, 1) if value is not None]


def row(*targets, **more):
    return Row("s", "A scenario", "requests/s", targets=targets, **more)


def test_ratios_are_formed_within_a_round():
    # The machine was ten times slower in the second round; the ratio does not care.
    found = samples(ours=[200, 20, 300], peer=[100, 10, 100])
    assert evaluate.ratios(found, "s", "ours", "peer") == [2, 2, 3]


def test_rounds_that_one_side_missed_are_left_out():
    found = samples(ours=[200, 20], peer=[None, 10])
    assert evaluate.ratios(found, "s", "ours", "peer") == [2]


@pytest.mark.parametrize("ours, met", [(96, True), (95, True), (94, False)])
def test_a_target_is_met_from_its_bound_on(ours, met):
    found = samples(ours=[ours], peer=[100])
    (verdict,) = evaluate.verdicts(found, row(Target(0.95, ("peer",))), "ours")
    assert verdict.met is met


@pytest.mark.parametrize("ours, met", [(499, True), (500, True), (501, False)])
def test_a_target_may_bound_the_value_itself_from_above(ours, met):
    (verdict,) = evaluate.verdicts(samples(ours=[ours]), row(Target(500, at_least=False)), "ours")
    assert verdict.met is met


@pytest.mark.parametrize("ours, met", [(14, True), (15, True), (16, False)])
def test_a_target_may_bound_the_distance_to_a_peer(ours, met):
    target = Target(5, ("floor",), at_least=False, above=True)
    (verdict,) = evaluate.verdicts(samples(ours=[ours], floor=[10]), row(target), "ours")
    assert verdict.met is met and verdict.what == "ours - floor" and verdict.value == ours - 10


def test_several_peers_mean_the_best_of_them():
    found = samples(ours=[100, 100], a=[50, 50], b=[90, 80])
    verdict, *others = evaluate.verdicts(found, row(Target(1.05, ("a", "b"))), "ours")
    assert verdict.value == pytest.approx((100 / 90 + 100 / 80) / 2) and verdict.met
    assert "ours / b" in verdict.what
    assert [v.what for v in others] == ["ours / a", "ours / b"]


def test_an_absent_subject_is_not_measured_rather_than_failed():
    (verdict,) = evaluate.verdicts(samples(peer=[100]), row(Target(0.95, ("peer",))), "ours")
    assert verdict.met is None and verdict.value is None
    result = {"samples": samples(peer=[100]), "subjects": ["peer"]}
    assert evaluate.unmet(result, [row(Target(0.95, ("peer",)))], "ours") == []
    assert "not measured" in evaluate.report(result, [row(Target(0.95, ("peer",)))], "ours")


def test_missed_targets_are_listed():
    result = {"samples": samples(ours=[90], peer=[100]), "subjects": ["ours", "peer"]}
    (missed,) = evaluate.unmet(result, [row(Target(0.95, ("peer",)))], "ours")
    assert missed.value == pytest.approx(0.9)
    assert "NOT MET" in evaluate.report(result, [row(Target(0.95, ("peer",)))], "ours")


def test_disturbed_samples_are_shown():
    found = samples(ours=[1, 2, 3])
    found[1]["disturbed"] = True
    heading, lines = evaluate.subject_table(found, row(), ["ours"])
    assert heading[-1] == "disturbed" and lines[0][-1] == "1 of 3"


def test_markdown_tables_are_well_formed():
    result = {"samples": samples(ours=[90], peer=[100]), "subjects": ["ours", "peer"]}
    text = evaluate.report(result, [row(Target(0.95, ("peer",)))], "ours", markdown=True)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert "### A scenario" in text
    assert {line.count("|") for line in tables[:4]} == {4}
    assert {line.count("|") for line in tables[4:]} == {6}


def test_targets_hold_for_the_other_subjects_of_ours_that_were_measured():
    rows = [row(Target(0.95, ("peer",)), also=("too", "not"))]
    result = {"samples": samples(ours=[100], too=[90], peer=[100]),
              "subjects": ["ours", "too", "peer"]}
    assert [v.what for v in evaluate.unmet(result, rows, "ours")] == ["too / peer"]
    assert "too / peer" in evaluate.report(result, rows, "ours")
    assert "not /" not in evaluate.report(result, rows, "ours")
