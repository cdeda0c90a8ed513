"""Prediction sets: coverage in every pattern, own and borrowed calibration, weights by label, against crepes' formula."""

import dataclasses

import numpy as np
import pytest
import torch

from umemma.missingness import key_digest
from umemma.prediction import sets
from umemma.prediction.predictions import Predictions
from umemma.prediction.sets import Calibration

ALL, FIRST = (True, True), (True, False)


def world(seed: int, number: int, *, hides: str) -> tuple[Predictions, torch.Tensor]:
    """Two noisy views of three classes, the Bayes-optimal logits of each pattern, and holes of the second."""
    rng = np.random.default_rng(seed)
    label = torch.from_numpy(rng.choice(3, number, p=[0.5, 0.3, 0.2]))
    centre = torch.eye(3, dtype=torch.float64)[label] * 1.5
    views = [centre + torch.from_numpy(rng.standard_normal((number, 3))) for _ in range(2)]
    prior = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log()
    evidence = [view * 1.5 for view in views]
    rate = {"nothing": 0.0, "by label": None, "independent": 0.4}[hides]
    rates = torch.tensor([0.05, 0.3, 0.9])[label] if rate is None else torch.full((number,), rate)
    present = torch.stack([torch.ones(number, dtype=torch.bool), torch.from_numpy(rng.random(number)) >= rates], dim=1)
    logits = {
        ALL: prior + evidence[0] + torch.where(present[:, 1:], evidence[1], 0.0),
        FIRST: prior + evidence[0],
        (False, True): prior + torch.where(present[:, 1:], evidence[1], 0.0),
        (False, False): prior.expand(number, -1),
    }
    key = key_digest([f"{seed}-{i}" for i in range(number)])
    logits = {pattern: value.float() for pattern, value in logits.items()}
    return Predictions(("a", "b"), present, label, torch.arange(number), key, logits), label


def coverage(found: Calibration, test: Predictions, pattern, rows: torch.Tensor, level: float = 0.9) -> float:
    prior = test.logits[(False, False)][0]
    probability = sets.probabilities(test.logits[pattern][rows], found.temperature, prior, several=False)
    none = torch.zeros_like(probability, dtype=torch.bool)
    return sets.sets(probability, none, found, level).gather(1, test.label[rows][:, None]).double().mean().item()


@pytest.mark.parametrize("hides", ["nothing", "independent", "by label"])
def test_sets_hold_the_truth_as_often_as_they_say_in_every_pattern(hides):
    number, repetitions = 400, 12
    shares: dict[tuple[bool, ...], list[float]] = {ALL: [], FIRST: []}
    for seed in range(repetitions):
        val, _ = world(seed, number, hides=hides)
        test, _ = world(1_000 + seed, 2_000, hides=hides)
        found = sets.calibrations(val, val.present, val.label)
        for pattern, of_pattern in shares.items():
            exact = (test.present == torch.tensor(pattern)).all(dim=1)
            rows = exact if exact.any() else test.has(pattern)
            of_pattern.append(coverage(found[pattern], test, pattern, rows))
    for of_pattern in shares.values():
        error = np.std(of_pattern) / np.sqrt(repetitions)
        assert abs(np.mean(of_pattern) - 0.9) < 4 * error + 0.005, of_pattern


def test_borrowed_samples_are_weighted_by_what_their_label_says_of_the_pattern(monkeypatch):
    monkeypatch.setattr(sets, "LEAST_OWN", 10**9)  # borrow in any case
    test, _ = world(7, 20_000, hides="by label")
    val, _ = world(8, 10_000, hides="by label")
    found = sets.calibrations(val, val.present, val.label)[FIRST]
    assert not found.is_own
    assert found.weight.tolist() == pytest.approx([0.05, 0.3, 0.9], abs=0.04)
    rows = (test.present == torch.tensor(FIRST)).all(dim=1)
    even = Calibration(found.temperature, found.scores, found.label, torch.ones(3, dtype=torch.float64), False)
    assert coverage(found, test, FIRST, rows) == pytest.approx(0.9, abs=0.015)
    assert coverage(even, test, FIRST, rows) < 0.88


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.99])
def test_without_weights_the_threshold_is_the_order_statistic_of_split_conformal_prediction(level):
    rng = np.random.default_rng(3)
    scores = torch.from_numpy(rng.random(99))
    found = Calibration(
        torch.ones(()), scores, torch.zeros(99, dtype=torch.int64), torch.ones(4, dtype=torch.float64), True
    )
    probability = torch.from_numpy(rng.dirichlet(np.ones(4), 200))
    nothing = torch.zeros(200, 4, dtype=torch.bool)
    rank = int(np.ceil(100 * level - 1e-9))
    expected = 1 - probability <= (np.sort(scores.numpy())[rank - 1] if rank <= 99 else np.inf)
    assert torch.equal(sets.sets(probability, nothing, found, level), expected)


def test_too_few_samples_give_all_labels_and_the_decision_is_always_in():
    one = torch.ones(3, dtype=torch.float64)
    few = Calibration(torch.ones(()), torch.full((8,), 0.01).double(), torch.zeros(8, dtype=torch.int64), one, True)
    probability = torch.tensor([[0.4, 0.35, 0.25]], dtype=torch.float64)
    decided = torch.tensor([[True, False, False]])
    assert sets.sets(probability, decided, few, 0.9).all()
    assert sets.sets(probability, decided, few, 0.8).tolist() == [[True, False, False]]
    uneven = dataclasses.replace(few, weight=torch.tensor([1.0, 0.01, 0.5], dtype=torch.float64), is_own=False)
    assert sets.sets(probability, decided, uneven, 0.9).all()
    assert not sets.sets(probability, decided, uneven, 0.8).all()


def test_of_a_group_one_sample_counts_and_of_several_labels_the_least_probable_true_one():
    logits = torch.tensor([[2.0, -1.0], [2.0, -1.0], [0.0, 3.0]])
    label = torch.tensor([[True, True], [True, True], [False, False]])
    empty = torch.zeros(3, 2)
    data = Predictions(
        ("a",),
        torch.ones(3, 1, dtype=torch.bool),
        label,
        torch.tensor([0, 0, 1]),
        torch.arange(3),
        {(True,): logits, (False,): empty},
    )
    found = sets.calibrations(data, data.present, label)[True,]
    probability = sets.probabilities(logits, found.temperature, empty[0], several=True)
    assert found.scores.tolist() == [pytest.approx(1 - probability[0, 1].item()), 0.0]


def test_the_nearest_pattern_is_the_largest_within():
    known = [(True, True, False), (True, False, False), (False, False, True)]
    assert sets.nearest((True, True, True), known) == (True, True, False)
    assert sets.nearest((True, False, True), known) == (True, False, False)
    assert sets.nearest((False, False, True), known) == (False, False, True)
