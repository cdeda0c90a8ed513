"""Towers that are linear in fixed columns: what these are, and that training finds the best solution."""

import numpy as np
import pytest
import torch

from umemma.data.batch import Batch
from umemma.media.decoders import words
from umemma.metrics.classification import nll, share_correct
from umemma.models.unimodal import Encoder, load, save
from umemma.training import unimodal_fit
from umemma.training.loop import kept
from umemma.training.settings import Compute, Pretrain

PRETRAIN = Pretrain(batch_size="auto", lr=0.004, weight_decay=0.01, label_smoothing=0.0, class_balance=0.0)
COMPUTE = Compute(device="cpu", precision="float32", threads=None)
TOPICS = ("ship sea wave harbour sail", "rocket moon orbit star launch", "bread oven flour salt dough")


def texts(num_texts: int, seed: int) -> tuple[list[str], torch.Tensor]:
    """Return texts of 12 words, two of them of their topic, the others of 300 that any text may have."""
    generator = np.random.default_rng(seed)
    label = generator.integers(3, size=num_texts)
    rows = [
        [*generator.choice(TOPICS[topic].split(), 2), *(f"word{n}" for n in generator.integers(300, size=10))]
        for topic in label
    ]
    return [" ".join(generator.permutation(row)) for row in rows], torch.tensor(label)


def encoded(rows: list[str]) -> torch.Tensor:
    decoder = words.Decoder(length=16, buckets=2_000)
    return torch.stack([decoder(row.encode()) for row in rows])


@pytest.fixture(scope="module")
def splits():
    return {
        split: texts(count, seed) for seed, (split, count) in enumerate({"train": 240, "val": 80, "test": 300}.items())
    }


def fitted(data, encoder, num_classes=3):
    return unimodal_fit.fit(data, encoder, PRETRAIN, COMPUTE, epochs="auto", num_classes=num_classes, seed=0)


def test_a_bag_of_words_is_as_good_as_a_logistic_regression_on_tf_idf(splits):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    data = {split: Batch.of({"text": encoded(rows)}, label) for split, (rows, label) in splits.items()}
    trained = fitted(data, {"name": "bag_of_words", "vocabulary": 2_000, "dim": 8})
    other = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=10, max_iter=300))
    other.fit(splits["train"][0], splits["train"][1].numpy())
    label = splits["test"][1]
    logits = trained.tower.answer(trained.features["test"])
    accuracy = other.score(splits["test"][0], label.numpy())
    assert accuracy > 0.8
    assert share_correct(logits, label).mean() > accuracy - 0.03
    assert nll(logits, label).mean() < 0.6


def test_the_columns_are_tf_idf(splits):
    from sklearn.feature_extraction.text import TfidfVectorizer

    rows = splits["train"][0]
    number = {word: n for n, word in enumerate(dict.fromkeys(" ".join(rows).split()), start=1)}
    ids = torch.tensor([[number[word] for word in row.split()] for row in rows], dtype=torch.int32)
    encoder = Encoder("text", (12,), {"name": "bag_of_words", "vocabulary": len(number)})
    encoder.fit_scale(ids)
    plain = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(rows).toarray()
    ours = encoder.columns(ids)
    np.testing.assert_allclose((ours @ ours.T).numpy(), plain @ plain.T, atol=1e-5)
    assert not ours[:, 0].any()


def test_padding_is_no_word_and_order_none(splits):
    ids = encoded(splits["val"][0])
    encoder = Encoder("text", (16,), {"name": "bag_of_words", "vocabulary": 2_000}).eval()
    shuffled = ids[:, torch.randperm(16, generator=torch.Generator().manual_seed(0))]
    torch.testing.assert_close(encoder(ids), encoder(shuffled))
    assert not encoder(torch.zeros(1, 16, dtype=torch.int32)).any()


def test_statistics_tell_series_apart_whose_length_and_padding_say_nothing():
    generator = torch.Generator().manual_seed(0)

    def series(number: int) -> Batch:
        label = torch.arange(number) % 2
        value = torch.randn(number, 2, 40, generator=generator) * (1 + label)[:, None, None]
        length = torch.randint(20, 41, (number, 1, 1), generator=generator)
        return Batch.of({"m": value.masked_fill(torch.arange(40) >= length, torch.nan)}, label)

    data = {"train": series(120), "val": series(60), "test": series(200)}
    trained = fitted(data, {"name": "statistics", "dim": 4}, num_classes=2)
    assert share_correct(trained.tower.answer(trained.features["test"]), data["test"].label).mean() > 0.9


def test_the_strength_is_chosen_on_validation_data_and_the_tower_can_be_saved(splits, tmp_path):
    data = {split: Batch.of({"text": encoded(rows)}, label) for split, (rows, label) in splits.items()}
    trained = fitted(data, {"name": "bag_of_words", "vocabulary": 2_000, "dim": 2})
    assert kept(trained.curve)["val_cross_entropy"] == min(row["val_cross_entropy"] for row in trained.curve)
    save(trained.tower, tmp_path / "tower")
    again = load(tmp_path / "tower")
    value = data["test"].values["text"]
    assert torch.equal(again(value), trained.tower(value))
    fresh = trained.tower.encoder.fresh()
    assert torch.equal(fresh.body.rarity, trained.tower.encoder.body.rarity)
    assert not torch.equal(fresh(value), trained.tower.encoder(value))
