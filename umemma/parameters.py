"""params.yaml as frozen, typed sections: unknown keys and invalid values are errors before any work starts.

`read` always checks the whole file, so that a typo in the last stage's section is reported before the first stage has
trained for an hour; a stage still uses only its own sections (a test compares that with dvc.yaml). Read with ruamel's
YAML 1.2, as DVC does: PyYAML would read `1e-3` as text. A plug-in chosen by name - adapter, encoder, decoder, head - is
a module of its folder, or, as `module:variant`, one of a module's variants; the folder is listed, not imported.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, ValidationError
from pydantic_core import PydanticCustomError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from umemma.data.settings import Dataset, Modality, Prepare
from umemma.errors import ParameterError, SettingError, unknown
from umemma.evaluation.settings import Evaluate, Promotion
from umemma.launchers import launcher as launchers
from umemma.launchers.launcher import Launcher
from umemma.limits import Limits
from umemma.models.settings import has_frozen_backbone, tower_inputs
from umemma.named_protocol import expanded, own, parsed
from umemma.settings import BaselineName, Section, plugin_trouble
from umemma.training.settings import ArmName, Compute, Fuse, Pretrain, missing_rates
from umemma.validation.settings import Validation

FILE = Path("params.yaml")
BASE = "data/base"
NO_BASE = f"{BASE}/none"


def _each_once(names: Sequence[str]) -> Sequence[str]:
    if len(set(names)) != len(names):
        raise PydanticCustomError("twice", "Input should name each once")
    return names


class Parameters(Section):
    """All of params.yaml; `format` is the version of its layout."""

    format: Literal[1]
    """Version of this file's layout; composing it checks every value."""
    seed: Annotated[int, Field(ge=0)]
    """Of everything random; equal seeds give equal results, byte for byte, on the same machine and number of threads.
    """
    arm: ArmName
    """How the model is trained: `uni`, `joint`, `joint+mma`, `ump`, `ume-mma`, `ensemble`, `frozen`, `early`,
    `specialist`, `grown`, `linear` or `trees` (docs: The method, Arms).
    """
    baselines: Annotated[Sequence[BaselineName], AfterValidator(_each_once)] = get_args(BaselineName)
    """What a run is compared with that needs no encoder, `linear` and `trees`: both, one, or `[]`. They depend on the data
    and on frozen networks' features alone, and are fitted again only where these change.
    """
    base: str
    """The model that arm `grown` adds modalities to, or takes some from: `data/base/` and the first digits of its digest,
    which `make grow` writes; `data/base/none` for any other arm.
    """
    dataset: Dataset
    prepare: Prepare
    limits: Limits
    validation: Validation
    compute: Compute
    pretrain: Pretrain
    fuse: Fuse
    evaluate: Evaluate
    promotion: Promotion

    def launcher(self) -> Launcher:
        """Return where this run's stages do their work; it changes none of their bytes."""
        compute = self.compute
        options = compute.ray if compute.launcher == "ray" else compute.slurm
        return launchers.chosen(compute.launcher, workers=compute.workers, options=options, logs=Path(".dvc/tmp/slurm"))


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
    """Turn the file's content into typed sections, or raise one ParameterError that lists everything wrong."""
    try:
        parameters = Parameters.model_validate(content)
    except ValidationError as error:
        raise ParameterError("\n".join(_sentences(error, where))) from None  # DVC would print its text, too
    for trouble in _name_troubles(parameters):
        raise ParameterError(f"{where}: {trouble}")
    return parameters


def _name_troubles(parameters: Parameters) -> Iterator[str]:
    dataset, fuse = parameters.dataset, parameters.fuse
    yield from _base_troubles(parameters)
    chosen: list[tuple[str, str, object]] = [
        ("dataset.adapter", "datasets", dataset.adapter),
        ("fuse.head", "heads", fuse.head),
    ]
    if Path(dataset.watch.record).is_absolute() or ".." in Path(dataset.watch.record).parts:
        yield f"dataset.watch.record: {dataset.watch.record!r} must be a file of the project, named from its root"
    for name, modality in dataset.modalities.items():
        chosen.append((f"dataset.modalities.{name}.encoder.name", "encoders", modality.encoder.get("name")))
        chosen.append((f"dataset.modalities.{name}.decode.name", "decoders", modality.decode.get("name")))
        for number, candidate in enumerate(modality.candidates):
            where = f"dataset.modalities.{name}.candidates.{number}"
            chosen.append((f"{where}.name", "encoders", candidate.get("name")))
            if has_frozen_backbone(candidate) or has_frozen_backbone(modality.encoder):
                yield (
                    f"{where}: the search trains on decoded arrays, but a network with trainable: frozen or head is "
                    "read as features that are computed once; name it as `encoder`, without candidates, or leave it out"
                )
        if modality.augment and has_frozen_backbone(modality.encoder):
            yield (
                f"dataset.modalities.{name}: augment changes what is decoded, but with encoder.trainable: "
                f"{modality.encoder['trainable']} features are computed once, of what was decoded; leave augment "
                "out, or train some of the encoder (trainable: last_1)"
            )
    chosen.append(("dataset.early.name", "encoders", dataset.early.get("name")))
    for key, folder, value in chosen:
        if trouble := plugin_trouble(key, folder, value):
            yield trouble
    inputs = tower_inputs({name: modality.encoder for name, modality in dataset.modalities.items()})
    if (dict(dataset.inputs), list(dataset.frozen)) != (
        inputs,
        [name for name in inputs if inputs[name] == "features"],
    ):
        yield f"dataset.frozen and dataset.inputs follow from the encoders and must agree with them: inputs is {inputs}"
    if len(set(dataset.classes)) != len(dataset.classes):
        yield f"dataset.classes holds a name twice: {list(dataset.classes)}"
    yield from _promotion_troubles(parameters.promotion, list(dataset.modalities))
    yield from _rate_troubles(fuse, list(dataset.modalities))
    yield from _protocol_troubles(parameters.evaluate, dataset)


def _base_troubles(parameters: Parameters) -> Iterator[str]:
    base, is_grown = parameters.base, parameters.arm == "grown"
    if base != NO_BASE and not re.fullmatch(BASE + r"/[0-9a-f]{12}", base):
        yield f"base: {base!r} must be {NO_BASE}, or a folder below {BASE} that `make grow MODEL=...` made"
    elif is_grown and base == NO_BASE:
        yield "arm: grown starts from an earlier model: make grow MODEL=models:/umemma-NAME@champion DATASET=NAME"
    elif not is_grown and base != NO_BASE:
        yield f"base: only arm grown starts from an earlier model; set base={NO_BASE} for arm {parameters.arm}"


def _promotion_troubles(promotion: Promotion, modalities: Sequence[str]) -> Iterator[str]:
    for key, patterns in [("patterns", promotion.patterns), ("lowest", promotion.lowest)]:
        for pattern in patterns if patterns != "all" else []:
            if wrong := [name for name in pattern.split("+") if name not in modalities]:
                yield unknown(f"promotion.{key}: {pattern}", "modality", wrong[0], modalities)


def _rate_troubles(fuse: Fuse, modalities: Sequence[str]) -> Iterator[str]:
    if isinstance(fuse.missing_rate, Mapping):
        for name in fuse.missing_rate:
            if name not in modalities:
                yield unknown("fuse.missing_rate", "modality", name, modalities)
    elif fuse.protocol == "absent" and fuse.missing_rate > 0:
        yield (
            f"fuse.missing_rate is {fuse.missing_rate}, but protocol `absent` needs to know which modality is "
            f"absent: fuse.missing_rate={{{modalities[-1]}: 1}}"
        )
    try:
        rates = missing_rates(fuse, modalities)
    except SettingError as error:
        yield str(error)
        return
    if fuse.protocol == "absent" and not set(rates) <= {0.0, 1.0}:
        yield f"fuse.missing_rate is {dict(fuse.missing_rate)}; with protocol `absent` a rate is 0 or 1"  # type: ignore[arg-type]
    if fuse.protocol == "balanced" and sum(rates) > 1:
        yield f"fuse.missing_rate: with protocol `balanced` the rates sum to at most 1, not {sum(rates):g}"
    if fuse.protocol != "balanced" and min(rates) >= 1:
        yield "fuse.missing_rate is 1 for every modality; nothing would be left to learn from"


def _protocol_troubles(evaluate: Evaluate, dataset: Dataset) -> Iterator[str]:
    modalities = list(dataset.modalities)
    for name in expanded(evaluate.protocols, modalities):
        try:
            parsed(name, modalities, order=range(len(modalities)), known=())
        except SettingError as error:
            yield f"evaluate.protocols: {error}"
    for name, by_class in evaluate.own_protocols.items():
        try:
            own(name, by_class, modalities, dataset.classes)
        except SettingError as error:
            yield f"evaluate.own_protocols: {error}"


def _sentences(error: ValidationError, where: str) -> Iterator[str]:
    for detail in error.errors():
        path = [str(part) for part in detail["loc"] if part != "[key]"]  # which a key's own error ends in
        key = ".".join(part for part in path if "constrained-" not in part)  # pydantic's name for a type
        takes_both = key != ".".join(path)
        if takes_both and detail["type"] == ("float_type" if isinstance(detail["input"], Mapping) else "dict_type"):
            continue  # the value is of the other allowed type, whose own error follows
        if detail["type"] == "extra_forbidden":
            *parents, name = detail["loc"]
            yield unknown(
                f"{where}: {'.'.join(map(str, parents)) or 'top level'}",
                "parameter",
                name,
                _section_at(parents).model_fields,
            )
        elif detail["type"] == "missing":
            yield f"{where}: {key} is not set"
        else:
            yield f"{where}: {key} is {detail['input']!r}: {detail['msg'][0].lower()}{detail['msg'][1:]}"


def _section_at(path: Sequence[object]) -> type[Section]:
    section: type[Section] = Parameters
    for part in path:
        if section is Dataset and part == "modalities":
            return Modality
        section = section.model_fields[str(part)].annotation  # type: ignore[assignment]
    return section
