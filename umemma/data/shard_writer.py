"""Writes an adapter's samples as WebDataset shards: deterministic bytes, and every excluded sample is counted.

- Every tar has fixed order, owner and time, so equal data give equal digests and DVC sees no change.
- Unusable samples are not written but become rows of the quarantine: samples that the adapter rejected while it read
  its lists or could not yield, unreadable files, and duplicate keys.
"""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import pandas as pd

from umemma import limits
from umemma.data import quarantine
from umemma.data.quarantine import Quarantined
from umemma.data.row import LABELS, Row, as_table, joined, judged
from umemma.data.sample import SPLITS, BadSample, Sample
from umemma.data.shards import INDEX, MANIFEST, QUARANTINE, Index, Shard
from umemma.errors import DataError, unknown
from umemma.files import sha256, write_json, written_whole
from umemma.launchers import local_launcher
from umemma.launchers.launcher import Launcher
from umemma.progress import shown

_LOCAL = local_launcher.Launcher()


class Adapter(Protocol):
    """The interface of every data set adapter: random access to samples, so that shards can be written in parallel.

    An adapter that excluded samples while it read its lists has them in `rejected: Sequence[Rejected]`.
    """

    modalities: tuple[str, ...]
    num_samples: Mapping[str, int]

    def sample(self, split: str, index: int) -> Sample:
        """Return one sample, determined by its split and index alone."""
        ...


def write(
    adapter: Adapter,
    folder: Path,
    *,
    dataset: str,
    task: str,
    classes: Sequence[str],
    samples_per_shard: int,
    root: Path | None = None,
    launcher: Launcher = _LOCAL,
) -> Index:
    """Write all samples of `adapter` into tars, with manifest, quarantine and index, into the new `folder`.

    The bytes are the same whatever the `launcher`. Unusable samples go to the quarantine, where files below `root` are
    named relative to it. Raises DataError if a sample violates the adapter's contract, such as by a class that does not
    exist, or a single label where `task` is `multi_label`.
    """
    folder.mkdir(parents=True)
    jobs = _jobs(adapter, samples_per_shard)
    judge = partial(judged, modalities=adapter.modalities, task=task, num_classes=len(classes))
    make = limits.Carried(partial(_make_shard, adapter, folder, judge))
    results = list(shown(launcher.map(make, jobs), "shards", len(jobs)))
    for left in folder.glob(
        ".*.part"
    ):  # of a process that was killed, maybe on another machine; its job was done again
        left.unlink(missing_ok=True)
    for position, repeated in _repeated_keys(results).items():
        results[position] = make(dataclasses.replace(jobs[position], left_out=repeated))
    rows = joined([result.rows for result in results])
    rows.to_parquet(folder / MANIFEST, index=False)
    rejected = [
        Quarantined(sample.key, sample.split, None, sample.file, sample.reason, sample.is_damage)
        for sample in getattr(adapter, "rejected", ())
    ]
    left_out = rejected + [row for result in results for row in result.quarantined]
    quarantine.write(folder / QUARANTINE, left_out, root)
    quarantined, kept = quarantine.counts(row.split for row in left_out), Counter(map(str, rows.get("split", ())))
    index = Index(
        dataset,
        tuple(classes),
        tuple(adapter.modalities),
        tuple(result.shard for result in results if result.shard),
        sha256(folder / MANIFEST),
        sha256(folder / QUARANTINE),
        {split: kept[split] + count for split, count in quarantined.items()},
        quarantined,
        dict(sorted(sum((result.dropped for result in results), Counter()).items())),
    )
    total = sum(len(job.indices) for job in jobs) + len(rejected)
    assert sum(index.judged.values()) == total, f"{total} samples were expected, {index.judged} judged"
    write_json(folder / INDEX, asdict(index))
    return index


@dataclass(frozen=True)
class _Job:
    """One shard to write: the adapter's samples `indices` of a split, without those in `left_out`."""

    split: str
    number: int
    indices: range
    left_out: Mapping[int, Quarantined] = field(default_factory=dict)


@dataclass(frozen=True)
class _Made:
    """The result of a job; `rows` are its part of the manifest, `indices` theirs in the adapter. `shard` None: no usable sample."""

    shard: Shard | None
    rows: pd.DataFrame
    indices: list[int]
    quarantined: list[Quarantined]
    dropped: Counter[str]


def _jobs(adapter: Adapter, samples_per_shard: int) -> list[_Job]:
    for split in adapter.num_samples:
        if split not in SPLITS:
            raise DataError(unknown("the adapter's num_samples", "split", split, SPLITS))
    return [
        _Job(split, number, range(start, min(start + samples_per_shard, total)))
        for split, total in ((split, adapter.num_samples.get(split, 0)) for split in SPLITS)
        for number, start in enumerate(range(0, total, samples_per_shard))
    ]


def _make_shard(adapter: Adapter, folder: Path, judge: Callable[..., Row | Quarantined], job: _Job) -> _Made:
    import webdataset  # imports torch, 2 s

    name = f"{job.split}-{job.number:06d}.tar"
    rows: list[Row] = []
    indices, quarantined, dropped = [], [], Counter[str]()
    with written_whole(folder / name) as path, webdataset.TarWriter(str(path), mtime=0, encoder=False) as tar:
        for index in job.indices:
            sample = job.left_out.get(index) or _sampled(adapter, job.split, index)
            row = (
                sample
                if isinstance(sample, Quarantined)
                else judge(sample, shard=name, position=f"{job.split}/{index}")
            )
            if isinstance(row, Quarantined):
                quarantined.append(row)
                continue
            assert isinstance(sample, Sample), "what is quarantined has no row"
            rows.append(row)
            indices.append(index)
            dropped.update(sample.dropped)
            target = json.dumps({name: row[name] for name in (*LABELS, "group") if name in row}).encode()
            tar.write({"__key__": sample.key, "json": target, **sample.members})
    if not rows:
        (folder / name).unlink()
    shard = Shard(name, job.split, len(rows), sha256(folder / name)) if rows else None
    return _Made(shard, as_table(rows), indices, quarantined, dropped)


def _sampled(adapter: Adapter, split: str, index: int) -> Sample | Quarantined:
    try:
        return adapter.sample(split, index)
    except BadSample as error:
        return Quarantined(error.key or f"{split}/{index}", split, None, error.file, error.reason, error.is_damage)


def _repeated_keys(made: Sequence[_Made]) -> dict[int, dict[int, Quarantined]]:
    """Return, by position in `made` and the adapter's index, every sample with the key of an earlier one.

    WebDataset would merge the two into one sample. Workers do not know each other's keys, so duplicates are detected at
    the end, and the shards concerned are rewritten.
    """
    first: dict[object, object] = {}
    repeated: dict[int, dict[int, Quarantined]] = {}
    for position, result in enumerate(made):
        keys, splits = (result.rows.get(name, ()) for name in ("key", "split"))  # no rows, no columns
        for index, key, split in zip(result.indices, keys, splits, strict=True):
            if key in first:
                reason = f"its key stands twice: the first is in {first[key]}"
                repeated.setdefault(position, {})[index] = Quarantined(key, split, None, "", reason)
            first.setdefault(key, split)
    return repeated
