"""The leak audit passes every kind of model, and finds leaks that were planted."""

import pytest
import torch

from tests.test_late_fusion import PRIOR, build, every_head, every_place, every_substitute, mixed
from umemma.data.batch import Batch
from umemma.evaluation.leak_audit import audit
from umemma.missingness import patterns
from umemma.models.early_fusion import EarlyFusion
from umemma.models.per_pattern import PerPattern

NUM_COMPARISONS = 3 * 4  # patterns of two modalities, by three replacements and a gradient


@every_head
@every_substitute
@every_place
def test_no_late_fusion_leaks(towers, media, head, substitute, at):
    fusion = build(towers, media, head, substitute, at).eval()
    assert audit(fusion, mixed(media).rows(slice(0, 8))) == (NUM_COMPARISONS, [])


@every_substitute
def test_no_early_fusion_leaks(media, substitute):
    torch.manual_seed(0)
    shapes = {name: value.shape[1:] for name, value in media.values.items()}
    fusion = EarlyFusion(
        shapes, {"name": "lenet", "width": 4, "dim": 5, "size_px": 8}, 3, substitute=substitute, rows=media.values
    ).eval()
    assert audit(fusion, mixed(media)) == (NUM_COMPARISONS, [])


def test_no_per_pattern_model_leaks(towers, media):
    takes = {
        pattern: [name for name, is_present in zip(media.modalities, pattern, strict=True) if is_present]
        for pattern in patterns(2)
    }
    members = {
        pattern: build({name: towers[name] for name in names}, media.only(names), "concat", "none")
        for pattern, names in takes.items()
    }
    assert audit(PerPattern(members, takes, PRIOR).eval(), mixed(media)) == (NUM_COMPARISONS, [])


def test_integers_are_audited_too(towers, media):
    bytes_ = media.with_values({name: (value * 20).to(torch.uint8) for name, value in media.values.items()})
    fusion = build(towers, bytes_, "concat", "train_mean", "input").eval()
    assert audit(fusion, bytes_) == (NUM_COMPARISONS, [])


def votes(batch: Batch) -> torch.Tensor:
    """Return (sample, modality, class): simple logits that ignore what is missing."""
    each = torch.stack([value.flatten(1).sum(dim=1) for value in batch.values.values()], dim=1)
    return each[:, :, None] * torch.tensor([1.0, -0.5, 0.25])


def careful(batch: Batch) -> torch.Tensor:
    return votes(batch).masked_fill(~batch.present[:, :, None], 0.0).sum(dim=1)


def by_product(batch: Batch) -> torch.Tensor:
    return (votes(batch) * batch.present[:, :, None]).sum(dim=1)  # 0 * NaN is NaN


def careless(batch: Batch) -> torch.Tensor:
    return votes(batch).sum(dim=1)


def of_audio(batch: Batch) -> torch.Tensor:
    """Return (sample,) the missing audio's values, wherever they are finite."""
    audio = batch.values["audio"].nan_to_num(0.0, 0.0, 0.0).flatten(1).sum(dim=1)
    return audio.masked_fill(batch.present[:, 1], 0.0)


def finite_only(batch: Batch) -> torch.Tensor:
    return careful(batch) + of_audio(batch).detach()[:, None]


def tiny(batch: Batch) -> torch.Tensor:
    return careful(batch) + 1.0 + 1e-25 * of_audio(batch).tanh()[:, None]


NAN, INFINITY, OTHER = (
    f"{poison} in a missing modality moves the logits" for poison in ("NaN", "infinity", "another sample")
)


def of_each(*templates: str) -> list[str]:
    """Return the failures of a model that leaks whichever of the two is missing."""
    return [
        f"{left}: {template.format(missing=missing)}"
        for left, missing in (("image", "audio"), ("audio", "image"))
        for template in templates
    ]


GRADIENT = "{missing} is missing, but has a gradient"


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (careful, []),
        (by_product, of_each(NAN, INFINITY)),
        (careless, of_each(NAN, INFINITY, OTHER, GRADIENT)),
        (finite_only, [f"image: {NAN}", f"image: {INFINITY}", f"image: {OTHER}"]),
        (tiny, ["image: audio is missing, but has a gradient"]),
    ],
)
def test_planted_leaks_are_found_and_named(media, forward, expected):
    assert audit(forward, media) == (NUM_COMPARISONS, expected)


def test_a_leak_of_one_sample_is_found(media):
    """Only the first sample leaks, and only what the data lack is missing from it."""
    present = media.present.clone()
    present[0, 1] = False
    batch = media.with_present(present)
    checked, failures = audit(careless, batch)
    assert checked == NUM_COMPARISONS
    assert f"image+audio: {OTHER}" in failures
    assert "image+audio: audio is missing, but has a gradient" in failures
