"""Towers that saw only the samples which have their modality, where presence depends on the label; exact truth."""

import numpy as np
import pytest
import torch
from torch import nn

import umemma
from tests.enumerated_world import NUM_CLASSES, NUM_MODALITIES, PRIOR, SHOWN, SYMBOLS, World, X, Y, by_chance, mechanism
from umemma.data.batch import Batch
from umemma.metrics.classification import nll
from umemma.models import late_fusion, unimodal
from umemma.models.unimodal import Tower

INDEPENDENT = World(prior=[PRIOR[0]] * 2, good=[[0.55, 0.7, 0.4]] * 2, together=0.0)  # given the label
BY_LABEL = mechanism(INDEPENDENT.p, [(Y == 2) * 1.0] * NUM_MODALITIES, [0.3, 0.4, 0.5], 2.0)
BY_CHANCE = by_chance(INDEPENDENT.p, [0.3] * NUM_MODALITIES)


def exact_towers() -> dict[str, Tower]:
    """Return towers that answer p(y | x_m, R_m = 1) exactly, from one-hot symbols."""
    towers = {}
    for m in range(NUM_MODALITIES):
        p = INDEPENDENT.p * BY_LABEL[SHOWN[:, m]].sum(axis=0)
        table = np.bincount(X[m] * NUM_CLASSES + Y, p, SYMBOLS * NUM_CLASSES).reshape(SYMBOLS, NUM_CLASSES)
        tower = Tower(unimodal.build(f"x{m}", torch.zeros(1, SYMBOLS), nn.Identity()), NUM_CLASSES)
        with torch.no_grad():
            tower.head.weight.copy_(torch.from_numpy(np.log(table / table.sum(axis=1, keepdims=True)).T))
            tower.head.bias.zero_()
            tower.log_prior.copy_(torch.from_numpy(np.log(table.sum(axis=0) / table.sum())))
        towers[f"x{m}"] = tower
    return towers


def cross_entropy(head: str, towers: dict[str, Tower], table: np.ndarray) -> float:
    """Return the exact cross-entropy of the towers' fusion, untrained, under a mechanism (pattern, cell)."""
    log_prior = torch.from_numpy(np.log(np.bincount(Y, INDEPENDENT.p))).float()
    rows = {name: torch.zeros(1, SYMBOLS) for name in towers}
    model = late_fusion.build(
        towers, head=head, substitute="none", substitute_at="feature", log_prior=log_prior, rows=rows
    )
    values = {f"x{m}": torch.eye(SYMBOLS)[torch.from_numpy(X[m])] for m in range(NUM_MODALITIES)}
    total = 0.0
    for shown, p in zip(SHOWN, INDEPENDENT.p * table, strict=True):
        present = torch.from_numpy(shown).expand(len(Y), -1)
        with torch.no_grad():
            logits = model(Batch(values, present, torch.from_numpy(Y), torch.arange(len(Y))))
        total += float(p @ nll(logits, torch.from_numpy(Y)).numpy())
    return total


@pytest.mark.parametrize("head", ["product_of_experts", "sum_logits", "pool"])
def test_towers_are_divided_by_the_class_shares_of_the_samples_that_they_saw(head):
    """The least cross-entropy with modalities missing by chance; one prior for all towers had 0.676."""
    least = sum(
        float(INDEPENDENT.p * table @ -np.log(INDEPENDENT.posterior(r)[np.arange(len(Y)), Y]))
        for r, table in enumerate(BY_CHANCE)
    )
    towers = exact_towers()
    assert cross_entropy(head, towers, BY_CHANCE) == pytest.approx(least, abs=1e-5) == pytest.approx(0.515, abs=5e-4)
    for tower in towers.values():  # as if they had seen all samples
        tower.log_prior.copy_(torch.from_numpy(np.log(np.bincount(Y, INDEPENDENT.p))))
    assert cross_entropy(head, towers, BY_CHANCE) == pytest.approx(0.676, abs=5e-4)


def test_under_their_own_mechanism_too_one_prior_for_all_towers_is_worse():
    towers = exact_towers()
    fair = cross_entropy("product_of_experts", towers, BY_LABEL)
    for tower in towers.values():
        tower.log_prior.copy_(torch.from_numpy(np.log(np.bincount(Y, INDEPENDENT.p))))
    assert fair == pytest.approx(0.607, abs=5e-4)
    assert cross_entropy("product_of_experts", towers, BY_LABEL) == pytest.approx(0.618, abs=5e-4)


def noise(count: int, seed: int, told: float) -> Batch:
    """Return samples of two classes whose values say nothing, and whose `b` is missing from class 1 `told` more often."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 2, (count,), generator=generator)
    away = torch.rand(count, generator=generator) < 0.5 + told * (label - 0.5)
    values = {name: torch.randn(count, 4, generator=generator) for name in ("a", "b")}
    present = torch.stack([torch.ones(count, dtype=torch.bool), ~away], dim=1)
    return Batch(values, present, label, torch.arange(count))


@pytest.mark.parametrize(("presence", "uses"), [("learn", True), ("ignore", False)])
def test_a_head_that_must_ignore_presence_answers_the_same_whatever_makes_modalities_go_missing(presence, uses):
    """Presence tells 0.19 nats; without them 0.69 are left. Where holes come by chance, a head that learnt them is wrong."""
    data = {"train": noise(2000, 0, 0.6), "val": noise(500, 1, 0.6)}
    towers = {name: umemma.train_tower(name, nn.Identity(), data, epochs=1) for name in ("a", "b")}
    model = umemma.train_fusion(
        towers, data, arm="frozen", head="gated", presence=presence, missing_rate=0.0, epochs=6, lr=0.01
    )
    losses = []
    for told in (0.6, 0.0):
        batch = noise(2000, 3, told)
        with torch.no_grad():
            losses.append(nll(model(batch), batch.label).mean().item())
    least = float(np.log(2) - (0.8 * np.log(1.6) + 0.2 * np.log(0.4)))
    assert (losses[0] < 0.6) == uses
    assert (losses[1] > 0.75) == uses
    if uses:
        assert losses[0] == pytest.approx(least, abs=0.03)
    else:
        assert losses == pytest.approx([np.log(2)] * 2, abs=0.03)
