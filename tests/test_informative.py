"""Presence that tells the label is found, measured, and said first; presence that does not is not accused."""

import numpy as np
import pytest

from tests.manifest_sample import PER_SPLIT, judge, severe, whole
from umemma.validation import informative

SPLIT = ["train", "val", "test"] * 100


def rates(of_class, label, seed=0):
    """Return presence, drawn with a rate for each class."""
    return np.random.default_rng(seed).random(len(label)) < np.take(of_class, label)


def test_a_scan_made_where_illness_is_suspected_tells_the_label_in_nine_of_ten():
    label = np.arange(300) // 3 % 2
    result = informative.judged({"scan": rates([0.1, 0.9], label), "age": np.ones(300, bool)}, label, SPLIT)
    p, effect = result.modalities["scan"]
    assert p < 1e-6
    assert effect == pytest.approx(0.8, abs=0.1)
    assert result.accuracy == pytest.approx(0.9, abs=0.08)
    assert result.majority == pytest.approx(0.5, abs=0.05)
    assert "age" not in result.modalities
    said = informative.sentence(result, result.telling(0.1))
    assert said.startswith("whether a modality is there tells the label: scan (Cramer's V 0.")
    assert f"right in {result.accuracy:.0%} of the test samples" in said


def test_holes_by_chance_are_accused_in_one_of_a_hundred_data_sets_at_most():
    label = np.arange(300) // 3 % 3
    accused = [
        bool(
            informative.judged(
                {name: rates([0.7] * 3, label, 3 * seed + place) for place, name in enumerate("abc")}, label, SPLIT
            ).telling()
        )
        for seed in range(100)
    ]
    assert sum(accused) <= 4


def test_few_samples_are_judged_by_permutation_and_a_small_p_needs_more_than_luck():
    label = np.array([0, 1] * 6)
    perfect = informative.judged({"scan": label == 1}, label, ["train", "test"] * 6)
    assert perfect.modalities["scan"][0] < 0.01
    luck = informative.judged({"scan": np.array([True] * 6 + [False] * 6)}, label, ["train", "test"] * 6)
    assert luck.modalities["scan"] == (1.0, 0.0)


def test_of_several_labels_each_is_asked():
    flags = np.random.default_rng(0).random((300, 4)) < 0.4
    there = np.where(np.random.default_rng(1).random(300) < 0.9, flags[:, 2], ~flags[:, 2])
    result = informative.judged({"scan": there}, flags, SPLIT)
    assert result.modalities["scan"][0] < 1e-6
    assert result.modalities["scan"][1] > 0.7
    assert result.accuracy > result.majority + 0.05


def test_the_gate_warns_and_the_report_has_what_presence_alone_reaches():
    manifest = whole("image", "text")
    manifest["text_present"] &= manifest["label"] != 0
    result = judge(manifest, severe(presence_tells_label="warn"))
    assert result["passed"] is True
    assert result["warnings"][0].startswith("presence_tells_label: whether a modality is there tells the label: text")
    told = result["statistics"]["presence_tells_label"]
    assert told["accuracy"] == pytest.approx(8 / PER_SPLIT)
    assert told["majority"] == pytest.approx(4 / PER_SPLIT)
    assert list(told["modalities"]) == ["text"]
