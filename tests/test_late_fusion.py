"""Properties of every head and substitute: no leak, and with one modality left the prediction of its tower."""

from copy import deepcopy
from dataclasses import replace
from math import prod

import pytest
import torch
from torch.func import functional_call

from umemma.data.batch import Batch
from umemma.errors import ParameterError
from umemma.missingness import Pattern, patterns
from umemma.models import checkpoint, late_fusion, substitutes
from umemma.models.late_fusion import LateFusion
from umemma.models.substitutes import SUBSTITUTES
from umemma.models.unimodal import Encoder, Tower
from umemma.settings import plugins

every_head = pytest.mark.parametrize("head", plugins("heads"))
every_substitute = pytest.mark.parametrize("substitute", SUBSTITUTES)
every_place = pytest.mark.parametrize("at", ["feature", "input"])
PRIOR = torch.tensor([0.5, 0.3, 0.2]).log()
CLASSES = ["a", "b", "c"]
POISONS = (float("nan"), float("inf"), -1e30, 7.0)


@pytest.fixture
def three_media(media: Batch) -> Batch:
    """The synthetic split with a third modality, which is not a map."""
    motion = torch.randn(24, 7, generator=torch.Generator().manual_seed(3)) + 2 * media.label[:, None]
    return Batch({**media.values, "motion": motion}, torch.ones(24, 3, dtype=torch.bool), media.label, media.key)


@pytest.fixture
def three_towers(towers: dict[str, Tower]) -> dict[str, Tower]:
    torch.manual_seed(4)
    motion = Tower(Encoder("motion", (7,), {"name": "mlp", "width": 8, "dim": 6}), 3).eval()
    return {**towers, "motion": motion}


def build(towers: dict[str, Tower], media: Batch, head: str, substitute: str, at: str = "feature") -> LateFusion:
    """Join the towers; the first rows of `media` stand for the training set."""
    torch.manual_seed(2)
    for tower in towers.values():
        tower.log_prior.copy_(PRIOR)
    rows = {name: value[:20] for name, value in media.values.items()}
    if at == "feature":
        with torch.no_grad():
            rows = {name: towers[name].encoder(value) for name, value in rows.items()}
    return late_fusion.build(towers, head=head, substitute=substitute, substitute_at=at, log_prior=PRIOR, rows=rows)


def seen(batch: Batch, pattern: Pattern) -> Batch:
    return batch.with_present(torch.tensor(pattern).expand(len(batch), -1).clone())


def mixed(batch: Batch) -> Batch:
    """Hide about half of all, and everything of the first sample."""
    present = torch.rand(batch.present.shape, generator=torch.Generator().manual_seed(0)) < 0.5
    present[0] = False
    return batch.with_present(present)


def poisoned(batch: Batch, poison: float) -> Batch:
    """Put a value wherever a modality is missing."""
    values = {
        name: torch.where(batch.present[:, m].reshape(-1, *[1] * (value.ndim - 1)), value, poison)
        for m, (name, value) in enumerate(batch.values.items())
    }
    return batch.with_values(values)


def predict(fusion: torch.nn.Module, batch: Batch) -> torch.Tensor:
    """Predict with a copy of the batch statistics and the same random draws, so that every call starts alike."""
    torch.manual_seed(0)
    return functional_call(fusion, {name: value.clone() for name, value in fusion.named_buffers()}, (batch,))


@every_head
@every_substitute
@every_place
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_missing_modality_cannot_move_the_logits(three_towers, three_media, head, substitute, at, mode):
    fusion = build(three_towers, three_media, head, substitute, at).train(mode == "train")
    assert len(mixed(three_media).present.unique(dim=0)) == 8
    few = three_media.rows(slice(0, 6))
    cases = [(mixed(three_media), POISONS), *((seen(few, pattern), POISONS[:1]) for pattern in patterns(3)[1:])]
    with torch.no_grad():
        for batch, poisons in cases:
            clean = predict(fusion, batch)
            assert clean.isfinite().all()
            for poison in poisons:
                assert torch.equal(predict(fusion, poisoned(batch, poison)), clean)


@every_head
@every_substitute
@every_place
def test_a_missing_modality_has_no_gradient(towers, media, head, substitute, at):
    fusion = build(towers, media, head, substitute, at).train().requires_grad_(True)
    batch = poisoned(seen(media, (True, False)), float("nan"))
    values = {name: value.clone().requires_grad_() for name, value in batch.values.items()}
    torch.nn.functional.cross_entropy(fusion(batch.with_values(values)), batch.label).backward()
    assert values["audio"].grad is None or not values["audio"].grad.any()
    assert values["image"].grad.any()
    assert all(p.grad is None or p.grad.isfinite().all() for p in fusion.parameters())
    if at == "feature" or substitute == "none":  # a stand-in for an input is encoded, and may train the encoder
        assert all(p.grad is None or not p.grad.any() for p in fusion.encoders["audio"].parameters())


@every_head
@every_substitute
@every_place
def test_features_that_were_cached_give_what_the_media_give(towers, media, head, substitute, at):
    fusion = build(towers, media, head, substitute, at).eval()
    features = fusion.encode(media)
    for batch in [seen(media, pattern) for pattern in patterns(2)] + [mixed(media)]:
        torch.testing.assert_close(fusion.fuse(features, batch.present, batch.key), fusion(batch))


@every_substitute
@every_place
def test_a_sample_is_answered_the_same_whatever_else_is_in_its_batch(towers, media, substitute, at):
    fusion = build(towers, media, "concat", substitute, at).eval()
    batch = mixed(media)
    some = torch.tensor([17, 3, 0, 8])
    torch.testing.assert_close(fusion(batch.rows(some)), fusion(batch)[some])


@pytest.mark.parametrize("substitute", ["noise", "donor"])
@every_place
def test_what_is_random_depends_on_the_key(towers, media, substitute, at):
    fusion = build(towers, media, "concat", substitute, at).eval()
    batch = seen(media, (True, False))
    assert not torch.equal(fusion(replace(batch, key=batch.key.flip(0))), fusion(batch))
    assert torch.equal(fusion(replace(media, key=media.key.flip(0))), fusion(media))


@pytest.mark.parametrize("head", ["product_of_experts", "sum_logits", "mean_logits"])
def test_one_modality_left_is_answered_as_its_tower_would(three_towers, three_media, head):
    three_towers["image"].temperature.fill_(2.0)
    fusion = build(three_towers, three_media, head, "none").eval()
    for m, name in enumerate(three_media.modalities):
        alone = seen(three_media, tuple(other == m for other in range(3)))
        torch.testing.assert_close(fusion(alone), three_towers[name](three_media.values[name]))


@pytest.mark.parametrize("head", [head for head in plugins("heads") if head != "attention"])
def test_nothing_left_is_answered_by_the_prior(towers, media, head):
    fusion = build(towers, media, head, "none").eval()
    torch.testing.assert_close(fusion(seen(media, (False, False))).softmax(dim=1), PRIOR.exp().expand(24, -1))


@pytest.mark.parametrize("pattern", patterns(3))
def test_the_product_of_experts_is_bayes_rule_for_independent_modalities(three_towers, three_media, pattern):
    fusion = build(three_towers, three_media, "product_of_experts", "none").eval()
    probabilities = [
        three_towers[name](value).softmax(dim=1)
        for name, value, is_present in zip(three_media.modalities, three_media.values.values(), pattern, strict=True)
        if is_present
    ]
    # likelihoods up to a factor that does not depend on the class
    likelihoods = [probability / PRIOR.exp() for probability in probabilities]
    joint = prod(likelihoods, start=PRIOR.exp())
    expected = joint / joint.sum(dim=1, keepdim=True)
    torch.testing.assert_close(fusion(seen(three_media, pattern)).softmax(dim=1), expected)


@every_substitute
@every_place
def test_a_missing_row_moves_no_batch_statistics(towers, media, substitute, at):
    fusion = build(towers, media, "concat", substitute, at).train()
    batch = mixed(media)
    alone = {name: deepcopy(encoder) for name, encoder in fusion.parts().items()}
    for m, (name, encoder) in enumerate(alone.items()):
        encoder(media.values[name][batch.present[:, m]])
    fusion(batch)
    for name, encoder in fusion.parts().items():
        state, expected = encoder.state_dict(), alone[name].state_dict()
        assert encoder.training
        assert all(torch.equal(state[key], expected[key]) for key in expected)


@pytest.mark.parametrize(("substitute", "trained"), [(name, 2 * (name == "learned")) for name in SUBSTITUTES])
@every_place
def test_only_the_learned_substitute_is_trained(towers, media, substitute, trained, at):
    fusion = build(towers, media, "concat", substitute, at)
    assert sum(p.requires_grad for p in fusion.substitute.parameters()) == trained


@every_substitute
def test_word_ids_are_not_averaged(substitute):
    rows = {"image": torch.randn(4, 1, 3, 3), "text": torch.randint(0, 9, (4, 6), dtype=torch.int32)}
    if substitute in ("train_mean", "noise", "learned"):
        with pytest.raises(ParameterError, match=rf"{substitute} averages over samples, and the input of text is ids"):
            substitutes.build(substitute, "input", rows)
    else:
        substitutes.build(substitute, "input", rows)
    substitutes.build(substitute, "feature", {name: value.float() for name, value in rows.items()})


@every_head
@every_substitute
@every_place
def test_a_model_that_was_saved_answers_the_same(towers, media, head, substitute, at, tmp_path):
    fusion = build(towers, media, head, substitute, at).eval()
    checkpoint.save(fusion, tmp_path / "model", classes=CLASSES)
    again = checkpoint.load(tmp_path / "model")
    assert again.facts() == fusion.facts()
    for batch in [seen(media, pattern) for pattern in patterns(2)] + [mixed(media)]:
        assert torch.equal(again(batch), fusion(batch))
