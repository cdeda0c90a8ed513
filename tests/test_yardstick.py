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
    """Let a model answer one pattern as another does."""
    part = ours.splits["test"]
    part = replace(part, logits={**part.logits, pattern: other.splits["test"].logits[pattern]})
    return replace(ours, splits={"val": part, "test": part})


def test_what_hiding_a_modality_costs_is_what_is_gone_and_what_failed():
    ours = with_answers(model("ours", 0.9), WITHOUT_A, model("ours", 0.6))
    best = model("best", 0.8)
    row = lost([ours, best, model("worse", 0.5)], ours, resamples(ours))["a"]
    assert (row["n"], row["model"]) == (200, "best")
    for name, split in row["scores"].items():
        assert split["loss"]["value"] == pytest.approx(split["gone"]["value"] + split["failed"]["value"], abs=2e-6), (
            name
        )
    values = {part: row["scores"]["accuracy"][part] for part in ("loss", "gone", "failed")}
    assert {part: value["value"] for part, value in values.items()} == pytest.approx(
        {"loss": 0.3, "gone": 0.1, "failed": 0.2}
    )
    assert all(value["low"] > 0 for value in values.values())


def test_a_run_that_is_the_best_known_failed_at_nothing():
    ours = with_answers(model("ours", 0.9), WITHOUT_A, model("ours", 0.6))
    row = lost([ours, model("worse", 0.5)], ours, resamples(ours))["a"]
    assert row["scores"]["accuracy"]["failed"] == {"value": 0.0, "low": 0.0, "high": 0.0}
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
