"""All runs that git knows, and what DVC has kept of each: the model, the answers on file, shards and raw files."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dvc.dvcfile import LOCK_FILE
from pyarrow import compute, parquet

from flows import lineage
from flows.lineage import EXPORT, SHARDS, Lineage
from flows.objects import NotStored, Objects
from umemma.data.shards import INDEX, MANIFEST
from umemma.files import read_json, sha256
from umemma.serving.folder import FACTS, SUMS
from umemma.serving.output import harmless
from umemma.tracking.check import TrackingError

ANSWERS = "data/reports/predictions.csv"
_SHA256 = "_sha256"


@dataclass(frozen=True)
class Answer:
    """An answer on file: cells of predictions.csv."""

    id: str
    key: str
    group: str
    split: str
    true: str
    predicted: str


@dataclass(frozen=True)
class Sample:
    """A sample in the shards; `sha256` of its files by modality."""

    key: str
    split: str
    shard: str
    sha256: Mapping[str, str]

    @property
    def cell(self) -> str:
        """Its key as predictions.csv has it."""
        return harmless(unquote(self.key))


class Runs:
    """The runs of a project. What is read of an object is read once, as many runs share it."""

    def __init__(self, home: Path, objects: Objects) -> None:
        self.home, self.objects = home, objects
        self.unread: dict[str, str] = {}  # {where: why} of the models that could not be looked into
        self._digests: dict[str, str | None] = {}
        self._samples: dict[tuple[Path, str], list[Sample]] = {}
        self._in_mlflow: dict[str, tuple[list[Any], list[str]]] = {}

    @cached_property
    def all(self) -> list[Lineage]:
        """The workspace, experiments, commits."""
        return list(lineage.everywhere(self.home, self.unread.__setitem__))

    def digest(self, run: Lineage) -> str | None:
        """Return the digest that names a run's model; None if it has none, or it is stored nowhere."""
        artifact = run.artifact(EXPORT)
        if artifact is None:
            return None
        if artifact.md5 not in self._digests:
            try:
                self._digests[artifact.md5] = sha256(self._file(run, EXPORT, SUMS))
            except NotStored as error:
                self._digests[artifact.md5] = None
                self.unread[run.where] = str(error)
        return self._digests[artifact.md5]

    def with_model(self, digest: str) -> Lineage | None:
        """Return the first run whose model's digest begins so: of those that git knows, else as MLflow has kept it."""
        found = next((run for run in self.all if (self.digest(run) or "").startswith(digest)), None)
        return found or self._kept(digest)

    def _kept(self, digest: str) -> Lineage | None:
        from umemma.tracking import find  # imports MLflow, 2 s

        for logged in self.in_mlflow(digest)[0]:
            where = f"MLflow run {logged.run}"
            try:
                text = find.lineage_file(self.home, logged.run, LOCK_FILE)
            except TrackingError as error:
                self.unread[where] = str(error)
                continue
            run = lineage.of_text(text or "{}", where, logged.tags.get("git.commit", ""))
            if (self.digest(run) or "").startswith(digest):
                return run
        return None

    def in_mlflow(self, digest: str) -> tuple[list[Any], list[str]]:
        """Return MLflow's runs whose model's digest begins so, and a sentence if MLflow could not be asked."""
        if digest not in self._in_mlflow:
            self._in_mlflow[digest] = self._ask_mlflow(digest)
        return self._in_mlflow[digest]

    def _ask_mlflow(self, digest: str) -> tuple[list[Any], list[str]]:
        from umemma.tracking import find  # imports MLflow, 2 s

        try:
            return find.runs(self.home, digest), []
        except TrackingError as error:
            return [], [f"MLflow could not be asked: {error}"]

    @cached_property
    def names_in_mlflow(self) -> dict[str, list[str]]:
        """MLflow's runs by the digest of their model, as `id 'name'`."""
        from umemma.tracking import find  # imports MLflow, 2 s

        try:
            return find.names(self.home)
        except TrackingError as error:
            self.unread["MLflow"] = str(error)
            return {}

    def like(self, run: Lineage, path: str = EXPORT) -> list[Lineage]:
        """Return all runs whose output `path` is the same."""
        return [other for other in self.all if other.artifact(path) == run.artifact(path)]

    def facts(self, run: Lineage) -> dict[str, Any]:
        """Return what model.json says."""
        return dict(read_json(self._file(run, EXPORT, FACTS)))

    def raw_files(self, run: Lineage) -> dict[str, str]:
        """Return {file: sha256}."""
        return lineage.raw_files(run, self.objects)

    def shards(self, run: Lineage) -> list[dict[str, Any]]:
        """Return name, split, num_samples and sha256 of each shard."""
        return list(read_json(self._file(run, SHARDS, INDEX))["shards"])

    def samples(self, run: Lineage, wanted: str) -> list[Sample]:
        """Return the samples that have this key, or a file of this sha256."""
        manifest = self._file(run, SHARDS, MANIFEST)
        if (manifest, wanted) not in self._samples:
            self._samples[manifest, wanted] = self._read_samples(manifest, wanted)
        return self._samples[manifest, wanted]

    def _read_samples(self, path: Path, wanted: str) -> list[Sample]:
        digests = [name for name in parquet.read_schema(path).names if name.endswith(_SHA256)]
        table = parquet.read_table(path, columns=["key", "split", "shard", *digests])
        found = compute.equal(table["key"], wanted)
        for name in digests:
            found = compute.or_kleene(found, compute.equal(table[name], wanted))
        rows = table.filter(found).to_pylist() or [
            row for row in table.to_pylist() if "%" in row["key"] and unquote(row["key"]) == wanted
        ]
        return [
            Sample(
                row["key"],
                row["split"],
                row["shard"],
                {name.removesuffix(_SHA256): row[name] for name in digests if row[name]},
            )
            for row in rows
        ]

    def answers(self, run: Lineage) -> Iterator[Answer]:
        """Yield the answers on file; none if the run wrote none."""
        artifact = run.artifact(ANSWERS)
        if artifact is None:
            return
        with self.objects.path(artifact.md5).open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                yield Answer(**{name: row.get(name, "") for name in Answer.__dataclass_fields__})

    def _file(self, run: Lineage, path: str, name: str) -> Path:
        if (artifact := run.artifact(path)) is None:
            raise NotStored(f"dvc.lock names no {path}")
        files = self.objects.files(artifact.md5)
        if name not in files:
            raise NotStored(f"{path} has no {name}: another version wrote it")
        return self.objects.path(files[name])
