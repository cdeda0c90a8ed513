"""A tower of trees: its answers for training samples are out of fold, and heads take it as any other."""

from dataclasses import replace

import pytest
import torch

from tests.conftest import CPU
from tests.test_arms import context, fuse, predictions_of, with_fuse  # noqa: F401 (a fixture)
from tests.test_classical import accuracy, interacting
from umemma.errors import SettingError
from umemma.evaluation import leak_audit, probe
from umemma.metrics.classification import share_correct
from umemma.models import checkpoint, unimodal
from umemma.models.run_encoders import encode_split
from umemma.training import unimodal_fit
from umemma.training.boosted_tower import folds
from umemma.training.fit import fit

TREES = {"name": "trees"}


def grown(context, splits, name, group=None):  # noqa: F811
    data = {split: batch.only([name]) for split, batch in splits.items()}
    return unimodal_fit.fit(
        data, TREES, context.pretrain, context.compute, epochs=1, num_classes=2, seed=0, group=group
    )


@pytest.fixture(scope="module")
def splits():
    return {
        split: interacting(seed, num) for seed, (split, num) in enumerate([("train", 600), ("val", 300), ("test", 400)])
    }


@pytest.fixture
def of_trees(context, splits):  # noqa: F811
    """A context whose towers are trees."""
    trained = {name: grown(context, splits, name) for name in splits["train"].values}
    features = {
        split: batch.with_values({name: each.features[split] for name, each in trained.items()})
        for split, batch in splits.items()
    }
    towers = {name: each.tower for name, each in trained.items()}
    context = replace(context, towers=towers, media=splits, features=features, num_classes=2, is_out_of_fold=True)
    return with_fuse(context, head="pool_residual")


def test_a_group_is_in_one_fold_and_folds_are_of_equally_many_groups():
    group = torch.arange(40).repeat_interleave(3)
    fold = folds(group, seed=1).reshape(40, 3)
    assert (fold == fold[:, :1]).all()
    assert torch.bincount(fold[:, 0]).tolist() == [8] * 5
    assert len(folds(torch.tensor([7, 7, 9]), seed=0).unique()) == 2


def test_answers_for_training_samples_are_out_of_fold_and_all_others_the_towers_own(context, splits):  # noqa: F811
    trained = grown(context, splits, "weak")
    has = splits["train"].present[:, 2]
    own = encode_split({"weak": trained.tower.encoder}, splits["train"].only(["weak"]), device=CPU)["weak"]
    known, honest = (
        share_correct(f[has][:, :2], splits["train"].label[has]).mean() for f in (own, trained.features["train"])
    )
    assert known > honest
    assert trained.is_out_of_fold
    test = encode_split({"weak": trained.tower.encoder}, splits["test"].only(["weak"]), device=CPU)["weak"]
    torch.testing.assert_close(trained.features["test"], test, equal_nan=True, rtol=0, atol=0)
    assert not trained.features["train"][~has].any()


def test_a_tower_of_trees_that_was_saved_answers_the_same(context, splits, tmp_path):  # noqa: F811
    tower = grown(context, splits, "weak").tower
    unimodal.save(tower, tmp_path / "tower.safetensors")
    again = unimodal.load(tmp_path / "tower.safetensors")
    value = splits["test"].values["weak"]
    assert torch.equal(again(value), tower(value))
    assert value.isnan().any()
    assert again(value).isfinite().all()


def test_trees_are_no_encoder_that_is_trained_from_scratch(of_trees):
    with pytest.raises(SettingError, match="no arm trains them from scratch"):
        fit("joint", of_trees)


@pytest.mark.parametrize("head", ["pool", "sum_logits", "gated", "concat", "attention"])
def test_every_head_takes_the_answer_and_the_columns_of_trees(of_trees, head):
    of_trees = with_fuse(of_trees, head=head)
    predicted = predictions_of(fit("frozen", of_trees), of_trees)
    assert all(value.isfinite().all() for value in predicted.logits.values())


def test_the_residual_finds_what_only_two_modalities_together_say(of_trees):
    together = (True, True, False)
    pooled = predictions_of(fit("frozen", with_fuse(of_trees, head="pool")), of_trees)
    found = predictions_of(fit("frozen", of_trees), of_trees)
    assert accuracy(pooled, together) < 0.65
    assert accuracy(found, together) > 0.9
    for m in range(3):
        alone = tuple(other == m for other in range(3))
        assert torch.equal(found.logits[alone], pooled.logits[alone])
    assert torch.equal(found.logits[False, False, False], pooled.logits[False, False, False])


def test_a_model_of_trees_is_saved_and_leaks_nothing(of_trees, tmp_path):
    model = fuse("frozen", of_trees, tmp_path / "model", ["no", "yes"]).model
    again = checkpoint.load(tmp_path / "model/model.safetensors")
    test = of_trees.media["test"]
    assert again.facts() == model.facts()
    assert torch.equal(again(test), model(test))
    checked, failures = leak_audit.audit(again, test.rows(slice(150, 230)))
    assert checked
    assert not failures


def test_sets_that_samples_have_by_themselves_are_answered_by_trees_that_never_saw_a_copy(of_trees):
    head = fit("frozen", of_trees).model.head
    assert sorted(map(tuple, head.familiar.tolist())) == [(True, True, False), (True, True, True)]
    test = of_trees.features["test"]
    hidden = test.present & torch.tensor([True, False, True])
    before = [head(dict(test.values), present) for present in (test.present, hidden)]
    head.residual_of_familiar.value += 1
    after = [head(dict(test.values), present) for present in (test.present, hidden)]
    assert not torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


def test_a_residual_that_validation_data_do_not_want_is_empty(of_trees):
    shuffled = of_trees.features["val"].label[torch.randperm(300, generator=torch.Generator().manual_seed(3))]
    features = dict(of_trees.features) | {"val": replace(of_trees.features["val"], label=shuffled)}
    head = fit("frozen", replace(of_trees, features=features)).model.head
    assert len(head.residual.output) == len(head.residual_of_familiar.output) == len(head.familiar) == 0


def test_a_probe_reads_columns_with_gaps(of_trees):
    train, test = (of_trees.features[split] for split in ("train", "test"))
    assert probe.is_correct(train.values["weak"], train.label, test.values["weak"], test.label).shape == (400,)
