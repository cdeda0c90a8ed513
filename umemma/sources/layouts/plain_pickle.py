"""Reads pickles of arrays and plain containers without executing code that they may contain.

A pickle is a program: loading an untrusted one executes it. Public data sets come with a few (spectrograms as `.pkl`, a
vocabulary inside a `.npy`), so these are read by an unpickler that allows only NumPy's array, dtype and scalar, besides
numbers, strings, lists, tuples and mappings, which need no global name. Any other global name is an error before
anything is called. Pickles of Python 2 are supported; their plain strings become bytes.

NumPy itself trusts a pickle: 94 bytes can set a dtype's size, or its object flag, such that the process ends in a
segmentation fault. So no NumPy code is called while a pickle is read. Placeholders record their arguments, and arrays
are built from the records afterwards: of plain numbers and strings, exactly as many as the bytes hold, or of objects
that were themselves read. The pure-Python unpickler is used: the one in C allocates as many memos as a pickle claims.
"""

import io
import math
import pickle
import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from umemma.errors import DataError

_CORES = ("numpy.core", "numpy._core")  # NumPy 1 and 2
_PLAIN = (type(None), bool, int, float, str, bytes, bytearray)
_KINDS = re.compile(r"[biufcSU]\d{1,9}|O[48]?")  # dtype strings that NumPy writes; no fields, dates or subarrays
_MOST_CODE_POINT = 0x10FFFF


class _Known:
    """A global name that a pickle may call; its state cannot be set."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call

    def __call__(self, *given: object) -> object:
        return self._call(*given)

    def __setstate__(self, state: object) -> None:
        raise DataError("its pickle changes a function")


class _Note:
    """Placeholder for a NumPy object: records its constructor arguments and its state."""

    __slots__ = ("given", "state")

    def __init__(self, *given: object) -> None:
        self.given = given
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Type(_Note):
    pass


class _Scalar(_Note):
    pass


class _Array(_Note):  # content in its state
    pass


class _Buffer(_Note):  # array in protocol 5
    pass


def _bytes(*given: object) -> bytes:
    if given:
        raise DataError("its pickle makes bytes from another object")
    return b""


def _encoded(text: str, encoding: object) -> bytes:
    """Return bytes that protocol 2 writes as latin-1 text."""
    return text.encode("latin1")


_KNOWN = {
    ("numpy", "ndarray"): _Known(_Note),
    ("numpy", "dtype"): _Known(_Type),
    ("_codecs", "encode"): _Known(_encoded),
    ("__builtin__", "bytes"): _Known(_bytes),  # empty bytes, in protocol 2
    **{(f"{core}.multiarray", "_reconstruct"): _Known(_Array) for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _Known(_Scalar) for core in _CORES},
    **{(f"{core}.numeric", "_frombuffer"): _Known(_Buffer) for core in _CORES},
}


class _Unpickler(pickle._Unpickler):
    dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise DataError(f"its pickle holds {module}.{name}; only arrays, numbers, texts and containers are read")
        return _KNOWN[module, name]

    def load_bytearray(self) -> None:
        """The original allocates as many bytes as the pickle claims."""
        self.append(bytearray(self.read(int.from_bytes(self.read(8), "little"))))  # type: ignore[attr-defined]

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray


def loads(content: bytes) -> Any:
    """Return the content of a pickle. Raises DataError if it is corrupt or contains anything not allowed."""
    try:
        return _made(_Unpickler(io.BytesIO(content), encoding="bytes").load(), {})
    except DataError:
        raise
    except Exception as error:  # a corrupt pickle raises almost anything
        raise DataError(f"no readable pickle: {error!r}") from error


def npy(content: bytes) -> Any:
    """Return the pickled object in a .npy file, which `numpy.load` refuses to read. Raises DataError."""
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
        shape, _, dtype = read_header(stream)
    except Exception as error:  # NumPy parses the header as Python code: a corrupt one raises almost anything
        raise DataError(f"no readable .npy file: {error}") from error
    if shape or not dtype.hasobject:
        raise DataError(f"holds an array {shape} of {dtype}, not one object")
    array = loads(stream.read())
    if not isinstance(array, np.ndarray) or array.shape:
        raise DataError(f"its pickle holds no array of one object but {type(array).__name__}")
    return array[()]


def _made(value: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    """Return a value with placeholders replaced by arrays; lists, mappings and sets are changed in place.

    `done` has {id: (object, result)} for all objects so far: a shared object is converted once, and a list may contain
    itself. It keeps every object alive, so that no id is reused.
    """
    if isinstance(value, _PLAIN):
        return value
    if id(value) in done:
        result = done[id(value)][1]
        if result is done:
            raise DataError("its pickle holds something inside itself")
        return result
    done[id(value)] = (value, value if isinstance(value, list | dict | set) else done)
    made: Any = value
    if isinstance(value, list):
        value[:] = [_made(item, done) for item in value]
    elif isinstance(value, dict):
        items = [(_made(key, done), _made(item, done)) for key, item in value.items()]
        value.clear()
        value.update(items)
    elif isinstance(value, set):
        members = [_made(item, done) for item in value]
        value.clear()
        value.update(members)
    elif isinstance(value, tuple | frozenset):
        made = type(value)([_made(item, done) for item in value])
    else:
        made = _of_numpy(value, done)
    done[id(value)] = (value, made)
    return made


def _of_numpy(note: Any, done: dict[int, tuple[Any, Any]]) -> Any:
    match note:
        case _Type():
            return _dtype(note)
        case _Scalar(given=(_Type() as noted, bytes(data)), state=None):
            return _scalar(_dtype(noted), data)
        case _Buffer(given=(data, _Type() as noted, tuple(shape), "C" | "F" as order), state=None):
            return _array(_dtype(noted), data, shape, order)
        case _Buffer(given=(data, _Type() as noted, tuple(shape), "K", tuple(axes)), state=None):
            return _array(_dtype(noted), data, shape, "C").transpose(axes)
        case _Array(state=(*_, tuple(shape), _Type() as noted, is_fortran, data)):  # optionally preceded by a version
            if isinstance(data, list):
                return _objects(_dtype(noted), _made(data, done), shape)
            return _array(_dtype(noted), data, shape, "F" if is_fortran else "C")
    raise DataError("its pickle holds a part of NumPy's that is no array, number or text")


def _dtype(note: _Type) -> np.dtype[Any]:
    """Return the recorded dtype. Raises DataError unless it is of plain numbers, strings or objects.

    Its state is (version, byte order, subarray, names, fields, size, alignment, flags[, metadata]); only byte order and
    size, which must agree with the name, matter for these types.
    """
    name = note.given[0] if note.given else None
    name = name.decode("latin1") if isinstance(name, bytes) else name
    if not isinstance(name, str) or not _KINDS.fullmatch(name):
        raise DataError(f"its pickle holds an array of {name!r}; only those of numbers, texts and objects are read")
    state = note.state if isinstance(note.state, tuple) else (3, "=", None, None, None, -1)
    order = state[1].decode("latin1") if isinstance(state[1], bytes) else state[1]
    made = np.dtype(name)
    if order not in ("<", ">", "=", "|") or any(state[2:5]) or state[5] not in (-1, made.itemsize) or any(state[8:]):
        raise DataError(f"its pickle holds an array of {name!r} that NumPy would not write")
    return made if order == "|" else made.newbyteorder(order)  # type: ignore[arg-type]


def _scalar(dtype: np.dtype[Any], data: bytes) -> Any:
    if not data and not dtype.itemsize:
        return dtype.type()
    return _array(dtype, data, (), "C")[()]


def _array(dtype: np.dtype[Any], data: object, shape: Sequence[object], order: str) -> Any:
    """Return an array from bytes, whose number must match the shape."""
    if not isinstance(data, bytes | bytearray) or dtype.hasobject:
        raise DataError(f"its pickle holds an array of {dtype} made of {type(data).__name__}")
    if not dtype.itemsize or _count(shape) * dtype.itemsize != len(data):
        raise DataError(f"its pickle holds an array {tuple(shape)} of {dtype} in {len(data)} bytes")
    if dtype.kind == "U" and np.frombuffer(data, f"{dtype.byteorder}u4").max(initial=0) > _MOST_CODE_POINT:
        raise DataError("its pickle holds a string with invalid characters")
    flat = np.frombuffer(bytearray(data), dtype) if data else np.empty(0, dtype)
    return flat.reshape(shape, order=order)  # type: ignore[call-overload]


def _objects(dtype: np.dtype[Any], items: Sequence[object], shape: Sequence[object]) -> Any:
    """Return an array of objects, which a pickle always lists in C order."""
    if not dtype.hasobject or _count(shape) != len(items):
        raise DataError(f"its pickle holds an array {tuple(shape)} of {dtype} made of {len(items)} objects")
    flat = np.empty(len(items), dtype)
    for position, item in enumerate(items):
        flat[position] = item
    return flat.reshape(shape)


def _count(shape: Sequence[object]) -> int:
    if not all(type(size) is int and size >= 0 for size in shape):
        raise DataError(f"its pickle holds an array of the shape {tuple(shape)}")
    return math.prod(shape)  # type: ignore[arg-type]
