"""Properties of a per-pattern model: every sample is predicted by the member for exactly its modalities."""

import pytest
import torch

from tests.conftest import CPU
from tests.test_early_fusion import LENET
from tests.test_late_fusion import CLASSES, POISONS, PRIOR, build, mixed, poisoned, seen
from umemma.data.batch import Batch
from umemma.missingness import patterns
from umemma.models import checkpoint
from umemma.models.early_fusion import EarlyFusion
from umemma.models.per_pattern import PerPattern
from umemma.models.run_encoders import encode_split
from umemma.prediction.predict import predict, predict_specialists

TAKES = {(True, True): ["image", "audio"], (True, False): ["image"], (False, True): ["audio"]}


@pytest.fixture(params=["late", "early"])
def per_pattern(towers, media, request) -> PerPattern:
    """The towers for single modalities, and one or the other kind of fusion for both."""
    members = {
        pattern: build({name: towers[name] for name in names}, media.only(names), "product_of_experts", "none")
        for pattern, names in TAKES.items()
    }
    if request.param == "early":
        shapes = {name: value.shape[1:] for name, value in media.values.items()}
        members[True, True] = EarlyFusion(shapes, LENET, 3, substitute="donor", rows=media.values)
    return PerPattern(members, TAKES, PRIOR).eval()


def test_every_row_is_answered_by_its_own_member(per_pattern, towers, media):
    batch = mixed(media)
    logits = per_pattern(batch)
    has_both, neither = batch.present.all(dim=1), ~batch.present.any(dim=1)
    torch.testing.assert_close(logits[has_both], per_pattern.members["11"](media)[has_both])
    for m, name in enumerate(media.modalities):
        alone = batch.present[:, m] & ~has_both
        torch.testing.assert_close(logits[alone], towers[name](media.values[name])[alone])
        assert alone.any()
    assert has_both.any()
    assert torch.equal(logits[neither], PRIOR.expand(int(neither.sum()), -1))
    assert neither.any()


def test_a_batch_of_nothing_at_all_is_answered_by_the_prior(per_pattern, media):
    nothing = poisoned(seen(media, (False, False)), float("nan"))
    assert torch.equal(per_pattern(nothing), PRIOR.expand(24, -1))


def test_a_missing_modality_cannot_move_the_logits(per_pattern, media):
    for batch in [seen(media, pattern) for pattern in patterns(2)] + [mixed(media)]:
        clean = per_pattern(batch)
        assert clean.isfinite().all()
        for poison in POISONS:
            assert torch.equal(per_pattern(poisoned(batch, poison)), clean)


def test_a_member_sees_only_what_it_takes(towers, media):
    alone = {
        name: build({name: towers[name]}, media.only([name]), "product_of_experts", "none") for name in media.modalities
    }
    members = {(True, True): alone["audio"], (True, False): alone["image"], (False, True): alone["audio"]}
    best = PerPattern(members, {**TAKES, (True, True): ["audio"]}, PRIOR).eval()
    torch.testing.assert_close(best(media), towers["audio"](media.values["audio"]))


def test_a_per_pattern_model_that_was_saved_answers_the_same(per_pattern, media, tmp_path):
    checkpoint.save(per_pattern, tmp_path / "model", classes=CLASSES)
    again = checkpoint.load(tmp_path / "model")
    assert again.facts() == per_pattern.facts()
    for batch in [seen(media, pattern) for pattern in patterns(2)] + [mixed(media)]:
        assert torch.equal(again(batch), per_pattern(batch))


def test_a_pattern_without_a_member_is_answered_by_that_of_the_largest_set_within_it(towers, media):
    third = Batch(
        {**media.values, "more": media.values["image"]}, torch.ones(24, 3, dtype=torch.bool), media.label, media.key
    )
    takes = {
        (False, True, True): ["audio", "more"],
        (True, False, False): ["image"],
        (False, True, False): ["audio"],
        (False, False, True): ["more"],
    }
    all_towers = {**towers, "more": towers["image"]}
    members = {
        pattern: build({name: all_towers[name] for name in names}, third.only(names), "product_of_experts", "none")
        for pattern, names in takes.items()
    }
    model = PerPattern(members, takes, PRIOR).eval()
    torch.testing.assert_close(model(third), model(seen(third, (False, True, True))))
    torch.testing.assert_close(model(seen(third, (True, True, False))), model(seen(third, (True, False, False))))


def test_a_specialist_answers_its_set_for_every_sample_with_what_it_has(towers, media):
    members = {
        pattern: build({name: towers[name] for name in names}, media.only(names), "product_of_experts", "none")
        for pattern, names in TAKES.items()
    }
    members[True, True] = build(towers, media, "sum_logits", "none").requires_grad_(False)
    for parameter in members[True, True].head.parameters():
        parameter.mul_(1.5)  # so that it answers otherwise than the towers, even for one modality
    model = PerPattern(members, TAKES, PRIOR).eval()
    batch = mixed(media)
    features = encode_split({name: tower.encoder for name, tower in towers.items()}, batch, device=CPU)
    settings = {"group": batch.key, "device": CPU, "features": features}
    asked = predict_specialists(model, batch, PRIOR, **settings)
    everything = torch.where(batch.present.any(dim=1, keepdim=True), members[True, True](batch), PRIOR)
    torch.testing.assert_close(asked.logits[True, True], everything)
    by_what_it_has = predict(model, batch, PRIOR, **settings)
    assert not torch.allclose(by_what_it_has.logits[True, True], everything)
    for pattern in ((True, False), (False, True), (False, False)):
        torch.testing.assert_close(asked.logits[pattern], by_what_it_has.logits[pattern])
