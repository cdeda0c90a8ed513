"""An error in params.yaml is reported with file, key, value and choices, before any work."""

import copy
import inspect
import re
import shutil
from typing import get_args

import pytest
import torch
from dvc.utils.hydra import compose_and_dump
from hydra._internal.hydra import Hydra
from omegaconf.basecontainer import BaseContainer
from ruamel.yaml import YAML

from flows.overrides import check_overrides
from tests.conftest import ROOT
from umemma import composition, parameters
from umemma.errors import ParameterError
from umemma.models.encoders import lenet
from umemma.models.substitutes import SUBSTITUTES
from umemma.settings import call
from umemma.training.settings import ArmName, Fuse, missing_rates

COMPOSED = YAML(typ="safe").load((ROOT / "params.yaml").read_text())


def changed(key: str, value: object) -> dict:
    content = copy.deepcopy(COMPOSED)
    *parents, last = key.split(".")
    section = content
    for parent in parents:
        section = section[parent]
    section[last] = value
    return content


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("fuse.missing_rate", 1.2, r"fuse\.missing_rate is 1\.2: .*less than or equal to 1"),
        ("fuse.missing_rate", 1.0, r"fuse\.missing_rate is 1 for every modality"),
        ("fuse.missing_rate", {"image": 0.2, "sound": 0.1}, r"no modality called 'sound'; there are audio, image"),
        ("fuse.missing_rate", {"image": -0.2}, r"fuse\.missing_rate\.image is -0\.2"),
        ("fuse.mising_rate", 0.2, r"fuse: there is no parameter called 'mising_rate'.*Did you mean 'missing_rate'"),
        (
            "fuse.substitute",
            "zeroes",
            r"fuse\.substitute is 'zeroes'.*'none', 'zeros', 'train_mean', 'noise', 'donor' or 'learned'",
        ),
        ("fuse.substitute_at", "output", r"fuse\.substitute_at is 'output'.*'feature' or 'input'"),
        (
            "fuse.protocol",
            "balancd",
            r"fuse\.protocol is 'balancd'.*'independent', 'absent', 'balanced', 'mcar', 'mar', 'mnar' or 'by_class'",
        ),
        ("fuse.towers", "frozen", r"fuse: there is no parameter called 'towers'"),
        ("arm", "ume-maa", r"arm is 'ume-maa'.*'uni', 'joint', 'joint\+mma', 'ump', 'ume-mma', .*'specialist'"),
        ("baselines", ["linear", "linear"], r"baselines.*name each once"),
        ("baselines", ["forest"], r"baselines\.0 is 'forest'.*'linear' or 'trees'"),
        ("evaluate.bootstrap_replicates", 0, r"evaluate\.bootstrap_replicates is 0"),
        ("evaluate.significance", 0.0, r"evaluate\.significance is 0\.0: .*greater than 0"),
        ("evaluate.significance", 1.0, r"evaluate\.significance is 1\.0: .*less than 1"),
        ("fuse.head", "concatt", r"fuse\.head: there is no head called 'concatt'; .*Did you mean 'concat'"),
        ("fuse.epochs", "five", r"fuse\.epochs is 'five'"),
        ("fuse.lr", True, r"fuse\.lr is True"),
        ("dataset.adapter", "digit", r"dataset\.adapter: there is no dataset called 'digit'; .*Did you mean 'digits'"),
        ("dataset.modalities.image.encoder.name", "lennet", r"no encoder called 'lennet'; .*Did you mean 'lenet'"),
        (
            "dataset.modalities.image.encoder.name",
            "torchvison:resnet18",
            r"no encoder called 'torchvison:resnet18'; there are .*, torchvision:VARIANT, ",
        ),
        ("dataset.modalities.image.encoder.name", "torchvision", r"'torchvision' needs a variant after a colon"),
        ("dataset.modalities.image.encoder.name", "torchvision:", r"'torchvision' needs a variant after a colon"),
        ("dataset.modalities.image.encoder.name", "lenet:5", r"encoder\.name: 'lenet' has no variants"),
        ("dataset.modalities.image.encoder.name", 3, r"no encoder called 3"),
        ("dataset.modalities.image.decode.name", "image:png", r"decode\.name: 'image' has no variants"),
        ("dataset.early.name", "lennet", r"dataset\.early\.name: there is no encoder called 'lennet'"),
        ("dataset.modalities.audio.decode.name", "spectogram", r"no decoder called 'spectogram'"),
        ("dataset.modalities.image.epoch", 3, r"dataset\.modalities\.image: .*'epoch'.*Did you mean 'epochs'"),
        ("dataset.modalities", {}, r"dataset\.modalities is \{\}"),
        ("dataset.classes", ["a", "a"], r"dataset\.classes holds a name twice"),
        ("dataset.modalities.image.augment", "flip", r"dataset\.modalities\.image\.augment is 'flip'"),
        ("validation.severity.clipping", "warning", r"severity\.clipping is 'warning': .*'error', 'warn' or 'ignore'"),
        ("validation.severity.cliping", "warn", r"severity: there is no parameter called 'cliping'.*mean 'clipping'"),
        ("validation.max_quarantined", 1.5, r"validation\.max_quarantined is 1\.5: .*less than or equal to 1"),
        ("seed", -1, r"seed is -1"),
        ("pretain", {}, r"top level: there is no parameter called 'pretain'"),
        ("compute.threads", 0, r"compute\.threads is 0"),
        ("dataset.adapter", "digits:", r"dataset\.adapter: 'digits' has no variants"),
        (
            "dataset.adapter",
            "../datasets/digits",
            r"dataset\.adapter: there is no dataset called '\.\./datasets/digits'",
        ),
        (
            "dataset.watch",
            {"each_run": ["x;touch F"], "record": "a.py"},
            r"dataset\.watch\.each_run\.0 is 'x;touch F': must be",
        ),
        (
            "dataset.sources",
            {"mnist": ["https://me:hunter2@host/x"]},
            r"dataset\.sources\.mnist\.0 is .*: must hold no user and no password",
        ),
        ("dataset.watch", {"each_run": [], "record": "../../key"}, r"dataset\.watch\.record: '\.\./\.\./key' must be"),
        ("dataset.watch", {"each_run": [], "record": "/etc/passwd"}, r"dataset\.watch\.record: '/etc/passwd' must be"),
    ],
)
def test_a_slip_is_named_with_file_key_value_and_choices(key, value, sentence):
    with pytest.raises(ParameterError) as error:
        parameters.check(changed(key, value), "params.yaml")
    assert re.search(r"params\.yaml: .*" + sentence, str(error.value))
    assert error.value.__cause__ is None  # DVC prints that, too: twenty lines of pydantic below our sentence


UNFIT = ["audio;touch F", "x$(touch F)", "x`touch F`", "../x", "a/b", "..", ".git", "", "a b", "-x", "x\n", "\xfc"]


@pytest.mark.parametrize("name", UNFIT)
def test_a_name_that_becomes_a_path_or_a_part_of_a_command_must_be_a_plain_one(name):
    content = copy.deepcopy(COMPOSED)
    content["dataset"]["name"] = name
    with pytest.raises(ParameterError, match=r"params\.yaml: dataset\.name is .*: must be a plain name"):
        parameters.check(content, "params.yaml")
    modalities = {"image": COMPOSED["dataset"]["modalities"]["image"], name: COMPOSED["dataset"]["modalities"]["audio"]}
    with pytest.raises(ParameterError, match=r"(?s)params\.yaml: dataset\.modalities\..* is .*: must be a plain name"):
        parameters.check(changed("dataset.modalities", modalities), "params.yaml")


@pytest.mark.parametrize("override", ["fuse.missing_rate=1.2", "fuse.head=cat", "+dataset.x=x", "dataset.name=../x"])
@pytest.mark.parametrize("format_", ["format=1", "format=${checked:1}", "~format", "format=1.0"])
def test_what_was_composed_is_checked_whatever_is_overridden(tmp_path, format_, override):
    path = tmp_path / "params.yaml"
    with pytest.raises(ParameterError):
        composition.write(path, ROOT / "conf", [format_, override])
    assert not path.exists()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("fuse.epohcs=3", r"params\.yaml\.fuse: there is no parameter called 'epohcs'; .* Did you mean 'epochs'\?$"),
        ("~fuse.lrr", r"params\.yaml\.fuse: there is no parameter called 'lrr'; .* Did you mean 'lr'\?$"),
        ("fusee.lr=1", r"params\.yaml: there is no parameter called 'fusee'; .* Did you mean 'fuse'\?$"),
        ("dataset.modalities.imag.epochs=1", r"modalities: there is no parameter called 'imag'.*mean 'image'\?$"),
    ],
)
def test_a_misspelt_key_is_told_by_its_neighbours_by_dvc_as_by_us(tmp_path, monkeypatch, override, sentence):
    with pytest.raises(ParameterError, match=sentence):
        composition.composed(ROOT / "conf", [override])
    monkeypatch.setattr(Hydra, "compose_config", inspect.unwrap(Hydra.compose_config))
    composition.check_every_composition(ROOT / "conf")  # as the plug-in in conf/ does in DVC's process
    with pytest.raises(ParameterError, match=sentence):
        compose_and_dump(tmp_path / "params.yaml", str(ROOT / "conf"), None, "config", "", [override])


def test_a_misspelt_data_set_and_a_section_given_twice_are_sentences_in_dvc_as_with_us(tmp_path, monkeypatch):
    monkeypatch.setattr(Hydra, "compose_config", inspect.unwrap(Hydra.compose_config))
    conf = shutil.copytree(ROOT / "conf", tmp_path / "conf")
    with (conf / "dataset/ave.yaml").open("a") as file:
        file.write("validation: {min_presence: 0.1}\n")
    composition.check_every_composition(conf)
    for name, sentence in (
        ("digit", r"conf/dataset: there is no data set called 'digit'; .* Did you mean 'digits'\?$"),
        ("ave", r"conf: .*dataset/ave\.yaml.* duplicate key validation .*, line \d+.*; what .* goes into one$"),
    ):
        with pytest.raises(ParameterError, match=sentence):
            composition.composed(conf, [f"dataset={name}"])
        with pytest.raises(ParameterError, match=sentence):
            compose_and_dump(tmp_path / "params.yaml", str(conf), None, "config", "", [f"dataset={name}"])


@pytest.mark.parametrize(
    "value",
    [
        "${oc.env:SECRET}",
        "${${x}.env:SECRET}",
        "${oc.decode:${oc.env:SECRET}}",
        "x${oc.env:SECRET,y}",
        "${oc.create:${oc.env:SECRET}}",
        "${now:%H}",
        "${hydra:runtime}",
    ],
)
def test_what_is_composed_asks_for_nothing_outside(tmp_path, monkeypatch, value):
    monkeypatch.setenv("SECRET", "hunter2")
    with pytest.raises(ParameterError) as error:
        composition.write(tmp_path / "params.yaml", ROOT / "conf", [f"arm='{value}'"])
    assert "hunter2" not in str(error.value)
    assert set(BaseContainer._resolvers) == {"checked", "current", "encoder", "frozen_modalities", "tower_inputs"}


def test_conf_asks_for_nothing_but_what_is_ours():
    for path in (ROOT / "conf").rglob("*.yaml"):
        assert set(re.findall(r"\$\{([\w.]+):", path.read_text())) <= {
            "checked",
            "current",
            "encoder",
            "frozen_modalities",
            "tower_inputs",
        }, path


@pytest.mark.parametrize(
    ("protocol", "rate", "sentence"),
    [
        ("absent", 0.5, r"fuse\.missing_rate is 0\.5, but .*`absent` needs .*fuse\.missing_rate=\{audio: 1\}"),
        ("absent", {"image": 0.5}, r"fuse\.missing_rate is .*'image': 0\.5.* a rate is 0 or 1"),
        ("absent", {"image": 1, "audio": 1}, r"fuse\.missing_rate is 1 for every modality"),
        ("balanced", {"image": 0.7, "audio": 0.4}, r"`balanced` the rates sum to at most 1, not 1\.1"),
    ],
)
def test_a_rate_that_the_protocol_cannot_have_is_named(protocol, rate, sentence):
    content = changed("fuse.missing_rate", rate)
    content["fuse"]["protocol"] = protocol
    with pytest.raises(ParameterError, match=r"params\.yaml: .*" + sentence):
        parameters.check(content, "params.yaml")


@pytest.mark.parametrize(
    ("protocol", "rate", "rates"),
    [
        ("independent", 0.5, (0.5, 0.5)),
        ("independent", {"audio": 0.3}, (0.0, 0.3)),
        ("balanced", 0.5, (0.25, 0.25)),
        ("balanced", {"image": 0.5, "audio": 0.5}, (0.5, 0.5)),
        ("absent", {"audio": 1}, (0.0, 1.0)),
        ("absent", 0.0, (0.0, 0.0)),
    ],
)
def test_one_rate_is_every_modalitys_and_under_balanced_they_share_it(protocol, rate, rates):
    content = changed("fuse.missing_rate", rate)
    content["fuse"]["protocol"] = protocol
    fuse = parameters.check(content, "params.yaml").fuse
    assert missing_rates(fuse, ["image", "audio"]) == rates


@pytest.mark.parametrize("arm", get_args(ArmName))
def test_every_arm_may_be_chosen(arm):
    content = changed("arm", arm) | ({"base": "data/base/0123456789ab"} if arm == "grown" else {})
    assert parameters.check(content, "params.yaml").arm == arm


@pytest.mark.parametrize(
    "key",
    [
        "arm",
        "fuse.lr",
        "fuse.protocol",
        "fuse.substitute_at",
        "dataset.early",
        "evaluate.bootstrap_replicates",
        "evaluate.significance",
    ],
)
def test_a_parameter_that_is_not_set_is_named(key):
    content = copy.deepcopy(COMPOSED)
    *parents, last = key.split(".")
    del (content[parents[0]] if parents else content)[last]
    with pytest.raises(ParameterError, match=rf"params\.yaml: {re.escape(key)} is not set"):
        parameters.check(content, "params.yaml")


def test_augmentation_may_be_left_out_and_is_none_then():
    assert parameters.check(COMPOSED, "params.yaml").dataset.modalities["image"].augment == {}
    content = changed("dataset.modalities.image.augment", {"flip": True, "crop_px": 2})
    assert parameters.check(content, "params.yaml").dataset.modalities["image"].augment == {"flip": True, "crop_px": 2}


@pytest.mark.parametrize("text", ["fuse: [", "", "- 1"])
def test_a_file_that_is_no_mapping_is_named(tmp_path, text):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(ParameterError, match=re.escape(str(path))):
        parameters.read(path)


def test_a_setting_that_a_builder_does_not_take_is_named():
    def build(shape: int, *, width: int = 3) -> int:
        return shape * width

    assert call(build, {"name": "x", "width": 4}, "encoder", 2) == 8
    with pytest.raises(ParameterError, match=r"encoder: there is no setting called 'widht'; there are width"):
        call(build, {"name": "x", "widht": 4}, "encoder", 2)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"width": "big"}, "encoder.width must be a number, not 'big'"),
        ({"dim": 0}, "dim and stem_stride must be 1 or more"),
        ({"dropout": 2}, "dropout at least 0 and below 1"),
        ({"stem_stride": [2]}, r"stem_stride is one whole number or \[height, width\], not \[2\]"),
        ({"stem_stride": [2, 0]}, "stem_stride must be 1 or more"),
        ({"stem_stride": "two"}, "stem_stride is one whole number or"),
    ],
)
def test_a_setting_out_of_range_is_named(settings, sentence):
    with pytest.raises(ParameterError, match=sentence):
        call(lenet.build, settings, "encoder", (1, 8, 8))


def test_the_stem_takes_one_stride_or_two_and_sees_every_pixel():
    image = torch.rand(2, 1, 40, 24, requires_grad=True)
    body = call(lenet.build, {"stem_stride": [2, 4], "dim": 7}, "encoder", (1, 40, 24)).eval()
    assert body[0].stride == (2, 4)
    assert body[0].kernel_size == (5, 9)
    assert body(image).shape == (2, 7)
    body[0](image).square().sum().backward()
    assert (image.grad != 0).all()
    assert lenet.build((1, 40, 24), stem_stride=2)[0].stride == (2, 2)


def test_every_substitute_that_parameters_allow_exists():
    allowed = Fuse.model_fields["substitute"].annotation.__args__
    assert set(allowed) == set(SUBSTITUTES)


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "conf/dataset").glob("*.yaml")))
def test_every_data_set_composes_into_valid_parameters(name):
    content = composition.composed(ROOT / "conf", [f"dataset={name}"])
    assert parameters.check(content, name).dataset.name == name


@pytest.mark.parametrize("name", ["digits", "mmimdb_lite"])
def test_an_override_of_dvc_writes_the_same_bytes(tmp_path, name):
    overrides = [f"dataset={name}", "seed=3"]
    composition.write(tmp_path / "ours.yaml", ROOT / "conf", overrides)
    check_overrides(ROOT, overrides, tmp_path / "theirs.yaml")
    assert (tmp_path / "theirs.yaml").read_bytes() == (tmp_path / "ours.yaml").read_bytes()


OVERRIDE = re.compile(r"-S ('[^']*'|\"[^\"]*\"|[^\s`|)]+)")
STAND_FOR_OTHERS = ("KEY=VALUE", "...", "fuse.head=most_confident", "dataset=ink")  # made in the page itself
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize(
    "overrides",
    [
        ["evaluate.own_protocols={night: {any: {image+audio: 0.4, audio: 0.6}}}"],
        ["promotion.lowest={image+audio: 0.8}"],
        *(
            given
            for line in dict.fromkeys(line for page in PAGES for line in page.read_text("utf-8").splitlines())
            if (given := [text.strip("'\"") for text in OVERRIDE.findall(line)])
            and not any(part in text for part in STAND_FOR_OTHERS for text in given)
        ),
    ],
    ids=" ".join,
)
def test_what_the_documentation_overrides_can_be_overridden(overrides):
    parameters.check(composition.composed(ROOT / "conf", overrides), "params.yaml")


def test_params_yaml_is_what_conf_composes_by_default():
    assert list(composition.differences(COMPOSED, composition.composed(ROOT / "conf", []))) == []


def test_dvc_composes_the_very_bytes_that_we_do(tmp_path):
    composition.write(tmp_path / "ours.yaml", ROOT / "conf", ["dataset=mmimdb_lite"])
    compose_and_dump(tmp_path / "theirs.yaml", str(ROOT / "conf"), None, "config", "", ["dataset=mmimdb_lite"])
    assert (tmp_path / "theirs.yaml").read_bytes() == (tmp_path / "ours.yaml").read_bytes()


def test_a_difference_from_conf_is_named_with_the_command_that_mends_it(tmp_path):
    path = tmp_path / "params.yaml"
    with path.open("w") as file:
        YAML().dump(changed("fuse.missing_rate", 0.25), file)
    text = composition.notice(path, ROOT / "conf")
    assert "fuse.missing_rate is 0.25, conf/ says 0.5" in text
    assert "make params DATASET=digits" in text
    composition.write(path, ROOT / "conf", ["dataset=digits"])
    assert composition.notice(path, ROOT / "conf") == ""


def test_where_dvc_would_not_compose_that_is_said(tmp_path):
    path, conf = tmp_path / "params.yaml", tmp_path / "conf"
    shutil.copytree(ROOT / "conf", conf)
    composition.write(path, conf, ["dataset=digits"])
    assert composition.notice(path, conf) == ""  # no settings of DVC's at all
    (tmp_path / ".dvc").mkdir()
    for content, is_said in {
        (ROOT / ".dvc/config").read_text(): False,
        "": True,
        "[hydra]\n    enabled = false\n": True,
        "[core]\n    remote = s\n['remote \"s\"']\n    url = /x%20y\n": True,
        "no settings": False,  # DVC's own error
    }.items():
        (tmp_path / ".dvc/config").write_text(content)
        assert ("does not enable hydra" in composition.notice(path, conf)) == is_said, content


def test_the_data_set_stays_that_of_params_yaml_until_another_is_named(tmp_path, capsys):
    conf = shutil.copytree(ROOT / "conf", tmp_path / "conf")
    composition.write(tmp_path / "params.yaml", conf, ["dataset=synthetic"])
    assert capsys.readouterr().err == ""
    values = composition.composed(conf, ["fuse.lr=0.1"])
    assert (values["dataset"]["name"], values["fuse"]["lr"]) == ("synthetic", 0.1)
    assert capsys.readouterr().err == "note: the data set is synthetic, as before; `dataset=digits` chooses another\n"
    assert composition.composed(conf, ["dataset=digits"])["dataset"]["name"] == "digits"


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\n[", "seed: 0", "- a list"])
def test_a_params_yaml_that_names_no_data_set_is_reported(tmp_path, capsys, text):
    conf = shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "params.yaml").write_text(text)
    assert composition.composed(conf, [])["dataset"]["name"] == "digits"
    assert "params.yaml names no data set, so it is digits" in capsys.readouterr().err


def test_a_misspelt_override_is_named_and_changes_nothing(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("untouched")
    for override in ("fuse.mising_rate=0.1", "dataset=digit", "fuse.missing_rate=1.2"):
        with pytest.raises(ParameterError, match=override.split("=")[1] if "dataset" in override else "mis"):
            composition.write(path, ROOT / "conf", [override])
    assert path.read_text() == "untouched"


@pytest.mark.parametrize("name", ["torchvision:resnet18", "transformers:a/b-c", "transformers:./models/x:y"])
def test_one_encoder_may_stand_for_many(name):
    settings = parameters.check(changed("dataset.modalities.image.encoder", {"name": name}), "params.yaml")
    assert settings.dataset.modalities["image"].encoder["name"] == name


def test_a_variant_is_passed_on_and_is_no_setting_of_its_own():
    def build(shape, *, variant, width=3):
        return shape, variant, width

    assert call(build, {"name": "many:a/b:c"}, "encoder", (1,)) == ((1,), "a/b:c", 3)
    with pytest.raises(ParameterError, match="no setting called 'variant'; there are width"):
        call(build, {"name": "many:a", "variant": "b"}, "encoder", (1,))
    with pytest.raises(ParameterError, match=r"encoder\.name: 'many' needs a variant"):
        call(build, {"name": "many"}, "encoder", (1,))


def test_an_encoder_is_swapped_whole_by_one_override_and_can_still_be_changed():
    values = composition.composed(ROOT / "conf", ["dataset.modalities.image.encoder=${encoder:squeezenet}"])
    assert values["dataset"]["modalities"]["image"]["encoder"] == YAML(typ="safe").load(
        (ROOT / "conf/encoder/squeezenet.yaml").read_text()
    )
    as_it_is = composition.composed(ROOT / "conf", [])["dataset"]["modalities"]["image"]
    assert parameters.check(values, "conf").dataset.modalities["image"].epochs == as_it_is["epochs"]
    changed = composition.composed(ROOT / "conf", ["dataset=mmimdb_lite", "dataset.modalities.image.encoder.dim=64"])
    assert changed["dataset"]["modalities"]["image"]["encoder"]["dim"] == 64
    with pytest.raises(ParameterError, match=r"no encoder called .squeeze.; there are .* Did you mean .squeezenet."):
        composition.composed(ROOT / "conf", ["dataset.modalities.image.encoder=${encoder:squeeze}"])
