"""A folder of WebDataset shards, never read unverified. `umemma/data/shard_writer.py` writes it.

- A sample with a missing modality has no member for it.
- WebDataset silently loses samples from a tar that is truncated at a block boundary or overwritten, even with the
  re-raising handler. So `verify` checks every shard's digest before anything is read, and `members` counts.
"""

import hashlib
import re
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from umemma.errors import DamagedFile, DataError
from umemma.files import read_json, sha256
from umemma.media.formats import KINDS

if TYPE_CHECKING:
    import pandas as pd

_SHARD = re.compile(r"[a-z]+-\d+\.tar")
INDEX, MANIFEST, QUARANTINE = "index.json", "manifest.parquet", "quarantine.parquet"


@dataclass(frozen=True)
class Shard:
    """One tar of samples of one split; `sha256` is over the whole file."""

    name: str
    split: str
    num_samples: int
    sha256: str


@dataclass(frozen=True)
class Index:
    """The content of a folder of shards, in reading order.

    Of the `judged` samples of each split, `quarantined` are in the quarantine and the others in the shards. Besides
    train, val and test these also count samples that the data assign to no such split. `dropped` counts single values
    that the adapter dropped from samples in the shards, by reason.
    """

    dataset: str
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    shards: tuple[Shard, ...]
    manifest_sha256: str
    quarantine_sha256: str
    judged: Mapping[str, int]
    quarantined: Mapping[str, int]
    dropped: Mapping[str, int]

    @property
    def sha256(self) -> str:
        """One digest for all shards and the manifest."""
        text = "".join(shard.sha256 for shard in self.shards) + self.manifest_sha256
        return hashlib.sha256(text.encode()).hexdigest()


def verify(folder: Path) -> Index:
    """Check every file's digest against the index. Raises DamagedFile naming the file and both digests."""
    index = _index(read_json(folder / INDEX), folder / INDEX)
    for name, expected in [
        (MANIFEST, index.manifest_sha256),
        (QUARANTINE, index.quarantine_sha256),
        *((shard.name, shard.sha256) for shard in index.shards),
    ]:
        if not (folder / name).is_file():
            raise DamagedFile(f"{folder / name} is missing", folder)
        if (actual := sha256(folder / name)) != expected:
            raise DamagedFile(f"{folder / name} is damaged: sha256 {actual}, {INDEX} says {expected}", folder)
    return index


def _index(content: Any, path: Path) -> Index:
    try:
        index = Index(
            **content
            | {
                "classes": tuple(content["classes"]),
                "modalities": tuple(content["modalities"]),
                "shards": tuple(Shard(**shard) for shard in content["shards"]),
            }
        )
    except (KeyError, TypeError) as error:
        raise DamagedFile(f"{path} is no index of this version ({error})", path.parent) from error
    if outside := [shard.name for shard in index.shards if not _SHARD.fullmatch(shard.name)]:
        raise DamagedFile(f"{path} names {outside[0]!r}, which is no shard of its folder", path.parent)
    return index


def read_manifest(folder: Path) -> "pd.DataFrame":
    """Return the manifest: a row for each sample, in the shards' order."""
    import pandas as pd  # takes half a second, which reading shards avoids

    return pd.read_parquet(folder / MANIFEST)


def members(folder: Path, shard: Shard, modality: str) -> Iterator[tuple[str, bytes | None]]:
    """Yield (key, bytes of the modality or None) for each sample of a shard that `verify` has seen.

    Raises DataError if the number of samples differs from the index.
    """
    from webdataset.tariterators import group_by_keys, tar_file_expander

    count = 0
    wanted = {"json", *(f"{modality}.{suffix}" for suffix in KINDS)}  # every sample has a JSON, which is counted
    with (folder / shard.name).open("rb") as stream:  # opened here: WebDataset does not close a partly read file
        files = tar_file_expander(
            [{"url": shard.name, "stream": stream}], select_files=lambda name: name.partition(".")[2] in wanted
        )
        for sample in group_by_keys(files, lcase=False):  # else a modality named `Image` would always be missing
            count += 1
            content = (sample[f"{modality}.{s}"] for s in KINDS if f"{modality}.{s}" in sample)
            yield sample["__key__"], next(content, None)
    if count != shard.num_samples:
        raise DataError(f"{folder / shard.name} gave {count} samples, {INDEX} says {shard.num_samples}")


def files(folder: Path, shard: str, key: str) -> dict[str, tuple[str, bytes]]:
    """Return {modality: (suffix, content)} of one sample, read from its shard without the others."""
    with tarfile.open(folder / shard) as tar:
        named = {member.name: member for member in tar if member.name.startswith(f"{key}.")}
        found = {}
        for name, member in named.items():
            modality, _, suffix = name.removeprefix(f"{key}.").partition(".")
            stream = tar.extractfile(member)
            if suffix in KINDS and stream is not None:
                found[modality] = (suffix, stream.read())
    return found
