"""WebDataset shards: written byte for byte the same from the same data, and never read unverified.

- A sample whose modality is missing simply has no such member.
- Every tar has fixed order, owner and time, so equal data give equal digests and DVC sees no change.
- WebDataset loses samples silently from a tar that is cut at a block boundary or overwritten, even with the
  re-raising handler. So `verify` compares every shard's digest before anything is read, and `members` counts.
"""

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import pandas as pd

from umemma.errors import DataError
from umemma.files import read_json, write_json
from umemma.media import KINDS, facts
from umemma.progress import shown
from umemma.sample import SPLITS, Sample

INDEX, MANIFEST = "index.json", "manifest.parquet"
_SMALL = 5_000  # samples; fewer are written by this process alone, sooner than others would have started


class Adapter(Protocol):
    """What every data set adapter offers: random access to samples, so that shards can be made side by side."""

    modalities: tuple[str, ...]
    num_samples: Mapping[str, int]

    def sample(self, split: str, index: int) -> Sample:
        """Make one sample; it depends on nothing but its split and index."""
        ...


@dataclass(frozen=True)
class Shard:
    """One tar of samples of one split; `sha256` is over the whole file."""

    name: str
    split: str
    num_samples: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """What a folder of shards holds, in reading order."""

    dataset: str
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    shards: tuple[Shard, ...]
    manifest_sha256: str

    @property
    def sha256(self) -> str:
        """One digest for all shards and the manifest."""
        text = "".join(shard.sha256 for shard in self.shards) + self.manifest_sha256
        return hashlib.sha256(text.encode()).hexdigest()


def write(
    adapter: Adapter, folder: Path, *, dataset: str, classes: Sequence[str], samples_per_shard: int
) -> Index:
    """Write all samples of `adapter` into tars, with manifest and index, into the empty folder `folder`."""
    folder.mkdir(parents=True)
    jobs = [(split, number, range(start, min(start + samples_per_shard, total)))
            for split, total in ((split, adapter.num_samples.get(split, 0)) for split in SPLITS)
            for number, start in enumerate(range(0, total, samples_per_shard))]
    shards, rows = [], []
    for shard, shard_rows in shown(_made(adapter, folder, jobs), "shards", len(jobs)):
        shards.append(shard)
        rows += shard_rows
    pd.DataFrame(rows).to_parquet(folder / MANIFEST, index=False)
    index = Index(dataset, tuple(classes), adapter.modalities, tuple(shards), _sha256(folder / MANIFEST))
    write_json(folder / INDEX, asdict(index))
    return index


def _made(
    adapter: Adapter, folder: Path, jobs: Sequence[tuple[str, int, range]]
) -> Iterator[tuple[Shard, list[dict[str, object]]]]:
    """Make the shards with one process per core, in order; without processes where there is little to do."""
    workers = min(len(os.sched_getaffinity(0)), len(jobs))
    if workers < 2 or sum(len(job[2]) for job in jobs) < _SMALL:
        yield from (_write_shard(adapter, folder, job) for job in jobs)
        return
    context = multiprocessing.get_context("fork")  # the adapter's arrays are shared, not copied
    write = partial(_write_shard, adapter, folder)
    with ProcessPoolExecutor(workers, context, _remember, (write,)) as pool:
        yield from pool.map(_write_remembered, jobs)


_Job = tuple[str, int, range]
_Written = tuple["Shard", list[dict[str, object]]]
_remembered: list[Callable[[_Job], _Written]] = []  # what a worker process was started with


def _remember(write: Callable[[_Job], _Written]) -> None:
    _remembered[:] = [write]


def _write_remembered(job: _Job) -> _Written:
    return _remembered[0](job)


def _write_shard(adapter: Adapter, folder: Path, job: _Job) -> _Written:
    import webdataset  # imports torch, 2 s

    split, number, indices = job
    name = f"{split}-{number:06d}.tar"
    rows = []
    with webdataset.TarWriter(str(folder / name), mtime=0, encoder=False) as tar:
        for index in indices:
            sample = adapter.sample(split, index)
            rows.append(_manifest_row(sample, adapter.modalities, name))
            target = json.dumps({"label": int(sample.label), "group": sample.group}).encode()
            tar.write({"__key__": sample.key, "json": target, **sample.members})
    return Shard(name, split, len(rows), _sha256(folder / name)), rows


def _manifest_row(sample: Sample, modalities: tuple[str, ...], shard: str) -> dict[str, object]:
    if "." in sample.key or "/" in sample.key:
        raise DataError(f"sample key {sample.key!r} holds '.' or '/', which shards cannot")
    if extra := set(sample.modalities) - set(modalities):
        raise DataError(f"sample {sample.key}: its adapter declares no modality {', '.join(sorted(extra))}")
    row: dict[str, object] = {
        "key": sample.key, "split": sample.split, "label": int(sample.label), "group": sample.group, "shard": shard}
    members = {name.split(".", 1)[0]: (name, content) for name, content in sample.members.items()}
    for modality in modalities:
        row[f"{modality}_present"] = modality in members
        if modality in members:
            name, content = members[modality]
            try:
                found = facts(name, content)
            except DataError as error:
                raise DataError(f"sample {sample.key}: {error}") from error
            found["sha256"] = hashlib.sha256(content).hexdigest()
            row |= {f"{modality}_{fact}": value for fact, value in found.items()}
    return row


def verify(folder: Path) -> Index:
    """Compare every file's digest with the index. Raises DataError naming the file and both digests."""
    content = read_json(folder / INDEX)
    index = Index(content["dataset"], tuple(content["classes"]), tuple(content["modalities"]),
                  tuple(Shard(**one) for one in content["shards"]), content["manifest_sha256"])
    for name, sha256 in [(MANIFEST, index.manifest_sha256), *((one.name, one.sha256) for one in index.shards)]:
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is missing; `dvc checkout {folder}` or `dvc repro -f prepare` mends it")
        if (found := _sha256(folder / name)) != sha256:
            raise DataError(f"{folder / name} is damaged: sha256 {found}, {INDEX} says {sha256}; remove {folder}, then "
                            f"`dvc checkout {folder}` (from the cache) or `dvc repro --force prepare` (from raw data)")
    return index


def read_manifest(folder: Path) -> pd.DataFrame:
    """Return the manifest: a row for each sample, in the shards' order."""
    return pd.read_parquet(folder / MANIFEST)


def members(folder: Path, shard: Shard, modality: str) -> Iterator[tuple[str, bytes | None]]:
    """Yield (key, bytes of the modality or None) for each sample of a shard that `verify` has seen.

    Raises DataError if the count is not the index's.
    """
    from webdataset.tariterators import group_by_keys, tar_file_expander

    count = 0
    with (folder / shard.name).open("rb") as stream:  # opened here: WebDataset leaves a file open that is read in part
        for sample in group_by_keys(tar_file_expander([{"url": shard.name, "stream": stream}]), lcase=False):
            count += 1
            content = (sample[f"{modality}.{s}"] for s in KINDS if f"{modality}.{s}" in sample)
            yield sample["__key__"], next(content, None)
    if count != shard.num_samples:
        raise DataError(f"{folder / shard.name} gave {count} samples, {INDEX} says {shard.num_samples}")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
