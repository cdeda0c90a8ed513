"""The arithmetic of missing rates and protocols, checked against independent enumeration and simulation."""

import itertools
import math
import time

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.conftest import CPU
from umemma.evaluation import robustness
from umemma.evaluation.robustness import Table
from umemma.missingness import PROTOCOLS, hide, patterns
from umemma.models import late_fusion
from umemma.prediction.predict import predict

PRIOR = torch.tensor([0.5, 0.3, 0.2]).log()
CLASSES = ["zero", "one", "two"]


@pytest.fixture
def model(towers):
    torch.manual_seed(3)
    return late_fusion.build(
        towers,
        head="concat",
        substitute="zeros",
        substitute_at="feature",
        log_prior=PRIOR,
        rows={name: torch.zeros(1, 5) for name in towers},
    ).eval()


@pytest.fixture
def holey(media):
    """The same samples, a third of them without the image, some without sound."""
    present = media.present.clone()
    present[::3, 0] = False
    present[1::6, 1] = False
    return media.with_present(present)


def predictions_of(model, batch):
    return predict(model, batch, PRIOR, group=torch.arange(len(batch)), device=CPU)


def table(model, batch):
    return Table(predictions_of(model, batch))


def towers_table(label, right):
    """Return the table of towers that are always right, or always wrong."""
    alone = {name: torch.eye(3)[label] * (5 if name in right else -5) for name in ("image", "audio")}
    logits = {
        (True, False): alone["image"],
        (False, True): alone["audio"],
        (True, True): alone["image"],
        (False, False): PRIOR.expand(len(label), -1),
    }
    predicted = robustness.Predictions(
        ("image", "audio"),
        torch.ones(len(label), 2, dtype=torch.bool),
        label,
        torch.arange(len(label)),
        torch.arange(len(label)),
        logits,
    )
    return Table(predicted)


def test_a_pattern_is_measured_as_the_model_answers_on_just_these_samples(model, holey):
    measured = table(model, holey)
    for pattern in patterns(2):
        rows = [i for i in range(24) if all(holey.present[i, m] for m in range(2) if pattern[m])]
        part = holey.rows(torch.tensor(rows))
        logits = model(part.with_present(torch.tensor([pattern] * len(rows))))
        assert measured.accuracy(pattern) == pytest.approx((logits.argmax(1) == part.label).double().mean().item())
        loss = torch.nn.functional.cross_entropy(logits, part.label).item()
        assert measured.cross_entropy(pattern) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.25, 0.5), (1.0, 0.3), (1.0, 1.0)])
def test_expected_accuracy_is_the_mean_over_every_way_to_hide(model, holey, rates):
    total = 0.0
    for row in range(24):
        sample = holey.rows(torch.tensor([row]))
        for mask in itertools.product((True, False), repeat=2):
            share = 1.0
            for m in range(2):
                share *= 1 - rates[m] if mask[m] else rates[m]
            left = sample.present & torch.tensor([mask])
            given = model(sample.with_present(left)).argmax(1) if left.any() else PRIOR.argmax()
            total += share * float(given == sample.label) / 24
    assert table(model, holey).expected(rates)["accuracy"] == pytest.approx(total)


@pytest.mark.parametrize(
    ("protocol", "rates"),
    [("independent", (0.3, 0.6)), ("balanced", (0.3, 0.6)), ("absent", (0.0, 1.0)), ("absent", (1.0, 0.0))],
)
def test_a_protocols_accuracy_is_what_drawing_its_masks_comes_to(model, holey, protocol, rates):
    measured = table(model, holey)
    expected, drawn, rounds = measured.under(protocol, rates)["accuracy"], 0.0, 4000
    for epoch in range(rounds):
        left = hide(holey.present, holey.key, rates, protocol=protocol, seed=0, epoch=epoch)
        drawn += sum(measured.share_correct[tuple(pattern)][row].item() for row, pattern in enumerate(left.tolist()))
    assert expected == pytest.approx(drawn / rounds / 24, abs=0.004)


def test_a_mechanisms_accuracy_is_that_over_every_way_to_hide_each_sample(model, holey):
    measured = table(model, holey)
    chance = torch.rand(24, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    total = 0.0
    for row in range(24):
        for mask in itertools.product((True, False), repeat=2):
            share = math.prod(1 - chance[row, m] if mask[m] else chance[row, m] for m in range(2))
            total += float(share * measured.share_correct[mask][row]) / 24
    assert measured.under_chances(chance)["accuracy"] == pytest.approx(total)
    alike = torch.tensor([[0.25, 0.5]], dtype=torch.float64).expand(24, -1)
    assert measured.under_chances(alike) == pytest.approx(measured.expected((0.25, 0.5)))
    content = robustness.results(measured, measured, [0.0, 0.5], CLASSES, {"by_class": lambda rate: alike * rate})
    (row,) = [row for row in content["protocols"] if (row["protocol"], row["rate"]) == ("by_class", 0.5)]
    assert row["missing"] == "every modality"
    assert row["accuracy"] == pytest.approx(measured.expected((0.125, 0.25))["accuracy"], abs=1e-6)
    spared = alike * torch.tensor([0.0, 1.0])
    content = robustness.results(measured, measured, [0.5], CLASSES, {"mar": lambda rate: spared * rate})
    assert content["protocols"][-1]["missing"] == "all but image"


def test_results_hold_every_pattern_what_is_kept_the_lines_of_rates_and_every_protocol(model, media):
    results = robustness.results(table(model, media), towers_table(media.label, {"image"}), [0.0, 0.5, 1.0], CLASSES)
    assert list(results["patterns"]) == ["image+audio", "image", "audio"]
    assert results["patterns"]["image+audio"]["uni"] == 1.0
    assert results["patterns"]["image+audio"]["uni_tower"] == "image"
    assert results["patterns"]["audio"]["uni"] == 0.0
    rates = [tuple(row["missing_rate"].values()) for row in results["rates"]]
    assert sorted(rates) == [(0, 0), (0, 0.5), (0, 1), (0.5, 0), (0.5, 0.5), (1, 0), (1, 1)]
    assert results["rates"][0]["accuracy"] == results["patterns"]["image+audio"]["accuracy"]
    assert list(results["kept"]) == ["image+audio", "image", "audio", ""]
    assert results["kept"]["audio"]["accuracy"] == results["patterns"]["audio"]["accuracy"]
    assert results["kept"][""]["accuracy"] == pytest.approx((media.label == 0).double().mean().item(), abs=1e-6)
    assert {row["protocol"] for row in results["protocols"]} == set(PROTOCOLS)
    by_setting = {(row["protocol"], row["missing"], row["rate"]): row["accuracy"] for row in results["protocols"]}
    assert by_setting["absent", "image", 1.0] == results["patterns"]["audio"]["accuracy"]
    assert by_setting["independent", "every modality", 0.0] == results["patterns"]["image+audio"]["accuracy"]
    assert by_setting["balanced", "every modality", 1.0] == pytest.approx(
        (results["patterns"]["audio"]["accuracy"] + results["patterns"]["image"]["accuracy"]) / 2, abs=1e-6
    )


def test_a_pattern_that_no_sample_has_is_left_out(model, media):
    present = media.present.clone()
    present[:, 0] = False
    results = robustness.results(
        table(model, media.with_present(present)), towers_table(media.label, {"audio"}), [0.0], CLASSES
    )
    assert list(results["patterns"]) == ["audio"]


def test_rates_that_need_a_pattern_which_is_not_on_file_have_no_result():
    label = torch.arange(30) % 3
    logits = {pattern: torch.randn(30, 3) for pattern in [*patterns(3)[:4], (False,) * 3]}  # at most one is missing
    present = torch.ones(30, 3, dtype=torch.bool)
    present[:5, 0] = False
    measured = Table(robustness.Predictions(("a", "b", "c"), present, label, label, label, logits))
    content = robustness.results(measured, full_towers(label, present), [0.0, 0.5, 1.0], CLASSES)
    missing = [row["missing_rate"] for row in content["rates"]]
    assert {"a": 0.5, "b": 0.0, "c": 0.0} in missing
    assert {"a": 1.0, "b": 1.0, "c": 1.0} in missing
    assert {"a": 0.5, "b": 0.5, "c": 0.5} not in missing
    settings = {(row["protocol"], row["missing"], row["rate"]) for row in content["protocols"]}
    assert ("independent", "every modality", 0.5) not in settings
    assert ("balanced", "every modality", 0.5) in settings  # a sample without `a` loses one more: as if that one alone


def full_towers(label, present):
    logits = {pattern: torch.eye(3)[label] for pattern in [*patterns(3), (False,) * 3]}
    return Table(robustness.Predictions(("a", "b", "c"), present, label, label, label, logits))


def test_six_modalities_with_holes_of_every_kind_take_seconds():
    num, generator = 400, torch.Generator().manual_seed(0)
    label = torch.randint(3, (num,), generator=generator)
    present = torch.rand(num, 6, generator=generator) < 0.6
    logits = {pattern: torch.randn(num, 3, generator=generator) for pattern in [*patterns(6), (False,) * 6]}
    measured = Table(robustness.Predictions(tuple("abcdef"), present, label, label, label, logits))
    start = time.perf_counter()
    content = robustness.results(measured, measured, [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0], CLASSES)
    assert time.perf_counter() - start < 20
    assert len(content["kept"]) == 64


def test_auroc_and_auprc_of_two_classes_are_those_of_the_rarer_one_under_every_pattern():
    label = torch.tensor([0] * 30 + [1] * 10)
    logits = {pattern: torch.randn(40, 2).round(decimals=1) for pattern in [*patterns(2), (False, False)]}
    present = torch.ones(40, 2, dtype=torch.bool)
    present[:25, 0] = False  # of those that have `a`, class 0 is the rarer one
    measured = Table(robustness.Predictions(("a", "b"), present, label, label, label, logits))
    row = measured.ranking((True, False), ["lives", "dies"])
    score = (logits[True, False][:, 1] - logits[True, False][:, 0])[25:]
    assert row["auroc"] == pytest.approx(roc_auc_score(label[25:], score), abs=1e-6)
    assert row["auprc"] == pytest.approx(average_precision_score(label[25:], score), abs=1e-6)
    assert row["auprc_by_class"] == {"dies": row["auprc"]}


def test_ten_thousand_rate_vectors_cost_less_than_a_second_and_no_pass_through_the_model():
    num_samples, generator = 10_000, torch.Generator().manual_seed(0)
    label = torch.randint(10, (num_samples,), generator=generator)
    logits = {pattern: torch.randn(num_samples, 10, generator=generator) for pattern in [*patterns(3), (False,) * 3]}
    measured = Table(
        robustness.Predictions(
            ("a", "b", "c"), torch.ones(num_samples, 3, dtype=torch.bool), label, label, label, logits
        )
    )
    rates = torch.rand(10_000, 3, generator=generator, dtype=torch.float64)
    start = time.perf_counter()
    many = measured.expected_many(rates)["accuracy"]
    assert time.perf_counter() - start < 1
    for row in (0, 17, 9_999):
        assert many[row].item() == pytest.approx(measured.expected(rates[row].tolist())["accuracy"])


def test_a_sample_with_nothing_is_answered_by_the_prior(model, media):
    predicted = predictions_of(model, media.with_present(torch.zeros(24, 2, dtype=torch.bool)))
    assert all(torch.equal(logits, PRIOR.expand(24, -1)) for logits in predicted.logits.values())
