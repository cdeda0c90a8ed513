"""The arithmetic of missing rates, held against enumeration and simulation written independently."""

import itertools

import pytest
import torch

from umemma import evaluation, late_fusion
from umemma.missingness import patterns

PRIOR = torch.tensor([0.5, 0.3, 0.2]).log()


@pytest.fixture
def model(towers):
    return late_fusion.build(towers, head="concat", substitute="zeros", log_prior=PRIOR,
                             feature_means={name: torch.zeros(5) for name in towers}).eval()


@pytest.fixture
def holey(media):
    """The same samples, a third of them without image, some without sound."""
    present = media.present.clone()
    present[::3, 0] = False
    present[1::6, 1] = False
    return media.with_present(present)


def table(model, batch):
    return evaluation.tabulate(model, model.encode(batch), batch.present, batch.label, PRIOR)


def test_a_pattern_is_measured_as_the_model_answers_on_just_these_samples(model, holey):
    found = table(model, holey)
    for pattern in patterns(2):
        rows = [i for i in range(24) if all(holey.present[i, m] for m in range(2) if pattern[m])]
        part = holey.rows(torch.tensor(rows))
        logits = model(part.with_present(torch.tensor([pattern] * len(rows))))
        assert found.accuracy(pattern) == pytest.approx((logits.argmax(1) == part.label).double().mean().item())
        loss = torch.nn.functional.cross_entropy(logits, part.label).item()
        assert found.cross_entropy(pattern) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.25, 0.5), (1.0, 0.3), (1.0, 1.0)])
def test_expected_accuracy_is_the_mean_over_every_way_to_hide(model, holey, rates):
    total = 0.0
    for row in range(24):
        one = holey.rows(torch.tensor([row]))
        for kept in itertools.product((True, False), repeat=2):
            share = 1.0
            for m in range(2):
                share *= 1 - rates[m] if kept[m] else rates[m]
            left = one.present & torch.tensor([kept])
            answer = model(one.with_present(left)).argmax(1) if left.any() else PRIOR.argmax()
            total += share * float(answer == one.label) / 24
    assert table(model, holey).expected(rates)["accuracy"] == pytest.approx(total)


def test_results_hold_every_pattern_and_the_whole_grid(model, media):
    towers = {name: torch.eye(3)[media.label] * (1 if name == "image" else -1) for name in media.modalities}
    found = evaluation.results(table(model, media), towers, media.label, [0.0, 0.5, 1.0])
    assert list(found["patterns"]) == ["image+audio", "image", "audio"]
    assert found["patterns"]["image+audio"]["uni"] == 1.0
    assert found["patterns"]["image+audio"]["uni_tower"] == "image"
    assert found["patterns"]["audio"]["uni"] == 0.0
    assert len(found["rates"]) == 9
    assert found["rates"][0]["accuracy"] == found["patterns"]["image+audio"]["accuracy"]


def test_a_pattern_that_no_sample_has_is_left_out(model, media):
    present = media.present.clone()
    present[:, 0] = False
    towers = {name: torch.eye(3)[media.label] for name in media.modalities}
    found = evaluation.results(table(model, media.with_present(present)), towers, media.label, [0.0])
    assert list(found["patterns"]) == ["audio"]
