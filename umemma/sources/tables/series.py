"""Converts time series and vectors in files and cells to the bytes of a .npy file, and validates them.

- A series has two axes, (step, channel), a vector one. A series file with one axis is taken as a single channel, and axes
  of one that are too many, as of a batch, are left out.
- `layout: channels_first` says that a series in an array is (channel, step).
- A .npz or .mat file holds arrays by name; with more than one, `array` names it.
- NaN and an empty cell were not measured and stay NaN, unless `fill` gives a number to replace them with. Values that are
  infinite in float32 are always bad.
- A .npy file that needs no change is passed on byte for byte.
"""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from umemma import limits
from umemma.data.sample import BadSample
from umemma.errors import OverLimit, some
from umemma.media.kinds import array as npy_file
from umemma.sources.tables import matlab
from umemma.sources.tables.recordings import FRAMES, Recording
from umemma.sources.tables.recordings import SUFFIXES as TEXTS

AXES = {"series": 2, "vector": 1}
LAYOUTS = ("channels_last", "channels_first")
SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "series": ("npy", "npz", "mat", *TEXTS, *FRAMES),
    "vector": ("npy", "npz", "mat"),
}


_STARTS = {
    b"\x93NUMPY": "npy",
    b"PK\3\4": "npz",
    b"MATLAB": "mat",
    b"\x89HDF": "mat",
    b"PAR1": "parquet",
    b"ARROW1": "feather",
    b"FEA1": "feather",
}


def suffix_of(content: bytes) -> str:
    """Return the suffix of a file of numbers by how it starts: text is `csv`."""
    return next((suffix for start, suffix in _STARTS.items() if content.startswith(start)), "csv")


@dataclass(frozen=True)
class Reading:
    """How the numbers of a modality are read: see the settings of the same names in `tables/sources.py`."""

    kind: str
    fill: float | None = None
    layout: str = "channels_last"
    array: str | None = None
    recording: Recording = field(default_factory=Recording)

    def of_file(self, named: str, suffix: str, content: bytes) -> bytes:
        """Return a file's numbers as .npy. Raises BadSample if it is unreadable or holds an unusable number."""
        if suffix in TEXTS:
            return npy(self._filled(named, self.recording.from_text(named, content)))
        if suffix in FRAMES:
            return npy(self._filled(named, self.recording.from_frame(named, content, FRAMES[suffix])))
        if suffix == "npy":
            return self._of_array(named, array(named, content), content)
        return self._of_array(named, _chosen(named, named_arrays(named, suffix, content), self.array))

    def of_array(self, named: str, values: np.ndarray) -> bytes:
        """Return an array as .npy. Raises BadSample for another number of axes, or an unusable number."""
        return self._of_array(named, values)

    def _of_array(self, named: str, values: np.ndarray, content: bytes | None = None) -> bytes:
        """`content`: the .npy file that holds just these values."""
        if values.dtype.kind not in "fiub" or not values.size:
            what = f"holds {values.dtype}, not real numbers" if values.size else "holds no numbers"
            raise BadSample(named, f"{what}: no {self.kind}, shape {values.shape}")
        if not values.ndim:
            raise BadSample(named, f"holds a single number without an axis: no {self.kind}, shape ()")
        shaped = self._shaped(named, values)
        filled = self._filled(named, shaped)
        return content if content is not None and filled is values else npy(filled)

    def _shaped(self, named: str, values: np.ndarray) -> np.ndarray:
        shape, num_axes = values.shape, AXES[self.kind]
        while len(shape) > num_axes and shape[0] == 1:
            shape = shape[1:]
        while len(shape) > num_axes and shape[-1] == 1:
            shape = shape[:-1]
        if self.kind == "series" and len(shape) == 1:
            shape = (*shape, 1) if self.layout == "channels_last" else (1, *shape)
        if len(shape) != num_axes:
            along = "two axes, (step, channel)" if num_axes == 2 else "one axis"
            raise BadSample(
                named, f"no {self.kind}: shape {values.shape} and type {values.dtype}, not real numbers along {along}"
            )
        shaped = values if shape == values.shape else values.reshape(shape)
        shaped = shaped.astype(np.uint8) if shaped.dtype.kind == "b" else shaped
        return shaped.T if self.layout == "channels_first" else shaped

    def _filled(self, named: str, values: np.ndarray) -> np.ndarray:
        """Return the values with NaN replaced by `fill`; the same object if there is none."""
        if values.dtype.kind != "f":
            return values
        with np.errstate(over="ignore"):
            infinite = np.argwhere(np.isinf(values.astype(np.float32)))
        if len(infinite):
            worst = values[tuple(infinite[0])]
            raise BadSample(
                named, f"no usable number: {worst} in place {infinite[0].tolist()} is not finite in float32"
            )
        gaps = np.isnan(values)
        if self.fill is None or not gaps.any():
            return values
        return np.where(gaps, np.asarray(self.fill, values.dtype), values)


def npy(values: np.ndarray) -> bytes:
    """Return an array as a .npy file; equal values give equal bytes."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(values), version=(1, 0), allow_pickle=False)
    return buffer.getvalue()


def array(named: str, content: bytes) -> np.ndarray:
    """Return the array in a .npy file. Raises BadSample if it is unreadable."""
    try:
        npy_file.header(content)
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)
    except OverLimit as error:
        raise BadSample(named, str(error)) from error
    except Exception as error:  # NumPy parses the header as Python code: a corrupt one raises almost anything
        raise BadSample(named, f"no readable .npy file: {error}") from error


def named_arrays(named: str, suffix: str, content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays in a .npz or .mat file by name. Raises BadSample if it is unreadable."""
    if content[:8] == b"\x89HDF\r\n\x1a\n" or b"MATLAB 7.3" in content[:128]:
        raise BadSample(named, "no readable .mat file: it is of version 7.3, which is HDF5; save it with -v7")
    try:
        return matlab.arrays(content) if suffix == "mat" else _zipped(named, content)
    except BadSample:
        raise
    except OverLimit as error:
        raise BadSample(named, str(error)) from error
    except Exception as error:  # of many kinds, as above
        raise BadSample(named, f"no readable .{suffix} file: {error}") from error


def _zipped(named: str, content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays in a .npz file, a ZIP archive of .npy files."""
    unpacking = limits.Unpacking(len(content))
    found = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.infolist():
            unpacking.add(member.file_size, member.filename)  # zipfile reads no more than that
            found[member.filename.removesuffix(".npy")] = array(named, archive.read(member))
    return found


def _chosen(named: str, arrays: Mapping[str, np.ndarray], name: str | None) -> np.ndarray:
    if name is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    if name is None or name not in arrays:
        shapes = some(f"{key} {value.shape}" for key, value in arrays.items()) or "none"
        asked = "`array` must name one of its arrays" if name is None else f"it holds no array {name!r}"
        raise BadSample(named, f"{asked}: there are {shapes}")
    return arrays[name]
