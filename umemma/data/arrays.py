"""Shards decoded once into arrays that training memory-maps.

Decoding a PNG and a WAV costs 1.4 CPU-ms per sample, a mapped row 0.02, and training reads each row several times. One
folder per modality, so that changing the spectrogram does not decode images again: `<split>.npy` (sample, *shape),
`<split>_present.npy` (sample,) bool, and `facts.json` with shape and digests, including that of the samples' keys:
labels come from the manifest and are aligned with arrays by order. Rows of a missing modality are zero.
"""

import hashlib
import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from umemma.data.batch import Batch
from umemma.data.manifest import Targets, keys_sha256
from umemma.data.sample import SPLITS
from umemma.data.shards import Index, Shard, members
from umemma.errors import DataError
from umemma.files import read_json, write_json
from umemma.progress import shown

Decoder = Callable[[bytes], torch.Tensor]
FACTS = "facts.json"
_WORTH_WORKERS = 15.0  # seconds of work: every worker first imports torch, 3 s


def write(index: Index, shards: Path, modality: str, decoder: Decoder, folder: Path) -> dict[str, Any]:
    """Decode one modality of verified shards into the new `folder`; return the content of facts.json.

    Raises DataError naming shard and key if a sample cannot be decoded, or differs from the first in shape or type.
    """
    folder.mkdir(parents=True)
    shape, dtype = _first_shape(index, shards, modality, decoder)
    jobs: list[tuple[Shard, int]] = []
    for split in SPLITS:
        start = 0
        for shard in (shard for shard in index.shards if shard.split == split):
            jobs.append((shard, start))
            start += shard.num_samples
        open_memmap(folder / f"{split}.npy", "w+", dtype, (start, *shape))
        open_memmap(folder / f"{split}_present.npy", "w+", np.bool_, (start,))
    results = list(shown(_decode_all(shards, modality, decoder, folder, jobs), f"decode {modality}", len(jobs)))
    keys: dict[str, list[str]] = {split: [] for split in SPLITS}
    for (shard, _), (_, keys_of_shard) in zip(jobs, results, strict=True):
        keys[shard.split] += keys_of_shard
    content = facts(folder, modality, shape, {split: keys_sha256(keys[split]) for split in SPLITS})
    assert content["present"] == sum(count for count, _ in results), "a decoded row was lost"
    write_json(folder / FACTS, content)
    return content


def facts(folder: Path, modality: str, shape: Sequence[int], keys: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of facts.json for arrays in `folder`; `keys` is `keys_sha256` of each split's samples."""
    present = sum(int(np.load(folder / f"{split}_present.npy").sum()) for split in SPLITS)
    return {
        "modality": modality,
        "shape": list(shape),
        "present": present,
        "sha256": {split: _digest(folder, split) for split in SPLITS},
        "keys_sha256": dict(keys),
    }


def _first_shape(index: Index, shards: Path, modality: str, decoder: Decoder) -> tuple[tuple[int, ...], np.dtype[Any]]:
    for shard in index.shards:
        for key, content in members(shards, shard, modality):
            if content is not None:
                first = _decode(decoder, content, shard, key, modality)
                return first.shape, first.dtype
    raise DataError(f"modality {modality} is present in no sample")


def _decode_all(shards: Path, modality: str, decoder: Decoder, folder: Path, jobs: Sequence[tuple[Shard, int]]) -> Any:
    """Yield the result of each job; by one process per core, if the first shard shows that it is worth starting them."""
    first, *others = [(shards, modality, decoder, folder, *job) for job in jobs]
    start = time.monotonic()
    yield _decode_shard(first)
    seconds = (time.monotonic() - start) / jobs[0][0].num_samples * sum(shard.num_samples for shard, _ in jobs[1:])
    workers = min(len(os.sched_getaffinity(0)), len(others))
    if workers < 2 or seconds < _WORTH_WORKERS:
        yield from map(_decode_shard, others)
        return
    context = multiprocessing.get_context("forkserver")  # a forked process hangs once torch has used its threads
    with ProcessPoolExecutor(workers, context) as pool:
        yield from pool.map(_decode_shard, others)


def _decode_shard(arguments: tuple[Path, str, Decoder, Path, Shard, int]) -> tuple[int, list[str]]:
    """Decode one shard into its rows; return the number of samples with the modality, and all keys."""
    shards, modality, decoder, folder, shard, start = arguments
    torch.set_num_threads(1)
    values = np.load(folder / f"{shard.split}.npy", mmap_mode="r+")
    present = np.load(folder / f"{shard.split}_present.npy", mmap_mode="r+")
    count, keys = 0, []
    for row, (key, content) in enumerate(members(shards, shard, modality), start):
        keys.append(key)
        if content is None:
            continue
        value = _decode(decoder, content, shard, key, modality)
        if value.shape != values.shape[1:] or value.dtype != values.dtype:
            raise DataError(
                f"{shard.name}: sample {key}: {modality} has shape {value.shape} and type {value.dtype}, "
                f"the first sample's are {values.shape[1:]} and {values.dtype}; settings of `decode` can "
                "bring all to one size or length"
            )
        values[row], present[row] = value, True
        count += 1
    return count, keys


def _decode(decoder: Decoder, content: bytes, shard: Shard, key: str, modality: str) -> np.ndarray[Any, Any]:
    try:
        return decoder(content).numpy()
    except DataError as error:
        raise DataError(f"{shard.name}: sample {key}: {modality}: {error}") from error


def _digest(folder: Path, split: str) -> str:
    digest = hashlib.sha256()
    for name in (f"{split}.npy", f"{split}_present.npy"):
        with (folder / name).open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def shape(folder: Path) -> tuple[int, ...]:
    """Return the shape of one decoded sample."""
    return tuple(read_json(folder / FACTS)["shape"])


def fingerprint(folders: Mapping[str, Path], labels: Mapping[str, torch.Tensor]) -> str:
    """Return one sha256 over the decoded arrays and labels of every split: only equal ones are comparable."""
    digest = hashlib.sha256()
    for modality, folder in folders.items():
        digest.update(f"{modality}{read_json(folder / FACTS)['sha256']}".encode())
    for split in SPLITS:
        digest.update(labels[split].numpy().tobytes())
    return digest.hexdigest()


def load(folders: Mapping[str, Path], split: str, targets: Targets) -> Batch:
    """Map one split's arrays into memory as a Batch, in the order of the manifest and of `folders`.

    Raises DataError if the rows are not the manifest's samples, in its order.
    """
    values, present = {}, []
    for modality, folder in folders.items():
        if read_json(folder / FACTS)["keys_sha256"][split] != targets.keys_sha256[split]:
            raise DataError(
                f"{folder}/{split}.npy holds other samples than the manifest, or in another order; decode them again"
            )
        values[modality] = torch.from_numpy(np.load(folder / f"{split}.npy", mmap_mode="c"))
        present.append(torch.from_numpy(np.load(folder / f"{split}_present.npy")))
    return Batch(values, torch.stack(present, dim=1), targets.label[split], targets.key[split])
