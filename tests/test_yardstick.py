"""Gone or failed, and half of the modalities against specialists: on made-up models, by hand."""

from dataclasses import replace

import pytest
import torch

from tests.test_benchmark import NAMES, model
from umemma.evaluation.bootstrap import Resamples
from umemma.evaluation.yardstick import SPECIALISTS, lost, of_halves

FULL, WITHOUT_A = (True,) * 4, (False, True, True, True)


def resamples(ours):
    return Resamples(ours.splits["test"].group, replicates=200, seed=0)


def with_answers(ours, pattern, other):
    """Let a model answer a pattern, and every smaller one, as another does."""
    part, theirs = ours.splits["test"], other.splits["test"].logits
    inside = {small: theirs[small] for small in theirs if all(a <= b for a, b in zip(small, pattern, strict=True))}
    part = replace(part, logits={**part.logits, **inside})
    return replace(ours, splits={"val": part, "test": part})


def test_what_hiding_a_modality_costs_is_what_is_gone_and_what_failed():
    ours = with_answers(model("ours", 0.9), WITHOUT_A, model("ours", 0.6))
    best = model("best", 0.8)
    row = lost([ours, best, model("worse", 0.5)], ours, resamples(ours))["a"]
    assert (row["n"], row["model"]) == (200, "best")
    parts = ("loss", "gone", "failed", "failed_before")
    for name, split in row["scores"].items():
        loss, gone, failed, failed_before = (split[part]["value"] for part in parts)
        assert loss == pytest.approx(gone + failed - failed_before, abs=2e-6), name
    values = {part: row["scores"]["accuracy"][part] for part in parts}
    assert {part: value["value"] for part, value in values.items()} == pytest.approx(
        {"loss": 0.3, "gone": 0.1, "failed": 0.2, "failed_before": 0.0}
    )
    assert all(value["low"] > 0 for value in list(values.values())[:3])


def test_what_failed_with_everything_already_is_not_lost_by_hiding():
    ours = with_answers(model("ours", 0.7), WITHOUT_A, model("ours", 0.6))
    row = lost([ours, with_answers(model("best", 0.9), WITHOUT_A, model("best", 0.6))], ours, resamples(ours))["a"]
    values = {part: value["value"] for part, value in row["scores"]["accuracy"].items()}
    assert values == pytest.approx({"loss": 0.1, "gone": 0.3, "failed": 0.0, "failed_before": 0.2})


def test_a_run_that_is_the_best_known_failed_at_nothing():
    ours = with_answers(model("ours", 0.9), WITHOUT_A, model("ours", 0.6))
    row = lost([ours, model("worse", 0.5)], ours, resamples(ours))["a"]
    for part in ("failed", "failed_before"):
        assert row["scores"]["accuracy"][part] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert row["scores"]["cross-entropy"]["loss"]["value"] > 0


def test_all_samples_count_whatever_they_have():
    present = torch.ones(200, 4, dtype=torch.bool)
    present[:150, 0] = False
    ours = with_answers(model("ours", 0.9, present=present), WITHOUT_A, model("ours", 0.6, present=present))
    row = lost([ours], ours, resamples(ours))["a"]
    assert row["n"] == 50
    assert row["scores"]["accuracy"]["loss"]["value"] == pytest.approx(0.3)


def test_half_of_the_modalities_is_a_share_of_specialists():
    ours, specialists = model("ours", 0.72), replace(model("s", 0.8), arm=SPECIALISTS)
    found = of_halves([ours, specialists], ours, resamples(ours))
    assert (found["kept"], found["of"], found["sets"]) == (2, len(NAMES), 6)
    row = found["scores"]["accuracy"]
    assert (row["this_run"]["value"], row["specialists"]["value"]) == pytest.approx((0.72, 0.8))
    assert row["ratio"]["value"] == pytest.approx(0.9)
    assert row["ratio"]["low"] < 0.9 < row["ratio"]["high"] < 1
    assert of_halves([ours], ours, resamples(ours)) is None, "there is nothing to compare with"
