"""Every encoder on a shape that suits it, and the peculiarities of some."""

import os
from copy import deepcopy
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest
import torch
from torch import nn
from torchaudio import pipelines

from tests.conftest import ROOT
from umemma.errors import ParameterError
from umemma.models import late_fusion, unimodal
from umemma.models.settings import has_frozen_backbone
from umemma.models.unimodal import Encoder, Tower
from umemma.settings import call, plugins

GENUINE = Path(os.environ.get("UMEMMA_DATA") or ROOT / "../shared/data")
SHAPES = [(3, 40, 48), (1, 40, 48), (4, 50), (12,), (2_000,)]  # the first that an encoder takes is its
TINY_SPEECH = {
    "extractor_mode": "group_norm",
    "extractor_conv_layer_config": [(8, 10, 5), (8, 3, 2), (8, 3, 2)],
    "extractor_conv_bias": False,
    "encoder_embed_dim": 16,
    "encoder_projection_dropout": 0.1,
    "encoder_pos_conv_kernel": 4,
    "encoder_pos_conv_groups": 2,
    "encoder_num_layers": 3,
    "encoder_num_heads": 2,
    "encoder_attention_dropout": 0.1,
    "encoder_ff_interm_features": 16,
    "encoder_ff_interm_dropout": 0.1,
    "encoder_dropout": 0.1,
    "encoder_layer_norm_first": False,
    "encoder_layer_drop": 0.0,
    "aux_num_out": None,
}


@pytest.fixture(scope="module")
def language_folder(tmp_path_factory):
    """A language model of three layers, with random weights and the pooling layer that BERT has."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("language")
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=50,
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            intermediate_size=16,
            max_position_embeddings=4_000,
        )
    ).save_pretrained(folder)
    return folder


@pytest.fixture
def names(language_folder, monkeypatch):
    """{plug-in: a name as in params.yaml}; small networks stand in for large ones."""
    tiny = pipelines.Wav2Vec2Bundle("tiny.pth", TINY_SPEECH, 16_000, True, "Wav2Vec2")
    monkeypatch.setattr(pipelines, "TINY", tiny, raising=False)
    variants = {"torchvision": "squeezenet1_1", "torchaudio": "tiny", "transformers": language_folder}
    return {name: f"{name}:{variants[name]}" if name in variants else name for name in plugins("encoders")}


def made(name, **settings):
    """Build an encoder for a shape that it accepts, with random input."""
    torch.manual_seed(1)
    for shape in SHAPES:
        try:
            encoder = Encoder("m", shape, {"name": name, **settings})
        except ParameterError as error:
            if "not (" not in str(error):
                raise
            continue
        least, largest = getattr(encoder.body, "value_range", None) or (0, 0)
        whole = torch.randint(max(0, int(least)), int(min(largest, 49)) + 1, (8, *shape))
        value = whole if largest > 0 else torch.randn(8, *shape)
        return encoder, value
    raise AssertionError(f"{name} takes none of the shapes")


def stepped(encoder, value):
    """Take one training step; return the names of what it changed, weights and batch statistics alike."""
    before = {name: tensor.clone() for name, tensor in encoder.body.state_dict().items()}
    groups = encoder.parameter_groups(0.01)
    head = nn.Linear(encoder.dim, 3)
    groups.append((list(head.parameters()), 0.01))
    optimiser = torch.optim.AdamW([{"params": parameters, "lr": lr} for parameters, lr in groups])
    encoder.train()
    nn.functional.cross_entropy(head(encoder(value)), torch.arange(8) % 3).backward()
    optimiser.step()
    return {name for name, tensor in encoder.body.state_dict().items() if not torch.equal(tensor, before[name])}


STEPPED = [name for name in plugins("encoders") if name != "trees"]  # trained step by step


@pytest.mark.parametrize("plugin", STEPPED)
def test_a_row_is_encoded_the_same_whatever_batch_it_is_in(plugin, names):
    encoder, value = made(names[plugin], dim=7)
    encoder.fit_scale(value)
    with torch.no_grad():
        together = encoder.eval()(value)
        alone = torch.cat([encoder(row[None]) for row in value])
    assert together.shape == (8, 7)
    assert together.dtype == torch.float32
    assert len(together.unique(dim=0)) > 1
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("plugin", STEPPED)
def test_an_encoder_from_scratch_is_trained_whole(plugin, names):
    encoder, value = made(names[plugin], dim=7)
    assert stepped(encoder, value) >= {name for name, _ in encoder.body.named_parameters()}


TRAINABLE = [
    name
    for name in plugins("encoders")
    if "trainable" in signature(import_module(f"umemma.models.encoders.{name}").build).parameters
]


@pytest.mark.parametrize("plugin", TRAINABLE)
@pytest.mark.parametrize("trainable", ["frozen", "head", "last_1", "full"])
def test_a_step_changes_exactly_what_trainable_says(plugin, trainable, names):
    dim = None if trainable == "frozen" else 7
    encoder, value = made(names[plugin], dim=dim, trainable=trainable, weights="later")
    body = encoder.body
    last = {name for name, candidate in body.named_modules() if any(candidate is module for module in body._blocks[-1])}
    trained_parts = {
        "frozen": set(),
        "head": {"projection"},
        "last_1": {"projection", *last},
        "full": {"projection", "trunk"},
    }
    parts = tuple(f"{part}." for part in trained_parts[trainable]) or ("none",)
    wanted = {name for name, _ in body.named_parameters() if name.startswith(parts)}
    statistics = {name for name, _ in body.named_buffers() if name.startswith(parts)}
    changed = stepped(encoder, value)
    assert changed - statistics == wanted
    with torch.no_grad():
        encoder.train()
        if has_frozen_backbone({"trainable": trainable}):  # so that features may be cached
            assert torch.equal(encoder(value), body.projection(body.features(encoder.scaled(value))))
            assert torch.equal(encoder(value), encoder.eval()(value))


@pytest.mark.parametrize("plugin", STEPPED)
def test_a_tower_is_read_from_its_file_alone(plugin, names, tmp_path, language_folder):
    settings = {"trainable": "last_1", "weights": "later"} if plugin in TRAINABLE else {}
    encoder, value = made(names[plugin], dim=7, **settings)
    encoder.fit_scale(value)
    tower = Tower(encoder, 3).eval()
    tower.encoder.settings["name"] = tower.encoder.settings["name"].replace(str(language_folder), "is-gone")
    if plugin in TRAINABLE:
        tower.encoder.settings["weights"] = "is-gone.pth"
    unimodal.save(tower, tmp_path / "tower.safetensors")
    again = unimodal.load(tmp_path / "tower.safetensors")
    assert torch.equal(again(value), tower(value))
    assert again.encoder.settings == tower.encoder.settings
    assert [parameter.requires_grad for parameter in again.parameters()] == [
        parameter.requires_grad for parameter in tower.parameters()
    ]
    model = late_fusion.blank(
        {
            "encoders": [encoder.facts()],
            "substitute": "none",
            "substitute_at": "feature",
            "head": "concat",
            "num_rows": {"m": 1},
        },
        3,
    )
    assert model.parts()["m"].settings == tower.encoder.settings


@pytest.mark.parametrize("encoder", ["lenet", "mlp", "resnet"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 5, 40), (1, 112, 112), (2, 1, 1)])
def test_an_encoder_of_maps_takes_any_size(encoder, shape):
    built = import_module(f"umemma.models.encoders.{encoder}").build(shape, dim=7)
    features = built(torch.randn(4, *shape))
    assert features.shape == (4, 7)
    features.sum().backward()
    assert all(p.grad is not None for p in built.parameters())


@pytest.mark.parametrize("shape", [(16,), (5, 7), (2, 3, 4, 5)])
def test_an_encoder_takes_what_is_no_map_or_refuses_it_as_a_parameter_and_one_takes_it(shape):
    takers = []
    for encoder in plugins("encoders"):
        build = import_module(f"umemma.models.encoders.{encoder}").build
        try:
            built = call(build, {"dim": 7}, "encoder", shape)
        except ParameterError:
            continue
        assert built(torch.randint(0, 9, (4, *shape)).float()).shape == (4, 7)
        takers.append(encoder)
    assert takers


def test_a_channel_is_scaled_on_its_own_and_one_that_never_varies_keeps_its_size():
    encoder = Encoder("m", (3,), {"name": "mlp"})
    sample = torch.tensor([[1_000.0, 0.01, 5.0], [3_000.0, 0.03, 5.0]])
    encoder.fit_scale(sample)
    torch.testing.assert_close(encoder.scaled(sample), torch.tensor([[-1.0, -1.0, 0.0], [1.0, 1.0, 0.0]]))
    assert encoder.scaled(torch.tensor([[0.0, 0.0, 7.0]]))[0, 2] == 2


def test_series_are_scaled_by_channel_over_all_time():
    encoder = Encoder("m", (2, 30), {"name": "tcn"})
    value = torch.randn(10, 2, 30) * torch.tensor([1.0, 500.0])[:, None] + torch.tensor([0.0, 9_000.0])[:, None]
    encoder.fit_scale(value)
    scaled = encoder.scaled(value).transpose(0, 1).flatten(1)
    torch.testing.assert_close(scaled.mean(dim=1), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(dim=1, correction=0), torch.ones(2), atol=1e-4, rtol=0)


def test_what_the_decoder_gives_and_the_encoder_cannot_take_is_named():
    encoder = Encoder("text", (6,), {"name": "text_cnn", "vocabulary": 10})
    encoder.fit_scale(torch.arange(6)[None])
    with pytest.raises(ParameterError, match=r"text\.encoder: text_cnn takes values from 0 to 10, but decoded"):
        encoder.fit_scale(torch.arange(12).reshape(2, 6))
    with pytest.raises(ParameterError, match="nan"):
        Encoder("m", (3,), {"name": "mlp"}).fit_scale(torch.full((2, 3), torch.nan))


def test_a_shape_that_does_not_go_through_is_named():
    with pytest.raises(ParameterError, match=r"image\.encoder: decoded media have shape \(3, 9, 9\)"):
        Encoder("image", (3, 9, 9), {"name": "torchvision:squeezenet1_1"})


@pytest.mark.parametrize("encoder", ["text_cnn", "gru", "transformers"])
def test_padding_does_not_change_the_answer(encoder, names):
    ids = torch.tensor([[3, 1, 4, 1, 5, 0, 0, 0], [2, 7, 0, 0, 0, 0, 0, 0], [0] * 8], dtype=torch.int32)
    torch.manual_seed(0)
    built = Encoder("text", (8,), {"name": names[encoder]}).eval()
    with torch.no_grad():
        padded, shorter = built(ids), built.body(ids[:, :5])
        torch.testing.assert_close(padded, shorter, rtol=1e-4, atol=1e-5)
        assert padded.isfinite().all()
        torch.testing.assert_close(padded[1:2], built.body(ids[1:2, :2]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", ["text_cnn", "gru", "transformers"])
def test_the_order_of_words_matters(encoder, names):
    torch.manual_seed(0)
    built = Encoder("text", (4,), {"name": names[encoder]}).eval()
    with torch.no_grad():
        features = built(torch.tensor([[3, 1, 4, 6], [6, 4, 1, 3]]))
    assert not torch.allclose(features[0], features[1], atol=1e-4)


def test_silence_at_the_end_of_a_waveform_is_padding(names):
    torch.manual_seed(0)
    built = Encoder("sound", (2_000,), {"name": names["torchaudio"]}).eval()
    quiet = nn.functional.pad(torch.randn(2, 1_200), (0, 800))
    heard = quiet.clone()
    heard[:, -1] = 1e-6  # not silent to the last, so that nothing is padding
    model = built.body.trunk.model
    with torch.no_grad():
        built.body.trunk.normalises = False
        frames, lengths = model(quiet, torch.tensor([1_200, 1_200]))
        assert 0 < lengths[0] < frames.shape[1]
        torch.testing.assert_close(built(quiet), torch.stack([row[: lengths[0]].mean(dim=0) for row in frames]))
        assert not torch.allclose(built(quiet), built(heard), atol=1e-3)
        assert built(torch.zeros(1, 2_000)).isfinite().all()


def test_a_waveform_may_be_int16(names):
    torch.manual_seed(0)
    built = Encoder("sound", (2_000,), {"name": names["torchaudio"]}).eval()
    wave = torch.randint(-30_000, 30_000, (2, 2_000), dtype=torch.int16)
    with torch.no_grad():
        torch.testing.assert_close(built(wave), built(wave / 32_768))


def test_a_waveform_is_normalised_as_its_bundle_says(names):
    torch.manual_seed(0)
    built = Encoder("sound", (2_000,), {"name": names["torchaudio"]}).eval()
    wave = nn.functional.pad(torch.randn(1, 1_500), (0, 500))
    with torch.no_grad():
        torch.testing.assert_close(built(wave), built(wave * 0.05), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("variant", ["wav2vec2_base", "hubert_base"])
def test_a_speech_bundle_is_built_without_a_download(variant):
    from umemma.models.encoders import torchaudio

    with torch.device("meta"):
        built = torchaudio.build((16_000,), variant=variant)
    assert len(built._blocks) == 13
    size = sum(parameter.numel() for parameter in built.parameters())
    assert size == 94_371_712 - 768  # as published, less the mask's vector


def test_an_unknown_bundle_model_or_folder_is_named():
    with pytest.raises(ParameterError, match=r"no bundle of torchaudio called 'wav2vec2_bas'.*mean 'wav2vec2_base'"):
        Encoder("m", (2_000,), {"name": "torchaudio:wav2vec2_bas"})
    with pytest.raises(ParameterError, match=r"no classifier of torchvision called 'resnet19'.*Did you mean 'resnet1"):
        Encoder("m", (3, 64, 64), {"name": "torchvision:resnet19"})
    with pytest.raises(ParameterError, match="no such folder of a language model"):
        Encoder("m", (9,), {"name": "transformers:./nothing"})


@pytest.mark.parametrize(
    ("variant", "num_features"),
    [
        ("resnet18", 512),
        ("squeezenet1_0", 512),
        ("mobilenet_v3_small", 1024),
        ("efficientnet_b0", 1280),
        ("shufflenet_v2_x0_5", 1024),
        ("mnasnet0_5", 1280),
        ("regnet_x_400mf", 400),
        ("googlenet", 1024),
        ("densenet121", 1024),
    ],
)
def test_a_classifier_of_torchvision_gives_the_features_that_its_classifier_takes(variant, num_features):
    from torchvision import models

    torch.manual_seed(0)
    built = Encoder("image", (1, 64, 48), {"name": f"torchvision:{variant}", "trainable": "full"}).eval()
    pixels = torch.randint(0, 256, (2, 1, 64, 48), dtype=torch.uint8)
    with torch.no_grad():
        features = built(pixels)
        assert features.shape == (2, num_features)
        options = {"init_weights": False, "aux_logits": False} if variant == "googlenet" else {}
        whole = models.get_model(variant, weights=None, **options).eval()
        loaded = whole.load_state_dict(built.body.trunk[1].state_dict(), strict=False)
        assert not loaded.unexpected_keys
        name = loaded.missing_keys[0].rpartition(".")[0]
        assert loaded.missing_keys == [f"{name}.weight", f"{name}.bias"]
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        logits = whole((pixels.expand(-1, 3, -1, -1) / 255 - mean[:, None, None]) / std[:, None, None])
        if variant != "squeezenet1_0":  # whose classifier is a convolution before a mean
            torch.testing.assert_close(whole.get_submodule(name)(features), logits, rtol=1e-4, atol=1e-4)


def test_only_the_last_stage_of_a_resnet_is_trained():
    encoder = Encoder(
        "image",
        (3, 32, 32),
        {"name": "torchvision:resnet18", "trainable": "last_1", "weights": "later", "lr_scale": 0.1, "dim": 4},
    )
    changed = stepped(encoder, torch.randint(0, 256, (8, 3, 32, 32), dtype=torch.uint8))
    assert {name.split(".")[2 if name.startswith("trunk") else 0] for name in changed} == {"layer4", "projection"}
    assert not encoder.body.trunk[1].layer3.training
    assert encoder.body.trunk[1].layer4.training


def test_a_model_of_one_size_says_so_and_takes_resized_images():
    with pytest.raises(ParameterError, match=r"takes images of 224 px only, not \[64, 48\]; set size_px to 224"):
        Encoder("m", (3, 64, 48), {"name": "torchvision:vit_b_32"})
    from umemma.models.encoders.torchvision import Pixels

    image = torch.full((1, 1, 8, 6), 255, dtype=torch.uint8)
    torch.testing.assert_close(Pixels([0.5] * 3, [0.25] * 3, [20, 10])(image), torch.full((1, 3, 20, 10), 2.0))


def test_what_is_no_pixels_is_standardised_and_else_refused():
    decibels = torch.linspace(-80, 0, 2 * 64 * 64).reshape(2, 1, 64, 64)
    encoder = Encoder("m", (1, 64, 64), {"name": "torchvision:squeezenet1_1"})
    with pytest.raises(ParameterError, match="takes values from 0 to 255, but decoded are -80 to 0"):
        encoder.fit_scale(decibels)
    encoder = Encoder("m", (1, 64, 64), {"name": "torchvision:squeezenet1_1", "inputs": "standardised"})
    encoder.fit_scale(decibels)
    seen = encoder.body.trunk[0](encoder.scaled(decibels))
    assert seen.shape == (2, 3, 64, 64)
    torch.testing.assert_close(torch.stack([seen.mean(), seen.std()]), torch.tensor([0.0, 1.0]), rtol=0, atol=1e-2)


@pytest.mark.parametrize("encoder", ["torchvision:squeezenet1_1", "resnet"])
def test_video_is_the_mean_of_its_frames(encoder):
    torch.manual_seed(0)
    built = Encoder("video", (3, 1, 40, 40), {"name": encoder, "dim": 5}).eval()
    clip = torch.randint(0, 256, (2, 3, 1, 40, 40), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(built(clip), built(clip.flip(1)), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(built(clip), built(clip.roll(1, 0)), atol=1e-4)


def test_a_resnet_that_stacks_frames_tells_their_order():
    torch.manual_seed(0)
    built = Encoder("video", (3, 1, 20, 20), {"name": "resnet", "dim": 5, "frames": "stack"}).eval()
    clip = torch.randn(2, 3, 1, 20, 20)
    with torch.no_grad():
        assert not torch.allclose(built(clip), built(clip.flip(1)), atol=1e-4)


def test_a_series_is_seen_whole_by_one_output_of_a_tcn():
    from umemma.models.encoders import tcn

    built = tcn.build((1, 200), width=4).eval()
    value = torch.randn(1, 1, 200, requires_grad=True)
    built.body(value)[0, :, 100].sum().backward()
    assert (value.grad != 0).sum() == 200
    assert len(tcn.build((1, 200), depth=2).body) == 3


def test_a_language_model_whose_files_do_not_fit_is_refused(language_folder, tmp_path):
    import json
    import shutil

    for layers, trouble in ((2, "16 unexpected: encoder.layer.2"), (4, "16 missing: encoder.layer.3")):
        folder = tmp_path / str(layers)
        shutil.copytree(language_folder, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": layers}))
        with pytest.raises(ParameterError, match=rf"do not fit its config\.json \({trouble}"):
            Encoder("text", (9,), {"name": f"transformers:{folder}"})


def test_a_language_model_is_not_given_more_tokens_than_it_takes(language_folder):
    with pytest.raises(ParameterError, match=r"takes 4000 tokens at most; decode\.length is 4001"):
        Encoder("text", (4_001,), {"name": f"transformers:{language_folder}"})


def test_a_folder_without_a_language_model_is_named(tmp_path):
    with pytest.raises(ParameterError, match="no readable language model"):
        Encoder("text", (9,), {"name": f"transformers:{tmp_path}"})


def test_images_too_small_for_a_model_are_enlarged_and_others_left_alone():
    small, large = (
        Encoder("image", shape, {"name": "torchvision:squeezenet1_0", "least_px": 64}).body.trunk[0]
        for shape in ((1, 8, 16), (3, 64, 80))
    )
    assert small(torch.zeros(2, 1, 8, 16)).shape == (2, 3, 64, 128)
    assert large(torch.zeros(2, 3, 64, 80)).shape == (2, 3, 64, 80)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_relu_after_pooling_changes_no_bit_of_lenet(dtype):
    torch.manual_seed(0)
    after = import_module("umemma.models.encoders.lenet").build((1, 23, 17), width=4, dim=5, dropout=0.0)
    layers = list(after)
    for place in [number for number, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]:
        layers[place : place + 2] = layers[place + 1], layers[place]
    before = nn.Sequential(*deepcopy(layers))
    value = torch.randn(9, 1, 23, 17)
    answers = []
    for model in (after, before):
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            answers.append(model(value))
        answers[-1].float().square().sum().backward()
    assert torch.equal(*answers)
    assert [type(layer) for layer in after] != [type(layer) for layer in before]
    assert all(
        torch.equal(one.grad, other.grad) for one, other in zip(after.parameters(), before.parameters(), strict=True)
    )
