"""What must hold of every head and substitute: no leak, and one modality left means that modality's own answer."""

import pytest
import torch

from umemma import late_fusion
from umemma.batch import Batch
from umemma.late_fusion import LateFusion
from umemma.missingness import Pattern, patterns
from umemma.parameters import plugins
from umemma.substitutes import SUBSTITUTES

every_head = pytest.mark.parametrize("head", plugins("heads"))
every_substitute = pytest.mark.parametrize("substitute", SUBSTITUTES)
PRIOR = torch.tensor([0.5, 0.3, 0.2]).log()


def build(towers, head: str, substitute: str) -> LateFusion:
    torch.manual_seed(2)
    return late_fusion.build(towers, head=head, substitute=substitute, log_prior=PRIOR,
                             feature_means={"image": torch.full((5,), 0.3), "audio": torch.full((5,), 0.4)})


def seen(batch: Batch, pattern: Pattern) -> Batch:
    return batch.with_present(torch.tensor(pattern).expand(len(batch), -1).clone())


def poisoned(batch: Batch, poison: float) -> Batch:
    """Put a value wherever a modality is missing."""
    values = {name: torch.where(batch.present[:, m].reshape(-1, *[1] * (value.ndim - 1)), value, poison)
              for m, (name, value) in enumerate(batch.values.items())}
    return batch.with_values(values)


@every_head
@every_substitute
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -1e30, 7.0])
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_missing_modality_cannot_move_the_logits(towers, media, head, substitute, poison, mode):
    model = build(towers, head, substitute).train(mode == "train")
    mixed = torch.rand(24, 2, generator=torch.Generator().manual_seed(0)) < 0.5
    mixed[:, 0] |= ~mixed.any(dim=1)
    for batch in [seen(media, pattern) for pattern in patterns(2)] + [media.with_present(mixed)]:
        torch.manual_seed(0)
        clean = model(batch)
        torch.manual_seed(0)
        assert torch.equal(model(poisoned(batch, poison)), clean)
        assert clean.isfinite().all()


@every_head
@every_substitute
def test_a_missing_modality_has_no_gradient(towers, media, head, substitute):
    model = build(towers, head, substitute).train()
    batch = seen(media, (True, False))
    values = {name: value.clone().requires_grad_() for name, value in batch.values.items()}
    model.requires_grad_(True)
    torch.nn.functional.cross_entropy(model(batch.with_values(values)), batch.label).backward()
    assert values["audio"].grad is None or not values["audio"].grad.any()
    assert values["image"].grad.any()
    assert all(p.grad is None or not p.grad.any() for p in model.encoders["audio"].parameters())


@every_head
@every_substitute
def test_features_that_were_cached_give_what_the_media_give(towers, media, head, substitute):
    model = build(towers, head, substitute).eval()
    features = model.encode(media)
    for pattern in patterns(2):
        batch = seen(media, pattern)
        torch.testing.assert_close(model.fuse(features, batch.present), model(batch))


@pytest.mark.parametrize("head", ["product_of_experts", "sum_logits"])
def test_one_modality_left_is_answered_as_its_tower_would(towers, media, head):
    model = build(towers, head, "none").eval()
    for m, name in enumerate(media.modalities):
        pattern = (m == 0, m == 1)
        torch.testing.assert_close(model(seen(media, pattern)), towers[name](media.values[name]))


def test_the_product_of_experts_is_bayes_rule_for_independent_modalities(towers, media):
    model = build(towers, "product_of_experts", "none").eval()
    own = [torch.log_softmax(towers[name](media.values[name]), 1) for name in media.modalities]
    expected = torch.softmax(own[0] + own[1] - PRIOR, 1)
    torch.testing.assert_close(torch.softmax(model(media), 1), expected)


def test_a_missing_row_moves_no_batch_statistics(towers, media):
    model = build(towers, "concat", "zeros").train()
    before = {name: value.clone() for name, value in model.encoders["audio"].state_dict().items()}
    model(seen(media, (True, False)))
    assert all(torch.equal(value, before[name]) for name, value in model.encoders["audio"].state_dict().items())


@pytest.mark.parametrize(("substitute", "trained"), [("none", 0), ("zeros", 0), ("train_mean", 0), ("learned", 2)])
def test_only_the_learned_substitute_is_trained(towers, substitute, trained):
    model = build(towers, "concat", substitute)
    assert sum(p.requires_grad for p in model.substitute.parameters()) == trained


@every_head
@every_substitute
def test_a_model_that_was_saved_answers_the_same(towers, media, head, substitute, tmp_path):
    model = build(towers, head, substitute).eval()
    late_fusion.save(model, tmp_path / "model", head=head, substitute=substitute, classes=["a", "b", "c"])
    again = late_fusion.load(tmp_path / "model")
    for pattern in patterns(2):
        assert torch.equal(again(seen(media, pattern)), model(seen(media, pattern)))
