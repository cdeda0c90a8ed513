"""MM-IMDb as a single file, multimodal_imdb.hdf5 with metadata.npy beside it, as its authors' training code reads it.

- Rows are ordered train, dev, test; the boundaries are read from the file's own table (root attribute `split`, of the
  library Fuel), not from the published counts.
- `sequences` are word indices; the words are in metadata.npy, a pickle, of which only that table is used
  (`plain_pickle` reads it without executing it).
- `genres` has a column for each name in its attribute `target_names`, by decreasing frequency.
- The file is reopened for every sample: processes that share an open HDF5 file share its file position.
"""

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from umemma.data.sample import BadSample
from umemma.errors import DataError
from umemma.sources.layouts import plain_pickle
from umemma.sources.layouts.lists import Row

FILE, METADATA = "multimodal_imdb.hdf5", "metadata.npy"
_SPLITS = {"train": "train", "dev": "val", "test": "test"}


def rows(path: Path) -> list[Row]:
    """Return a row for each film, with its index in the file as field and without a label. Raises DataError."""
    with opened(path) as file:
        if "split" not in file.attrs or "imdb_ids" not in file:
            raise DataError(f"{path} has no attribute 'split' or no 'imdb_ids'; it is no {FILE} of MM-IMDb")
        ids = [imdb_id.decode("ascii") for imdb_id in file["imdb_ids"][:].ravel()]
        bounds = {
            entry["split"].decode(): (int(entry["start"]), int(entry["stop"]))
            for entry in file.attrs["split"]
            if entry["source"] == b"imdb_ids" or entry["source"] == b"genres"
        }
    if set(bounds) != set(_SPLITS):
        raise DataError(f"{path}: its table of splits has {', '.join(bounds) or 'none'}, not train, dev and test")
    return [
        Row(ids[index], _SPLITS[split], 0, ids[index], f"{path}:{index}", (str(index),))
        for split in _SPLITS
        for index in range(*bounds[split])
    ]


def genres(path: Path) -> tuple[str, ...]:
    """Return the names of the columns of `genres`. Raises DataError if they are missing."""
    with opened(path) as file:
        try:
            names = tuple(json.loads(file["genres"].attrs["target_names"]))
        except (KeyError, ValueError) as error:
            raise DataError(f"{path}: 'genres' has no attribute 'target_names' with a JSON list: {error}") from error
        if len(names) != file["genres"].shape[1]:
            raise DataError(f"{path}: 'genres' has {file['genres'].shape[1]} columns and {len(names)} names")
    return names


def words(path: Path) -> dict[int, str]:
    """Return the words by index from metadata.npy. Raises DataError if it has no such table."""
    try:
        table = plain_pickle.npy(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); without it the plots of {FILE} are numbers without "
            "words. dataset.options.layout 'features' needs none"
        ) from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    named = {key.decode() if isinstance(key, bytes) else key: value for key, value in dict(table).items()}
    if not isinstance(named.get("ix_to_word"), dict):
        raise DataError(f"{path} has no table 'ix_to_word'; it has {', '.join(map(str, named))}")
    return {
        int(number): word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)
        for number, word in named["ix_to_word"].items()
    }


def poster(file: Any, index: int) -> bytes:
    """Return the image of a row as (lossless) PNG."""
    pixels = np.moveaxis(np.asarray(file["images"][index]), 0, -1)
    if pixels.min() < 0 or pixels.max() > 255:
        raise BadSample(f"{file.filename}:{index}", f"pixels of {pixels.min()} to {pixels.max()}, not of 0 to 255")
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def plot(file: Any, index: int, words: dict[int, str]) -> str:
    """Return the plot of a row, words separated by spaces."""
    numbers = [int(number) for number in file["sequences"][index]]
    if unknown := [number for number in numbers if number not in words]:
        raise BadSample(f"{file.filename}:{index}", f"word {unknown[0]} is not in {METADATA}")
    return " ".join(words[number] for number in numbers)


def vector(file: Any, name: str, index: int) -> bytes:
    """Return a row of a float matrix as .npy."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(file[name][index], dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()


def labels(file: Any, index: int, columns: Sequence[str]) -> list[str]:
    """Return the genres of a row."""
    return [name for name, is_set in zip(columns, file["genres"][index], strict=True) if is_set]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open the file for reading. Raises DataError if it is not an HDF5 file."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise DataError(f"{path} is no readable HDF5 file: {error}") from error
