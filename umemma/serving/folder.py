"""The files of a model folder, and its seal: a digest of every file, so that what is loaded is what was exported.

| file | holds |
|---|---|
| README.md | the card: what it is, what it takes, how good it is, for people and for hubs |
| model.json | what was trained, on what data, `Facts` |
| schema.json | what a row may hold, `Inputs` |
| measured.json | what every pattern was measured to be worth, `Measured` |
| weights.safetensors | the model |
| backbones/ | frozen networks, by modality |
| tokenizers/ | of texts, by modality |
| calibration.safetensors | temperatures, scores for prediction sets, decision thresholds, class shares |
| reference/ | answers to the labelled test samples and summaries of their arrays, which `umemma monitor` compares with |
| SHA256SUMS | digests; `sha256sum -c SHA256SUMS` checks them, too |

Nothing in it is a program: JSON, safetensors and a tokenizer's files. The digest of SHA256SUMS names the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from umemma.errors import DataError, some
from umemma.files import read_json, sha256, written_whole
from umemma.limits import Limits
from umemma.names import ClassName, ModalityName, PlainName
from umemma.reporting.results import Interval, Result
from umemma.settings import Section, Settings

FORMAT = 1
CARD, FACTS, INPUTS, MEASURED = "README.md", "model.json", "schema.json", "measured.json"
WEIGHTS, CALIBRATION, SUMS = "weights.safetensors", "calibration.safetensors", "SHA256SUMS"
BACKBONES, TOKENIZERS, REFERENCE = "backbones", "tokenizers", "reference"
Content = TypeVar("Content", bound=BaseModel)


class ModelFolderError(DataError):
    """A folder that is no model, is damaged, or was written by a newer version."""


class Facts(Section):
    """model.json."""

    format: int
    """Version of the folder's layout."""
    umemma: str
    """Version of the package that wrote it."""
    dataset: PlainName
    """Name of the data set."""
    task: Literal["single_label", "multi_label"]
    """`single_label`: every sample has one class; `multi_label`: any number of classes."""
    classes: Sequence[ClassName]
    """Names of the classes, in the order of their numbers."""
    modalities: Sequence[ModalityName]
    """In the order of patterns."""
    backbones: Sequence[ModalityName]
    """The modalities whose arrays pass through a frozen network first."""
    arm: str
    """How the model was trained."""
    seed: int
    """Of training."""
    precision: Literal["float32", "bfloat16"]
    """In which the figures were measured."""
    fingerprint: str
    """Digest of the arrays and labels of every split that it was trained and measured on."""
    manifest_sha256: str
    """Digest of the shards' manifest."""
    num_samples: Mapping[str, int]
    """By split."""


class Decoded(Section):
    """How the file of a modality becomes an array."""

    decode: Settings
    """Decoder, by `name`, and its settings."""
    shape: Sequence[int]
    """Of the array."""
    dtype: str
    """Of the array."""


class Inputs(Section):
    """schema.json: what a row may hold. Settings as in `dataset.options` of a table."""

    key: str | None
    """Column that names a row."""
    group: str | None
    """Column of the group; part of a row's identity where there is no key."""
    known: Sequence[str]
    """Columns that may be there and are not read: label, split."""
    modalities: Mapping[str, Settings]
    """The columns of each modality and their kind."""
    columns: Mapping[str, Settings]
    """How the cells of a column are read: units, decimal marks, categories."""
    missing: Sequence[str]
    """Words for a hole, in any case."""
    dialect: Mapping[str, Any]
    """How text tables are written."""
    windows: Settings | None
    """How long series are cut; each window is answered."""
    decoded: Mapping[ModalityName, Decoded]
    """By modality."""
    limits: Limits = Limits()
    """What is read of one file, at most, as in training."""


class MeasuredPattern(Result):
    """Figures on the `n` test samples, of `groups` groups, that have all of a pattern, with the rest hidden.

    `information`: nats, at least; `ece`: expected calibration error. `coverage` and `set_size` are of sets of 90 %, for
    samples of exactly the pattern: where these are few, others with the weights of `umemma.prediction.sets`.
    `own_calibration`: were sets calibrated on samples of exactly this pattern (`calibration_n` of them)? `falls_short`:
    is `coverage` lower than chance explains, so that validation and test samples must differ?
    """

    n: int
    groups: int
    accuracy: Interval
    f1_micro: Interval | None
    information: Interval
    ece: Interval
    coverage: float
    set_size: float
    own_calibration: bool
    calibration_n: int
    falls_short: bool = False


class Measured(Result):
    """measured.json, by the name of the pattern: its modalities joined by `+`. `entropy` of the labels, in nats.

    `prior`: accuracy of the class shares alone, which answer a row that has nothing.
    """

    entropy: float | None
    prior: float
    patterns: dict[str, MeasuredPattern]

    def falling_short(self) -> str:
        """Return a sentence on the patterns whose sets do not hold what they promise, or ''."""
        short = [f"{name} ({one.coverage:.0%})" for name, one in self.patterns.items() if one.falls_short]
        return (
            f"Sets of 90 % hold the truth less often than that, by more than chance, with {some(short)}: test samples are not like "
            "the validation samples that sets are calibrated on."
            if short
            else ""
        )


def seal(folder: Path) -> str:
    """Write SHA256SUMS of all files of the folder and return its digest."""
    lines = [f"{sha256(folder / name)}  {name}\n" for name in _names(folder)]
    with written_whole(folder / SUMS) as temporary:
        temporary.write_text("".join(lines), "utf-8")
    return sha256(folder / SUMS)


@dataclass(frozen=True)
class Differences:
    """What of a folder is not as it was exported: names of files, of `changed` ones with both digests."""

    num_files: int
    changed: Mapping[str, tuple[str, str]]
    missing: Sequence[str]
    added: Sequence[str]


def verify(folder: Path) -> str:
    """Compare every file with its digest; return the digest of SHA256SUMS, the model's name.

    Files that SHA256SUMS does not name are not read, so they do no harm. Raises ModelFolderError with a sentence that names
    the file.
    """
    found = differences(folder)
    if found.missing:
        raise ModelFolderError(f"{folder / found.missing[0]} is missing: copy or export the folder again")
    for name, (actual, digest) in found.changed.items():
        raise ModelFolderError(
            f"{folder / name} is not what was exported: its sha256 is {actual[:12]}..., {SUMS} says {digest[:12]}...; copy "
            "or export the folder again"
        )
    return sha256(folder / SUMS)


def differences(folder: Path) -> Differences:
    """Compare a folder with its SHA256SUMS. Raises ModelFolderError for one that has none, or is no model."""
    _check_format(folder)
    try:
        lines = (folder / SUMS).read_text("utf-8").splitlines()
        sums = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    except FileNotFoundError as error:
        raise ModelFolderError(f"{folder} has no {SUMS}: it was copied in part, or is no exported model") from error
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{folder / SUMS} cannot be read: {error}") from error
    if outside := next((name for name in sums if Path(name).is_absolute() or ".." in Path(name).parts), None):
        raise ModelFolderError(f"{folder / SUMS} names {outside!r}, which is not below the folder")
    if lacking := [name for name in (FACTS, INPUTS, MEASURED, WEIGHTS, CALIBRATION) if name not in sums]:
        raise ModelFolderError(f"{folder / SUMS} does not name {some(lacking)}: it was not written by an export")
    missing = [name for name in sums if not (folder / name).is_file()]
    actual = {name: sha256(folder / name) for name in sums if name not in missing}
    return Differences(
        num_files=len(sums),
        changed={name: (digest, sums[name]) for name, digest in actual.items() if digest != sums[name]},
        missing=missing,
        added=[name for name in _names(folder) if name not in sums],
    )


def signature_of(folder: Path) -> Path:
    """Return where a folder's signature is looked for: beside it, data/export.sig for data/export."""
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    return folder.with_name(f"{folder.name}.sig")


def read(path: Path, kind: type[Content]) -> Content:
    """Read a JSON file of a verified folder. Raises ModelFolderError naming the key that does not fit."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        wrong = (
            "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)[:3])
            if isinstance(error, ValidationError)
            else str(error)
        )
        raise ModelFolderError(f"{path} is not what this version writes: {wrong}") from error


def _names(folder: Path) -> list[str]:
    """Return what SHA256SUMS names: all files but itself."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    return [path.relative_to(folder).as_posix() for path in files]


def _check_format(folder: Path) -> None:
    if not folder.is_dir():
        raise ModelFolderError(f"{folder} is no folder; a model is a folder that an export wrote")
    if not (folder / FACTS).is_file():
        raise ModelFolderError(f"{folder} is no exported model: it has no {FACTS}")
    content = read_json(folder / FACTS)
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        writer = content.get("umemma", "another version") if isinstance(content, dict) else "another program"
        raise ModelFolderError(
            f"{folder} has format {found!r}, and this version of umemma reads format {FORMAT}; it was written by {writer}: "
            "install that version, or export it again"
        )
