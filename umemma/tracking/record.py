"""What is logged of a run, as plain values and files: the same whether it is logged at once or kept for later."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from umemma.errors import DataError
from umemma.files import read_json, write_json, written_whole
from umemma.tracking.address import STORE

CONTENT, FILES = "run.json", "files"
LINEAGE = "lineage"  # the folder of artifacts that say what a run was made from


@dataclass(frozen=True)
class Record:
    """What is logged of a run or a part of it: `parameters` nested, `artifacts` by the folder they appear in.

    `curve` has a row per epoch, with a column `step`; `parts` are nested runs.
    """

    name: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    curve: Sequence[Mapping[str, float]] = ()
    artifacts: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    parts: Sequence["Record"] = ()


@dataclass(frozen=True)
class Data:
    """The shards: their folder, the sha256 of their manifest, {split: number of samples}, and what a sample may hold.

    `tags` say more of where they come from.
    """

    name: str
    folder: str
    sha256: str
    num_samples: Mapping[str, int]
    modalities: Sequence[str]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One run of the pipeline, in the MLflow experiment `experiment`, which has the name of the data set.

    `note` is Markdown, shown as the run's description. `model` is a model folder, and `examples` are rows for it whose cells
    are JSON-compatible; they are not logged.
    """

    experiment: str
    record: Record
    data: Data
    tags: Mapping[str, str]
    note: str = ""
    model: Path | None = None
    examples: Sequence[Mapping[str, Any]] = ()

    @property
    def identity(self) -> str:
        """Digest of what was made from what: equal data, parameters and metrics are one run, whatever its name."""
        record = self.record
        made = [self.experiment, self.data.sha256, record.parameters, record.metrics]
        return sha256(json.dumps(made, sort_keys=True, default=str).encode()).hexdigest()[:32]


def kept(root: Path) -> Path:
    """Return the folder of the runs of a project that are not logged yet."""
    return root / STORE / "later"


def folders(root: Path) -> list[Path]:
    """Return the folders of the runs that are kept, the oldest first."""
    found = [path.parent for path in kept(root).glob(f"[!.]*/{CONTENT}")]
    return sorted(found, key=lambda path: (path / CONTENT).stat().st_mtime)


def keep(run: Run, root: Path) -> Path:
    """Write a run and copies of its files, so that it needs the workspace no longer; return the folder."""
    folder = kept(root) / run.identity
    with written_whole(folder) as temporary:
        files = temporary / FILES
        files.mkdir(parents=True)

        def copied(path: Path) -> Path:
            place = Path(str(len(list(files.iterdir()))), path.name)
            (files / place).parent.mkdir()
            shutil.copytree(path, files / place) if path.is_dir() else shutil.copyfile(path, files / place)
            return place

        write_json(temporary / CONTENT, json.loads(json.dumps(asdict(_moved(run, copied)), default=str)))
    return folder


def read(folder: Path) -> Run:
    """Read what `keep` wrote. Raises DataError if another version did."""
    content = read_json(folder / CONTENT)
    try:
        run = Run(**content | {"record": _record(content["record"]), "data": Data(**content["data"])})
    except (TypeError, KeyError) as error:
        raise DataError(f"{folder} was kept by another version of umemma ({error}): remove it") from error
    return _moved(run, lambda path: folder / FILES / path)


def _moved(run: Run, place: Callable[[Path], Path]) -> Run:
    return replace(run, record=_record_moved(run.record, place), model=None if run.model is None else place(run.model))


def _record_moved(record: Record, place: Callable[[Path], Path]) -> Record:
    artifacts = {name: [place(path) for path in paths] for name, paths in record.artifacts.items()}
    return replace(record, artifacts=artifacts, parts=[_record_moved(part, place) for part in record.parts])


def _record(content: Mapping[str, Any]) -> Record:
    return Record(**{**content, "parts": [_record(part) for part in content["parts"]]})
