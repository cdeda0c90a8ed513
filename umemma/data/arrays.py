"""Shards decoded once into arrays that training maps into memory.

Decoding a PNG and a WAV costs 1.4 CPU-ms a sample, a mapped row 0.02, and training reads each row several times. One
folder for each modality, so that another spectrogram decodes no image again: `<split>.npy` (sample, *shape),
`<split>_present.npy` (sample,) bool, and `facts.json` with shape and digests. Rows of a missing modality are zero.
"""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from umemma.data.batch import Batch
from umemma.data.sample import SPLITS
from umemma.data.shards import Index, Shard, members
from umemma.errors import DataError
from umemma.files import read_json, write_json
from umemma.progress import shown

Decoder = Callable[[bytes], torch.Tensor]
FACTS = "facts.json"


def write(index: Index, shards: Path, modality: str, decoder: Decoder, folder: Path) -> dict[str, Any]:
    """Decode one modality of verified shards into the empty folder `folder`; return what facts.json holds.

    Raises DataError naming shard and key where a sample cannot be decoded or has another shape or type than the first.
    """
    folder.mkdir(parents=True)
    shape, dtype = _first_shape(index, shards, modality, decoder)
    jobs: list[tuple[Shard, int]] = []
    for split in SPLITS:
        start = 0
        for shard in (one for one in index.shards if one.split == split):
            jobs.append((shard, start))
            start += shard.num_samples
        open_memmap(folder / f"{split}.npy", "w+", dtype, (start, *shape))
        open_memmap(folder / f"{split}_present.npy", "w+", np.bool_, (start,))
    counts = list(shown(_done(shards, modality, decoder, folder, jobs), f"decode {modality}", len(jobs)))
    found = facts(folder, modality, shape)
    assert found["present"] == sum(counts), "a decoded row was lost"
    write_json(folder / FACTS, found)
    return found


def facts(folder: Path, modality: str, shape: Sequence[int]) -> dict[str, Any]:
    """Return what facts.json says of arrays written to `folder`."""
    present = sum(int(np.load(folder / f"{split}_present.npy").sum()) for split in SPLITS)
    return {
        "modality": modality,
        "shape": list(shape),
        "present": present,
        "sha256": {split: _digest(folder, split) for split in SPLITS},
    }


def _first_shape(index: Index, shards: Path, modality: str, decoder: Decoder) -> tuple[tuple[int, ...], np.dtype[Any]]:
    for shard in index.shards:
        for key, content in members(shards, shard, modality):
            if content is not None:
                first = _decoded(decoder, content, shard, key, modality)
                return first.shape, first.dtype
    raise DataError(f"modality {modality} is present in no sample")


def _done(shards: Path, modality: str, decoder: Decoder, folder: Path, jobs: Sequence[tuple[Shard, int]]) -> Any:
    arguments = [(shards, modality, decoder, folder, *job) for job in jobs]
    workers = min(len(os.sched_getaffinity(0)), len(jobs))
    if workers < 2 or sum(shard.num_samples for shard, _ in jobs) < 5_000:
        yield from map(_decode_shard, arguments)
        return
    context = multiprocessing.get_context("forkserver")  # a fork of a process that has used torch's threads hangs
    with ProcessPoolExecutor(workers, context) as pool:
        yield from pool.map(_decode_shard, arguments)


def _decode_shard(arguments: tuple[Path, str, Decoder, Path, Shard, int]) -> int:
    """Decode one shard into its rows; return how many samples had the modality."""
    shards, modality, decoder, folder, shard, start = arguments
    torch.set_num_threads(1)
    values = np.load(folder / f"{shard.split}.npy", mmap_mode="r+")
    present = np.load(folder / f"{shard.split}_present.npy", mmap_mode="r+")
    count = 0
    for row, (key, content) in enumerate(members(shards, shard, modality), start):
        if content is None:
            continue
        value = _decoded(decoder, content, shard, key, modality)
        if value.shape != values.shape[1:] or value.dtype != values.dtype:
            raise DataError(
                f"{shard.name}: sample {key}: {modality} has shape {value.shape} and type {value.dtype}, "
                f"the first sample's are {values.shape[1:]} and {values.dtype}; settings of `decode` can "
                "bring all to one size or length"
            )
        values[row], present[row] = value, True
        count += 1
    return count


def _decoded(decoder: Decoder, content: bytes, shard: Shard, key: str, modality: str) -> np.ndarray[Any, Any]:
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
    """Return one sha256 over the decoded arrays and labels of every split: figures compare only where it is equal."""
    digest = hashlib.sha256()
    for modality, folder in folders.items():
        digest.update(f"{modality}{read_json(folder / FACTS)['sha256']}".encode())
    for split in SPLITS:
        digest.update(labels[split].numpy().tobytes())
    return digest.hexdigest()


def load(folders: Mapping[str, Path], split: str, label: torch.Tensor, key: torch.Tensor) -> Batch:
    """Map one split's arrays into memory as a Batch, in the order of the manifest and of `folders`."""
    values, present = {}, []
    for modality, folder in folders.items():
        values[modality] = torch.from_numpy(np.load(folder / f"{split}.npy", mmap_mode="c"))
        present.append(torch.from_numpy(np.load(folder / f"{split}_present.npy")))
        if len(present[-1]) != len(label):
            raise DataError(f"{folder}/{split}.npy has {len(present[-1])} samples, the manifest {len(label)}")
    return Batch(values, torch.stack(present, dim=1), label, key)
