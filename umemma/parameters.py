"""params.yaml as frozen, typed sections: every key known, every value checked, before any work starts.

`read` checks the whole file whoever calls, so that a slip in the last stage's section is named before the first one
has trained for an hour; a stage still uses only its own sections (a test holds that against dvc.yaml). Read with
ruamel's YAML 1.2, as DVC does: PyYAML would take `1e-3` for text. What is chosen by name - adapter, encoder, decoder,
head - is a module of the folder of that kind, or, as `module:variant`, one of many things that a module stands for; the
folder is listed, not imported.
"""

import ast
import inspect
import os
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from umemma.errors import ParameterError, unknown

FILE = Path("params.yaml")
HUB = "hub"  # as an encoder's `weights`: the publisher's own
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Settings = Mapping[str, Any]
Severity = Literal["error", "warn", "ignore"]
Result = TypeVar("Result")
ArmName = Literal["uni", "joint", "joint+mma", "ump", "ume-mma", "ensemble", "frozen", "early", "specialist"]


class Section(BaseModel):
    """A part of params.yaml: nothing unknown, nothing converted silently, nothing changed later."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Modality(Section):
    """One modality: how its files become tensors, which encoder reads them, for how many epochs it is trained.

    `decode` and `encoder` name a module of `umemma/decoders` and `umemma/encoders`; other keys are its settings. Some
    encoders stand for many: `torchvision:resnet18`. `augment` changes decoded values in training, by the names in
    `umemma/augment.py`. It is the one key that may be left out: nothing is then changed, which is no choice that a
    reader would have to be told of.
    """

    decode: Settings
    encoder: Settings
    epochs: Positive
    augment: Settings = Field(default_factory=dict)


class Watch(Section):
    """Raw data that may change at any time: a stage `watch@NAME` for every name, and the file that it writes.

    Without a name there is no such stage, and `record` is any file that never changes.
    """

    each_run: Sequence[str]
    record: str


class Dataset(Section):
    """Which data, and what is in it. `root` null: `$UMEMMA_DATA`, else `data/raw/<name>`, filled by download.

    `task`: has a sample one of the classes, or any number of them? `early` is the encoder of the early-fusion arm,
    which reads all modalities at once.
    """

    name: str
    adapter: str
    root: str | None
    sources: Mapping[str, Sequence[str]]
    watch: Watch
    options: Settings
    task: Literal["single_label", "multi_label"]
    classes: Annotated[Sequence[str], Field(min_length=2)]
    modalities: Annotated[Mapping[str, Modality], Field(min_length=1)]
    early: Settings


class Prepare(Section):
    """How shards are cut."""

    samples_per_shard: Count


class Severities(Section):
    """What follows where an expectation does not hold: `error` stops the pipeline, `warn` is printed and reported.

    `ignore`: it is not judged, and the report says so. What is not listed here (columns, keys, splits, labels in range,
    shards as indexed, one kind of file in a modality) is always an error: nothing could be computed without it.
    """

    quarantine: Severity
    group_leakage: Severity
    duplicates_across_splits: Severity
    duplicates_within_split: Severity
    conflicting_labels: Severity
    label_support: Severity
    classes_in_every_split: Severity
    class_balance: Severity
    labels_per_sample: Severity
    presence: Severity
    presence_drift: Severity
    class_drift: Severity
    same_shape: Severity
    file_size: Severity
    blank: Severity
    silence: Severity
    clipping: Severity
    duration: Severity
    size_px: Severity
    animation: Severity
    video_frames: Severity
    video_sound: Severity
    text_length: Severity
    text_encoding: Severity
    series_length: Severity


class Validation(Section):
    """Bounds of the gate between data and training; shares are of one split."""

    max_quarantined: Fraction
    min_class_samples: Count
    min_class_share: Fraction
    max_class_share: Fraction
    min_presence: Fraction
    max_presence: Fraction
    max_drift: Fraction
    max_mib: Positive
    max_blank: Fraction
    min_peak: Fraction
    max_clipped: Fraction
    max_clipped_files: Fraction
    min_seconds: Positive
    max_seconds: Positive
    min_px: Count
    max_px: Count
    min_frames: Count
    min_chars: Count
    max_chars: Count
    max_replaced: Fraction
    min_steps: Count
    max_steps: Count
    severity: Severities


class Compute(Section):
    """Where and how tensors are computed; `threads` null: all cores. Only equal settings repeat a seed exactly."""

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["auto", "float32", "bfloat16"]
    threads: Count | None


class Pretrain(Section):
    """How every tower is trained; how long is each modality's own setting.

    `class_balance`: 0 weighs every sample the same, 1 every class; see `umemma.metrics.loss`.
    """

    batch_size: Count
    lr: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    class_balance: Fraction


class Fuse(Section):
    """Fusion. `missing_rate`: one number, or one for each modality by name (one left out is never hidden)."""

    head: str
    substitute: Literal["none", "zeros", "train_mean", "noise", "donor", "learned"]
    substitute_at: Literal["feature", "input"]
    protocol: Literal["independent", "absent", "balanced"]
    missing_rate: Fraction | Mapping[str, Fraction]
    epochs: Positive
    batch_size: Count
    lr: Positive
    tower_lr: Positive
    weight_decay: Annotated[float, Field(ge=0)]
    class_balance: Fraction


class Evaluate(Section):
    """`rates`: the missing rates each modality takes in the grid. `significance`: of the gates' tests.

    `threshold`: where yes begins for each class of multi-label data.
    """

    rates: Annotated[Sequence[Fraction], Field(min_length=1)]
    batch_size: Count
    bootstrap_replicates: Count
    significance: Annotated[float, Field(gt=0, lt=1)]
    threshold: Literal["validation", "half"]


class Parameters(Section):
    """The whole of params.yaml; `format` is the version of its layout."""

    format: Literal[1]
    seed: Annotated[int, Field(ge=0)]
    arm: ArmName
    dataset: Dataset
    prepare: Prepare
    validation: Validation
    compute: Compute
    pretrain: Pretrain
    fuse: Fuse
    evaluate: Evaluate


def read(path: Path = FILE) -> Parameters:
    """Read and check the whole file. Raises ParameterError, naming file, key, value and choices."""
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ParameterError(f"{path} cannot be read: {error.strerror}") from error
    except YAMLError as error:
        raise ParameterError(f"{path} is no valid YAML: {error}") from error
    return check(content, str(path))


def check(content: object, where: str) -> Parameters:
    """Turn the file's content into typed sections, or say in one ParameterError all that is wrong with it."""
    try:
        parameters = Parameters.model_validate(content)
    except ValidationError as error:
        raise ParameterError("\n".join(_sentences(error, where))) from error
    for trouble in _name_troubles(parameters):
        raise ParameterError(f"{where}: {trouble}")
    return parameters


def call(builder: Callable[..., Result], settings: Settings, where: str, *args: object) -> Result:
    """Call `builder(*args, **settings)`; a setting it does not take is an error that lists those it takes.

    `name` in the settings chose the builder; of it, only what follows a colon is passed on, as `variant`.
    """
    taken = {p.name: p for p in inspect.signature(builder).parameters.values() if p.kind is p.KEYWORD_ONLY}
    own = {key: value for key, value in settings.items() if key != "name"}
    name, _, variant = str(settings.get("name", "")).partition(":")
    if ("variant" in taken) != bool(variant):
        raise ParameterError(f"{FILE}: {where}.name: {_about_variant(name, 'variant' in taken)}")
    choices = taken.keys() - {"variant"}
    for key, value in own.items():
        if key not in choices:
            raise ParameterError(unknown(f"{FILE}: {where}", "setting", key, choices))
        if isinstance(taken[key].default, int | float) and not isinstance(value, int | float):
            raise ParameterError(f"{FILE}: {where}.{key} must be a number, not {value!r}")
    try:
        return builder(*args, **own | ({"variant": variant} if variant else {}))
    except (ValueError, TypeError, IndexError) as error:
        raise ParameterError(f"{FILE}: {where}: {error}") from error


def plugins(folder: str) -> list[str]:
    """Return the names that a folder of plug-ins offers: `plugins("encoders")`."""
    return [module.name for module in pkgutil.iter_modules([str(Path(__file__).parent / folder)])]


def module_name(name: str) -> str:
    """Return the plug-in that a name chooses: `torchvision` for `torchvision:resnet18`, `lenet` for `lenet`."""
    return name.partition(":")[0]


def has_frozen_trunk(encoder: Settings) -> bool:
    """Return whether an encoder's pre-trained network stays as it is, so that its features are computed once."""
    return encoder.get("trainable") in ("frozen", "head")


def missing_rates(fuse: Fuse, modalities: Sequence[str]) -> tuple[float, ...]:
    """Return one missing rate per modality, in the data set's order.

    A single number is each modality's rate; with protocol `balanced` it is the share of samples that lose one of them.
    """
    rate = fuse.missing_rate
    if isinstance(rate, Mapping):
        return tuple(float(rate.get(name, 0.0)) for name in modalities)
    return (float(rate) / (len(modalities) if fuse.protocol == "balanced" else 1),) * len(modalities)


def home() -> Path:
    """Return the main checkout's root: experiments run in folders of their own, but share raw data and runs."""
    return Path(os.environ.get("UMEMMA_HOME") or os.environ.get("DVC_ROOT") or Path.cwd()).resolve()


def weights_file(path: str | Path) -> Path:
    """Return where a file of weights lies: relative to the project's root, else to `$UMEMMA_DATA`, beside raw data."""
    own, beside = home() / Path(path).expanduser(), Path(os.environ.get("UMEMMA_DATA", home())) / path
    return beside if beside.exists() and not own.exists() else own


def _name_troubles(parameters: Parameters) -> Iterator[str]:
    dataset, fuse = parameters.dataset, parameters.fuse
    chosen: list[tuple[str, str, object]] = [
        ("dataset.adapter", "datasets", dataset.adapter), ("fuse.head", "heads", fuse.head)]
    watched = [("dataset.watch.each_run", name) for name in dataset.watch.each_run]
    for key, name in [("dataset.name", dataset.name), *watched]:
        if not re.fullmatch(r"[A-Za-z0-9][\w-]*", name, flags=re.ASCII):  # DVC makes and removes folders of this name
            yield f"{key}: {name!r} must be a plain name (letters, digits, _ and -, a letter or digit first)"
    if Path(dataset.watch.record).is_absolute() or ".." in Path(dataset.watch.record).parts:
        yield f"dataset.watch.record: {dataset.watch.record!r} must be a file of the project, named from its root"
    for name, modality in dataset.modalities.items():
        if not re.fullmatch(r"[A-Za-z]\w*", name, flags=re.ASCII):  # WebDataset writes no member that begins with _
            yield f"dataset.modalities: {name!r} must be a plain name (letters, digits and _, a letter first)"
        chosen.append((f"dataset.modalities.{name}.encoder.name", "encoders", modality.encoder.get("name")))
        chosen.append((f"dataset.modalities.{name}.decode.name", "decoders", modality.decode.get("name")))
        if modality.augment and has_frozen_trunk(modality.encoder):
            yield (f"dataset.modalities.{name}: augment changes what is decoded, but with encoder.trainable: "
                   f"{modality.encoder['trainable']} features are computed once, of what was decoded; leave augment "
                   "out, or train some of the encoder (trainable: last_1)")
    chosen.append(("dataset.early.name", "encoders", dataset.early.get("name")))
    for key, folder, value in chosen:
        module, _, variant = str(value).partition(":")
        if module not in plugins(folder):
            yield unknown(key, folder[:-1], value, _choices(folder))
        elif _takes_variant(folder, module) != bool(variant) or (":" in str(value) and not variant):
            yield f"{key}: {_about_variant(module, _takes_variant(folder, module))}"
    if len(set(dataset.classes)) != len(dataset.classes):
        yield f"dataset.classes holds a name twice: {list(dataset.classes)}"
    yield from _rate_troubles(fuse, list(dataset.modalities))


def _choices(folder: str) -> list[str]:
    return [f"{name}:VARIANT" if _takes_variant(folder, name) else name for name in plugins(folder)]


def _about_variant(name: str, takes_one: bool) -> str:
    return (f"{name!r} needs a variant after a colon, as in '{name}:VARIANT'" if takes_one
            else f"{name!r} has no variants, so no colon follows")


@cache
def _takes_variant(folder: str, module: str) -> bool:
    """Read it from the source: importing a plug-in would import the library behind it."""
    source = (Path(__file__).parent / folder / f"{module}.py").read_text("utf-8")
    return any(own.arg == "variant" for node in ast.parse(source).body
               if isinstance(node, ast.FunctionDef) and node.name == "build" for own in node.args.kwonlyargs)


def _rate_troubles(fuse: Fuse, modalities: Sequence[str]) -> Iterator[str]:
    if isinstance(fuse.missing_rate, Mapping):
        for name in fuse.missing_rate:
            if name not in modalities:
                yield unknown("fuse.missing_rate", "modality", name, modalities)
    elif fuse.protocol == "absent" and fuse.missing_rate > 0:
        yield (f"fuse.missing_rate is {fuse.missing_rate}, but protocol `absent` needs to know which modality is "
               f"absent: fuse.missing_rate={{{modalities[-1]}: 1}}")
    rates = missing_rates(fuse, modalities)
    if fuse.protocol == "absent" and not set(rates) <= {0.0, 1.0}:
        yield f"fuse.missing_rate is {dict(fuse.missing_rate)}; with protocol `absent` a rate is 0 or 1"  # type: ignore[arg-type]
    if fuse.protocol == "balanced" and sum(rates) > 1:
        yield f"fuse.missing_rate: with protocol `balanced` the rates sum to at most 1, not {sum(rates):g}"
    if fuse.protocol != "balanced" and min(rates) >= 1:
        yield "fuse.missing_rate is 1 for every modality; nothing would be left to learn from"


def _sentences(error: ValidationError, where: str) -> Iterator[str]:
    for one in error.errors():
        key = ".".join(str(part) for part in one["loc"] if "constrained-" not in str(part))  # pydantic's name of a type
        takes_both = key != ".".join(str(part) for part in one["loc"])
        if takes_both and one["type"] == ("float_type" if isinstance(one["input"], Mapping) else "dict_type"):
            continue  # the value is of the other kind that is allowed here; its own error follows
        if one["type"] == "extra_forbidden":
            *parents, name = one["loc"]
            yield unknown(f"{where}: {'.'.join(map(str, parents)) or 'top level'}", "parameter", name,
                          _section_at(parents).model_fields)
        elif one["type"] == "missing":
            yield f"{where}: {key} is not set"
        else:
            yield f"{where}: {key} is {one['input']!r}: {one['msg'][0].lower()}{one['msg'][1:]}"


def _section_at(path: Sequence[object]) -> type[Section]:
    section: type[Section] = Parameters
    for part in path:
        if section is Dataset and part == "modalities":
            return Modality
        section = section.model_fields[str(part)].annotation  # type: ignore[assignment]
    return section
