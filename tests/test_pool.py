"""The pool: one modality is its tower, no tower spoils the rest, and few samples change little."""

import pytest
import torch
from torch import nn

from umemma.metrics.calibration import temperature
from umemma.metrics.classification import nll, share_correct
from umemma.missingness import key_digest, panel, thinned
from umemma.models.heads import pool, product_of_experts


class Answers(nn.Module):
    """A tower whose features are its logits."""

    def forward(self, features):
        return features


def answers(num_towers, num_classes, num, seed):
    """Return ({tower: logits}, label) of towers of unequal strength whose errors are partly the same."""
    traits = torch.Generator().manual_seed(num_towers)
    strength = torch.rand(num_towers, generator=traits) * 1.8 + 0.05
    confidence = 4 ** torch.randn(num_towers, generator=traits)
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(num_classes, (num,), generator=generator)
    shared = torch.randn(num, num_classes, generator=generator)
    right = nn.functional.one_hot(label, num_classes)
    logits = {}
    for m in range(num_towers):
        error = 0.6 * shared + 0.8 * torch.randn(num, num_classes, generator=generator)
        logits[f"m{m}"] = confidence[m] * (strength[m] ** 2 * right + strength[m] * error)
    return logits, label


def fitted(num_towers, num_classes, num):
    """Return (head, product of experts, logits and label of new samples), all fitted to `num` held-out ones."""
    held_out, label = answers(num_towers, num_classes, num, 1)
    new, new_label = answers(num_towers, num_classes, 3000, 2)
    for name, value in held_out.items():
        scale = temperature(value, label).float()
        held_out[name], new[name] = value / scale, new[name] / scale
    prior = torch.full((num_classes,), 1 / num_classes).log()
    towers = {name: Answers() for name in held_out}
    head, product = pool.Head(towers, prior), product_of_experts.Head(towers, prior)
    key = key_digest([str(i) for i in range(num)])
    everything = torch.ones(num, num_towers, dtype=torch.bool)
    visible = torch.cat([everything, *(thinned(everything, key, seed=0, copy=copy) for copy in range(4))])
    head.fit({name: value.repeat(5, 1) for name, value in held_out.items()}, visible, label.repeat(5), 5)
    return head, product, new, new_label


@pytest.mark.parametrize("num_towers", range(2, 11))
@pytest.mark.parametrize("num_classes", [2, 6])
def test_whatever_the_number_of_towers_the_pool_is_at_least_the_best_of_them(num_towers, num_classes):
    head, product, logits, label = fitted(num_towers, num_classes, 800)
    alone = {name: (nll(value, label).mean(), share_correct(value, label).mean()) for name, value in logits.items()}
    losses, product_losses = [], []
    for pattern in panel(num_towers):
        names = [name for name, is_present in zip(logits, pattern, strict=True) if is_present]
        visible = torch.tensor(pattern).expand(len(label), -1)
        pooled = head(logits, visible)
        cross_entropy = min(alone[name][0] for name in names)
        losses.append(nll(pooled, label).mean() - cross_entropy)
        product_losses.append(nll(product(logits, visible), label).mean() - cross_entropy)
        assert losses[-1] < 0.03
        assert share_correct(pooled, label).mean() > max(alone[name][1] for name in names) - 0.02
    assert sum(losses) <= sum(product_losses) + 1e-3


def test_one_modality_left_is_its_tower_and_none_the_prior():
    head, _, logits, label = fitted(3, 4, 200)
    for m, value in enumerate(logits.values()):
        alone = torch.arange(3).expand(len(label), -1) == m
        torch.testing.assert_close(head(logits, alone), value)
    nothing = torch.zeros(len(label), 3, dtype=torch.bool)
    torch.testing.assert_close(head(logits, nothing), head.log_prior.expand(len(label), -1))


def test_samples_that_are_all_right_do_not_make_the_pool_certain():
    label = torch.arange(50) % 4
    logits = {f"m{m}": 3.0 * nn.functional.one_hot(label, 4) for m in range(3)}
    head = pool.Head({name: Answers() for name in logits}, torch.full((4,), 0.25).log())
    head.fit(logits, torch.ones(50, 3, dtype=torch.bool), label, 1)
    assert 1 <= head.independence < 1.3


def test_none_of_the_towers_is_the_prior_however_independent_they_are():
    head = fitted(3, 4, 200)[0]
    head.independence.fill_(6.0)
    nothing = torch.zeros(5, 3, dtype=torch.bool)
    logits = head({f"m{m}": torch.randn(5, 4) for m in range(3)}, nothing)
    torch.testing.assert_close(logits, head.log_prior.expand(5, -1))


def test_few_samples_move_the_shares_less_than_many():
    few, many = (fitted(4, 3, num)[0] for num in (20, 2000))
    assert few.share.std() < many.share.std()
    assert few.bias.abs().max() < 0.5


def test_a_single_modality_leaves_nothing_to_fit():
    head = pool.Head({"only": Answers()}, torch.zeros(2))
    head.fit({"only": torch.randn(9, 2)}, torch.ones(9, 1, dtype=torch.bool), torch.zeros(9, dtype=torch.int64), 1)
    assert head.share.tolist() == [0]


def test_several_labels_are_pooled_by_their_log_odds():
    generator = torch.Generator().manual_seed(0)
    label = torch.rand(500, 3, generator=generator) < 0.3
    good = (label.float() * 2 - 1) * 2 + torch.randn(500, 3, generator=generator)
    noise = torch.randn(500, 3, generator=generator)
    head = pool.Head({"good": Answers(), "noise": Answers()}, torch.full((3,), 0.3).logit())
    visible = torch.ones(500, 2, dtype=torch.bool)
    head.fit({"good": good, "noise": noise}, visible, label, 1)
    assert head.share[0] > head.share[1] + 1
    pooled = head({"good": good, "noise": noise}, visible)
    assert nll(pooled, label).mean() < nll(good, label).mean() + 0.02
