"""The baselines `linear` and `trees`: what their columns say, that their trees are the library's, and what they find."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import xgboost

from tests.test_arms import CLASSES, context, fuse, predictions_of, with_fuse  # noqa: F401 (a fixture)
from umemma.data.batch import Batch
from umemma.evaluation import leak_audit
from umemma.missingness import key_digest, thinned
from umemma.models import checkpoint
from umemma.models.forest import Forest
from umemma.models.pooling import COLUMNS, Pooling, kind_of
from umemma.training.copies import with_copies
from umemma.training.fit import fit
from umemma.training.pooled import pooled

SAMPLES = {
    "vector": torch.randn(6, 5),
    "series": torch.randn(6, 3, 150),
    "picture": torch.randint(0, 256, (6, 3, 12, 10), dtype=torch.uint8),
    "spectrogram": torch.randn(6, 1, 40, 20).half(),
    "grey": torch.randint(0, 256, (6, 1, 12, 10), dtype=torch.uint8),
    "frames": torch.randint(0, 256, (6, 4, 3, 12, 10), dtype=torch.uint8),
    "words": torch.randint(0, 9, (6, 20), dtype=torch.int32),
}
both = pytest.mark.parametrize("name", ["linear", "trees"])


def test_every_kind_of_columns_is_tried():
    assert {*COLUMNS, "words"} == set(SAMPLES)


@pytest.mark.parametrize("kind", SAMPLES)
def test_a_samples_columns_are_its_own(kind):
    value = SAMPLES[kind]
    assert kind_of(value) == kind
    pooling = Pooling.fit(value, max_columns=50)
    columns = pooling(value)
    assert columns.shape == (6, pooling.dim)
    assert columns.dtype == torch.float32
    assert columns.isfinite().all()
    torch.testing.assert_close(pooling(value[[4, 1]]), columns[[4, 1]])
    again = Pooling.blank(json.loads(json.dumps(pooling.facts())))
    again.load_state_dict(pooling.state_dict())
    assert torch.equal(again(value), columns)


def test_what_was_not_measured_changes_no_statistic_of_a_series():
    short = torch.randn(4, 2, 9)
    padded = torch.cat([short, torch.full((4, 2, 6), torch.nan)], dim=2)
    torch.testing.assert_close(COLUMNS["series"](padded), COLUMNS["series"](short))
    gone = padded.clone()
    gone[0, 1] = torch.nan
    columns = COLUMNS["series"](gone).reshape(4, 2, -1)
    assert columns[0, 1, 0] == 0
    assert columns[0, 1, 1:].isnan().all()
    assert columns[0, 0].isfinite().all()


def test_statistics_of_a_series_are_what_they_are_called():
    line = torch.arange(10.0)[None, None]
    number, mean, deviation, slope, change, first, last, gain, *quantiles = COLUMNS["series"](line)[0].tolist()
    assert (number, mean, slope, change, first, last, gain) == pytest.approx((10, 4.5, 1, 1, 0, 9, 9))
    assert deviation == pytest.approx(np.std(range(10)))
    assert quantiles == pytest.approx([0, 1, 2, 4, 7, 8, 9])


def test_an_edge_is_seen_in_its_own_direction():
    upright = torch.zeros(1, 1, 16, 16)
    upright[..., 8:] = 1
    histograms = COLUMNS["picture"](torch.cat([upright, upright.transpose(2, 3)]))[:, 64:].reshape(2, 8, -1).sum(dim=2)
    assert histograms.argmax(dim=1).tolist() == [0, 4]


def test_a_frequent_word_weighs_less_than_a_rare_one_and_an_unknown_one_nothing():
    texts = torch.tensor([[1, 2, 0], [1, 2, 0], [1, 3, 0], [1, 3, 3], [1, 4, 0]], dtype=torch.int32)
    pooling = Pooling.fit(texts, max_columns=50)
    assert pooling.word.tolist() == [1, 2, 3]
    columns = pooling(torch.tensor([[1, 2, 9], [9, 9, 0]], dtype=torch.int32))
    assert columns[0, 1] > columns[0, 0] > 0
    assert columns[0].norm() == pytest.approx(1)
    assert not columns[1].any()


def test_many_words_are_summed_up_for_trees():
    texts = torch.randint(1, 200, (80, 30), dtype=torch.int32)
    pooling = Pooling.fit(texts, max_columns=7)
    assert pooling(texts).shape == (80, 7)


def test_fewer_texts_than_directions_are_enough():
    texts = torch.randint(1, 400, (9, 12), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    texts = texts.repeat(2, 1)  # a word of a single text counts nothing
    assert Pooling.fit(texts, max_columns=20)(texts).shape == (18, 18)


@pytest.mark.parametrize("objective", ["binary:logistic", "multi:softprob"])
def test_a_forest_answers_as_the_library_does(objective):
    generator = np.random.default_rng(0)
    columns = generator.normal(size=(300, 6)).astype(np.float32).round(1)  # ties with thresholds
    columns[generator.random(columns.shape) < 0.3] = np.nan
    label = (np.nan_to_num(columns[:, 0]) + np.nan_to_num(columns[:, 1]) ** 2 > 1).astype(int)
    settings = {"objective": objective, "max_depth": 5, "tree_method": "hist"}
    num = 1 if objective == "binary:logistic" else 3
    settings |= {} if num == 1 else {"num_class": 3}
    booster = xgboost.train(settings, xgboost.DMatrix(columns, label), 12)
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]["model"]
    forest = Forest.of_xgboost(model["trees"], model["tree_info"], num)
    given = np.zeros(300 * num, np.float32)
    expected = booster.predict(xgboost.DMatrix(columns, base_margin=given.reshape(300, num)), output_margin=True)
    ours = forest(torch.from_numpy(columns))
    torch.testing.assert_close(ours, torch.from_numpy(expected).reshape(300, num), rtol=1e-4, atol=1e-5)
    assert forest(torch.zeros(0, 6)).shape == (0, num)


def test_copies_meet_every_number_of_modalities_and_keep_one():
    present = torch.ones(3000, 5, dtype=torch.bool)
    present[:, 3] = False
    key = key_digest([str(i) for i in range(3000)])
    kept = thinned(present, key, seed=0, copy=1)
    assert not (kept & ~present).any()
    shares = torch.bincount(kept.sum(dim=1), minlength=5) / 3000
    assert shares[0] == 0
    assert all(0.15 < share < 0.45 for share in shares[1:].tolist())
    assert torch.equal(kept[5:9], thinned(present[5:9], key[5:9], seed=0, copy=1))
    assert not torch.equal(kept, thinned(present, key, seed=0, copy=2))


def test_one_modality_is_not_copied(media):
    assert len(with_copies(media, seed=0)) == 5 * 24
    assert len(with_copies(media.only(["image"]), seed=0)) == 24


def interacting(seed: int, num: int) -> Batch:
    """The label is whether two numbers have the same sign: neither says anything alone, a third says a little."""
    generator = torch.Generator().manual_seed(seed)
    first, second, noise = torch.randn(3, num, 1, generator=generator)
    label = ((first > 0) == (second > 0)).long().squeeze(1)
    weak = label[:, None] + noise
    weak[: num // 5] = torch.nan
    values = {"first": first, "second": second, "weak": weak}
    present = torch.ones(num, 3, dtype=torch.bool)
    present[num // 2 :, 2] = False
    return Batch(values, present, label, key_digest([f"{seed}-{i}" for i in range(num)]))


@pytest.fixture
def sceptical(context):  # noqa: F811
    """A context of towers that nobody asks."""
    media = {
        split: interacting(seed, num) for seed, (split, num) in enumerate([("train", 600), ("val", 300), ("test", 400)])
    }
    tower = context.towers["image"]
    return replace(
        context, towers=dict.fromkeys(media["train"].values, tower), media=media, features=media, num_classes=2
    )


def accuracy(predicted, pattern):
    has = predicted.has(pattern)
    return (predicted.logits[pattern].argmax(dim=1) == predicted.label)[has].double().mean().item()


def test_trees_see_an_interaction_that_a_product_of_linear_models_cannot(sceptical):
    trees, linear = (predictions_of(fit(name, sceptical), sceptical) for name in ("trees", "linear"))
    assert accuracy(trees, (True, True, False)) > 0.9
    assert accuracy(linear, (True, True, False)) < 0.65
    for predicted in (trees, linear):
        assert accuracy(predicted, (False, False, True)) > 0.55
        assert all(value.isfinite().all() for value in predicted.logits.values())


@both
def test_several_labels_are_several_questions(name, context):  # noqa: F811
    def labelled(batch):
        one = batch.label
        return replace(batch, label=torch.stack([one == 0, one > 0, torch.zeros_like(one, dtype=torch.bool)], dim=1))

    context = replace(context, media={split: labelled(batch) for split, batch in context.media.items()})
    predicted = predictions_of(fit(name, context), context)
    logits = predicted.logits[True, True]
    right = (logits[:, :2] > 0) == predicted.label[:, :2]
    assert right.double().mean() > 0.8
    assert (logits[:, 2] < 0).all()


@both
def test_missing_values_cannot_move_a_baseline(name, sceptical):
    model = fit(name, sceptical).model
    checked, failures = leak_audit.audit(model, sceptical.media["test"].rows(slice(150, 250)))
    assert checked == 7 * 4
    assert not failures


@both
def test_a_baseline_that_was_saved_answers_the_same(name, sceptical, tmp_path):
    fuse(name, sceptical, tmp_path / "model", CLASSES[:2])
    model = fit(name, sceptical).model
    again = checkpoint.load(tmp_path / "model/model.safetensors")
    assert torch.equal(again(sceptical.media["test"]), model(sceptical.media["test"]))


@both
def test_columns_that_were_pooled_beforehand_make_the_same_baseline(name, context, sceptical):  # noqa: F811
    for of_media in (context, sceptical):  # spectrograms with holes in `val` and `test`, vectors with missing numbers
        expected, found = (predictions_of(fit(name, each), each) for each in (of_media, pooled(of_media)))
        assert all(torch.equal(found.logits[pattern], logits) for pattern, logits in expected.logits.items())


def test_texts_are_left_to_each_baseline(context):  # noqa: F811
    texts = torch.randint(0, 9, (24, 20), dtype=torch.int32)
    media = {split: replace(batch, values={**batch.values, "image": texts}) for split, batch in context.media.items()}
    assert torch.equal(pooled(replace(context, media=media)).media["val"].values["image"], texts)
