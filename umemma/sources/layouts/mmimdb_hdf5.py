"""MM-IMDb as a single file, multimodal_imdb.hdf5 with metadata.npy beside it, as its authors' training code reads it.

- Rows are ordered train, dev, test; the boundaries are read from the file's own table (root attribute `split`, of the
  library Fuel), not from the published counts.
- `sequences` are word indices; the words are in metadata.npy, a pickle, of which only that table is used
  (`plain_pickle` reads it without executing it).
- `genres` has a column for each name in its attribute `target_names`, by decreasing frequency.
- The file is reopened for every sample: processes that share an open HDF5 file share its file position.
- HDF5 stores no part of an array that was never written, so a kilobyte can declare terabytes: shapes, pieces and the
  table of splits are checked before any of it is read. The length of a plot or of a text is known to HDF5 alone, which
  asks for as much memory, so the file is read with that limited.
"""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from umemma import json_text, limits
from umemma.data.sample import BadSample
from umemma.errors import DataError, OverLimit, some
from umemma.sources.layouts import hdf5_heaps, plain_pickle
from umemma.sources.layouts.lists import Row
from umemma.sources.media_bytes import png

FILE, METADATA = "multimodal_imdb.hdf5", "metadata.npy"
_TIMES = 3  # an array as it is stored, as it is converted, and what is made of it
_SPLITS = {"train": "train", "dev": "val", "test": "test"}


def rows(path: Path) -> list[Row]:
    """Return a row for each film, with its index in the file as field and without a label. Raises DataError."""
    with opened(path) as file:
        if "split" not in file.attrs or "imdb_ids" not in file:
            raise DataError(f"{path} has no attribute 'split' or no 'imdb_ids'; it is no {FILE} of MM-IMDb")
        stored = _array(file, "imdb_ids")
        limits.check("rows", stored.size, "imdb_ids")
        limits.check_bytes(stored.nbytes, "imdb_ids")
        ids = [imdb_id.decode("ascii") for imdb_id in stored[:].ravel()]
        bounds = {
            entry["split"].decode(): (int(entry["start"]), int(entry["stop"]))
            for entry in _attribute(file, "split")
            if entry["source"] == b"imdb_ids" or entry["source"] == b"genres"
        }
    if set(bounds) != set(_SPLITS):
        raise DataError(f"{path}: its table of splits has {some(bounds) or 'none'}, not train, dev and test")
    for split, (start, stop) in bounds.items():
        if not 0 <= start <= stop <= len(ids):
            raise DataError(f"{path}: its split {split} is of the rows {start} to {stop}, and there are {len(ids)}")
    return [
        Row(ids[index], _SPLITS[split], 0, ids[index], f"{path}:{index}", (str(index),))
        for split in _SPLITS
        for index in range(*bounds[split])
    ]


def genres(path: Path) -> tuple[str, ...]:
    """Return the names of the columns of `genres`. Raises DataError if they are missing."""
    with opened(path) as file:
        try:
            genres = _array(file, "genres", num_axes=2)
            names = json_text.parsed(_attribute(genres, "target_names"))
        except (KeyError, ValueError, TypeError) as error:
            raise DataError(f"{path}: 'genres' has no attribute 'target_names' with a JSON list: {error}") from error
        if not isinstance(names, list) or len(names) != genres.shape[1]:
            count = len(names) if isinstance(names, list) else "no"
            raise DataError(f"{path}: 'genres' has {genres.shape[1]} columns and {count} names")
    return tuple(map(str, names))


def words(path: Path) -> dict[int, str]:
    """Return the words by index from metadata.npy. Raises DataError if it has no such table."""
    try:
        table = plain_pickle.npy(limits.content(path))
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}); without it the plots of {FILE} are numbers without "
            "words. dataset.options.layout 'features' needs none"
        ) from error
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    if not isinstance(table, dict):
        raise DataError(f"{path} has no table 'ix_to_word'; it holds a {type(table).__name__}")
    named = {_text(key): value for key, value in table.items()}
    if not isinstance(named.get("ix_to_word"), dict):
        raise DataError(f"{path} has no table 'ix_to_word'; it has {some(named)}")
    try:
        return {int(number): _text(word) for number, word in named["ix_to_word"].items()}
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{path}: its table 'ix_to_word' is not one of numbers: {error}") from error


def poster(file: Any, index: int) -> bytes:
    """Return the image of a row as (lossless) PNG."""
    images = _array(file, "images", num_axes=4)
    limits.check("pixels", math.prod(images.shape[2:]), "the poster")
    pixels = np.moveaxis(np.asarray(images[index]), 0, -1)
    if pixels.min() < 0 or pixels.max() > 255:
        raise BadSample(f"{file.filename}:{index}", f"pixels of {pixels.min()} to {pixels.max()}, not of 0 to 255")
    return png(pixels.astype(np.uint8))


def plot(file: Any, index: int, words: dict[int, str]) -> str:
    """Return the plot of a row, words separated by spaces."""
    numbers = [int(number) for number in _array(file, "sequences")[index]]
    if unknown := [number for number in numbers if number not in words]:
        raise BadSample(f"{file.filename}:{index}", f"word {unknown[0]} is not in {METADATA}")
    return " ".join(words[number] for number in numbers)


def vector(file: Any, name: str, index: int) -> bytes:
    """Return a row of a float matrix as .npy."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(_array(file, name, num_axes=2)[index], dtype=np.float32), allow_pickle=False)
    return buffer.getvalue()


def labels(file: Any, index: int, columns: Sequence[str]) -> list[str]:
    """Return the genres of a row."""
    return [name for name, is_set in zip(columns, _array(file, "genres", num_axes=2)[index], strict=True) if is_set]


def _array(file: Any, name: str, num_axes: int | None = None) -> Any:
    """Return an array of the file, not yet read. Raises DataError for another number of axes, or a row or piece too large."""
    import h5py

    array = file[name]
    if not isinstance(array, h5py.Dataset) or not array.shape or num_axes not in (None, array.ndim):
        raise DataError(f"{name!r} is no array" + (f" of {num_axes} axes" if num_axes else ""))
    if 0 in array.shape:
        raise DataError(f"{name!r} is an array of nothing: {array.shape}")
    for shape, what in ((array.shape[1:], f"a row of {name}"), (array.chunks or (), f"a piece of {name}")):
        limits.check_bytes(math.prod(shape) * array.dtype.itemsize, what)
    return array


def _attribute(owner: Any, name: str) -> Any:
    stored = owner.attrs.get_id(name)
    limits.check_bytes(math.prod(stored.shape) * stored.dtype.itemsize, f"the attribute {name}")
    return owner.attrs[name]


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open the file for reading. Raises DataError if it is no HDF5 file, or anything read of it is damaged."""
    import h5py

    most = limits.current().file_mib
    try:
        with (
            limits.memory(_TIMES * int(most * limits.MIB)),
            hdf5_heaps.Checked(path) as raw,
            h5py.File(path, "r", driver="fileobj", fileobj=raw) as file,
        ):
            yield file
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"{path}: {error}") from error
    except Exception as error:  # a damaged file makes h5py raise almost anything
        if isinstance(error, MemoryError) or "allocation failed" in str(error):
            raise OverLimit(
                f"{path}: over limits.file_mib: by its length a part takes more than {_TIMES * most:,.0f} MiB; if it does, "
                f"`limits: {{file_mib: {math.ceil(2 * most)}}}` in the data set's file accepts it"
            ) from error
        raise DataError(f"{path} is no readable HDF5 file: {error!r}") from error
