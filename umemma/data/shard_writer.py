"""Writes an adapter's samples as WebDataset shards: the same bytes from the same data, and nothing left out uncounted.

- Every tar has fixed order, owner and time, so equal data give equal digests and DVC sees no change.
- What cannot be used is not written but is a row of the quarantine: what the adapter rejected while it read its lists,
  what it could not yield, files that cannot be read, and keys that stand twice.
"""

import dataclasses
import json
import multiprocessing
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

import pandas as pd

from umemma.data import quarantine
from umemma.data.quarantine import Quarantined
from umemma.data.row import LABELS, Row, judged
from umemma.data.sample import SPLITS, BadSample, Sample
from umemma.data.shards import INDEX, MANIFEST, QUARANTINE, Index, Shard, file_sha256
from umemma.errors import DataError, unknown
from umemma.files import write_json
from umemma.progress import shown

_SMALL = 5_000  # samples; fewer are written by this process alone, sooner than others would have started


class Adapter(Protocol):
    """What every data set adapter offers: random access to samples, so that shards can be made side by side.

    One that left samples out while it read its lists has them in `rejected: Sequence[Rejected]`.
    """

    modalities: tuple[str, ...]
    num_samples: Mapping[str, int]

    def sample(self, split: str, index: int) -> Sample:
        """Make one sample; it depends on nothing but its split and index."""
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
) -> Index:
    """Write all samples of `adapter` into tars, with manifest, quarantine and index, into the empty folder `folder`.

    A sample that cannot be used goes to the quarantine, where files below `root` are named relative to it. Raises
    DataError where the adapter yields what no sample may be, such as a class that does not exist, or one label where
    `task` is `multi_label`.
    """
    folder.mkdir(parents=True)
    jobs = _jobs(adapter, samples_per_shard)
    judge = partial(judged, modalities=adapter.modalities, task=task, num_classes=len(classes))
    make = partial(_make_shard, adapter, folder, judge)
    made = list(shown(_all_made(make, jobs), "shards", len(jobs)))
    for place, repeated in _repeated_keys(made).items():
        made[place] = make(dataclasses.replace(jobs[place], left_out=repeated))
    rows = [row for one in made for row in one.rows]
    pd.DataFrame(rows).to_parquet(folder / MANIFEST, index=False)
    rejected = [Quarantined(one.key, one.split, None, one.file, one.reason) for one in getattr(adapter, "rejected", ())]
    left_out = rejected + [row for one in made for row in one.quarantined]
    quarantine.write(folder / QUARANTINE, left_out, root)
    quarantined, kept = quarantine.counts(row.split for row in left_out), Counter(str(row["split"]) for row in rows)
    index = Index(
        dataset,
        tuple(classes),
        tuple(adapter.modalities),
        tuple(one.shard for one in made if one.shard),
        file_sha256(folder / MANIFEST),
        file_sha256(folder / QUARANTINE),
        {split: kept[split] + count for split, count in quarantined.items()},
        quarantined,
    )
    asked = sum(len(job.indices) for job in jobs) + len(rejected)
    assert sum(index.judged.values()) == asked, f"{asked} samples were there, {index.judged} judged"
    write_json(folder / INDEX, asdict(index))
    return index


@dataclass(frozen=True)
class _Job:
    """One shard to make: the adapter's samples `indices` of a split, without those known to be unusable."""

    split: str
    number: int
    indices: range
    left_out: Mapping[int, Quarantined] = field(default_factory=dict)


@dataclass(frozen=True)
class _Made:
    """What became of a job; `indices` says which of the adapter's samples each row is. No shard: nothing was left."""

    shard: Shard | None
    rows: list[Row]
    indices: list[int]
    quarantined: list[Quarantined]


def _jobs(adapter: Adapter, samples_per_shard: int) -> list[_Job]:
    for split in adapter.num_samples:
        if split not in SPLITS:
            raise DataError(unknown("the adapter's num_samples", "split", split, SPLITS))
    return [
        _Job(split, number, range(start, min(start + samples_per_shard, total)))
        for split, total in ((split, adapter.num_samples.get(split, 0)) for split in SPLITS)
        for number, start in enumerate(range(0, total, samples_per_shard))
    ]


def _all_made(make: Callable[[_Job], _Made], jobs: Sequence[_Job]) -> Iterator[_Made]:
    """Make the shards with one process per core, in order; without processes where there is little to do."""
    workers = min(len(os.sched_getaffinity(0)), len(jobs))
    if workers < 2 or sum(len(job.indices) for job in jobs) < _SMALL:
        yield from map(make, jobs)
        return
    context = multiprocessing.get_context("fork")  # the adapter's arrays are shared, not copied
    with ProcessPoolExecutor(workers, context, _remember, (make,)) as pool:
        yield from pool.map(_make_remembered, jobs)


_remembered: list[Callable[[_Job], _Made]] = []  # what a worker process was started with


def _remember(make: Callable[[_Job], _Made]) -> None:
    _remembered[:] = [make]


def _make_remembered(job: _Job) -> _Made:
    return _remembered[0](job)


def _make_shard(adapter: Adapter, folder: Path, judge: Callable[..., Row | Quarantined], job: _Job) -> _Made:
    import webdataset  # imports torch, 2 s

    name = f"{job.split}-{job.number:06d}.tar"
    made = _Made(None, [], [], [])
    with webdataset.TarWriter(str(folder / name), mtime=0, encoder=False) as tar:
        for index in job.indices:
            sample = job.left_out.get(index) or _sampled(adapter, job.split, index)
            row = (
                sample
                if isinstance(sample, Quarantined)
                else judge(sample, shard=name, position=f"{job.split}/{index}")
            )
            if isinstance(row, Quarantined):
                made.quarantined.append(row)
                continue
            assert isinstance(sample, Sample), "what is quarantined has no row"
            made.rows.append(row)
            made.indices.append(index)
            target = json.dumps({name: row[name] for name in (*LABELS, "group") if name in row}).encode()
            tar.write({"__key__": sample.key, "json": target, **sample.members})
    if not made.rows:
        (folder / name).unlink()
        return made
    return dataclasses.replace(made, shard=Shard(name, job.split, len(made.rows), file_sha256(folder / name)))


def _sampled(adapter: Adapter, split: str, index: int) -> Sample | Quarantined:
    try:
        return adapter.sample(split, index)
    except BadSample as error:
        return Quarantined(error.key or f"{split}/{index}", split, None, error.file, error.reason)


def _repeated_keys(made: Sequence[_Made]) -> dict[int, dict[int, Quarantined]]:
    """Return, by place in `made` and the adapter's index, every sample whose key an earlier one has already.

    WebDataset would make one sample of two. No worker knows the others' keys, so this is seen at the end, and the
    shards concerned are made once more.
    """
    first: dict[object, object] = {}
    repeated: dict[int, dict[int, Quarantined]] = {}
    for place, one in enumerate(made):
        for index, row in zip(one.indices, one.rows, strict=True):
            key, split = str(row["key"]), str(row["split"])
            if key in first:
                reason = f"its key stands twice: the first is in {first[key]}"
                repeated.setdefault(place, {})[index] = Quarantined(key, split, None, "", reason)
            first.setdefault(key, split)
    return repeated
