"""Augmentation: its effect on each sample, that it is reproducible, and that it applies to training alone."""

import itertools

import pytest
import torch

from tests.conftest import CPU
from umemma.errors import ParameterError
from umemma.models.run_encoders import encode_split
from umemma.models.unimodal import Encoder, Tower
from umemma.training import augment, unimodal_fit
from umemma.training.loop import train
from umemma.training.schedule import Schedule
from umemma.training.settings import Compute, Pretrain

MAP, VIDEO, SERIES, WAVE = (3, 12, 16), (4, 3, 12, 16), (2, 40), (60,)
SETTINGS = {
    "flip": (True, MAP),
    "crop_px": (3, MAP),
    "scale": (0.5, MAP),
    "rotate_degrees": (20, MAP),
    "jitter": (0.5, MAP),
    "shift": (0.25, WAVE),
    "gain_db": (6.0, SERIES),
    "noise": (0.5, SERIES),
    "time_mask": (6, MAP),
    "freq_mask": ([4, 4], MAP),
    "word_drop": (0.3, WAVE),
}


def values(shape: tuple[int, ...], dtype: torch.dtype = torch.uint8, num: int = 40) -> torch.Tensor:
    drawn = torch.randint(0, 256, (num, *shape), generator=torch.Generator().manual_seed(1))
    return drawn.to(dtype)


def changed(name: str, batch: torch.Tensor, seed: int = 0) -> torch.Tensor:
    change = augment.build({name: SETTINGS[name][0]}, batch.shape[1:])
    return change(batch, torch.Generator().manual_seed(seed))


def dtype_of(name: str) -> torch.dtype:
    return {"word_drop": torch.int32, "gain_db": torch.int16, "shift": torch.int16}.get(name, torch.uint8)


def test_every_augmentation_is_tested():
    assert SETTINGS.keys() == augment.AUGMENTATIONS.keys()


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_each_sample_is_changed_in_its_own_way_and_keeps_shape_and_type(name):
    batch = values(SETTINGS[name][1], dtype_of(name), 1).expand(40, *SETTINGS[name][1]).contiguous()
    before = batch.clone()
    augmented = changed(name, batch)
    assert augmented.shape == batch.shape
    assert augmented.dtype == batch.dtype
    assert torch.equal(batch, before)  # the input is unchanged
    assert len({sample.numpy().tobytes() for sample in augmented}) >= (2 if name == "flip" else 8)


@pytest.mark.parametrize("name", augment.AUGMENTATIONS)
def test_the_generator_decides_all_and_torchs_own_randomness_is_left_alone(name):
    batch = values(SETTINGS[name][1], dtype_of(name))
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = changed(name, batch)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    assert torch.equal(changed(name, batch), first)
    assert not torch.equal(changed(name, batch, seed=1), first)


@pytest.mark.parametrize(("name", "one"), augment.AUGMENTATIONS.items())
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float16, torch.float32])
def test_an_augmentation_takes_every_shape_and_type_it_says(name, one, dtype):
    if name in ("word_drop", "jitter"):
        dtype = {"word_drop": torch.int32, "jitter": torch.uint8}[name]
    for axes in one.axes:
        batch = values({1: WAVE, 2: SERIES, 3: MAP, 4: VIDEO}[axes], dtype, 6)
        augmented = changed(name, batch)
        assert augmented.shape == batch.shape
        assert augmented.dtype == dtype
        assert augmented.isfinite().all()


def test_flips_mirror_half_of_the_samples():
    batch = values(MAP, num=200)
    augmented = changed("flip", batch)
    flipped = (augmented == batch.flip(-1)).flatten(1).all(dim=1)
    unchanged = (augmented == batch).flatten(1).all(dim=1)
    assert (flipped | unchanged).all()
    assert 60 < flipped.sum() < 140


def test_crops_move_a_picture_by_no_more_than_they_are_allowed():
    spot = torch.zeros(60, 1, 12, 16, dtype=torch.uint8)
    spot[:, :, 6, 8] = 255
    augmented = changed("crop_px", spot)
    rows, columns = (augmented[:, 0] == 255).nonzero()[:, 1:].unbind(1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 9, 5, 11)


def test_all_frames_of_a_video_are_changed_alike():
    still = values(MAP)[:, None].expand(-1, 4, -1, -1, -1)
    for name in ("flip", "crop_px", "scale", "rotate_degrees", "jitter"):
        augmented = augment.build({name: SETTINGS[name][0]}, VIDEO)(still, torch.Generator().manual_seed(0))
        assert torch.equal(augmented, augmented[:, :1].expand_as(augmented))


@pytest.mark.parametrize(("name", "axis"), [("time_mask", -1), ("freq_mask", -2)])
def test_masks_wipe_out_a_band_with_the_samples_mean(name, axis):
    batch = 1 + torch.rand(80, 1, 12, 16, generator=torch.Generator().manual_seed(0))
    augmented = changed(name, batch)
    wiped = augmented != batch
    means = batch.mean(dim=(1, 2, 3), keepdim=True).expand_as(batch)
    torch.testing.assert_close(augmented[wiped], means[wiped])
    other = -1 if axis == -2 else -2
    bands = wiped.any(dim=other).squeeze(1)
    assert torch.equal(bands, wiped.all(dim=other).squeeze(1))  # the whole of the other axis
    widths = bands.sum(dim=1)
    most = 6 if name == "time_mask" else 8
    assert 0 < widths.max() <= most
    assert len(widths.unique()) > 3
    series = augment.build({"time_mask": 6}, SERIES)(values(SERIES, torch.float32), torch.Generator().manual_seed(0))
    same = series != values(SERIES, torch.float32)
    assert (same[:, 0] == same[:, 1]).float().mean() > 0.95  # all channels at the same time


def test_shifts_move_and_draw_out_the_edge():
    ramp = torch.arange(60.0).expand(200, 60)
    augmented = changed("shift", ramp)
    moved = (augmented[:, 30] - 30).int()
    assert (moved.min(), moved.max()) == (-15, 15)
    for row, by in zip(augmented, moved.tolist(), strict=True):
        assert torch.equal(row, (ramp[0] + by).clamp(0, 59))


def test_noise_is_a_share_of_the_samples_own_deviation_and_gain_a_factor():
    batch = torch.randn(50, 2, 40, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 51)[:, None, None]
    added = changed("noise", batch) - batch
    share = added.std(dim=(1, 2)) / batch.std(dim=(1, 2))
    assert share.mean() == pytest.approx(0.5, abs=0.03)
    factor = changed("gain_db", batch) / batch
    assert (factor.amax(dim=(1, 2)) / factor.amin(dim=(1, 2)) < 1.0001).all()
    assert 10 ** (-6 / 20) <= factor.min() < 0.6 < 1.7 < factor.max() <= 10 ** (6 / 20) + 1e-6


def test_bytes_stay_within_bounds():
    extremes = torch.tensor([0, 255], dtype=torch.uint8).repeat(30).expand(20, 60)
    augmented = augment.build({"noise": 1.0}, WAVE)(extremes, torch.Generator().manual_seed(0)).int()
    assert (augmented[:, ::2].float().mean() < 80) & (augmented[:, 1::2].float().mean() > 175)  # nothing wraps around


def test_word_drop_makes_padding_of_its_share():
    augmented = changed("word_drop", torch.full((50, 60), 7, dtype=torch.int32))
    assert augmented.unique().tolist() == [0, 7]
    assert (augmented == 0).float().mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    ("settings", "shape", "sentence"),
    [
        (
            {"flip": True},
            WAVE,
            r"augment: .* 1 axes \(60,\) called 'flip'; there are gain_db, noise, shift, word_drop\.",
        ),
        ({"freq_mask": 3}, SERIES, r"no augmentation of 2 axes \(2, 40\) called 'freq_mask'; there are gain_db, noise"),
        ({"time_masks": 3}, MAP, r"'time_masks'.* Did you mean 'time_mask'"),
        ({"flip": 0.5}, MAP, r"augment\.flip is true or left out, not 0\.5"),
        ({"crop_px": 13}, MAP, r"augment\.crop_px is a whole number from 1 to the shorter side, 12, not 13"),
        ({"crop_px": "two"}, MAP, r"augment\.crop_px is a whole number"),
        ({"scale": 1.5}, MAP, r"augment\.scale is a share of the area"),
        ({"rotate_degrees": 0}, MAP, r"augment\.rotate_degrees is a number of degrees above 0"),
        ({"jitter": 1}, MAP, r"augment\.jitter is above 0 and below 1"),
        ({"time_mask": 17}, MAP, r"augment\.time_mask is a whole number from 1 to 16, or a list of them, not 17"),
        ({"freq_mask": []}, MAP, r"augment\.freq_mask is a whole number from 1 to 12, or a list"),
        ({"shift": 0.001}, WAVE, r"augment\.shift is a share of the length 60 of at least one step"),
        ({"noise": 0}, WAVE, r"augment\.noise is a share of the standard deviation above 0"),
        ({"noise": "loud"}, WAVE, r"augment\.noise "),
        ({"gain_db": -3}, WAVE, r"augment\.gain_db is a number of decibels above 0"),
        ({"word_drop": 1.0}, WAVE, r"augment\.word_drop is a probability"),
    ],
)
def test_a_setting_that_does_not_exist_or_fit_is_named_with_the_choices(settings, shape, sentence):
    with pytest.raises(ParameterError, match=sentence):
        augment.build(settings, shape)


@pytest.mark.parametrize(
    ("settings", "shape", "dtype", "sentence"),
    [
        ({"noise": 0.1}, WAVE, torch.int32, "ids of words"),
        ({"gain_db": 3}, WAVE, torch.int32, "ids of words"),
        ({"word_drop": 0.1}, WAVE, torch.float32, "augment.word_drop is for word ids"),
        ({"jitter": 0.1}, MAP, torch.float16, "augment.jitter is for images"),
    ],
)
def test_values_that_an_augmentation_would_spoil_are_named(settings, shape, dtype, sentence):
    with pytest.raises(ParameterError, match=sentence):
        augment.build(settings, shape)(values(shape, dtype), torch.Generator())


def test_modalities_are_augmented_apart_and_steps_differ(media):
    shapes = {name: value.shape[1:] for name, value in media.values.items()}
    assert augment.of_batches({"image": {}, "audio": {}}, shapes, 0) is None
    augment_both = augment.of_batches({"image": {"noise": 0.2}, "audio": {"noise": 0.2}}, shapes, seed=0)
    augment_image = augment.of_batches({"image": {"noise": 0.2}}, shapes, seed=0)
    assert torch.equal(augment_both(media, 1).values["image"], augment_image(media, 1).values["image"])
    assert torch.equal(augment_image(media, 1).values["audio"], media.values["audio"])
    assert not torch.equal(augment_both(media, 1).values["image"], augment_both(media, 2).values["image"])
    augment_otherwise = augment.of_batches({"image": {"noise": 0.2}}, shapes, seed=1)
    assert not torch.equal(augment_otherwise(media, 1).values["image"], augment_image(media, 1).values["image"])
    alike = media.with_values(dict.fromkeys(media.values, media.values["image"]))
    drawn = augment.of_batches({"image": {"noise": 0.2}, "audio": {"noise": 0.2}}, dict.fromkeys(shapes, (1, 8, 8)), 0)
    assert not torch.equal(drawn(alike, 1).values["image"], drawn(alike, 1).values["audio"])


def trained(media, settings: dict):
    torch.manual_seed(0)
    tower = Tower(Encoder("image", (1, 8, 8), {"name": "lenet", "width": 4, "dim": 5}), 3)
    evaluations = itertools.count()
    change = augment.of_batches({"image": settings}, {"image": (1, 8, 8)}, seed=0)
    evaluations = itertools.count()
    train(
        tower,
        lambda batch: tower(batch.values["image"]),
        [(list(tower.parameters()), 0.01)],
        media,
        schedule=Schedule(2.0, 6, 0.01),
        seed=0,
        device=CPU,
        present=lambda batch, _: batch.present,
        validate=lambda: {"val_cross_entropy": -float(next(evaluations))},
        name="image",
        augment=change,
    )
    return tower.state_dict()


def equal(first: dict, second: dict) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


def test_a_seed_fixes_augmented_training_and_no_augmentation_changes_nothing(media):
    plain, first, again = trained(media, {}), trained(media, {"noise": 0.5}), trained(media, {"noise": 0.5})
    assert equal(first, again)
    assert not equal(first, plain)
    torch.manual_seed(0)
    tower = Tower(Encoder("image", (1, 8, 8), {"name": "lenet", "width": 4, "dim": 5}), 3)
    evaluations = itertools.count()
    train(
        tower,
        lambda batch: tower(batch.values["image"]),
        [(list(tower.parameters()), 0.01)],
        media,
        schedule=Schedule(2.0, 6, 0.01),
        seed=0,
        device=CPU,
        present=lambda batch, _: batch.present,
        validate=lambda: {"val_cross_entropy": -float(next(evaluations))},
        name="image",
    )
    assert equal(plain, tower.state_dict())


def test_a_tower_is_augmented_in_training_and_not_where_it_is_validated_or_used(media):
    data = {split: media.only(["image"]) for split in ("train", "val", "test")}
    weights = {}
    for name, settings in (("plain", {}), ("noisy", {"noise": 2.0})):
        encoder = {"name": "lenet", "width": 4, "dim": 5}
        trained = unimodal_fit.fit(
            data,
            encoder,
            Pretrain(batch_size=6, lr=0.01, weight_decay=0.0, label_smoothing=0.0, class_balance=0.0),
            Compute(device="cpu", precision="float32", threads=None),
            epochs=3,
            num_classes=3,
            seed=0,
            augmentation=settings,
        )
        tower, features = trained.tower, trained.features
        known = encode_split({"image": tower.encoder}, data["val"], device=CPU)["image"]
        assert torch.equal(features["val"], known)
        assert torch.equal(features["train"], features["val"])
        logits = (tower.head(known)).detach()
        right = (logits.argmax(dim=1) == media.label).double().mean().item()
        assert trained.curve[-1]["val_accuracy"] == pytest.approx(right, abs=1e-6)
        weights[name] = tower.state_dict()
    assert not equal(weights["plain"], weights["noisy"])


@pytest.mark.parametrize("name", ["shift", "gain_db", "time_mask", "freq_mask", "word_drop"])
def test_values_are_changed_on_the_device_that_has_them(name):
    batch = values(SETTINGS[name][1], torch.int32 if name == "word_drop" else torch.float32).to("meta")
    assert changed(name, batch).device.type == "meta"
