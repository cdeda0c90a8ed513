"""Shards decoded once into arrays that training memory-maps.

Decoding a PNG and a WAV costs 1.4 CPU-ms per sample, a mapped row 0.02, and training reads each row several times. One
folder per modality, so that changing the spectrogram does not decode images again: `<split>.npy` (sample, *shape),
`<split>_present.npy` (sample,) bool, and `facts.json` with shape and digests, including that of the samples' keys:
labels come from the manifest and are aligned with arrays by order. Rows of a missing modality are zero.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.lib.format import open_memmap

from umemma import limits
from umemma.data import on_disk
from umemma.data.batch import Batch
from umemma.data.manifest import Targets, keys_sha256
from umemma.data.sample import SPLITS
from umemma.data.shards import Index, Shard, members
from umemma.errors import DataError
from umemma.files import read_json, write_json
from umemma.launchers import local_launcher
from umemma.launchers.launcher import Launcher
from umemma.progress import shown

Decoder = Callable[[bytes], torch.Tensor]
FACTS = "facts.json"
_LOCAL = local_launcher.Launcher()


def write(
    index: Index, shards: Path, modality: str, decoder: Decoder, folder: Path, *, launcher: Launcher = _LOCAL
) -> dict[str, Any]:
    """Decode one modality of verified shards into the new `folder`; return the content of facts.json.

    The bytes are the same whatever the `launcher`.
    Raises DataError naming shard and key if a sample cannot be decoded, or differs from the first in shape or type.
    """
    folder.mkdir(parents=True)
    shape, dtype = _first_shape(index, shards, modality, decoder)
    jobs: list[_Job] = []
    for split in SPLITS:
        start = 0
        for shard in (shard for shard in index.shards if shard.split == split):
            jobs.append(_Job(shard, start))
            start += shard.num_samples
        open_memmap(folder / f"{split}.npy", "w+", dtype, (start, *shape))
        open_memmap(folder / f"{split}_present.npy", "w+", np.bool_, (start,))
    decode = limits.Carried(_Decode(shards, modality, decoder, folder, shape, dtype))
    results = list(shown(launcher.map(decode, jobs), f"decode {modality}", len(jobs)))
    keys: dict[str, list[str]] = {split: [] for split in SPLITS}
    for job, (_, keys_of_shard) in zip(jobs, results, strict=True):
        keys[job.shard.split] += keys_of_shard
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


@dataclass(frozen=True)
class _Job:
    """One shard, whose samples are the rows of its split's array from `start` on."""

    shard: Shard
    start: int


@dataclass(frozen=True)
class _Decode:
    """Decodes one job's shard into its rows; returns the number of samples with the modality, and all keys.

    Rows are written as parts of a file, not through a map of it: where several nodes share a file system, a map would
    write back whole pages, and with them a neighbour's old rows.
    """

    shards: Path
    modality: str
    decoder: Decoder
    folder: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __call__(self, job: _Job) -> tuple[int, list[str]]:
        torch.set_num_threads(1)
        shard, keys = job.shard, []
        present = np.zeros(shard.num_samples, np.bool_)
        with opened(self.folder / f"{shard.split}.npy") as values:
            first_row, size = values.tell(), int(np.prod(self.shape)) * self.dtype.itemsize
            for row, (key, content) in enumerate(members(self.shards, shard, self.modality)):
                keys.append(key)
                if content is None:
                    continue
                value = _decode(self.decoder, content, shard, key, self.modality)
                if value.shape != self.shape or value.dtype != self.dtype:
                    raise DataError(
                        f"{shard.name}: sample {key}: {self.modality} has shape {value.shape} and type {value.dtype}, "
                        f"the first sample's are {self.shape} and {self.dtype}; settings of `decode` can "
                        "bring all to one size or length"
                    )
                values.seek(first_row + (job.start + row) * size)
                values.write(np.ascontiguousarray(value).data)
                present[row] = True
        with opened(self.folder / f"{shard.split}_present.npy") as flags:
            flags.seek(flags.tell() + job.start)
            flags.write(present.data)
        return int(present.sum()), keys


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open an existing array file for writing, at its first row."""
    with path.open("r+b") as file:
        version = np.lib.format.read_magic(file)
        assert version == (1, 0), f"{path}: an array of a shape has a header of version 1, not {version}"
        np.lib.format.read_array_header_1_0(file)
        yield file


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
        values[modality] = on_disk.mapped(folder / f"{split}.npy")
        present.append(torch.from_numpy(np.load(folder / f"{split}_present.npy")))
    return Batch(values, torch.stack(present, dim=1), targets.label[split], targets.key[split])
