"""Protocols by the names of papers: what they hide, how often, and the scores that are expected under them."""

import itertools
import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import CPU
from tests.test_parameters import changed
from umemma import named_masks, parameters
from umemma.data.sample import Sample
from umemma.errors import ParameterError, SettingError
from umemma.evaluation import named
from umemma.evaluation.robustness import Table
from umemma.missingness import key_digest, panel, patterns
from umemma.models import late_fusion
from umemma.named_protocol import expanded, of_training, own, parsed
from umemma.prediction.predict import predict
from umemma.reporting.results import UnderNamed
from umemma.sources.incomplete import Incomplete

TWO, THREE = ("image", "text"), ("image", "text", "sound")
BOTH, IMAGE, TEXT = (True, True), (True, False), (False, True)


def shares(name, modalities=TWO, **settings):
    protocol = parsed(name, modalities, **settings)
    return {kept: pytest.approx(share) for kept, share in zip(protocol.sets, protocol.shares[0], strict=True)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("both 70", {BOTH: 0.3, IMAGE: 0.35, TEXT: 0.35}),
        ("incomplete 70", {BOTH: 0.3, IMAGE: 0.35, TEXT: 0.35}),
        ("image 65 / text 65", {BOTH: 0.3, IMAGE: 0.35, TEXT: 0.35}),
        ("image 30 / text 100", {BOTH: 0.3, TEXT: 0.7}),
        ("text 30", {BOTH: 0.3, IMAGE: 0.7}),
        ("image 0", {TEXT: 1.0}),
        ("complete", {BOTH: 1.0}),
        ("leave-random-sensors-out 50", {IMAGE: 0.5, TEXT: 0.5}),
    ],
)
def test_a_name_means_what_the_papers_mean_by_it(name, expected):
    assert shares(name) == expected


def test_of_more_modalities_every_incomplete_set_is_as_likely():
    assert shares("incomplete 60", THREE) == dict.fromkeys(patterns(3)[1:], 0.1) | {(True,) * 3: 0.4}


def test_sensors_are_left_out_at_random_or_those_that_tell_most():
    four = (*THREE, "depth")
    pairs = [kept for kept in patterns(4) if sum(kept) == 2]
    assert shares("leave-random-sensors-out 50", four) == dict.fromkeys(pairs, 1 / 6)
    assert shares("leave-fixed-sensors-out 50", four, order=[2, 0, 3, 1]) == {(False, True, False, True): 1.0}
    assert len(parsed("leave-random-sensors-out 10", four).sets) == 4  # at least one


def test_of_too_many_sets_those_on_file_stand_for_all():
    ten = tuple("abcdefghij")
    protocol = parsed("leave-random-sensors-out 50", ten, known=panel(10))
    assert (len(protocol.sets), protocol.num_of) == (20, math.comb(10, 5))
    incomplete = parsed("incomplete 70", ten, known=panel(10))
    assert incomplete.num_of == 2**10 - 1
    assert sum(incomplete.shares[0]) == pytest.approx(1)
    exact = parsed("incomplete 70", ten)
    assert incomplete.rates == pytest.approx(exact.rates, abs=0.1)
    of_size = [
        [sum(share for kept, share in zip(p.sets, p.shares[0], strict=True) if sum(kept) == size) for size in range(11)]
        for p in (incomplete, exact)
    ]
    assert of_size[0] == pytest.approx(of_size[1])


def test_any_number_of_modalities_is_checked_in_no_time_and_too_many_sets_are_an_error():
    forty = [f"sensor{number}" for number in range(40)]
    for name in ("incomplete 70", "leave-random-sensors-out 50"):
        assert parsed(name, forty, known=()).num_of > 10**9
        with pytest.raises(SettingError, match="more than 5,000"):
            of_training(name, forty)


def test_every_class_loses_a_modality_of_its_own():
    protocol = parsed("class-dependent 70", TWO)
    often = named_masks.by_sample(protocol, torch.tensor([0, 1, 2]))
    assert dict(zip(protocol.sets, often[1].tolist(), strict=True)) == pytest.approx({BOTH: 0.3, TEXT: 0.0, IMAGE: 0.7})
    assert torch.equal(often[0], often[2])
    several = torch.tensor([[False, True, True], [False, False, False]])
    assert torch.equal(named_masks.by_sample(protocol, several), often[[1, 0]])


def test_a_protocol_of_ones_own_may_differ_by_class():
    protocol = own("night", {"any": {"image+text": 0.4, "text": 0.6}, "dog": {"text": 1}}, TWO, ["cat", "dog", "cow"])
    assert named_masks.by_sample(protocol, torch.tensor([0, 1, 2])).tolist() == [[0.4, 0.6], [0.0, 1.0], [0.4, 0.6]]
    for by_class, sentence in [
        ({"any": {"text": 0.6}}, "night: any: the shares of its sets sum to 1, not 0.6"),
        ({"any": {"txt": 1.0}}, "no modality called 'txt'"),
        ({"dgo": {"text": 1.0}, "any": {"text": 1.0}}, "no class called 'dgo'.*Did you mean 'dog'"),
        ({"dog": {"text": 1.0}}, "says nothing of class 'cat'"),
    ]:
        with pytest.raises(SettingError, match=sentence):
            own("night", by_class, TWO, ["cat", "dog"])


def test_each_is_a_protocol_for_every_modality_and_of_one_modality_nothing_is_hidden():
    assert expanded(["each 30", "text 30", "both 70"], TWO) == ["image 30", "text 30", "both 70"]
    assert expanded(["each 30", "complete", "incomplete 70"], ["image"]) == ["complete"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("both 170", "a rate is a number of per cent from 0 to 100, not '170'"),
        ("vido 30", "no modality or form called 'vido'"),
        ("image 10 / text 10", "sum to at most 100 %, not 180 %"),
        ("at random", "there is no form called 'at random'"),
    ],
)
def test_a_name_that_says_nothing_is_an_error(name, sentence):
    with pytest.raises(SettingError, match=sentence):
        parsed(name, TWO)
    with pytest.raises(SettingError, match="of two modalities, not of 3: take 'incomplete 70'"):
        parsed("both 70", THREE)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("evaluate.protocols", ["both 70", "text 30"], "evaluate.protocols: protocol 'text 30': there is no modality"),
        (
            "evaluate.own_protocols",
            {"night": {"any": {"image": 0.5}}},
            "evaluate.own_protocols: night: any: the shares",
        ),
        ("fuse.protocol", "text 30", "fuse.protocol: protocol 'text 30': there is no modality"),
        ("fuse.protocol", "leave-fixed-sensors-out 50", "is for tests, in evaluate.protocols"),
    ],
)
def test_parameters_name_a_protocol_that_does_not_fit_the_data_set(key, value, sentence):
    with pytest.raises(ParameterError, match=sentence):
        parameters.check(changed(key, value), "params.yaml")


def test_training_by_name_has_the_rates_of_the_name():
    settings = parameters.check(changed("fuse.protocol", "image 30 / audio 80"), "params.yaml")
    assert of_training(settings.fuse.protocol, ["image", "audio"]).rates == pytest.approx((0.7, 0.2))


KEYS = key_digest([f"sample-{number}" for number in range(6_000)])


@given(st.sampled_from(["incomplete 60", "image 40 / text 70", "leave-random-sensors-out 50", "class-dependent 80"]))
def test_draws_follow_the_exact_shares_and_never_take_all(name):
    present = torch.ones(len(KEYS), 3, dtype=torch.bool)
    present[::4, 0] = present[1::4, 1] = present[::8, 2] = False
    label = torch.arange(len(KEYS)) % 3
    protocol = parsed(name, THREE)
    left = named_masks.draw(protocol, present, KEYS, label, seed=1, epoch=0)
    assert torch.equal(left & present, left)
    assert left.any(dim=1).all()
    exact, hidden = named_masks.hidden_shares(protocol, present, label), (present & ~left).double()
    sigma = (exact * (1 - exact)).sum(dim=0).sqrt()
    assert ((hidden - exact).sum(dim=0).abs() <= 5 * sigma + 1e-9).all()
    half = torch.arange(1, len(KEYS), 2)
    assert torch.equal(named_masks.draw(protocol, present[half], KEYS[half], label[half], seed=1, epoch=0), left[half])


@pytest.fixture
def predicted(towers, media):
    """24 samples, some with holes, and answers to each under every set."""
    torch.manual_seed(3)
    prior = torch.tensor([0.5, 0.3, 0.2]).log()
    model = late_fusion.build(
        towers,
        head="concat",
        substitute="zeros",
        substitute_at="feature",
        log_prior=prior,
        rows={name: torch.zeros(1, 5) for name in towers},
    ).eval()
    present = media.present.clone()
    present[::3, 0] = False
    return predict(model, media.with_present(present), prior, group=torch.arange(24), device=CPU)


@pytest.mark.parametrize(
    "name", ["both 70", "image 30 / audio 80", "class-dependent 70", "leave-random-sensors-out 50", "complete"]
)
def test_expected_scores_are_those_of_many_draws(predicted, name):
    table, protocol = Table(predicted), parsed(name, predicted.modalities)
    (row,) = named.results(table, [protocol])
    UnderNamed.model_validate(row)
    rounds = 1_000
    accuracy, missing = 0.0, torch.zeros(2)
    for epoch in range(rounds):
        left = named_masks.draw(protocol, predicted.present, predicted.key, predicted.label, seed=0, epoch=epoch)
        sets = [tuple(kept) for kept in left.tolist()]
        logits = torch.stack([predicted.logits[kept][number] for number, kept in enumerate(sets)])
        accuracy += (logits.argmax(dim=1) == predicted.label).double().mean().item() / rounds
        missing += (~left).float().mean(dim=0) / rounds
    assert row["scores"]["accuracy"] == pytest.approx(accuracy, abs=0.015)
    assert list(row["missing"].values()) == pytest.approx(missing.tolist(), abs=0.015)


def test_what_was_not_evaluated_is_said(predicted):
    without = {kept: value for kept, value in predicted.logits.items() if kept != (True, False)}
    table = Table(type(predicted)(**{**vars(predicted), "logits": without}))
    (row,) = named.results(table, [parsed("both 70", predicted.modalities)])
    assert row["scores"] is None
    assert row["why"] == "1 of 3 sets of modalities that it leaves were not evaluated"


def test_what_tells_most_is_the_modality_whose_tower_answers_best(predicted):
    certain = torch.nn.functional.one_hot(predicted.label, 3).float() * 9
    for best, order in ((0, [0, 1]), (1, [1, 0])):
        logits = dict(predicted.logits) | {tuple(m == best for m in range(2)): certain}
        assert named.by_information(type(predicted)(**{**vars(predicted), "logits": logits})) == order


@pytest.mark.parametrize("name", ["both 70", "class-dependent 70"])
def test_every_pair_of_sets_counts_in_auroc_as_often_as_it_occurs(predicted, name):
    protocol = parsed(name, predicted.modalities)
    often, present = named_masks.by_sample(protocol, predicted.label), predicted.present
    score, weight = [], []
    for number in range(len(present)):
        kept = named_masks.kept(protocol, present)[number].tolist()
        score.append([predicted.logits[tuple(one)][number].softmax(dim=0)[2].item() for one in kept])
        weight.append(often[number].tolist())
    above = total = 0.0
    for i, j in itertools.product(range(len(present)), repeat=2):
        if predicted.label[i] == 2 != predicted.label[j]:
            total += 1
            for (a, p), (b, q) in itertools.product(
                zip(score[i], weight[i], strict=True), zip(score[j], weight[j], strict=True)
            ):
                above += p * q * ((a > b) + 0.5 * (a == b))
    table = Table(predicted)
    table.ranked = [2]
    (row,) = named.results(table, [protocol])
    assert row["auroc"] == pytest.approx(above / total, abs=1e-6)


class Whole:
    """100 samples of two modalities a split."""

    modalities = ("image", "audio")
    num_samples = dict.fromkeys(("train", "val", "test"), 100)

    def sample(self, split, index):
        members = {"image.png": b"1", "audio.wav": b"2"}
        return Sample(f"{split}{index}", split, (index % 2,), "g", members, {"audio.wav": "a.wav"})


def test_what_training_samples_lose_for_good_is_drawn_once_and_test_samples_are_whole():
    incomplete = Incomplete(Whole(), "both 70")
    left = {split: [incomplete.sample(split, index) for index in range(100)] for split in Whole.num_samples}
    assert all(len(sample.members) == 2 for sample in left["test"])
    for split in ("train", "val"):
        count = Counter(sample.modalities for sample in left[split])
        assert set(count) == {("image", "audio"), ("image",), ("audio",)}
        assert 15 <= count["image", "audio"] <= 45  # 30 expected
        assert all(set(sample.files) <= set(sample.members) for sample in left[split])
    assert left["train"] == [Incomplete(Whole(), "both 70").sample("train", index) for index in range(100)]
    by_class = [Incomplete(Whole(), "class-dependent 100").sample("train", index).modalities for index in range(4)]
    assert by_class == [("audio",), ("image",), ("audio",), ("image",)]
    with pytest.raises(SettingError, match=r"prepare\.protocol: protocol 'text 30': there is no modality"):
        Incomplete(Whole(), "text 30")
